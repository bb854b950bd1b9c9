// The tree of labels: what derm_sdk/taxonomy.py is in Python.

#ifndef DERM_TAXONOMY_H
#define DERM_TAXONOMY_H

#include <cstddef>
#include <string>
#include <unordered_map>
#include <vector>

#include "json.h"

namespace derm {

constexpr std::size_t none = static_cast<std::size_t>(-1);  // no node: above the top level, the root

struct Node {
    std::string id, name;
    std::size_t level, parent;  // numbers; the parent of a node on the top level is `none`
};

class Taxonomy {
public:
    Taxonomy() = default;
    // Reads taxonomy.json. Throws Failure, DERM_BUNDLE_TREE_*.
    explicit Taxonomy(const Json& data);

    const std::vector<std::string>& levels() const { return levels_; }
    const std::vector<Node>& nodes() const { return nodes_; }
    const std::vector<std::size_t>& children(std::size_t node) const { return node == none ? top_ : children_[node]; }
    std::size_t find(const std::string& id) const;     // `none` for an unknown id
    std::size_t by_key(const std::string& key) const;  // by id, or by name where only one node bears it; else `none`
    std::size_t level(const std::string& name) const;  // `none` for an unknown one
    std::vector<std::size_t> leaves_under(std::size_t node) const;  // a leaf is below itself; all of them for `none`
    bool is_below(std::size_t node, std::size_t ancestor) const;    // and is not it; everything is below `none`
    std::vector<std::size_t> at(std::size_t level) const;           // nodes of a level, in the order of the tree

private:
    void read_nodes(const Json& rows);

    std::vector<std::string> levels_;
    std::vector<Node> nodes_;
    std::vector<std::size_t> top_;
    std::vector<std::vector<std::size_t>> children_;
    std::unordered_map<std::string, std::size_t> by_id_;
};

}  // namespace derm

#endif
