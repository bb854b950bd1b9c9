// Pictures as cameras give them, checked, and turned into the rows of an upright RGB photo while they are averaged: the same
// bytes as derm_sdk/camera.py, which is the definition.

#ifndef DERM_CAMERA_H
#define DERM_CAMERA_H

#include <cstddef>
#include <cstdint>

#include "derm.h"
#include "preprocess.h"

namespace derm {

constexpr std::size_t max_pixels = 100000000;

class Camera : public RowSource {
public:
    // Throws Failure, DERM_IMAGE_* or DERM_ARGUMENT_NULL. Keeps the pointers.
    explicit Camera(const derm_image& image);

    std::size_t height() const { return turned() ? width_ : height_; }  // of the upright photo
    std::size_t width() const { return turned() ? height_ : width_; }

    // The prepared input "rgb": size * size * 3 bytes.
    void prepare(std::uint8_t* out, std::size_t size, Fit fit) const;

    void rows(std::size_t first, std::size_t end, std::size_t left, std::size_t count, std::uint8_t* out) const override;

private:
    bool turned() const { return image_.rotation % 180 != 0; }

    derm_image image_;
    std::size_t height_, width_;  // as it lies in memory
};

// Fills planes, strides and bytes of a picture without gaps. Throws Failure.
derm_image packed_image(std::int32_t format, std::int32_t width, std::int32_t height, const std::uint8_t* data,
                        std::size_t bytes);

}  // namespace derm

#endif
