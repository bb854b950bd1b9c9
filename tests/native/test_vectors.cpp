// tests/vectors through the library: test_vectors LIST FOLDER, LIST one of numbers, camera, bundles, answers, priors.

#include <map>
#include <stdexcept>

#include "arithmetic.h"
#include "camera.h"
#include "derm.h"
#include "sha256.h"
#include "vectors.h"

namespace {

using derm::Json;

const Json& at(const Json& row, const std::string& name) {
    const Json* found = row.find(name);
    if (found == nullptr) {
        throw std::runtime_error("the vectors lack " + name);
    }
    return *found;
}

int whole(const Json& row, const std::string& name) { return static_cast<int>(at(row, name).number()); }

std::vector<double> doubles(const Json& list) {
    std::vector<double> values;
    for (const Json& each : list.items()) {
        values.push_back(from_bits(each.text()));
    }
    return values;
}

void check_numbers(const std::string& folder) {
    const Json vectors = read_vectors(folder, "numbers.json");
    const auto each = [&](const char* list, auto function) {
        for (const Json& pair : at(vectors, list).items()) {
            const std::string found = function(from_bits(pair.items()[0].text()));
            expect(found == pair.items()[1].text(), std::string(list) + " of " + pair.items()[0].text() + ": " + found);
        }
    };
    each("exp", [](double x) { return bits_of(derm::exact_exp(x)); });
    each("log", [](double x) { return bits_of(derm::exact_log(x)); });
    each("repr", [](double x) { return derm::repr(x); });
    each("two_decimals", [](double x) { return derm::two_decimals(x); });
    for (const Json& pair : at(vectors, "softmax").items()) {
        const std::vector<double> found = derm::softmax(doubles(pair.items()[0])), wanted = doubles(pair.items()[1]);
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            expect(bits_of(found[i]) == bits_of(wanted[i]), "softmax of " + std::to_string(wanted.size()));
        }
    }
}

void check_camera(const std::string& folder) {
    const Json vectors = read_vectors(folder, "camera.json");
    for (const Json& row : at(vectors, "cases").items()) {
        const auto format = static_cast<int>(index_in(at(vectors, "formats"), at(row, "format").text()));
        const int width = whole(row, "width"), height = whole(row, "height"), gap = whole(row, "gap");
        // Planes of their exact size, so that a sanitizer sees a byte read too far.
        derm_image image{};
        image.struct_size = sizeof image;
        image.format = format;
        image.width = width;
        image.height = height;
        image.rotation = whole(row, "rotation");
        std::vector<std::vector<std::uint8_t>> planes;
        const int half = (width + 1) / 2, bytes[] = {3, 3, 4, 4, 1};
        for (int p = 0; p < (format < DERM_NV21 ? 1 : format == DERM_I420 ? 3 : 2); ++p) {
            const int rows = p == 0 ? height : (height + 1) / 2;
            const int row_bytes = format < DERM_NV21 ? width * bytes[format] : p == 0 ? width : format == DERM_I420 ? half : 2 * half;
            const int stride = row_bytes + gap;
            planes.emplace_back(static_cast<std::size_t>(rows * stride - gap));
            for (std::size_t k = 0; k < planes.back().size(); ++k) {
                planes.back()[k] = byte(static_cast<std::uint32_t>(whole(row, "seed") + p), static_cast<std::uint32_t>(k));
            }
            image.planes[p] = planes.back().data();
            image.strides[p] = static_cast<std::size_t>(stride);
            image.bytes[p] = planes.back().size();
        }
        const auto size = static_cast<std::size_t>(whole(row, "size"));
        std::string rgb(size * size * 3, '\0');
        const auto fit = static_cast<derm::Fit>(index_in(at(vectors, "fits"), at(row, "fit").text()));
        derm::Camera(image).prepare(reinterpret_cast<std::uint8_t*>(rgb.data()), size, fit);
        const Json* stored = row.find("rgb");
        const bool same = derm::sha256_hex(rgb) == at(row, "rgb_sha256").text() && (stored == nullptr || rgb == from_hex(stored->text()));
        expect(same, at(row, "format").text() + " " + std::to_string(width) + " x " + std::to_string(height) + " turned by " +
                         std::to_string(image.rotation));
    }
}

derm_options without_graphs() {
    derm_options options{};
    options.struct_size = sizeof options;
    options.without_graphs = 1;
    return options;
}

void check_bundles(const std::string& folder) {
    const Json vectors = read_vectors(folder, "bundles.json");
    const std::string base = from_base64(at(vectors, "base").text());
    const derm_options options = without_graphs();
    for (const Json& row : at(vectors, "cases").items()) {
        std::vector<char> file;  // of its exact size
        for (const Json& piece : at(row, "file").items()) {
            const std::string bytes = piece.is(Json::Type::text) ? from_hex(piece.text())
                                                                 : base.substr(static_cast<std::size_t>(piece.items()[0].number()),
                                                                               static_cast<std::size_t>(piece.items()[1].number()));
            file.insert(file.end(), bytes.begin(), bytes.end());
        }
        file.shrink_to_fit();
        derm_classifier* classifier = nullptr;
        derm_error error{};
        const char empty = 0;
        const derm_status status = derm_open_memory(file.empty() ? &empty : file.data(), file.size(), &options, &classifier, &error);
        expect(status == whole(row, "status"), at(row, "name").text() + ", " + std::to_string(whole(row, "status")) + ": " +
                                                   std::to_string(static_cast<int>(status)) + " " + error.text);
        derm_close(classifier);
    }
}

// The shares of a case; their names belong to `row`. Nothing where it has none.
std::vector<derm_share> prior_of(const Json& row) {
    std::vector<derm_share> shares;
    const Json* prior = row.find("prior");
    for (std::size_t i = 0; prior != nullptr && i < prior->items().size(); ++i) {
        const std::vector<Json>& pair = prior->items()[i].items();
        shares.push_back({pair[0].text().c_str(), pair[1].number()});
    }
    return shares;
}

void check_answer(const Json& row, derm_classifier* classifier) {
    derm_description description{};
    derm_describe(classifier, &description, nullptr);
    std::vector<std::uint8_t> rgb(description.size * description.size * 3);
    for (std::size_t k = 0; k < rgb.size(); ++k) {
        rgb[k] = static_cast<std::uint8_t>(byte(static_cast<std::uint32_t>(whole(row, "seed")), static_cast<std::uint32_t>(k)) / whole(row, "divisor"));
    }
    std::map<std::string, std::string> stored;
    std::vector<derm_output> outputs;
    for (const Json& graph : at(row, "ran").items()) {
        stored[graph.text()] = from_hex(at(at(row, "outputs"), graph.text()).text());
    }
    for (const auto& each : stored) {
        outputs.push_back({each.first.c_str(), each.second.data(), each.second.size()});
    }
    const std::string& routing = at(row, "routing").text();
    derm_result* result = nullptr;
    derm_error error{};
    const std::vector<derm_share> prior = prior_of(row);
    expect(derm_set_prior(classifier, prior.empty() ? nullptr : prior.data(), prior.size(), &error) == DERM_OK, error.text);
    derm_answer(classifier, rgb.data(), rgb.size(), whole(row, "width"), whole(row, "height"), whole(row, "skin_type"),
                routing == "all" ? DERM_ALL : routing == "lazy" ? DERM_LAZY : DERM_TOP, outputs.data(), outputs.size(), &result, &error);
    const char* found = result == nullptr ? error.text : derm_result_json(result, nullptr);
    expect(at(row, "json").text() == found, "seed " + std::to_string(whole(row, "seed")) + ", " + routing + "\n  wanted " +
                                                at(row, "json").text() + "\n  found  " + found);
    std::map<std::string, double> by_id;
    for (std::size_t level = 0; level < description.levels; ++level) {
        for (std::size_t place = 0; place < derm_result_count(result, level); ++place) {
            derm_prediction prediction;
            derm_result_prediction(result, level, place, &prediction);
            by_id[prediction.id] = prediction.probability;
        }
    }
    expect(by_id.size() == description.nodes, "every node has a prediction");
    std::string wanted = at(row, "probabilities").text();
    for (const auto& each : by_id) {
        const std::size_t place = wanted.find(bits_of(each.second));
        expect(place != wanted.npos && place % 16 == 0, "the probability of " + each.first);
    }
    derm_result_free(result);
}

// What is refused when the model is opened, and, but for the routing, when the prior is set later.
void check_refusal(const Json& row, const std::string& file, derm_classifier* classifier) {
    const std::vector<derm_share> shares = prior_of(row);
    const derm_share nobody{"nobody", 1.0};
    const int wanted = whole(row, "status");
    derm_options options = without_graphs();
    options.routing = at(row, "routing").text() == "top" ? DERM_TOP : DERM_ALL;
    options.prior = shares.empty() ? &nobody : shares.data();
    options.prior_count = shares.size();
    derm_classifier* opened = nullptr;
    derm_error error{};
    const derm_status status = derm_open_memory(file.data(), file.size(), &options, &opened, &error);
    expect(status == wanted && opened == nullptr, "a prior, " + std::to_string(wanted) + ": " + error.text);
    const derm_status later = derm_set_prior(classifier, options.prior, options.prior_count, &error);
    expect(later == (wanted == DERM_ARGUMENT_PRIOR_ROUTING ? DERM_OK : wanted), std::string("set later: ") + error.text);
    derm_close(opened);
}

void check_answers(const std::string& folder, const char* name) {
    const Json vectors = read_vectors(folder, name);
    const derm_options options = without_graphs();
    std::vector<std::string> files;
    std::vector<derm_classifier*> classifiers;
    for (const Json& each : at(vectors, "bundles").items()) {
        files.push_back(from_base64(each.text()));
    }
    for (const std::string& file : files) {
        derm_classifier* classifier = nullptr;
        derm_error error{};
        expect(derm_open_memory(file.data(), file.size(), &options, &classifier, &error) == DERM_OK, error.text);
        classifiers.push_back(classifier);
    }
    for (const Json& row : at(vectors, "cases").items()) {
        check_answer(row, classifiers[static_cast<std::size_t>(whole(row, "bundle"))]);
    }
    const Json* refused = vectors.find("refused");
    for (std::size_t i = 0; refused != nullptr && i < refused->items().size(); ++i) {
        const auto bundle = static_cast<std::size_t>(whole(refused->items()[i], "bundle"));
        check_refusal(refused->items()[i], files[bundle], classifiers[bundle]);
    }
    for (derm_classifier* each : classifiers) {
        derm_close(each);
    }
}

}  // namespace

int main(int argc, char** argv) {
    const std::map<std::string, void (*)(const std::string&)> lists = {
        {"numbers", check_numbers}, {"camera", check_camera}, {"bundles", check_bundles}, {"answers", [](const std::string& folder) { check_answers(folder, "answers.json"); }},
        {"priors", [](const std::string& folder) { check_answers(folder, "priors.json"); }}};
    if (argc != 3 || lists.count(argv[1]) == 0) {
        std::fputs("test_vectors numbers|camera|bundles|answers|priors FOLDER\n", stderr);
        return 2;
    }
    lists.at(argv[1])(argv[2]);
    return failures == 0 ? 0 : 1;
}
