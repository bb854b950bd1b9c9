// The bytes of a bundle, however they came, and what was read from them. Results hold on to it.

#ifndef DERM_LOADED_H
#define DERM_LOADED_H

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bundle.h"

namespace derm {

struct Loaded : Bundle {
    // `owner`, where there is one, is what keeps the bytes alive. Graphs that are not aligned to 64 bytes are copied.
    // Throws Failure, DERM_BUNDLE_*.
    explicit Loaded(std::string_view bytes, std::shared_ptr<const void> owner = nullptr);
    Loaded(const Loaded&) = delete;
    Loaded& operator=(const Loaded&) = delete;

private:
    std::shared_ptr<const void> owner_;
    std::vector<std::string> copies_;  // of graphs that were not aligned
};

// A file in memory, as long as the owner lives. Throws Failure, DERM_FILE_READ, DERM_BUNDLE_EMPTY.
struct MappedFile {
    std::string_view bytes;
    std::shared_ptr<const void> owner;
};
MappedFile map_file(const std::string& path);

}  // namespace derm

#endif
