// The container of a .derm file (docs/bundle.md, "Bytes"): finds its entries as views, and refuses what `pack` of
// derm_sdk/archive.py does not write, for the same reasons in the same order.

#ifndef DERM_CONTAINER_H
#define DERM_CONTAINER_H

#include <string>
#include <string_view>
#include <vector>

namespace derm {

struct Entry {
    std::string name;
    std::string_view data;
};

// In the order of the file. Throws Failure, DERM_BUNDLE_START to DERM_BUNDLE_BYTES.
std::vector<Entry> unpack(std::string_view data);

}  // namespace derm

#endif
