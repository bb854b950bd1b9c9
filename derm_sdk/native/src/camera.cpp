#include "camera.h"

#include <algorithm>
#include <string>

#include "failure.h"

namespace derm {
namespace {

using std::int32_t;
using std::size_t;
using std::uint8_t;

struct Plane {
    size_t rows, row;  // row: bytes
};

size_t plane_count(int32_t format) { return format < DERM_NV21 ? 1 : format == DERM_I420 ? 3 : 2; }

Plane plane_of(int32_t format, size_t width, size_t height, size_t number) {
    static constexpr size_t pixel_bytes[] = {3, 3, 4, 4, 1};
    if (format < DERM_NV21) {
        return {height, width * pixel_bytes[format]};
    }
    const size_t across = (width + 1) / 2, down = (height + 1) / 2;
    return number == 0 ? Plane{height, width} : Plane{down, format == DERM_I420 ? across : 2 * across};
}

void check_size(int32_t format, int32_t width, int32_t height) {
    require(format >= DERM_RGB && format <= DERM_I420, DERM_IMAGE_FORMAT, std::to_string(format));
    const bool sides = width >= 1 && height >= 1 && static_cast<size_t>(width) <= max_side && static_cast<size_t>(height) <= max_side;
    require(sides && static_cast<size_t>(width) * static_cast<size_t>(height) <= max_pixels, DERM_IMAGE_SIZE,
            std::to_string(width) + " x " + std::to_string(height));
}

// --- One pixel of each format -> RGB ------------------------------------------------------------------------------------

uint8_t over_white(unsigned colour, unsigned alpha) { return static_cast<uint8_t>((colour * alpha + 255 * (255 - alpha) + 127) / 255); }

uint8_t limited(int value) { return static_cast<uint8_t>(std::min(std::max(value, 0), 255)); }

constexpr int bias = 256 << 16;  // keeps the sums positive, so that >> rounds down

// BT.601, full range, 16 bits behind the point.
void from_yuv(int y, int u, int v, uint8_t* out) {
    out[0] = limited(y + ((91881 * v + 32768 + bias) >> 16) - 256);
    out[1] = limited(y + ((-22554 * u - 46802 * v + 32768 + bias) >> 16) - 256);
    out[2] = limited(y + ((116130 * u + 32768 + bias) >> 16) - 256);
}

template <derm_format format>
void pixel(const derm_image& image, size_t y, size_t x, uint8_t* out) {
    const uint8_t* row = image.planes[0] + y * image.strides[0];
    if constexpr (format == DERM_RGB || format == DERM_BGR) {
        constexpr size_t red = format == DERM_BGR ? 2 : 0;
        out[0] = row[3 * x + red];
        out[1] = row[3 * x + 1];
        out[2] = row[3 * x + 2 - red];
    } else if constexpr (format == DERM_RGBA || format == DERM_BGRA) {
        constexpr size_t red = format == DERM_BGRA ? 2 : 0;
        const uint8_t alpha = row[4 * x + 3];
        out[0] = over_white(row[4 * x + red], alpha);
        out[1] = over_white(row[4 * x + 1], alpha);
        out[2] = over_white(row[4 * x + 2 - red], alpha);
    } else if constexpr (format == DERM_GRAY) {
        out[0] = out[1] = out[2] = row[x];
    } else if constexpr (format == DERM_I420) {
        const size_t half = x / 2;
        from_yuv(row[x], image.planes[1][(y / 2) * image.strides[1] + half] - 128,
                 image.planes[2][(y / 2) * image.strides[2] + half] - 128, out);
    } else {
        const uint8_t* pair = image.planes[1] + (y / 2) * image.strides[1] + (x / 2) * 2;
        constexpr size_t blue = format == DERM_NV21 ? 1 : 0;
        from_yuv(row[x], pair[blue] - 128, pair[1 - blue] - 128, out);
    }
}

// --- Rows of the upright photo --------------------------------------------------------------------------------------------

struct Part {
    size_t first, end, left, count;
};

// Pixel (r, c) of a photo turned clockwise by 90 is (height - 1 - c, r) as stored, by 180 (height - 1 - r, width - 1 - c), by
// 270 (c, width - 1 - r). Turned by 90 or 270, the rows of the part are walked side by side, along memory.
template <derm_format format>
void make_rows(const derm_image& image, const Part& part, uint8_t* out) {
    const size_t height = static_cast<size_t>(image.height), width = static_cast<size_t>(image.width);
    const size_t stride = part.count * 3;
    if (image.rotation == 0 || image.rotation == 180) {
        for (size_t r = part.first; r < part.end; ++r) {
            for (size_t k = 0; k < part.count; ++k, out += 3) {
                const size_t c = part.left + k;
                image.rotation == 0 ? pixel<format>(image, r, c, out) : pixel<format>(image, height - 1 - r, width - 1 - c, out);
            }
        }
        return;
    }
    for (size_t k = 0; k < part.count; ++k) {
        const size_t c = part.left + k;
        for (size_t r = part.first; r < part.end; ++r) {
            uint8_t* place = out + (r - part.first) * stride + 3 * k;
            image.rotation == 90 ? pixel<format>(image, height - 1 - c, r, place) : pixel<format>(image, c, width - 1 - r, place);
        }
    }
}

}  // namespace

Camera::Camera(const derm_image& image) : image_(image) {
    require(image.struct_size == sizeof(derm_image), DERM_ARGUMENT_STRUCT, "derm_image");
    check_size(image.format, image.width, image.height);
    const bool quarter = image.rotation == 0 || image.rotation == 90 || image.rotation == 180 || image.rotation == 270;
    require(quarter, DERM_IMAGE_ROTATION, std::to_string(image.rotation));
    height_ = static_cast<size_t>(image.height);
    width_ = static_cast<size_t>(image.width);
    for (size_t i = 0; i < plane_count(image.format); ++i) {
        const Plane plane = plane_of(image.format, width_, height_, i);
        require(image.planes[i] != nullptr, DERM_ARGUMENT_NULL, "a plane of the picture");
        require(image.strides[i] >= plane.row, DERM_IMAGE_STRIDE,
                std::to_string(image.strides[i]) + " bytes; a row has " + std::to_string(plane.row));
        // (rows - 1) * stride + row <= bytes, without a product that may overflow.
        const bool whole = image.bytes[i] >= plane.row && (plane.rows == 1 || image.strides[i] <= (image.bytes[i] - plane.row) / (plane.rows - 1));
        require(whole, DERM_IMAGE_BYTES, std::to_string(image.bytes[i]) + " bytes in plane " + std::to_string(i));
    }
}

void Camera::prepare(uint8_t* out, size_t size, Fit fit) const {
    if (image_.format == DERM_RGB && image_.rotation == 0) {
        resize(image_.planes[0], image_.strides[0], height_, width_, out, size, fit);
    } else {
        resize(*this, height(), width(), out, size, fit);
    }
}

void Camera::rows(size_t first, size_t end, size_t left, size_t count, uint8_t* out) const {
    using Make = void (*)(const derm_image&, const Part&, uint8_t*);
    static constexpr Make make[] = {make_rows<DERM_RGB>,  make_rows<DERM_BGR>,  make_rows<DERM_RGBA>, make_rows<DERM_BGRA>,
                                    make_rows<DERM_GRAY>, make_rows<DERM_NV21>, make_rows<DERM_NV12>, make_rows<DERM_I420>};
    make[image_.format](image_, {first, end, left, count}, out);
}

derm_image packed_image(int32_t format, int32_t width, int32_t height, const uint8_t* data, size_t bytes) {
    check_size(format, width, height);
    require(data != nullptr, DERM_ARGUMENT_NULL, "the pixels");
    derm_image image{};
    image.struct_size = sizeof image;
    image.format = format;
    image.width = width;
    image.height = height;
    size_t offset = 0;
    for (size_t i = 0; i < plane_count(format); ++i) {
        const Plane plane = plane_of(format, static_cast<size_t>(width), static_cast<size_t>(height), i);
        const size_t needed = plane.rows * plane.row;
        require(needed <= bytes - offset, DERM_IMAGE_BYTES, std::to_string(bytes) + " bytes in all");
        image.planes[i] = data + offset;
        image.strides[i] = plane.row;
        image.bytes[i] = needed;
        offset += needed;
    }
    return image;
}

}  // namespace derm
