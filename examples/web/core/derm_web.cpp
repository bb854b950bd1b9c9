// The core for JavaScript: a handful of functions with numbers for arguments. package/src/core.js is their other side.
//
// Every function that can fail returns a derm_status; the text that belongs to it, an error's sentence or what was asked for,
// is at derm_web_text(). One worker, one thread: what is kept between calls is a session, and that text.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arithmetic.h"
#include "camera.h"
#include "failure.h"
#include "json.h"
#include "loaded.h"
#include "prior.h"
#include "selftest.h"
#include "task.h"

#define EXPORT(name) extern "C" __attribute__((export_name(#name)))

// Writes rows first..first+count-1 of the photo that is being prepared to `out`, RGBA, without gaps. Given by core.js.
extern "C" __attribute__((import_module("env"), import_name("derm_web_rows"))) void derm_web_rows(std::uint32_t first,
                                                                                                 std::uint32_t count,
                                                                                                 std::uint8_t* out);

namespace {

using derm::Failure;
using derm::require;
using std::size_t;
using std::uint8_t;

std::string text;

struct Session {
    std::vector<uint8_t> rgb;  // of the last photo: size * size * 3
    size_t width = 0, height = 0, size = 0;
    std::shared_ptr<const derm::Loaded> bundle;
    std::shared_ptr<const derm::Prior> prior;  // of what is classified from now on; none: the training's own shares
    std::unique_ptr<derm::Classification> classification;
    std::unique_ptr<derm::Explanation> explanation;
    std::unique_ptr<derm::SelfTest> selftest;
    std::unique_ptr<const derm::Classification> last;  // of this photo, done: an explanation need not begin again

    derm::Task* task() const {
        derm::Task* const first = classification ? static_cast<derm::Task*>(classification.get()) : explanation.get();
        return first != nullptr ? first : selftest.get();
    }
    void end() {
        classification.reset();
        explanation.reset();
        selftest.reset();
    }
};

// Rows that JavaScript hands over, a strip at a time: a photo is never in this memory as a whole.
class Strips : public derm::RowSource {
public:
    explicit Strips(size_t width) : width_(width) {}

    void rows(size_t first, size_t end, size_t left, size_t count, uint8_t* out) const override {
        pixels_.resize((end - first) * width_ * 4);
        derm_web_rows(static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(end - first), pixels_.data());
        const auto width = static_cast<std::int32_t>(width_), height = static_cast<std::int32_t>(end - first);
        derm::Camera(derm::packed_image(DERM_RGBA, width, height, pixels_.data(), pixels_.size())).rows(0, end - first, left, count, out);
    }

private:
    size_t width_;
    mutable std::vector<uint8_t> pixels_;
};

template <class Body>
derm_status guarded(Body body) noexcept {
    try {
        body();
        return DERM_OK;
    } catch (const Failure& failure) {
        text = failure.what();
        return failure.status();
    } catch (const std::bad_alloc&) {
        text = derm_status_text(DERM_NO_MEMORY);
        return DERM_NO_MEMORY;
    } catch (...) {
        text = derm_status_text(DERM_INTERNAL);
        return DERM_INTERNAL;
    }
}

// --- JSON for JavaScript ------------------------------------------------------------------------------------------------

std::string quoted(const std::string& value) {
    std::string out;
    derm::write_json_text(out, value);
    return out;
}

std::string field(const char* name, const std::string& value) { return quoted(name) + ": " + value; }

template <class List, class Each>
std::string listed(const List& items, Each each) {
    std::string out;
    for (const auto& item : items) {
        out += (out.empty() ? "" : ", ") + each(item);
    }
    return "[" + out + "]";
}

std::string address(const void* pointer) { return std::to_string(reinterpret_cast<std::uintptr_t>(pointer)); }

std::string tensor_json(const derm::Tensor& tensor) {
    return "{" + field("name", quoted(tensor.name)) + ", " + field("kind", quoted(tensor.kind)) + ", " +
           field("shape", listed(tensor.shape, [](size_t side) { return std::to_string(side); })) + ", " +
           field("dtype", tensor.floats ? "\"float32\"" : "\"uint8\"") + ", " + field("bytes", std::to_string(tensor.bytes())) + "}";
}

std::string graph_json(const derm::Graph& graph) {
    return "{" + field("id", quoted(graph.id)) + ", " + field("data", address(graph.data.data())) + ", " +
           field("bytes", std::to_string(graph.data.size())) + ", " + field("inputs", listed(graph.inputs, tensor_json)) + ", " +
           field("output", tensor_json(graph.output)) + ", " +
           field("evidence", graph.explains ? tensor_json(graph.evidence) : "null") + "}";
}

std::string node_json(const derm::Taxonomy& tree, const derm::Node& node) {
    return "{" + field("id", quoted(node.id)) + ", " + field("name", quoted(node.name)) + ", " +
           field("level", quoted(tree.levels()[node.level])) + ", " +
           field("parent", node.parent == derm::none ? "null" : quoted(tree.nodes()[node.parent].id)) + "}";
}

std::string description_json(const derm::Loaded& bundle) {
    const bool skin_type = std::find(bundle.kinds.begin(), bundle.kinds.end(), "skin_type") != bundle.kinds.end();
    return "{" + field("id", quoted(bundle.id)) + ", " + field("name", quoted(bundle.name)) + ", " +
           field("version", quoted(bundle.version)) + ", " + field("digest", quoted(bundle.digest)) + ", " +
           field("kind", quoted(bundle.kind)) + ", " + field("licence", quoted(bundle.licence)) + ", " +
           field("intended_use", quoted(bundle.intended_use)) + ", " + field("fit", quoted(bundle.fit_name)) + ", " +
           field("size", std::to_string(bundle.size)) + ", " + field("size_bytes", std::to_string(bundle.size_bytes)) + ", " +
           field("takes_skin_type", skin_type ? "true" : "false") + ", " + field("explains", bundle.explains() ? "true" : "false") + ", " +
           field("levels", listed(bundle.taxonomy.levels(), quoted)) + ", " +
           field("nodes", listed(bundle.taxonomy.nodes(), [&](const derm::Node& node) { return node_json(bundle.taxonomy, node); })) + ", " +
           field("warnings", listed(bundle.warnings, quoted)) + ", " + field("graphs", listed(bundle.graphs, graph_json)) + "}";
}

template <class Numbers>
std::string places_json(const std::optional<Numbers>& numbers) {
    return numbers ? listed(*numbers, [](long number) { return std::to_string(number); }) : "null";
}

std::string explanation_json(const derm::Bundle& bundle, const derm::Explanation& found) {
    const derm::Frame& frame = found.frame();
    const derm::HeatMap& map = found.map();
    const std::vector<long> square{frame.left, frame.top, frame.width, frame.height};
    return "{" + field("node", quoted(bundle.taxonomy.nodes()[found.target().node].id)) + ", " +
           field("probability", derm::repr(found.probability())) + ", " +
           field("graph", quoted(bundle.graphs[found.target().head].id)) + ", " + field("rows", std::to_string(map.rows)) + ", " +
           field("columns", std::to_string(map.columns)) + ", " +
           field("heat", listed(map.heat, [](float value) { return derm::repr(value); })) + ", " +
           field("frame", places_json(std::optional(square))) + ", " +
           field("photo_size", listed(std::vector<long>{frame.photo_width, frame.photo_height}, [](long side) { return std::to_string(side); })) + ", " +
           field("peak", places_json(map.peak)) + ", " + field("box", places_json(map.box)) + "}";
}

std::string stage_json(const derm_selftest_stage& stage) {
    return "{" + field("identical", std::to_string(stage.identical)) + ", " + field("close", std::to_string(stage.close)) + ", " +
           field("different", std::to_string(stage.different)) + "}";
}

std::string report_json(const derm_selftest_report& report) {
    return "{" + field("inputs", stage_json(report.inputs)) + ", " + field("outputs", stage_json(report.outputs)) + ", " +
           field("probabilities", stage_json(report.probabilities)) + ", " + field("whole_way", stage_json(report.whole_way)) + ", " +
           field("note", quoted(report.note)) + "}";
}

// --- Arguments ----------------------------------------------------------------------------------------------------------

void check_size(std::int32_t width, std::int32_t height) {
    const bool sized = width >= 1 && height >= 1 && width <= 65535 && height <= 65535 &&
                       std::int64_t{width} * height <= static_cast<std::int64_t>(derm::max_pixels);
    require(sized, DERM_IMAGE_SIZE, std::to_string(width) + " x " + std::to_string(height));
}

int checked_skin_type(std::int32_t skin_type) {
    require(skin_type >= 0 && skin_type <= 6, DERM_ARGUMENT_SKIN_TYPE, std::to_string(skin_type));
    return skin_type;
}

const derm::Loaded& opened(const Session* session) {
    require(session != nullptr && session->bundle != nullptr, DERM_ARGUMENT_CLOSED);
    return *session->bundle;
}

derm::Resized resized(const Session& session, std::int32_t skin_type) {
    const bool fits = session.size == session.bundle->size && !session.rgb.empty();
    require(fits, DERM_ARGUMENT_BYTES, "the photo was not prepared for this model");
    return {session.rgb, session.width, session.height, checked_skin_type(skin_type)};
}

// The photo's classification with every graph: the last one if it will do, else one that has just begun.
derm::Classification begun(const Session& session, std::int32_t skin_type) {
    const bool same = session.last != nullptr && session.last->skin_type() == skin_type && session.last->routing() == DERM_ALL;
    return same ? *session.last : derm::Classification(session.bundle, resized(session, skin_type), DERM_ALL);
}

std::string string_of(const char* data, std::uint32_t size) { return {data, size}; }

}  // namespace

// Memory for JavaScript, aligned as graphs must be; 0 where there is none.
EXPORT(derm_web_new) void* derm_web_new(std::uint32_t bytes) { return std::aligned_alloc(64, (bytes + 127) / 64 * 64); }
EXPORT(derm_web_free) void derm_web_free(void* memory) { std::free(memory); }

EXPORT(derm_web_text) const char* derm_web_text() { return text.data(); }
EXPORT(derm_web_text_size) std::uint32_t derm_web_text_size() { return text.size(); }

// The sentence behind a number.
EXPORT(derm_web_sentence) void derm_web_sentence(std::int32_t status) { text = derm_status_text(status); }

EXPORT(derm_web_session) Session* derm_web_session() { return new Session; }
EXPORT(derm_web_close) void derm_web_close(Session* session) { delete session; }

// Opens a .derm file; the text becomes its description. `data`, of derm_web_new, belongs to the session from now on.
EXPORT(derm_web_open) derm_status derm_web_open(Session* session, char* data, std::uint32_t size) {
    return guarded([&] {
        const std::shared_ptr<const void> file(data, [](const void* memory) { std::free(const_cast<void*>(memory)); });
        session->end();
        session->last.reset();
        session->prior.reset();
        session->bundle = std::make_shared<const derm::Loaded>(std::string_view(data, size), file);
        text = description_json(*session->bundle);
    });
}

// Resizes a photo, whose rows derm_web_rows gives. fit: 0 stretch, 1 crop, 2 pad; size 0: both as the opened model asks.
EXPORT(derm_web_resize) derm_status derm_web_resize(Session* session, std::int32_t width, std::int32_t height, std::int32_t size,
                                                    std::int32_t fit) {
    return guarded([&] {
        check_size(width, height);
        const bool own = size == 0;
        const size_t side = own ? opened(session).size : static_cast<size_t>(size);
        require(own || (size >= 1 && side <= derm::max_size && fit >= 0 && fit <= 2), DERM_ARGUMENT_BYTES, "size or fit");
        session->rgb.clear();
        session->last.reset();
        std::vector<uint8_t> rgb(side * side * 3);
        const derm::Fit chosen = own ? session->bundle->fit : static_cast<derm::Fit>(fit);
        session->width = static_cast<size_t>(width);
        session->height = static_cast<size_t>(height);
        session->size = side;
        derm::resize(Strips(session->width), session->height, session->width, rgb.data(), side, chosen);
        session->rgb = std::move(rgb);
    });
}

// One input made of the resized photo. The text becomes its bytes.
EXPORT(derm_web_derive) derm_status derm_web_derive(Session* session, const char* kind, std::uint32_t length, std::int32_t skin_type) {
    return guarded([&] {
        const std::string asked = string_of(kind, length);
        require(derm::input_bytes(asked, session->size) != 0 && !session->rgb.empty(), DERM_ARGUMENT_GRAPH, asked);
        const std::vector<uint8_t> bytes = derm::derive(session->rgb.data(), session->size, asked, checked_skin_type(skin_type));
        text.assign(bytes.begin(), bytes.end());
    });
}

// How common the labels are from now on: `count` shares, and as many names, each ended by a NUL, in `length` bytes. count 0: as in
// the training. Refused, the prior stays what it was.
EXPORT(derm_web_prior) derm_status derm_web_prior(Session* session, const char* names, std::uint32_t length, const double* shares,
                                                  std::uint32_t count) {
    return guarded([&] {
        const derm::Loaded& bundle = opened(session);
        std::vector<derm_share> given;
        const char* name = names;
        for (const char* const end = names + length; name != end && given.size() < count; name += std::strlen(name) + 1) {
            given.push_back({name, shares[given.size()]});
        }
        require(given.size() == count && name == names + length, DERM_ARGUMENT_BYTES, "names of the prior");
        session->prior = count == 0 ? nullptr : std::make_shared<const derm::Prior>(read_prior(bundle, given.data(), count));
    });
}

EXPORT(derm_web_classify) derm_status derm_web_classify(Session* session, std::int32_t skin_type, std::int32_t routing) {
    return guarded([&] {
        opened(session);
        session->end();
        require(routing >= DERM_ALL && routing <= DERM_TOP, DERM_ARGUMENT_ROUTING, std::to_string(routing));
        const int chosen = derm::routing_beside(session->prior.get(), routing);
        session->classification =
            std::make_unique<derm::Classification>(session->bundle, resized(*session, skin_type), chosen, session->prior);
    });
}

// length 0: no node in particular.
EXPORT(derm_web_explain) derm_status derm_web_explain(Session* session, std::int32_t skin_type, const char* node, std::uint32_t length) {
    return guarded([&] {
        const derm::Loaded& bundle = opened(session);
        session->end();
        require(bundle.explains(), DERM_ARGUMENT_NO_EXPLAIN);
        const std::string asked = string_of(node, length);
        const size_t found = asked.empty() ? derm::none : bundle.taxonomy.by_key(asked);
        require(asked.empty() || found != derm::none, DERM_ARGUMENT_NODE, asked);
        session->explanation = std::make_unique<derm::Explanation>(begun(*session, skin_type), found);
    });
}

EXPORT(derm_web_selftest) derm_status derm_web_selftest(Session* session) {
    return guarded([&] {
        opened(session);
        session->end();
        session->selftest = std::make_unique<derm::SelfTest>(session->bundle);
    });
}

// The graph to run next, 2 * its number, + 1 for its evidence; -1 when nothing is due.
EXPORT(derm_web_due) std::int32_t derm_web_due(const Session* session) {
    const derm::Task* task = session->task();
    const std::optional<derm::Ask> ask = task == nullptr ? std::nullopt : task->due();
    return ask ? static_cast<std::int32_t>(2 * ask->graph + (ask->evidence ? 1 : 0)) : -1;
}

// Where an input of the graph that is due lies. `kind`: of one of its tensors.
EXPORT(derm_web_input) const uint8_t* derm_web_input(const Session* session, const char* kind, std::uint32_t length) {
    return session->task()->inputs().find(string_of(kind, length));
}

// What the graph that is due stored.
EXPORT(derm_web_take) derm_status derm_web_take(Session* session, const void* stored, std::uint32_t bytes) {
    return guarded([&] {
        const std::int32_t due = derm_web_due(session);
        require(due >= 0, DERM_ARGUMENT_GRAPH, "nothing is due");
        const derm::Graph& graph = session->bundle->graphs[static_cast<size_t>(due / 2)];
        require(bytes == (due % 2 == 0 ? graph.output : graph.evidence).bytes(), DERM_ARGUMENT_BYTES, graph.id);
        session->task()->take(stored);
    });
}

// What was asked for, as JSON, once nothing is due.
EXPORT(derm_web_finish) derm_status derm_web_finish(Session* session) {
    return guarded([&] {
        require(session->task() != nullptr && derm_web_due(session) < 0, DERM_ARGUMENT_GRAPH, "a graph is due");
        text = session->classification ? session->classification->answer().json
               : session->explanation  ? explanation_json(*session->bundle, *session->explanation)
                                       : report_json(session->selftest->report());
        if (session->classification) {
            session->last = std::move(session->classification);
        }
        session->end();
    });
}
