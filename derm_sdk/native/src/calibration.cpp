#include "calibration.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "arithmetic.h"
#include "failure.h"
#include "preprocess.h"

namespace derm {
namespace {

using std::size_t;
using Type = Json::Type;

constexpr const char* messages[][2] = {{"too dark", "too bright"},
                                       {"too little contrast", "too much contrast"},
                                       {"blurred", "grainy"},
                                       {"not like the training photos", ""}};

const Json& field(const Json& data, const char* name) {
    const Json* found = data.find(name);
    require(found != nullptr, DERM_BUNDLE_CALIBRATION, name);
    return *found;
}

const Json& object(const Json& data, const char* name) {
    const Json& found = field(data, name);
    require(found.is(Type::object), DERM_BUNDLE_CALIBRATION, name);
    return found;
}

template <class Each>
void for_each(const Json& object, Each each) {
    for (size_t i = 0; i < object.items().size(); ++i) {
        each(object.names()[i], object.items()[i]);
    }
}

double share(const Json& value, const std::string& name) {
    const bool good = value.is_number() && value.number() >= 0 && value.number() <= 1;
    require(good, DERM_BUNDLE_SHARE, name);
    return value.number();
}

void read_offsets(const Json& data, Calibration& found) {
    const Json* all = data.find("offsets");
    if (all == nullptr) {
        return;
    }
    require(all->is(Type::object), DERM_BUNDLE_CALIBRATION, "offsets");
    for_each(*all, [&](const std::string& graph, const Json& numbers) {
        require(numbers.is(Type::list), numbers.is_number() || numbers.is(Type::null) || numbers.is(Type::boolean)
                                            ? DERM_BUNDLE_CALIBRATION : DERM_BUNDLE_OFFSET, graph);
        found.offsets[graph];
    });
    for_each(*all, [&](const std::string& graph, const Json& numbers) {
        for (const Json& each : numbers.items()) {
            require(each.is_number() && std::fabs(each.number()) <= 100.0, DERM_BUNDLE_OFFSET, graph);
            found.offsets[graph].push_back(each.number());
        }
    });
}

void read_quality(const Json& data, Calibration& found) {
    for_each(data, [&](const std::string& measure, const Json& limits) {
        const bool known = std::find(measure_names.begin(), measure_names.end(), measure) != measure_names.end();
        require(known, DERM_BUNDLE_MEASURE, measure);
        const bool pair = limits.is(Type::list) && limits.items().size() == 2 && limits.items()[0].is_number() &&
                          limits.items()[1].is_number() && limits.items()[0].number() <= limits.items()[1].number();
        require(pair, DERM_BUNDLE_LIMITS, measure);
        found.quality[measure] = {limits.items()[0].number(), limits.items()[1].number()};
    });
}

}  // namespace

Calibration Calibration::read(const Json& data) {
    Calibration found;
    const Json &temperatures = object(data, "temperatures"), &answer = object(data, "answer"), &sets = object(data, "sets");
    const Json &coverage = field(data, "coverage"), &quality = object(data, "quality"), &refer = object(data, "refer");
    const Json &node = field(refer, "node"), &threshold = field(refer, "threshold");
    object(data, "fitted_on");
    for_each(quality, [](const std::string& measure, const Json& limits) {
        const bool several = limits.is(Type::list) || limits.is(Type::object) || limits.is(Type::text);
        require(several, DERM_BUNDLE_CALIBRATION, measure);
    });
    const Json* offsets = data.find("offsets");
    require(offsets == nullptr || offsets->is(Type::object), DERM_BUNDLE_CALIBRATION, "offsets");
    for_each(temperatures, [&](const std::string& graph, const Json& value) {
        const bool good = value.is_number() && value.number() >= 1e-3 && value.number() <= 1e3;
        require(good, DERM_BUNDLE_TEMPERATURE, graph);
        found.temperatures[graph] = value.number();
    });
    read_offsets(data, found);
    for_each(answer, [&](const std::string& level, const Json& value) { found.answer[level] = share(value, level); });
    for_each(sets, [&](const std::string& level, const Json& value) { found.sets[level] = share(value, level); });
    found.coverage = {share(coverage, "coverage"), coverage.is(Type::whole)};
    found.refer_threshold = share(threshold, "refer");
    require(node.is(Type::null) || node.is(Type::text), DERM_BUNDLE_REFER);
    found.refers = node.is(Type::text);
    found.refer_node = found.refers ? node.text() : "";
    read_quality(quality, found);
    return found;
}

void Calibration::check(const Composition& composition) const {
    std::map<std::string, size_t> widths;
    for (const Head& head : composition.heads()) {
        widths[head.graph] = head.labels.size();
    }
    for (const auto& each : temperatures) {
        require(widths.count(each.first) == 1, DERM_BUNDLE_UNKNOWN, each.first);
    }
    for (const auto& each : offsets) {
        require(widths.count(each.first) == 1, DERM_BUNDLE_UNKNOWN, each.first);
    }
    for (const auto* levels : {&answer, &sets}) {
        for (const auto& each : *levels) {
            require(composition.taxonomy().level(each.first) != none, DERM_BUNDLE_UNKNOWN, each.first);
        }
    }
    for (const auto& each : offsets) {
        require(each.second.size() == widths[each.first], DERM_BUNDLE_OFFSETS, each.first);
    }
    require(!refers || composition.taxonomy().find(refer_node) != none, DERM_BUNDLE_NOT_IN_TREE, refer_node);
}

double Calibration::needed(const std::string& level) const {
    const auto found = answer.find(level);
    return found == answer.end() ? 0.5 : found->second;
}

double Calibration::member(const std::string& level) const {
    const auto found = sets.find(level);
    return found == sets.end() ? 0.0 : found->second;
}

std::vector<double> Calibration::probabilities(const std::string& graph, const std::vector<double>& logits) const {
    const auto temperature = temperatures.find(graph);
    const auto offset = offsets.find(graph);
    const double divisor = temperature == temperatures.end() ? 1.0 : temperature->second;
    std::vector<double> scaled(logits.size());
    for (size_t i = 0; i < logits.size(); ++i) {
        scaled[i] = (logits[i] + (offset == offsets.end() ? 0.0 : offset->second[i])) / divisor;
    }
    return softmax(scaled);
}

size_t best_of(const std::vector<size_t>& nodes, const std::vector<double>& probabilities) {
    return *std::max_element(nodes.begin(), nodes.end(),
                             [&](size_t a, size_t b) { return probabilities[a] < probabilities[b]; });
}

size_t Calibration::answer_of(const Composition& composition, const std::vector<double>& nodes) const {
    size_t found = none;
    for (const std::string& level : composition.taxonomy().levels()) {
        const size_t best = best_of(composition.taxonomy().children(found), nodes);
        if (nodes[best] < needed(level)) {
            break;
        }
        found = best;
    }
    return found;
}

std::vector<std::string> Calibration::reasons(const Composition& composition, const std::vector<double>& nodes) const {
    const Taxonomy& tree = composition.taxonomy();
    std::vector<std::string> reasons;
    if (refers) {
        const size_t node = tree.find(refer_node);
        if (nodes[node] >= refer_threshold) {
            reasons.push_back(tree.nodes()[node].name + " has probability " + two_decimals(nodes[node]) + " (referred from " +
                              two_decimals(refer_threshold) + ")");
        }
    }
    const double best = nodes[best_of(tree.children(none), nodes)], least = needed(tree.levels()[0]);
    if (best < least) {
        reasons.push_back("no " + tree.levels()[0] + " is certain enough (best " + two_decimals(best) + ", needed " +
                          two_decimals(least) + ")");
    }
    return reasons;
}

std::vector<std::string> Calibration::problems(const Measures& measures) const {
    std::vector<std::string> problems;
    for (size_t i = 0; i < measures.size(); ++i) {
        const auto limits = quality.find(measure_names[i]);
        if (limits != quality.end()) {
            const bool below = measures[i] < limits->second.first, above = measures[i] > limits->second.second;
            const std::string message = below ? messages[i][0] : above ? messages[i][1] : "";
            if (!message.empty()) {
                problems.push_back(message);
            }
        }
    }
    return problems;
}

Measures quality_measures(const std::uint8_t* rgb, size_t size, const std::vector<double>& root_logits) {
    std::vector<std::uint8_t> grays(size * size);
    gray(rgb, size * size, grays.data());
    std::int64_t sum = 0, squares = 0, edges = 0;
    for (const std::uint8_t level : grays) {
        sum += level;
        squares += std::int64_t{level} * level;
    }
    for (size_t y = 1; y + 1 < size; ++y) {
        const std::uint8_t* row = grays.data() + y * size;
        for (size_t x = 1; x + 1 < size; ++x) {
            edges += std::abs(4 * row[x] - row[x - size] - row[x + size] - row[x - 1] - row[x + 1]);
        }
    }
    const auto count = static_cast<double>(size * size);
    const double mean = static_cast<double>(sum) / count, square = static_cast<double>(squares) / count;
    const double of_mean = mean * mean;
    const double sharpness = size > 2 ? static_cast<double>(edges) / static_cast<double>((size - 2) * (size - 2)) : 0.0;
    return {mean, std::sqrt(std::max(0.0, square - of_mean)), sharpness, log_sum_exp(root_logits)};
}

}  // namespace derm
