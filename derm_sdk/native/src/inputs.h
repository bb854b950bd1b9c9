// What goes into a network: pictures derived from the resized photo, and the skin type. derm_sdk/inputs.py in Python.

#ifndef DERM_INPUTS_H
#define DERM_INPUTS_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "bundle.h"

namespace derm {

// The prepared inputs of one photo.
struct Prepared {
    std::vector<std::string> kinds;
    std::vector<std::vector<std::uint8_t>> bytes;
    std::vector<std::uint8_t> rgb;  // the resized photo, whether a graph takes it or not

    const std::uint8_t* find(const std::string& kind) const;
};

// One input of a network, derived from the resized photo; `kind` out of input_kinds.
std::vector<std::uint8_t> derive(const std::uint8_t* rgb, std::size_t size, const std::string& kind, int skin_type);

// All that a model's graphs take. rgb: size * size * 3 bytes.
Prepared prepared(const Bundle& bundle, std::vector<std::uint8_t> rgb, int skin_type);

}  // namespace derm

#endif
