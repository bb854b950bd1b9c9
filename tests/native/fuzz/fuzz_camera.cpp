// A picture whose description and pixels are any bytes: it is refused, or every byte read lies inside its planes.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "camera.h"
#include "failure.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size < 16) {
        return 0;
    }
    derm_image image{};
    image.struct_size = sizeof image;
    image.format = bytes[0] % 9 - (bytes[14] & 128 ? 1 : 0);
    image.rotation = 90 * (bytes[1] % 5);
    std::int16_t sides[2];
    std::memcpy(sides, bytes + 2, sizeof sides);
    image.width = bytes[14] & 1 ? sides[0] : sides[0] & 127;
    image.height = bytes[14] & 2 ? sides[1] : sides[1] & 127;
    const auto fit = static_cast<derm::Fit>(bytes[6] % 3);
    const std::size_t target = 1 + bytes[7] % 40;
    std::vector<std::vector<std::uint8_t>> planes;
    const std::size_t pixels = size - 16;
    for (int i = 0; i < 3; ++i) {
        const std::size_t length = pixels * (bytes[8 + i] + 1U) / 256;
        planes.emplace_back(bytes + 16, bytes + 16 + std::min(length, pixels));
        planes.back().shrink_to_fit();
        image.planes[i] = planes.back().data();
        image.bytes[i] = planes.back().size();
        image.strides[i] = bytes[15] & (1 << i) ? static_cast<std::size_t>(-1) / (1 + bytes[11 + i]) : static_cast<std::size_t>(bytes[11 + i]) * 3;
    }
    try {
        const derm::Camera camera(image);
        std::vector<std::uint8_t> out(target * target * 3);
        camera.prepare(out.data(), target, fit);
    } catch (const derm::Failure&) {
    }
    try {
        const derm_image packed = derm::packed_image(image.format, image.width, image.height, planes[0].data(), planes[0].size());
        std::vector<std::uint8_t> out(target * target * 3);
        derm::Camera(packed).prepare(out.data(), target, fit);
    } catch (const derm::Failure&) {
    }
    return 0;
}
