#include "inputs.h"

#include <algorithm>
#include <utility>

#include "preprocess.h"

namespace derm {

using std::size_t;
using std::uint8_t;
using Bytes = std::vector<uint8_t>;

const uint8_t* Prepared::find(const std::string& kind) const {
    const auto found = std::find(kinds.begin(), kinds.end(), kind);
    return bytes[static_cast<size_t>(found - kinds.begin())].data();
}

Bytes derive(const uint8_t* rgb, size_t size, const std::string& kind, int skin_type) {
    const size_t count = size * size;
    Bytes out(input_bytes(kind, size));
    if (kind == "skin_type") {
        out[static_cast<size_t>(skin_type)] = 255;
        return out;
    }
    if (kind == "rgb") {
        return {rgb, rgb + count * 3};
    }
    if (kind == "stretched") {
        stretched(rgb, count, out.data());
        return out;
    }
    Bytes grays(count);
    gray(rgb, count, grays.data());
    if (kind == "gray") {
        return grays;
    }
    (kind == "otsu" ? otsu : equalized)(grays.data(), count, out.data());
    return out;
}

Prepared prepared(const Bundle& bundle, Bytes rgb, int skin_type) {
    Prepared found;
    for (const std::string& kind : bundle.kinds) {
        found.kinds.push_back(kind);
        found.bytes.push_back(derive(rgb.data(), bundle.size, kind, skin_type));
    }
    found.rgb = std::move(rgb);
    return found;
}

}  // namespace derm
