#include "prior.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>

#include "arithmetic.h"
#include "failure.h"

namespace derm {
namespace {

using std::size_t;
using Shares = std::vector<std::pair<size_t, double>>;

constexpr double tolerance = 1e-3;  // of a sum of shares that people have rounded
constexpr double least_rest = 1e-9;
constexpr double least_share = 1e-12;
constexpr double least_photos = 1e-3;

std::map<size_t, double> by_node(const Taxonomy& tree, const derm_share* shares, size_t count) {
    std::map<size_t, double> found;
    for (size_t i = 0; i < count; ++i) {
        require(shares[i].node != nullptr, DERM_ARGUMENT_NULL, "a node of the prior");
        const std::string key = shares[i].node;
        const size_t node = tree.by_key(key);
        require(node != none, DERM_ARGUMENT_NODE, key);
        require(found.count(node) == 0, DERM_ARGUMENT_PRIOR_TWICE, key);
        const bool good = shares[i].share >= least_share && shares[i].share <= 1.0;  // false for what is no number
        require(good, DERM_ARGUMENT_PRIOR_SHARE, key + ": " + std::to_string(shares[i].share));
        found[node] = shares[i].share;
    }
    return found;
}

double sum_of(const Shares& shares) {
    std::vector<double> values;
    for (const auto& each : shares) {
        values.push_back(each.second);
    }
    return total(values);
}

double sum_of(const std::vector<size_t>& leaves, const std::vector<double>& photos) {
    std::vector<double> values;
    for (const size_t leaf : leaves) {
        values.push_back(photos[leaf]);
    }
    return total(values);
}

std::vector<size_t> leaves_of(const Taxonomy& tree) { return tree.at(tree.levels().size() - 1); }

// Leaves that no node of the prior holds.
std::vector<size_t> others(const Taxonomy& tree, const Shares& shares) {
    std::set<size_t> named;
    for (const auto& each : shares) {
        const std::vector<size_t> leaves = tree.leaves_under(each.first);
        named.insert(leaves.begin(), leaves.end());
    }
    std::vector<size_t> rest;
    for (const size_t leaf : leaves_of(tree)) {
        if (named.count(leaf) == 0) {
            rest.push_back(leaf);
        }
    }
    return rest;
}

Shares checked(const Taxonomy& tree, const derm_share* given, size_t count) {
    require(count > 0, DERM_ARGUMENT_PRIOR_EMPTY);
    const std::map<size_t, double> found = by_node(tree, given, count);
    Shares shares(found.begin(), found.end());
    for (const auto& each : shares) {
        for (size_t up = tree.nodes()[each.first].parent; up != none; up = tree.nodes()[up].parent) {
            require(found.count(up) == 0, DERM_ARGUMENT_PRIOR_ABOVE, tree.nodes()[each.first].id);
        }
    }
    const double together = sum_of(shares);
    if (others(tree, shares).empty()) {
        require(std::fabs(together - 1) <= tolerance, DERM_ARGUMENT_PRIOR_SUM, repr(together));
        for (auto& each : shares) {
            each.second = each.second / together;
        }
    } else {
        require(together <= 1 - least_rest, DERM_ARGUMENT_PRIOR_REST, repr(together));
    }
    return shares;
}

}  // namespace

Prior read_prior(const Bundle& bundle, const derm_share* given, size_t count) {
    const Taxonomy& tree = bundle.taxonomy;
    Prior prior{checked(tree, given, count), {}};
    require(bundle.photos.has_value(), DERM_ARGUMENT_PRIOR_UNRECORDED);
    const std::vector<double>& photos = *bundle.photos;
    const std::vector<size_t> leaves = leaves_of(tree);
    const double all = sum_of(leaves, photos);
    std::vector<double> factors(tree.nodes().size());
    const auto set = [&](const std::vector<size_t>& part, double share, const std::string& name) {
        const double before = sum_of(part, photos);
        require(before >= least_photos, DERM_ARGUMENT_PRIOR_NO_PHOTOS, name);
        for (const size_t leaf : part) {
            factors[leaf] = share * all / before;
        }
    };
    for (const auto& each : prior.shares) {
        set(tree.leaves_under(each.first), each.second, tree.nodes()[each.first].id);
    }
    const std::vector<size_t> rest = others(tree, prior.shares);
    if (!rest.empty()) {
        set(rest, 1 - sum_of(prior.shares), "the labels not named");
    }
    for (const size_t leaf : leaves) {
        prior.factors.push_back(factors[leaf]);
    }
    return prior;
}

int routing_beside(const Prior* prior, int asked) {
    require(prior == nullptr || asked != DERM_TOP, DERM_ARGUMENT_PRIOR_ROUTING);
    return prior == nullptr ? asked : DERM_ALL;
}

std::vector<double> reweighted(const Composition& composition, const std::vector<double>& nodes, const std::vector<double>& factors) {
    const std::vector<size_t> leaves = leaves_of(composition.taxonomy());
    std::vector<double> changed(leaves.size());
    for (size_t i = 0; i < leaves.size(); ++i) {
        changed[i] = nodes[leaves[i]] * factors[i];
    }
    const double sum = total(changed);
    std::vector<double> result(nodes.size(), 0.0);
    for (size_t i = 0; i < leaves.size(); ++i) {
        result[leaves[i]] = changed[i] / sum;
    }
    composition.add_upward(result);
    return result;
}

}  // namespace derm
