// The drawn pictures of a bundle on this device, stage by stage, from their stored pixels: derm_sdk/selftest.py.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "classifier.h"
#include "failure.h"
#include "sha256.h"

namespace derm {
namespace {

using std::size_t;
using Type = Json::Type;

constexpr double exact_probability = 1e-9;

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

class Walk {
public:
    Walk(Classifier& classifier, const Json& record) : classifier_(classifier), bundle_(classifier.bundle()), record_(record) {}

    derm_selftest_report report() {
        require(number(record_, "version") == 1, DERM_BUNDLE_SELFTEST, "version");
        const Json& probes = field(record_, "probes");
        require(probes.is(Type::list) && !probes.items().empty(), DERM_BUNDLE_SELFTEST, "probes");
        for (const Json& probe : probes.items()) {
            walk(probe);
        }
        return report_;
    }

private:
    void walk(const Json& probe) {
        require(field(probe, "name").is(Type::text), DERM_BUNDLE_SELFTEST, "name");
        name_ = field(probe, "name").text();
        if (probe.find("decoded") != nullptr) {
            return;  // a picture too large to keep: it tests a decoder of JPEG, and there is none here
        }
        const auto pixels = bundle_.attachments.find("probes/" + name_ + ".rgb");
        require(pixels != bundle_.attachments.end(), DERM_BUNDLE_SELFTEST, name_);
        const Json& type = field(probe, "fitzpatrick");
        const int skin_type = type.is(Type::null) ? 0 : whole(type, 1, 6, "fitzpatrick");
        const int width = whole(field(probe, "width"), 1, 65535, "width"), height = whole(field(probe, "height"), 1, 65535, "height");
        const auto size = static_cast<size_t>(width) * static_cast<size_t>(height) * 3;
        require(pixels->second.size() == size, DERM_BUNDLE_SELFTEST, name_);
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(pixels->second.data());
        const Prepared prepared = classifier_.prepare(Camera(packed_image(DERM_RGB, width, height, bytes, size)), skin_type);
        compare_inputs(field(probe, "inputs"), prepared);
        compare_outputs(field(probe, "outputs"), prepared);
        const std::vector<Json>& wanted = numbers(probe, "probabilities", bundle_.taxonomy.nodes().size());
        compare_probabilities(recorded_, wanted, exact_probability, report_.probabilities);
        const double tolerance = number(field(record_, "tolerances"), "probability");
        compare_probabilities(found_, wanted, tolerance, report_.whole_way);
    }

    void compare_inputs(const Json& wanted, const Prepared& prepared) {
        for (const std::string& kind : bundle_.kinds) {
            const Json& digest = field(field(wanted, kind), "sha256");
            const auto at = static_cast<size_t>(std::find(prepared.kinds.begin(), prepared.kinds.end(), kind) - prepared.kinds.begin());
            const std::vector<std::uint8_t>& bytes = prepared.bytes[at];
            const std::string found = sha256_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
            const bool same = digest.is(Type::text) && digest.text() == found;
            count(report_.inputs, same, false, "the prepared input " + kind + " differs from the record");
        }
    }

    // Also leaves both sides' logits, from which the two last stages start.
    void compare_outputs(const Json& wanted, const Prepared& prepared) {
        const Json& tolerances = field(field(record_, "tolerances"), "outputs");
        recorded_.assign(bundle_.graphs.size(), {});
        found_.assign(bundle_.graphs.size(), {});
        for (size_t i = 0; i < bundle_.graphs.size(); ++i) {
            const Graph& graph = bundle_.graphs[i];
            const std::vector<Json>& numbers_of = numbers(wanted, graph.id, graph.output.count());
            found_[i] = classifier_.logits(i, prepared);
            recorded_[i].emplace();
            double apart = 0.0;
            for (size_t k = 0; k < numbers_of.size(); ++k) {
                const double stored = graph.output.floats ? static_cast<float>(numbers_of[k].number()) : numbers_of[k].number();
                recorded_[i]->push_back((stored - graph.output.zero_point) * graph.output.scale);
                const double here = (*found_[i])[k] / graph.output.scale + graph.output.zero_point;
                apart = std::max(apart, (*found_[i])[k] == (*recorded_[i])[k] ? 0.0 : std::fabs(here - stored));
            }
            const bool close = apart <= number(tolerances, graph.id) + 1e-6;
            count(report_.outputs, apart == 0.0, close, "the graph " + graph.id + " differs from the record");
        }
    }

    void compare_probabilities(const Logits& logits, const std::vector<Json>& wanted, double tolerance, derm_selftest_stage& stage) {
        const std::vector<double> nodes = composed(bundle_, logits);
        double apart = 0.0;
        for (size_t i = 0; i < nodes.size(); ++i) {
            apart = std::max(apart, std::fabs(nodes[i] - wanted[i].number()));
        }
        count(stage, apart <= exact_probability, apart <= tolerance, "probabilities differ from the record");
    }

    void count(derm_selftest_stage& stage, bool identical, bool close, const std::string& what) {
        ++(identical ? stage.identical : close ? stage.close : stage.different);
        if (!identical && report_.note[0] == '\0') {
            const std::string note = name_ + ": " + what;
            note.copy(report_.note, std::min(note.size(), sizeof report_.note - 1));
        }
    }

    Classifier& classifier_;
    const Bundle& bundle_;
    const Json& record_;
    derm_selftest_report report_{};
    std::string name_;
    Logits recorded_, found_;
};

}  // namespace

derm_selftest_report selftest(Classifier& classifier) {
    require(!classifier.runtime().empty(), DERM_ARGUMENT_NO_GRAPHS);
    const auto record = classifier.bundle().attachments.find("selftest.json");
    require(record != classifier.bundle().attachments.end(), DERM_BUNDLE_NO_SELFTEST);
    const Json read = read_json(record->second, "selftest.json");
    return Walk(classifier, read).report();
}

}  // namespace derm
