// Preprocessing: an upright RGB photo -> the uint8 inputs of a network.
//
// The same bytes as derm_sdk/preprocess.py, which is the definition, and as docs/preprocessing.md, which says it in words.
// Everything is integer arithmetic but for two short, fixed sequences of IEEE operations (equalized, otsu), so every
// compiler and processor gives the same result. Compile with -ffp-contract=off.
//
//     std::vector<uint8_t> rgb(224 * 224 * 3), gray(224 * 224);
//     derm::resize(photo, height, width, rgb.data(), 224, derm::Fit::crop);
//     derm::gray(rgb.data(), 224 * 224, gray.data());
//
// No function keeps a pointer, reads a global or writes outside `out`; all may run in many threads at once. Arguments are
// not checked here (the bindings do that): a buffer that is too short is the caller's mistake. `out` shares no memory
// with the source.

#ifndef DERM_PREPROCESS_H
#define DERM_PREPROCESS_H

#include <cstddef>
#include <cstdint>

namespace derm {

// Raised by any change of an output byte.
constexpr int preprocessing_version = 1;

constexpr std::size_t max_side = 65535;  // of a photo, in pixels: JPEG's limit; all sums below fit 64 bits
constexpr std::size_t max_size = 4096;   // of the square output, in pixels

// How a photo becomes a square. The numbers are part of the interface.
enum class Fit {
    stretch = 0,  // the whole photo, its sides scaled differently
    crop = 1,     // the centred square
    pad = 2,      // the whole photo in a square, 128 around it
};

// Averages a photo over exact areas into a square.
//   pixels  RGB, height * width * 3 bytes, no gaps; each side 1..max_side
//   out     size * size * 3 bytes; size 1..max_size
// Scratch memory: 18 bytes per column of the photo and 56 per column of the output, whatever the heights. Throws
// std::bad_alloc if there is none; `out` is then untouched.
void resize(const std::uint8_t* pixels, std::size_t height, std::size_t width, std::uint8_t* out, std::size_t size, Fit fit);

// Rows of an upright photo that is not stored as upright RGB, made when they are needed.
class RowSource {
public:
    virtual ~RowSource() = default;
    // Writes rows first..end-1, columns left..left+count-1, as RGB without gaps.
    virtual void rows(std::size_t first, std::size_t end, std::size_t left, std::size_t count, std::uint8_t* out) const = 0;
};

// The same of rows that are made while they are averaged: scratch memory for a few of them, never for all.
void resize(const RowSource& photo, std::size_t height, std::size_t width, std::uint8_t* out, std::size_t size, Fit fit);

// The same of RGB whose rows are `stride` bytes apart, width * 3 or more.
void resize(const std::uint8_t* pixels, std::size_t stride, std::size_t height, std::size_t width, std::uint8_t* out,
            std::size_t size, Fit fit);

// Luma: (9798 R + 19235 G + 3735 B + 16384) >> 15. rgb: count * 3 bytes, out: count bytes.
void gray(const std::uint8_t* rgb, std::size_t count, std::uint8_t* out);

// Histogram equalisation. gray and out: count bytes, count 1 or more.
void equalized(const std::uint8_t* gray, std::size_t count, std::uint8_t* out);

// 255 where gray is above Otsu's threshold, else 0. gray and out: count bytes, count 1 or more.
void otsu(const std::uint8_t* gray, std::size_t count, std::uint8_t* out);

// Each channel stretched from its minimum and maximum to 0 and 255; a flat channel stays. rgb and out: count * 3 bytes.
void stretched(const std::uint8_t* rgb, std::size_t count, std::uint8_t* out);

}  // namespace derm

#endif
