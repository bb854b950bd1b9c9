// derm.h: arguments are checked, exceptions become numbers.

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>

#include "classifier.h"
#include "derm.h"
#include "failure.h"
#include "selftest.h"

using derm::Failure;
using derm::require;
using std::size_t;

struct derm_classifier {
    static constexpr std::uint32_t open = 0x6d726564;  // "derm"
    std::uint32_t state = open;
    derm::Classifier inside;
};

struct derm_result {
    derm::Answer answer;
};

struct derm_heat {
    std::shared_ptr<const derm::Bundle> bundle;
    derm::Explanation found;
};

namespace {

// Cut between characters, never inside one.
void fill(derm_error* error, derm_status status, const char* text) {
    if (error == nullptr) {
        return;
    }
    error->status = status;
    size_t length = std::min(std::strlen(text), sizeof error->text - 1);
    while (length > 0 && text[length] != '\0' && (static_cast<unsigned char>(text[length]) & 0xC0) == 0x80) {
        --length;
    }
    std::memcpy(error->text, text, length);
    error->text[length] = '\0';
}

// Runs `body`; whatever it throws becomes a number and a sentence.
template <class Body>
derm_status guarded(derm_error* error, Body body) noexcept {
    derm_status status = DERM_INTERNAL;
    try {
        body();
        fill(error, DERM_OK, derm_status_text(DERM_OK));
        return DERM_OK;
    } catch (const Failure& failure) {
        status = failure.status();
        fill(error, status, failure.what());
        return status;
    } catch (const std::bad_alloc&) {
        status = DERM_NO_MEMORY;
    } catch (const std::exception& other) {
        fill(error, status, other.what());
        return status;
    } catch (...) {
    }
    fill(error, status, derm_status_text(status));
    return status;
}

void check_handle(const derm_classifier* classifier) {
    require(classifier != nullptr, DERM_ARGUMENT_NULL, "classifier");
    require(classifier->state == derm_classifier::open, DERM_ARGUMENT_CLOSED);
}

template <class... Pointers>
void check_pointers(Pointers... pointers) {
    require(((pointers != nullptr) && ...), DERM_ARGUMENT_NULL);
}

int checked_skin_type(int32_t skin_type) {
    require(skin_type >= 0 && skin_type <= 6, DERM_ARGUMENT_SKIN_TYPE, std::to_string(skin_type));
    return skin_type;
}

int checked_routing(int32_t routing) {
    require(routing >= DERM_ALL && routing <= DERM_TOP, DERM_ARGUMENT_ROUTING, std::to_string(routing));
    return routing;
}

derm_options checked_options(const derm_options* options) {
    derm_options found{};
    if (options != nullptr) {
        // A program that was built before the prior was there gives a shorter one: what it lacks stays 0.
        const bool known = options->struct_size == offsetof(derm_options, prior) || options->struct_size == sizeof found;
        require(known, DERM_ARGUMENT_STRUCT, "derm_options");
        std::memcpy(&found, options, options->struct_size);
    }
    require(found.threads >= 0 && found.threads <= 64, DERM_ARGUMENT_THREADS, std::to_string(found.threads));
    checked_routing(found.routing);
    return found;
}

template <class Load>
derm_status open_with(const derm_options* options, derm_classifier** classifier, derm_error* error, Load load) {
    return guarded(error, [&] {
        check_pointers(classifier);
        *classifier = nullptr;
        const derm_options checked = checked_options(options);
        *classifier = new derm_classifier{derm_classifier::open, derm::Classifier(load(), checked)};
    });
}

derm_prediction prediction_of(const derm_result& result, size_t number) {
    const derm::Taxonomy& tree = result.answer.bundle->taxonomy;
    const derm::Node& node = tree.nodes()[number];
    return {node.id.c_str(), node.name.c_str(), tree.levels()[node.level].c_str(),
            node.parent == derm::none ? nullptr : tree.nodes()[node.parent].id.c_str(), result.answer.probabilities[number]};
}

using Levels = std::vector<std::vector<size_t>>;

derm_status prediction_at(const derm_result* result, Levels derm::Answer::*levels, size_t level, size_t place,
                          derm_prediction* prediction) {
    return guarded(nullptr, [&] {
        check_pointers(result, prediction);
        const Levels& found = result->answer.*levels;
        require(level < found.size(), DERM_ARGUMENT_LEVEL, "");
        require(place < found[level].size(), DERM_ARGUMENT_PLACE, "");
        *prediction = prediction_of(*result, found[level][place]);
    });
}

const char* text_at(const std::vector<std::string>& texts, size_t place) {
    return place < texts.size() ? texts[place].c_str() : nullptr;
}

// {graph: its stored output}, checked, as logits.
derm::Logits read_outputs(const derm::Bundle& bundle, const derm_output* outputs, size_t count) {
    derm::Logits logits(bundle.graphs.size());
    for (size_t i = 0; i < count; ++i) {
        check_pointers(outputs[i].graph, outputs[i].data);
        const auto graph = std::find_if(bundle.graphs.begin(), bundle.graphs.end(),
                                        [&](const derm::Graph& each) { return each.id == outputs[i].graph; });
        require(graph != bundle.graphs.end(), DERM_ARGUMENT_GRAPH, outputs[i].graph);
        require(outputs[i].bytes == graph->output.bytes(), DERM_ARGUMENT_BYTES, outputs[i].graph);
        logits[static_cast<size_t>(graph - bundle.graphs.begin())] = derm::finite_values(*graph, graph->output, outputs[i].data);
    }
    require(logits[bundle.composition.root()].has_value(), DERM_ARGUMENT_GRAPH, "the root's output is missing");
    return logits;
}

}  // namespace

extern "C" {

const char* derm_version(void) { return "0.1.0"; }

derm_status derm_open(const char* path, const derm_options* options, derm_classifier** classifier, derm_error* error) {
    return open_with(options, classifier, error, [&] {
        check_pointers(path);
        const derm::MappedFile file = derm::map_file(path);
        return std::make_shared<const derm::Loaded>(file.bytes, file.owner);
    });
}

derm_status derm_open_memory(const void* data, size_t size, const derm_options* options, derm_classifier** classifier,
                             derm_error* error) {
    return open_with(options, classifier, error, [&] {
        check_pointers(data);
        return std::make_shared<const derm::Loaded>(std::string_view(static_cast<const char*>(data), size));
    });
}

void derm_close(derm_classifier* classifier) {
    if (classifier != nullptr) {
        classifier->state = 0;
        delete classifier;
    }
}

derm_status derm_set_prior(derm_classifier* classifier, const derm_share* shares, size_t count, derm_error* error) {
    return guarded(error, [&] {
        check_handle(classifier);
        classifier->inside.set_prior(shares, count);
    });
}

derm_status derm_describe(const derm_classifier* classifier, derm_description* description, derm_error* error) {
    return guarded(error, [&] {
        check_handle(classifier);
        check_pointers(description);
        const derm::Bundle& bundle = classifier->inside.bundle();
        const auto takes = [&](const char* kind) { return std::count(bundle.kinds.begin(), bundle.kinds.end(), kind) > 0; };
        *description = {bundle.id.c_str(), bundle.name.c_str(), bundle.version.c_str(), bundle.digest.c_str(), bundle.kind.c_str(),
                        bundle.licence.c_str(), bundle.intended_use.c_str(), bundle.fit_name.c_str(),
                        classifier->inside.runtime().c_str(), bundle.size, bundle.size_bytes, bundle.taxonomy.levels().size(),
                        bundle.taxonomy.nodes().size(), bundle.graphs.size(), bundle.kinds.size(), bundle.warnings.size(),
                        takes("skin_type") ? 1 : 0, bundle.explains() ? 1 : 0};
    });
}

const char* derm_level_name(const derm_classifier* classifier, size_t level) {
    return classifier == nullptr ? nullptr : text_at(classifier->inside.bundle().taxonomy.levels(), level);
}

const char* derm_warning(const derm_classifier* classifier, size_t place) {
    return classifier == nullptr ? nullptr : text_at(classifier->inside.bundle().warnings, place);
}

derm_status derm_image_packed(int32_t format, int32_t width, int32_t height, const uint8_t* data, size_t bytes,
                              derm_image* image, derm_error* error) {
    return guarded(error, [&] {
        check_pointers(image);
        *image = derm::packed_image(format, width, height, data, bytes);
    });
}

derm_status derm_classify(derm_classifier* classifier, const derm_image* image, int32_t skin_type, int32_t routing,
                          derm_result** result, derm_error* error) {
    return guarded(error, [&] {
        check_pointers(result);
        *result = nullptr;
        check_handle(classifier);
        check_pointers(image);
        const int chosen = classifier->inside.routing_of(routing == DERM_AS_OPENED ? routing : checked_routing(routing));
        const derm::Camera photo(*image);
        *result = new derm_result{classifier->inside.classify(photo, checked_skin_type(skin_type), chosen)};
    });
}

void derm_result_free(derm_result* result) { delete result; }

size_t derm_result_count(const derm_result* result, size_t level) {
    return result != nullptr && level < result->answer.levels.size() ? result->answer.levels[level].size() : 0;
}

derm_status derm_result_prediction(const derm_result* result, size_t level, size_t place, derm_prediction* prediction) {
    return prediction_at(result, &derm::Answer::levels, level, place, prediction);
}

size_t derm_result_set_count(const derm_result* result, size_t level) {
    return result != nullptr && level < result->answer.sets.size() ? result->answer.sets[level].size() : 0;
}

derm_status derm_result_set_prediction(const derm_result* result, size_t level, size_t place, derm_prediction* prediction) {
    return prediction_at(result, &derm::Answer::sets, level, place, prediction);
}

int32_t derm_result_answer(const derm_result* result, derm_prediction* prediction) {
    if (result == nullptr || result->answer.answer == derm::none) {
        return 0;
    }
    if (prediction != nullptr) {
        *prediction = prediction_of(*result, result->answer.answer);
    }
    return 1;
}

int32_t derm_result_refer(const derm_result* result) { return result != nullptr && !result->answer.reasons.empty() ? 1 : 0; }

const char* derm_result_reason(const derm_result* result, size_t place) {
    return result == nullptr ? nullptr : text_at(result->answer.reasons, place);
}

const char* derm_result_problem(const derm_result* result, size_t place) {
    return result == nullptr ? nullptr : text_at(result->answer.problems, place);
}

double derm_result_coverage(const derm_result* result) {
    return result == nullptr ? 0.0 : result->answer.bundle->calibration.coverage.value;
}

const char* derm_result_json(const derm_result* result, size_t* bytes) {
    if (bytes != nullptr) {
        *bytes = result == nullptr ? 0 : result->answer.json.size();
    }
    return result == nullptr ? nullptr : result->answer.json.c_str();
}

derm_status derm_explain(derm_classifier* classifier, const derm_image* image, int32_t skin_type, const char* node,
                         derm_heat** heat, derm_error* error) {
    return guarded(error, [&] {
        check_pointers(heat);
        *heat = nullptr;
        check_handle(classifier);
        check_pointers(image);
        const derm::Loaded& bundle = classifier->inside.bundle();
        require(bundle.explains(), DERM_ARGUMENT_NO_EXPLAIN);
        const size_t asked = node == nullptr ? derm::none : bundle.taxonomy.by_key(node);
        require(node == nullptr || asked != derm::none, DERM_ARGUMENT_NODE, node == nullptr ? "" : node);
        const derm::Camera photo(*image);
        derm::Resized resized = classifier->inside.resized(photo, checked_skin_type(skin_type));
        derm::Explanation task(derm::Classification(classifier->inside.shared(), std::move(resized), DERM_ALL), asked);
        classifier->inside.run(task);
        *heat = new derm_heat{classifier->inside.shared(), std::move(task)};
    });
}

derm_status derm_heat_explanation(const derm_heat* heat, derm_explanation* explanation) {
    return guarded(nullptr, [&] {
        check_pointers(heat, explanation);
        const auto number = [](long value) { return static_cast<int32_t>(value); };
        const derm::Frame& frame = heat->found.frame();
        const derm::HeatMap& map = heat->found.map();
        const derm::Target& target = heat->found.target();
        *explanation = {heat->bundle->taxonomy.nodes()[target.node].id.c_str(), heat->bundle->graphs[target.head].id.c_str(),
                        heat->found.probability(), map.heat.data(), map.rows, map.columns, number(frame.left), number(frame.top),
                        number(frame.width), number(frame.height), map.peak ? 1 : 0, {0, 0}, map.box ? 1 : 0, {0, 0, 0, 0}};
        for (size_t i = 0; map.peak && i < 2; ++i) {
            explanation->peak[i] = number((*map.peak)[i]);
        }
        for (size_t i = 0; map.box && i < 4; ++i) {
            explanation->box[i] = number((*map.box)[i]);
        }
    });
}

void derm_heat_free(derm_heat* heat) { delete heat; }

derm_status derm_selftest(derm_classifier* classifier, derm_selftest_report* report, derm_error* error) {
    return guarded(error, [&] {
        check_handle(classifier);
        check_pointers(report);
        derm::SelfTest task(classifier->inside.shared());
        classifier->inside.run(task);
        *report = task.report();
    });
}

derm_status derm_input_at(const derm_classifier* classifier, size_t place, derm_input* input) {
    return guarded(nullptr, [&] {
        check_handle(classifier);
        check_pointers(input);
        const derm::Bundle& bundle = classifier->inside.bundle();
        require(place < bundle.kinds.size(), DERM_ARGUMENT_PLACE, "");
        *input = {bundle.kinds[place].c_str(), derm::input_bytes(bundle.kinds[place], bundle.size)};
    });
}

derm_status derm_prepare(const derm_classifier* classifier, const derm_image* image, int32_t skin_type, const char* kind,
                         uint8_t* out, size_t bytes, derm_error* error) {
    return guarded(error, [&] {
        check_handle(classifier);
        check_pointers(image, kind, out);
        const derm::Bundle& bundle = classifier->inside.bundle();
        const size_t needed = derm::input_bytes(kind, bundle.size);
        require(needed != 0, DERM_ARGUMENT_GRAPH, kind);
        require(bytes == needed, DERM_ARGUMENT_BYTES, std::to_string(bytes) + " bytes; " + std::to_string(needed) + " are needed");
        std::vector<uint8_t> rgb(bundle.size * bundle.size * 3);
        derm::Camera(*image).prepare(rgb.data(), bundle.size, bundle.fit);
        const std::vector<uint8_t> found = derm::derive(rgb.data(), bundle.size, kind, checked_skin_type(skin_type));
        std::copy(found.begin(), found.end(), out);
    });
}

derm_status derm_answer(const derm_classifier* classifier, const uint8_t* rgb, size_t bytes, int32_t width, int32_t height,
                        int32_t skin_type, int32_t routing, const derm_output* outputs, size_t count, derm_result** result,
                        derm_error* error) {
    return guarded(error, [&] {
        check_pointers(result);
        *result = nullptr;
        check_handle(classifier);
        check_pointers(rgb, outputs);
        const derm::Bundle& bundle = classifier->inside.bundle();
        require(bytes == bundle.size * bundle.size * 3, DERM_ARGUMENT_BYTES, std::to_string(bytes));
        const bool sized = width >= 1 && height >= 1 && width <= 65535 && height <= 65535;
        require(sized, DERM_IMAGE_SIZE, std::to_string(width) + " x " + std::to_string(height));
        const derm::Prior* prior = classifier->inside.prior();
        const derm::Photo photo{rgb, static_cast<size_t>(width), static_cast<size_t>(height), checked_skin_type(skin_type),
                                classifier->inside.routing_of(checked_routing(routing)), prior};
        const derm::Logits logits = read_outputs(bundle, outputs, count);
        const bool whole = std::all_of(logits.begin(), logits.end(), [](const auto& each) { return each.has_value(); });
        require(whole || prior == nullptr, DERM_ARGUMENT_PRIOR_ROUTING, "an output is missing");
        *result = new derm_result{classifier->inside.answer(logits, photo)};
    });
}

}  // extern "C"
