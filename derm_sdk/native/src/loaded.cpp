#include "loaded.h"

#include <cstddef>
#include <cstdint>
#include <utility>

namespace derm {
namespace {

constexpr std::uintptr_t alignment = 64;

std::uintptr_t beyond(const char* data) { return reinterpret_cast<std::uintptr_t>(data) % alignment; }

}  // namespace

Loaded::Loaded(std::string_view bytes, std::shared_ptr<const void> owner) : owner_(std::move(owner)) {
    read_bundle(bytes, *this);
    copies_.reserve(graphs.size());
    for (Graph& graph : graphs) {
        if (beyond(graph.data.data()) == 0) {
            continue;
        }
        copies_.emplace_back(graph.data.size() + alignment, '\0');
        std::string& copy = copies_.back();
        const std::size_t start = (alignment - beyond(copy.data())) % alignment;
        graph.data.copy(copy.data() + start, graph.data.size());
        graph.data = std::string_view(copy).substr(start, graph.data.size());
    }
}

}  // namespace derm
