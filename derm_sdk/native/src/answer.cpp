#include "answer.h"

#include <algorithm>

#include "arithmetic.h"

namespace derm {
namespace {

using std::size_t;

constexpr const char* routings[] = {"all", "lazy", "top"};

// The nodes of each level, best first; those below a graph that was not run behind all others.
std::vector<std::vector<size_t>> ranked(const Bundle& bundle, const Logits& logits, const std::vector<double>& nodes) {
    const Taxonomy& tree = bundle.taxonomy;
    std::vector<bool> unknown(nodes.size(), false);
    for (size_t i = 0; i < logits.size(); ++i) {
        for (size_t node = 0; !logits[i] && node < nodes.size(); ++node) {
            unknown[node] = unknown[node] || tree.is_below(node, bundle.composition.heads()[i].given);
        }
    }
    std::vector<std::vector<size_t>> levels;
    for (size_t level = 0; level < tree.levels().size(); ++level) {
        levels.push_back(tree.at(level));
        std::stable_sort(levels.back().begin(), levels.back().end(), [&](size_t a, size_t b) {
            return unknown[a] != unknown[b] ? unknown[b] : nodes[a] > nodes[b];
        });
    }
    return levels;
}

// JSON as Python's json.dumps writes it, piece by piece.
class Writer {
public:
    explicit Writer(std::string& out) : out_(out) {}
    Writer& raw(const std::string& text) { return out_ += text, *this; }
    Writer& text(const std::string& text) { return write_json_text(out_, text), *this; }
    Writer& name(const std::string& name) { return text(name).raw(": "); }
    template <class List, class Each>
    Writer& list(const List& items, Each each, const char* brackets = "[]") {
        out_ += brackets[0];
        bool first = true;
        for (const auto& item : items) {
            out_ += first ? "" : ", ";
            first = false;
            each(item);
        }
        out_ += brackets[1];
        return *this;
    }
    Writer& texts(const std::vector<std::string>& items) {
        return list(items, [&](const std::string& item) { text(item); });
    }

private:
    std::string& out_;
};

std::vector<size_t> numbers_to(size_t count) {
    std::vector<size_t> numbers(count);
    for (size_t i = 0; i < count; ++i) {
        numbers[i] = i;
    }
    return numbers;
}

void write_node(Writer& json, const Answer& answer, size_t number) {
    const std::vector<Node>& nodes = answer.bundle->taxonomy.nodes();
    const Node& node = nodes[number];
    json.raw("{").name("id").text(node.id).raw(", ").name("name").text(node.name).raw(", ").name("probability");
    json.raw(repr(answer.probabilities[number])).raw(", ").name("parent");
    if (node.parent == none) {
        json.raw("null}");
    } else {
        json.text(nodes[node.parent].id).raw("}");
    }
}

void write_prior(Writer& json, const Bundle& bundle, const Prior* prior) {
    if (prior == nullptr) {
        json.raw("null");
        return;
    }
    json.list(prior->shares, [&](const auto& each) {
        json.name(bundle.taxonomy.nodes()[each.first].id).raw(repr(each.second));
    }, "{}");
}

std::vector<std::string> skipped(const Bundle& bundle, const Logits& logits) {
    std::vector<std::string> found;
    for (size_t i = 0; i < logits.size(); ++i) {
        if (!logits[i]) {
            found.push_back(bundle.graphs[i].id);
        }
    }
    return found;
}

// Schema version 1, in the order of Result.to_dict.
std::string to_json(const Answer& answer, const Logits& logits, const Photo& photo, const Measures& measures) {
    const Bundle& bundle = *answer.bundle;
    const std::vector<std::string>& levels = bundle.taxonomy.levels();
    const std::vector<size_t> places = numbers_to(levels.size());
    std::string out;
    Writer json(out);
    json.raw("{\"schema\": 1, \"model\": {").name("id").text(bundle.id).raw(", ").name("version").text(bundle.version);
    json.raw(", ").name("digest").text(bundle.digest).raw("}, \"fitzpatrick\": ");
    json.raw(photo.skin_type == 0 ? "null" : std::to_string(photo.skin_type)).raw(", \"prior\": ");
    write_prior(json, bundle, photo.prior);
    json.raw(", \"answer\": ");
    answer.answer == none ? json.raw("null") : json.text(bundle.taxonomy.nodes()[answer.answer].id);
    json.raw(answer.reasons.empty() ? ", \"refer\": false" : ", \"refer\": true").raw(", \"reasons\": ").texts(answer.reasons);
    json.raw(", \"quality\": {\"problems\": ").texts(answer.problems).raw(", \"measures\": ");
    json.list(numbers_to(measures.size()), [&](size_t i) { json.name(measure_names[i]).raw(repr(measures[i])); }, "{}");
    const Number& coverage = bundle.calibration.coverage;
    json.raw("}, \"coverage\": ").raw(coverage.whole ? (coverage.value == 0 ? "0" : "1") : repr(coverage.value));
    json.raw(", \"prediction_sets\": ");
    json.list(places, [&](size_t level) {
        json.name(levels[level]).list(answer.sets[level], [&](size_t node) { json.text(bundle.taxonomy.nodes()[node].id); });
    }, "{}");
    json.raw(", \"routing\": ").text(routings[photo.routing]).raw(", \"skipped\": ").texts(skipped(bundle, logits));
    json.raw(", \"warnings\": ").texts(bundle.warnings).raw(", \"levels\": ");
    json.list(places, [&](size_t level) {
        json.name(levels[level]).list(answer.levels[level], [&](size_t node) { write_node(json, answer, node); });
    }, "{}");
    return out + "}";
}

}  // namespace

std::vector<double> composed(const Bundle& bundle, const Logits& logits) {
    Shares shares(logits.size());
    for (size_t i = 0; i < logits.size(); ++i) {
        if (logits[i]) {
            shares[i] = bundle.calibration.probabilities(bundle.graphs[i].id, *logits[i]);
        }
    }
    return bundle.composition.probabilities(shares);
}

Answer tell(std::shared_ptr<const Bundle> shared, const Logits& logits, const Photo& photo) {
    const Bundle& bundle = *shared;
    Answer answer;
    answer.bundle = std::move(shared);
    answer.probabilities = composed(bundle, logits);
    if (photo.prior != nullptr) {
        answer.probabilities = reweighted(bundle.composition, answer.probabilities, photo.prior->factors);
    }
    answer.levels = ranked(bundle, logits, answer.probabilities);
    for (size_t level = 0; level < answer.levels.size(); ++level) {
        const double least = bundle.calibration.member(bundle.taxonomy.levels()[level]);
        answer.sets.emplace_back();
        for (const size_t node : answer.levels[level]) {
            if (answer.sets[level].empty() || answer.probabilities[node] >= least) {
                answer.sets[level].push_back(node);
            }
        }
    }
    answer.answer = bundle.calibration.answer_of(bundle.composition, answer.probabilities);
    answer.reasons = bundle.calibration.reasons(bundle.composition, answer.probabilities);
    const Measures measures = quality_measures(photo.rgb, bundle.size, *logits[bundle.composition.root()]);
    answer.problems = bundle.calibration.problems(measures);
    if (std::min(photo.width, photo.height) < bundle.size / 2) {
        answer.problems.push_back("too small (" + std::to_string(photo.width) + " x " + std::to_string(photo.height) + " pixels)");
    }
    answer.json = to_json(answer, logits, photo, measures);
    return answer;
}

}  // namespace derm
