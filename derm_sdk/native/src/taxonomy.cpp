#include "taxonomy.h"

#include <algorithm>
#include <set>

#include "failure.h"

namespace derm {
namespace {

using std::size_t;
using Type = Json::Type;

constexpr size_t max_nodes = 10000, max_levels = 32;

bool is_label(const Json& value) { return value.is(Type::text) && !value.text().empty(); }

}  // namespace

Taxonomy::Taxonomy(const Json& data) {
    const Json* levels = data.find("levels");
    const Json* rows = data.find("nodes");
    require(levels != nullptr && levels->is(Type::list) && rows != nullptr && rows->is(Type::list), DERM_BUNDLE_TREE_FIELDS);
    require(rows->items().size() <= max_nodes, DERM_BUNDLE_TREE_FIELDS);
    for (const Json& row : rows->items()) {
        for (const char* field : {"id", "name", "level", "parent"}) {
            require(row.find(field) != nullptr, DERM_BUNDLE_TREE_FIELDS);
        }
    }
    for (const Json& level : levels->items()) {
        require(is_label(level), DERM_BUNDLE_TREE_NAMES);
        levels_.push_back(level.text());
    }
    for (const Json& row : rows->items()) {
        for (const char* field : {"id", "name", "level"}) {
            require(is_label(*row.find(field)), DERM_BUNDLE_TREE_NAMES);
        }
    }
    for (const Json& row : rows->items()) {
        const Json* parent = row.find("parent");
        require(parent->is(Type::null) || parent->is(Type::text), DERM_BUNDLE_TREE_PARENT, row.find("id")->text());
    }
    require(!levels_.empty() && levels_.size() <= max_levels, DERM_BUNDLE_TREE_LEVELS);
    require(std::set<std::string>(levels_.begin(), levels_.end()).size() == levels_.size(), DERM_BUNDLE_TREE_LEVELS);
    read_nodes(*rows);
}

void Taxonomy::read_nodes(const Json& rows) {
    const auto& items = rows.items();
    for (size_t i = 0; i < items.size(); ++i) {
        require(by_id_.emplace(items[i].find("id")->text(), i).second, DERM_BUNDLE_TREE_IDS, items[i].find("id")->text());
    }
    require(!items.empty(), DERM_BUNDLE_TREE_IDS);
    children_.resize(items.size());
    for (const Json& row : items) {
        const std::string& id = row.find("id")->text();
        const size_t depth = level(row.find("level")->text());
        require(depth != none, DERM_BUNDLE_TREE_LEVEL, id);
        const Json* parent_id = row.find("parent");
        size_t parent = none;
        if (parent_id->is(Type::text)) {
            parent = find(parent_id->text());
            // One level up, and read already.
            require(parent != none && parent < nodes_.size() && nodes_[parent].level + 1 == depth, DERM_BUNDLE_TREE_ORDER, id);
        }
        require((parent == none) == (depth == 0), DERM_BUNDLE_TREE_ORDER, id);
        (parent == none ? top_ : children_[parent]).push_back(nodes_.size());
        nodes_.push_back({id, row.find("name")->text(), depth, parent});
    }
    for (size_t i = 0; i < nodes_.size(); ++i) {
        require(nodes_[i].level + 1 == levels_.size() || !children_[i].empty(), DERM_BUNDLE_TREE_CHILDLESS, nodes_[i].id);
    }
}

size_t Taxonomy::find(const std::string& id) const {
    const auto found = by_id_.find(id);
    return found == by_id_.end() ? none : found->second;
}

size_t Taxonomy::by_key(const std::string& key) const {
    size_t found = find(key);
    if (found != none) {
        return found;
    }
    for (size_t i = 0; i < nodes_.size(); ++i) {
        if (nodes_[i].name == key) {
            if (found != none) {
                return none;
            }
            found = i;
        }
    }
    return found;
}

size_t Taxonomy::level(const std::string& name) const {
    const auto found = std::find(levels_.begin(), levels_.end(), name);
    return found == levels_.end() ? none : static_cast<size_t>(found - levels_.begin());
}

std::vector<size_t> Taxonomy::leaves_under(size_t node) const {
    if (node != none && children_[node].empty()) {
        return {node};
    }
    std::vector<size_t> leaves;
    for (const size_t child : children(node)) {  // at most 32 levels deep
        const std::vector<size_t> below = leaves_under(child);
        leaves.insert(leaves.end(), below.begin(), below.end());
    }
    return leaves;
}

bool Taxonomy::is_below(size_t node, size_t ancestor) const {
    size_t up = nodes_[node].parent;
    while (up != none && up != ancestor) {
        up = nodes_[up].parent;
    }
    return up == ancestor;
}

std::vector<size_t> Taxonomy::at(size_t level) const {
    std::vector<size_t> found;
    for (size_t i = 0; i < nodes_.size(); ++i) {
        if (nodes_[i].level == level) {
            found.push_back(i);
        }
    }
    return found;
}

}  // namespace derm
