// How common the conditions are elsewhere: what derm_sdk/prior.py is in Python.

#ifndef DERM_PRIOR_H
#define DERM_PRIOR_H

#include <cstddef>
#include <utility>
#include <vector>

#include "bundle.h"
#include "derm.h"

namespace derm {

struct Prior {
    std::vector<std::pair<std::size_t, double>> shares;  // of nodes, in the order of the tree
    std::vector<double> factors;                         // what each leaf is multiplied by, in the order of the tree
};

// Checks shares as a caller names them. Throws Failure, DERM_ARGUMENT_PRIOR_*, DERM_ARGUMENT_NODE, DERM_ARGUMENT_NULL.
Prior read_prior(const Bundle& bundle, const derm_share* shares, std::size_t count);

// What a photo is routed by: with a prior any label can become the best one, so every graph is run. Throws Failure,
// DERM_ARGUMENT_PRIOR_ROUTING. `prior`: none for the training's own shares.
int routing_beside(const Prior* prior, int asked);

// Probabilities of all nodes where the leaves are more or less common by the given factors.
std::vector<double> reweighted(const Composition& composition, const std::vector<double>& nodes, const std::vector<double>& factors);

}  // namespace derm

#endif
