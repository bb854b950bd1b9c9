#include "composition.h"

#include <algorithm>
#include <set>
#include <utility>

#include "failure.h"

namespace derm {

using std::size_t;

Composition::Composition(const Taxonomy* taxonomy, std::vector<Head> heads) : taxonomy_(taxonomy), heads_(std::move(heads)) {
    std::set<std::string> ids;
    for (size_t i = 0; i < heads_.size(); ++i) {
        // Nodes that are not in the tree are all `unknown`; two such heads are refused as unasked, like one.
        require(of_.emplace(heads_[i].given, i).second || heads_[i].given == unknown, DERM_BUNDLE_HEADS);
    }
    require(of_.count(none) == 1, DERM_BUNDLE_HEADS);
    for (const Head& head : heads_) {
        require(ids.insert(head.graph).second, DERM_BUNDLE_GRAPH_TWICE, head.graph);
    }
    size_t reached = 0;
    check(root(), &reached);
    require(reached == heads_.size(), DERM_BUNDLE_UNASKED);
}

size_t Composition::of(size_t node) const {
    const auto found = of_.find(node);
    return found == of_.end() ? none : found->second;
}

void Composition::check(size_t number, size_t* reached) const {
    const Head& head = heads_[number];
    ++*reached;
    std::vector<size_t> covered, expected = taxonomy_->leaves_under(head.given);
    for (const size_t label : head.labels) {
        require(label < taxonomy_->nodes().size(), DERM_BUNDLE_NOT_IN_TREE, head.graph);
        const std::vector<size_t> leaves = taxonomy_->leaves_under(label);
        covered.insert(covered.end(), leaves.begin(), leaves.end());
        require(covered.size() <= taxonomy_->nodes().size(), DERM_BUNDLE_COVER, head.graph);  // bounds the work
    }
    std::sort(covered.begin(), covered.end());
    std::sort(expected.begin(), expected.end());
    require(covered == expected, DERM_BUNDLE_COVER, head.graph);
    for (const size_t label : head.labels) {
        require(taxonomy_->is_below(label, head.given), DERM_BUNDLE_NOT_BELOW, head.graph);
        const size_t deeper = of(label);
        if (deeper != none) {
            check(deeper, reached);
        } else {
            require(taxonomy_->leaves_under(label).size() == 1, DERM_BUNDLE_UNSPLIT, taxonomy_->nodes()[label].id);
        }
    }
}

std::vector<double> Composition::probabilities(const Shares& shares) const {
    std::vector<double> result(taxonomy_->nodes().size(), 0.0);
    spread(result, root(), 1.0, shares);
    add_upward(result);
    return result;
}

void Composition::add_upward(std::vector<double>& result) const {
    const std::vector<Node>& nodes = taxonomy_->nodes();
    for (size_t i = nodes.size(); i-- > 0;) {  // children come after their parents, so upward from the end
        if (nodes[i].parent != none) {
            result[nodes[i].parent] += result[i];
        }
    }
}

// Writes the leaves below a head.
void Composition::spread(std::vector<double>& result, size_t number, double mass, const Shares& shares) const {
    const Head& head = heads_[number];
    for (size_t k = 0; k < head.labels.size(); ++k) {
        const double given = mass * (*shares[number])[k];
        const size_t deeper = of(head.labels[k]);
        if (deeper != none && shares[deeper]) {
            spread(result, deeper, given, shares);
            continue;
        }
        const std::vector<size_t> leaves = taxonomy_->leaves_under(head.labels[k]);
        for (const size_t leaf : leaves) {
            result[leaf] = given / static_cast<double>(leaves.size());
        }
    }
}

}  // namespace derm
