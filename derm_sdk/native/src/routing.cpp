// Which graphs are run for a photo: derm_sdk/routing.py.

#include <algorithm>
#include <set>

#include "answer.h"

namespace derm {
namespace {

using std::size_t;

// The best child of the root, the best child of that, and so on down to a leaf.
std::set<size_t> way_down(const Taxonomy& tree, const std::vector<double>& nodes) {
    std::set<size_t> way;
    for (size_t at = none; !tree.children(at).empty();) {
        at = best_of(tree.children(at), nodes);
        way.insert(at);
    }
    return way;
}

// Whether no node below a head can be the best of its level, join a prediction set, or decide the referral.
bool changes_nothing(const Bundle& bundle, const Head& head, const std::vector<double>& nodes, double best_leaf) {
    const Taxonomy& tree = bundle.taxonomy;
    double least = 1.0;
    for (size_t level = tree.nodes()[head.given].level + 1; level < tree.levels().size(); ++level) {
        least = std::min(least, bundle.calibration.member(tree.levels()[level]));
    }
    const bool decides = bundle.calibration.refers && tree.is_below(tree.find(bundle.calibration.refer_node), head.given);
    return nodes[head.given] < best_leaf && nodes[head.given] < least && !decides;
}

// Of a model whose root has answered, the next graph of the routings lazy and top.
size_t next_routed(const Bundle& bundle, int routing, const Logits& logits) {
    const std::vector<double> nodes = composed(bundle, logits);
    const std::vector<Head>& heads = bundle.composition.heads();
    const std::set<size_t> way = way_down(bundle.taxonomy, nodes);
    std::set<size_t> unknown;
    for (size_t i = 0; i < heads.size(); ++i) {
        if (!logits[i]) {
            if (way.count(heads[i].given) != 0) {
                return i;
            }
            for (const size_t leaf : bundle.taxonomy.leaves_under(heads[i].given)) {
                unknown.insert(leaf);
            }
        }
    }
    if (routing == DERM_TOP) {
        return none;
    }
    double best_leaf = 0.0;
    for (const size_t leaf : bundle.taxonomy.leaves_under(none)) {
        if (unknown.count(leaf) == 0) {
            best_leaf = std::max(best_leaf, nodes[leaf]);
        }
    }
    size_t found = none;
    for (size_t i = 0; i < heads.size(); ++i) {
        if (!logits[i] && !changes_nothing(bundle, heads[i], nodes, best_leaf) &&
            (found == none || nodes[heads[i].given] > nodes[heads[found].given])) {
            found = i;
        }
    }
    return found;
}

}  // namespace

size_t next_graph(const Bundle& bundle, int routing, const Logits& logits) {
    if (routing == DERM_ALL) {
        const auto missing = std::find(logits.begin(), logits.end(), std::nullopt);
        return missing == logits.end() ? none : static_cast<size_t>(missing - logits.begin());
    }
    const size_t root = bundle.composition.root();
    return logits[root] ? next_routed(bundle, routing, logits) : root;
}

}  // namespace derm
