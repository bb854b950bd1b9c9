// Probabilities of single graphs -> probabilities of every node of the tree: what derm_sdk/composition.py is in Python.

#ifndef DERM_COMPOSITION_H
#define DERM_COMPOSITION_H

#include <cstddef>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "taxonomy.h"

namespace derm {

// What one graph answers: P(label | given) for labels below the node `given`.
struct Head {
    std::string graph;
    std::size_t given;                // a node, or `none` for the whole tree
    std::vector<std::size_t> labels;  // nodes
};

// Of each graph the shares of its labels; nothing for one that was not run.
using Shares = std::vector<std::optional<std::vector<double>>>;

class Composition {
public:
    Composition() = default;
    // Throws Failure, DERM_BUNDLE_HEADS to DERM_BUNDLE_UNASKED. `given` of a head that is no node at all: `unknown`.
    static constexpr std::size_t unknown = none - 1;
    Composition(const Taxonomy* taxonomy, std::vector<Head> heads);

    const Taxonomy& taxonomy() const { return *taxonomy_; }
    const std::vector<Head>& heads() const { return heads_; }
    std::size_t root() const { return of(none); }          // number of the head of the whole tree
    std::size_t of(std::size_t node) const;                // number of the head that splits a node; `none` without one
    std::vector<double> probabilities(const Shares& shares) const;  // of all nodes, in the order of the tree
    void add_upward(std::vector<double>& nodes) const;     // to every parent its children, the last of the tree first

private:
    void check(std::size_t head, std::size_t* reached) const;
    void spread(std::vector<double>& result, std::size_t head, double mass, const Shares& shares) const;

    const Taxonomy* taxonomy_ = nullptr;
    std::vector<Head> heads_;
    std::unordered_map<std::size_t, std::size_t> of_;
};

}  // namespace derm

#endif
