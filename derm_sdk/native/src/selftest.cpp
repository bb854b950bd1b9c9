#include "selftest.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "camera.h"
#include "failure.h"
#include "sha256.h"

namespace derm {
namespace {

using std::size_t;
using Type = Json::Type;

constexpr double exact_probability = 1e-9;
constexpr std::int64_t max_drawn_pixels = 1 << 20;

const Json& field(const Json& row, const std::string& name) {
    const Json* found = row.find(name);
    require(found != nullptr, DERM_BUNDLE_SELFTEST, name);
    return *found;
}

double number(const Json& row, const std::string& name) {
    const Json& found = field(row, name);
    require(found.is_number(), DERM_BUNDLE_SELFTEST, name);
    return found.number();
}

int whole(const Json& value, int least, int most, const char* name) {
    require(value.is(Type::whole) && value.number() >= least && value.number() <= most, DERM_BUNDLE_SELFTEST, name);
    return static_cast<int>(value.number());
}

const std::vector<Json>& numbers(const Json& row, const std::string& name, size_t count) {
    const Json& found = field(row, name);
    require(found.is(Type::list) && found.items().size() == count, DERM_BUNDLE_SELFTEST, name);
    for (const Json& each : found.items()) {
        require(each.is_number(), DERM_BUNDLE_SELFTEST, name);
    }
    return found.items();
}

Json record_of(const Bundle& bundle) {
    const auto found = bundle.attachments.find("selftest.json");
    require(found != bundle.attachments.end(), DERM_BUNDLE_NO_SELFTEST);
    return read_json(found->second, "selftest.json");
}

// A picture that is drawn here instead of stored; docs/selftest.md states the formula.
std::string drawn(int width, int height, int drawing) {
    std::string pixels;
    pixels.reserve(static_cast<size_t>(width) * static_cast<size_t>(height) * 3);
    const auto square = [](int value) { return static_cast<std::int64_t>(value) * value; };
    const auto byte = [](int value) { return static_cast<char>(static_cast<unsigned char>(std::clamp(value, 0, 255))); };
    for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
            const int across = 255 * x / width, down = 255 * y / height;
            const std::int64_t hash = std::int64_t{7919} * x + std::int64_t{104729} * y + std::int64_t{1299709} * drawing;
            const int grain = static_cast<int>(hash % 251) / 16;
            const bool dark = square(3 * across - 300 - 20 * (drawing % 5)) + square(4 * down - 420) < square(90 + 25 * drawing);
            const int red = 190 + across / 8 - grain;
            const int green = 120 + down / 6 - grain + 5 * (drawing % 4);
            const int blue = 60 + across / 5 + down / 9;
            pixels += byte(dark ? red - 110 + grain * 3 : red);
            pixels += byte(dark ? green - 70 : green);
            pixels += byte(dark ? blue - 20 + grain : blue);
        }
    }
    return pixels;
}

// The recorded pixels of a picture: drawn again, or stored beside it.
std::string pixels_of(const Bundle& bundle, const Json& probe, const std::string& name, int width, int height) {
    if (const Json* drawing = probe.find("drawn")) {
        require(static_cast<std::int64_t>(width) * height <= max_drawn_pixels, DERM_BUNDLE_SELFTEST, name);
        std::string pixels = drawn(width, height, whole(*drawing, 0, 99, "drawn"));
        const Json& digest = field(field(probe, "decoded"), "sha256");
        require(digest.is(Type::text) && digest.text() == sha256_hex(pixels), DERM_BUNDLE_SELFTEST, name);
        return pixels;
    }
    const auto stored = bundle.attachments.find("probes/" + name + ".rgb");
    require(stored != bundle.attachments.end(), DERM_BUNDLE_SELFTEST, name);
    return std::string(stored->second);
}

// The recorded pixels of a picture, resized.
Resized resized(const Bundle& bundle, const Json& probe, const std::string& name) {
    const Json& type = field(probe, "fitzpatrick");
    const int skin_type = type.is(Type::null) ? 0 : whole(type, 1, 6, "fitzpatrick");
    const int width = whole(field(probe, "width"), 1, 65535, "width"), height = whole(field(probe, "height"), 1, 65535, "height");
    const std::string pixels = pixels_of(bundle, probe, name, width, height);
    const auto size = static_cast<size_t>(width) * static_cast<size_t>(height) * 3;
    require(pixels.size() == size, DERM_BUNDLE_SELFTEST, name);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(pixels.data());
    std::vector<std::uint8_t> rgb(bundle.size * bundle.size * 3);
    const Camera photo(packed_image(DERM_RGB, width, height, bytes, size));
    photo.prepare(rgb.data(), bundle.size, bundle.fit);
    return {std::move(rgb), photo.width(), photo.height(), skin_type};
}

}  // namespace

SelfTest::SelfTest(std::shared_ptr<const Bundle> bundle) : bundle_(std::move(bundle)), record_(record_of(*bundle_)) {
    require(number(record_, "version") == 1, DERM_BUNDLE_SELFTEST, "version");
    const Json& probes = field(record_, "probes");
    require(probes.is(Type::list) && !probes.items().empty(), DERM_BUNDLE_SELFTEST, "probes");
    begin_next();
}

void SelfTest::take(const void* stored) {
    way_->take(stored);
    if (way_->due()) {
        return;
    }
    compare_outputs(field(*probe_, "outputs"));
    compare_probabilities(recorded_, exact_probability, report_.probabilities);
    compare_probabilities(way_->logits(), number(field(record_, "tolerances"), "probability"), report_.whole_way);
    begin_next();
}

void SelfTest::begin_next() {
    const std::vector<Json>& probes = field(record_, "probes").items();
    way_.reset();
    while (next_ < probes.size() && !begin(probes[next_])) {
        ++next_;
    }
    ++next_;
}

// Sets out with a picture; false for one that is too large to keep: it tests a decoder of JPEG, and there is none here.
bool SelfTest::begin(const Json& probe) {
    require(field(probe, "name").is(Type::text), DERM_BUNDLE_SELFTEST, "name");
    if (probe.find("decoded") != nullptr && probe.find("drawn") == nullptr) {
        return false;
    }
    probe_ = &probe;
    way_.emplace(bundle_, resized(*bundle_, probe, field(probe, "name").text()), DERM_ALL);
    compare_inputs(field(probe, "inputs"));
    return true;
}

void SelfTest::compare_inputs(const Json& wanted) {
    const Prepared& prepared = way_->inputs();
    for (size_t i = 0; i < prepared.kinds.size(); ++i) {
        const Json& digest = field(field(wanted, prepared.kinds[i]), "sha256");
        const std::vector<std::uint8_t>& bytes = prepared.bytes[i];
        const std::string found = sha256_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
        const bool same = digest.is(Type::text) && digest.text() == found;
        count(report_.inputs, same, false, "the prepared input " + prepared.kinds[i] + " differs from the record");
    }
}

// Also leaves the recorded logits, from which the probabilities start.
void SelfTest::compare_outputs(const Json& wanted) {
    const Json& tolerances = field(field(record_, "tolerances"), "outputs");
    recorded_.assign(bundle_->graphs.size(), {});
    for (size_t i = 0; i < bundle_->graphs.size(); ++i) {
        const Graph& graph = bundle_->graphs[i];
        const std::vector<Json>& numbers_of = numbers(wanted, graph.id, graph.output.count());
        const std::vector<double>& found = *way_->logits()[i];
        recorded_[i].emplace();
        double apart = 0.0;
        for (size_t k = 0; k < numbers_of.size(); ++k) {
            const double stored = graph.output.floats ? static_cast<float>(numbers_of[k].number()) : numbers_of[k].number();
            recorded_[i]->push_back((stored - graph.output.zero_point) * graph.output.scale);
            const double here = found[k] / graph.output.scale + graph.output.zero_point;
            apart = std::max(apart, found[k] == (*recorded_[i])[k] ? 0.0 : std::fabs(here - stored));
        }
        const bool close = apart <= number(tolerances, graph.id) + 1e-6;
        count(report_.outputs, apart == 0.0, close, "the graph " + graph.id + " differs from the record");
    }
}

void SelfTest::compare_probabilities(const Logits& logits, double tolerance, derm_selftest_stage& stage) {
    const std::vector<Json>& wanted = numbers(*probe_, "probabilities", bundle_->taxonomy.nodes().size());
    const std::vector<double> nodes = composed(*bundle_, logits);
    double apart = 0.0;
    for (size_t i = 0; i < nodes.size(); ++i) {
        apart = std::max(apart, std::fabs(nodes[i] - wanted[i].number()));
    }
    count(stage, apart <= exact_probability, apart <= tolerance, "probabilities differ from the record");
}

void SelfTest::count(derm_selftest_stage& stage, bool identical, bool close, const std::string& what) {
    ++(identical ? stage.identical : close ? stage.close : stage.different);
    if (!identical && report_.note[0] == '\0') {
        const std::string note = probe_->find("name")->text() + ": " + what;
        note.copy(report_.note, std::min(note.size(), sizeof report_.note - 1));
    }
}

}  // namespace derm
