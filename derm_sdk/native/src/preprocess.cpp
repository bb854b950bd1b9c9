#include "preprocess.h"

#include <algorithm>
#include <array>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <vector>

// With FLT_EVAL_METHOD 0 a float product is rounded to float and a double product to double, as the definition says.
static_assert(FLT_EVAL_METHOD == 0, "build for SSE2 (-msse2 -mfpmath=sse) or leave the compiled preprocessing out");
static_assert(FLT_EPSILON == 1.1920928955078125e-07F, "float is not IEEE 754 binary32");

namespace derm {
namespace {

using std::size_t;
using std::uint16_t;
using std::uint32_t;
using std::uint64_t;
using std::uint8_t;

constexpr size_t channels = 3;
constexpr uint64_t pad_value = 128;
constexpr size_t rows_per_batch = 257;  // 257 * 255 = 65535: the sum of so many bytes fits 16 bits

// --- Geometry -------------------------------------------------------------------------------------------------------

// What one output cell covers of an axis: a part of pixel `head`, the whole pixels first..last-1, a part of `tail`.
// Weights are in units of 1/size pixel, so a whole pixel weighs `size`. Indices with weight 0 are valid all the same.
struct Cell {
    size_t first, last, head, tail;
    uint16_t head_weight, tail_weight;
    uint64_t covered;  // the weights' sum; less than the cell's length where it reaches beyond the photo
};

// Where the photo lies in the box that is averaged, along one axis.
struct Axis {
    size_t source;  // first pixel of the photo that is used
    size_t count;   // how many are used
    size_t offset;  // pixels of border before them
    size_t box;     // length of the box, border included
};

Axis make_axis(size_t length, size_t other, Fit fit) {
    const size_t side = fit == Fit::crop ? std::min(length, other) : std::max(length, other);
    if (fit == Fit::crop) {
        return {(length - side) / 2, side, 0, side};
    }
    if (fit == Fit::pad) {
        return {0, length, (side - length) / 2, side};
    }
    return {0, length, 0, length};
}

// A place on the axis, counted in 1/size pixel from the start of the box -> counted from the photo, clipped to it.
uint64_t clip_to_photo(uint64_t place, const Axis& axis, uint64_t size) {
    const uint64_t begin = axis.offset * size;
    return place <= begin ? 0 : std::min<uint64_t>(place - begin, axis.count * size);
}

Cell make_cell(size_t index, const Axis& axis, size_t size) {
    const uint64_t low = clip_to_photo(uint64_t{index} * axis.box, axis, size);
    const uint64_t high = clip_to_photo((uint64_t{index} + 1) * axis.box, axis, size);
    Cell cell{};
    cell.covered = high - low;
    cell.first = static_cast<size_t>((low + size - 1) / size);
    cell.last = static_cast<size_t>(high / size);
    if (cell.first > cell.last) {  // inside one pixel
        cell.head = cell.last;
        cell.head_weight = static_cast<uint16_t>(cell.covered);
        cell.first = cell.last;
        return cell;
    }
    cell.head = cell.first == 0 ? 0 : cell.first - 1;
    cell.head_weight = static_cast<uint16_t>(cell.first * size - low);
    cell.tail = std::min(cell.last, axis.count - 1);
    cell.tail_weight = static_cast<uint16_t>(high - cell.last * size);
    return cell;
}

// --- Down the columns: the rows of one output row -> weighted sums --------------------------------------------------
// Nearly all the time goes here. Compilers turn these loops into vector instructions without help; four rows at a time
// means fewer trips to `totals`. AVX2 instead of SSE2 gains nothing: memory is the limit.

// totals[i] = the sum of rows first..end-1, at most rows_per_batch of them.
void add_rows(const uint8_t* pixels, size_t stride, size_t first, size_t end, size_t length, uint16_t* totals) {
    std::memset(totals, 0, length * sizeof *totals);
    size_t row = first;
    for (; row + 4 <= end; row += 4) {
        const uint8_t* a = pixels + row * stride;
        const uint8_t* b = a + stride;
        const uint8_t* c = b + stride;
        const uint8_t* d = c + stride;
        for (size_t i = 0; i < length; ++i) {
            totals[i] = static_cast<uint16_t>(totals[i] + a[i] + b[i] + c[i] + d[i]);
        }
    }
    for (; row < end; ++row) {
        const uint8_t* a = pixels + row * stride;
        for (size_t i = 0; i < length; ++i) {
            totals[i] = static_cast<uint16_t>(totals[i] + a[i]);
        }
    }
}

// sums = totals * whole + head * head_weight + tail * tail_weight. At most 65535 * 255: fits 32 bits.
void weigh_rows(const uint16_t* totals, uint16_t whole, const uint8_t* head, uint16_t head_weight,
                         const uint8_t* tail, uint16_t tail_weight, size_t length, uint32_t* sums) {
    for (size_t i = 0; i < length; ++i) {
        sums[i] = uint32_t{totals[i]} * whole + uint32_t{head[i]} * head_weight + uint32_t{tail[i]} * tail_weight;
    }
}

void add_whole_rows(const uint16_t* totals, uint16_t whole, size_t length, uint32_t* sums) {
    for (size_t i = 0; i < length; ++i) {
        sums[i] += uint32_t{totals[i]} * whole;
    }
}

// The sums of one output row. `pixels` points at the first used pixel of the first used row.
void sum_rows(const uint8_t* pixels, size_t stride, const Cell& cell, uint16_t whole, size_t length, uint16_t* totals,
              uint32_t* sums) {
    size_t end = std::min(cell.last, cell.first + rows_per_batch);
    add_rows(pixels, stride, cell.first, end, length, totals);
    weigh_rows(totals, whole, pixels + cell.head * stride, cell.head_weight, pixels + cell.tail * stride, cell.tail_weight,
               length, sums);
    while (end < cell.last) {
        const size_t first = end;
        end = std::min(cell.last, first + rows_per_batch);
        add_rows(pixels, stride, first, end, length, totals);
        add_whole_rows(totals, whole, length, sums);
    }
}

// --- Along the row: sums -> averages --------------------------------------------------------------------------------

// floor(n / d) for n < 256 d without a division, which would cost more than the rest of a small photo.
// With k = bits(d) + 20 and r = floor(2^k / d), n r / 2^k falls short of n / d by less than n / 2^k < 2^-12, so the
// estimate is right or one too small. n r < 2^(bits(d) + 8 + 21) <= 2^62.
class Quotient {
public:
    explicit Quotient(uint64_t divisor) : divisor_(divisor) {
        for (uint64_t rest = divisor; rest != 0; rest >>= 1) {
            ++shift_;
        }
        reciprocal_ = (uint64_t{1} << shift_) / divisor;
    }
    uint64_t operator()(uint64_t n) const {
        const uint64_t estimate = (n * reciprocal_) >> shift_;
        return estimate + (n - estimate * divisor_ >= divisor_ ? 1 : 0);
    }

private:
    uint64_t divisor_, reciprocal_;
    unsigned shift_ = 20;
};

void average_row(const uint32_t* sums, const std::vector<Cell>& cells, uint64_t covered_rows, uint64_t total,
                 const Quotient& quotient, uint8_t* out) {
    const uint64_t whole = cells.size();
    for (const Cell& cell : cells) {
        const uint32_t* head = sums + cell.head * channels;
        const uint32_t* tail = sums + cell.tail * channels;
        uint64_t red = 0, green = 0, blue = 0;
        for (const uint32_t *p = sums + cell.first * channels, *end = sums + cell.last * channels; p != end; p += channels) {
            red += p[0];
            green += p[1];
            blue += p[2];
        }
        const uint64_t border = pad_value * (total - covered_rows * cell.covered);
        const uint64_t whole_sums[channels] = {red, green, blue};
        for (size_t c = 0; c < channels; ++c) {
            const uint64_t sum = whole_sums[c] * whole + uint64_t{head[c]} * cell.head_weight +
                                 uint64_t{tail[c]} * cell.tail_weight + border;
            out[c] = static_cast<uint8_t>(quotient(2 * sum + total));  // half up
        }
        out += channels;
    }
}

// --- Rows that are made while they are averaged ----------------------------------------------------------------------

constexpr size_t rows_per_strip = 16;

// Rows of the photo, a strip at a time. They are asked for from the top down, the last one twice at most.
class Strip {
public:
    Strip(const RowSource& photo, const Axis& vertical, const Axis& horizontal)
        : photo_(photo), vertical_(vertical), horizontal_(horizontal),
          pixels_(rows_per_strip * horizontal.count * channels) {}

    size_t stride() const { return horizontal_.count * channels; }

    // Row `first` and those behind it, of the part that is used: where they lie; `end` becomes the one behind the last made.
    const uint8_t* get(size_t first, size_t& end) {
        if (first < first_ || first >= end_) {
            first_ = first;
            end_ = std::min(first + rows_per_strip, vertical_.count);
            photo_.rows(vertical_.source + first_, vertical_.source + end_, horizontal_.source, horizontal_.count,
                        pixels_.data());
        }
        end = std::min(end, end_);
        return pixels_.data() + (first - first_) * stride();
    }

private:
    const RowSource& photo_;
    const Axis &vertical_, &horizontal_;
    std::vector<uint8_t> pixels_;
    size_t first_ = 0, end_ = 0;
};

void add_part(const uint8_t* row, uint16_t weight, size_t length, uint32_t* sums) {
    for (size_t i = 0; i < length; ++i) {
        sums[i] += uint32_t{row[i]} * weight;
    }
}

// As sum_rows above, of rows that are made on the way.
void sum_strips(Strip& strip, const Cell& cell, uint16_t whole, size_t length, uint16_t* totals, uint32_t* sums) {
    std::memset(sums, 0, length * sizeof *sums);
    if (cell.head_weight != 0) {
        size_t end = cell.head + 1;
        add_part(strip.get(cell.head, end), cell.head_weight, length, sums);
    }
    for (size_t first = cell.first; first < cell.last;) {
        size_t end = cell.last;
        const uint8_t* rows = strip.get(first, end);
        add_rows(rows, strip.stride(), 0, end - first, length, totals);
        add_whole_rows(totals, whole, length, sums);
        first = end;
    }
    if (cell.tail_weight != 0) {
        size_t end = cell.tail + 1;
        add_part(strip.get(cell.tail, end), cell.tail_weight, length, sums);
    }
}

// --- Both -------------------------------------------------------------------------------------------------------------

// `sum` makes the sums of one output row: sum(cell, whole, length, totals, sums).
template <class SumRows>
void average(const Axis& vertical, const Axis& horizontal, uint8_t* out, size_t size, SumRows sum) {
    const size_t length = horizontal.count * channels;
    const uint64_t total = uint64_t{vertical.box} * horizontal.box;
    const Quotient quotient(2 * total);

    std::vector<Cell> columns(size);
    for (size_t x = 0; x < size; ++x) {
        columns[x] = make_cell(x, horizontal, size);
    }
    std::vector<uint16_t> totals(length);
    std::vector<uint32_t> sums(length);

    for (size_t y = 0; y < size; ++y, out += size * channels) {
        const Cell rows = make_cell(y, vertical, size);
        sum(rows, static_cast<uint16_t>(size), length, totals.data(), sums.data());
        average_row(sums.data(), columns, rows.covered, total, quotient, out);
    }
}

}  // namespace

void resize(const uint8_t* pixels, size_t height, size_t width, uint8_t* out, size_t size, Fit fit) {
    resize(pixels, width * channels, height, width, out, size, fit);
}

void resize(const uint8_t* pixels, size_t stride, size_t height, size_t width, uint8_t* out, size_t size, Fit fit) {
    const Axis vertical = make_axis(height, width, fit), horizontal = make_axis(width, height, fit);
    pixels += vertical.source * stride + horizontal.source * channels;
    average(vertical, horizontal, out, size,
            [=](const Cell& cell, uint16_t whole, size_t length, uint16_t* totals, uint32_t* sums) {
                sum_rows(pixels, stride, cell, whole, length, totals, sums);
            });
}

void resize(const RowSource& photo, size_t height, size_t width, uint8_t* out, size_t size, Fit fit) {
    const Axis vertical = make_axis(height, width, fit), horizontal = make_axis(width, height, fit);
    Strip strip(photo, vertical, horizontal);
    average(vertical, horizontal, out, size,
            [&](const Cell& cell, uint16_t whole, size_t length, uint16_t* totals, uint32_t* sums) {
                sum_strips(strip, cell, whole, length, totals, sums);
            });
}

// --- Inputs derived from the resized photo ----------------------------------------------------------------------------

namespace {

using Histogram = std::array<std::int64_t, 256>;
using Table = std::array<uint8_t, 256>;

Histogram count_levels(const uint8_t* gray, size_t count) {
    Histogram histogram{};
    for (size_t i = 0; i < count; ++i) {
        ++histogram[gray[i]];
    }
    return histogram;
}

// Level -> equalised level. A flat image stays as it is.
Table equalizing_table(const Histogram& histogram, size_t count) {
    Table table{};
    size_t first = 0;
    while (first < 255 && histogram[first] == 0) {
        ++first;
    }
    const std::int64_t rest = static_cast<std::int64_t>(count) - histogram[first];
    if (rest <= 0) {
        table[first] = static_cast<uint8_t>(first);
        return table;
    }
    const float scale = 255.0F / static_cast<float>(rest);
    std::int64_t above = 0;  // pixels brighter than `first`, up to this level
    for (size_t level = first + 1; level < 256; ++level) {
        above += histogram[level];
        const float product = static_cast<float>(above) * scale;
        const float rounded = std::nearbyint(product);  // half to even
        table[level] = static_cast<uint8_t>(std::min(std::max(rounded, 0.0F), 255.0F));
    }
    return table;
}

// The operations and their order are the definition (docs/preprocessing.md): one statement, one rounding each.
int otsu_threshold(const Histogram& histogram, size_t count) {
    const double epsilon = FLT_EPSILON;
    const double scale = 1.0 / static_cast<double>(count);
    double mean = 0.0;
    for (int level = 0; level < 256; ++level) {
        const double term = level * static_cast<double>(histogram[static_cast<size_t>(level)]);
        mean += term;
    }
    mean *= scale;
    double below_mean = 0.0, below = 0.0, best_sigma = 0.0;
    int best = 0;
    for (int level = 0; level < 256; ++level) {
        const double share = static_cast<double>(histogram[static_cast<size_t>(level)]) * scale;
        below_mean *= below;
        below += share;
        const double above = 1.0 - below;
        if (std::min(below, above) < epsilon || std::max(below, above) > 1.0 - epsilon) {
            continue;
        }
        const double term = level * share;
        const double below_sum = below_mean + term;
        below_mean = below_sum / below;
        const double below_part = below * below_mean;
        const double above_sum = mean - below_part;
        const double above_mean = above_sum / above;
        const double difference = below_mean - above_mean;
        double sigma = below * above;
        sigma *= difference;
        sigma *= difference;
        if (sigma > best_sigma) {
            best_sigma = sigma;
            best = level;
        }
    }
    return best;
}

// Level -> level stretched from low..high to 0..255, half up. A flat channel stays as it is.
Table stretching_table(unsigned low, unsigned high) {
    Table table{};
    const unsigned span = high - low;
    for (unsigned level = low; level <= high; ++level) {
        table[level] = static_cast<uint8_t>(span == 0 ? level : (510 * (level - low) + span) / (2 * span));
    }
    return table;
}

}  // namespace

void gray(const uint8_t* rgb, size_t count, uint8_t* out) {
    for (size_t i = 0; i < count; ++i) {
        const uint32_t luma = 9798U * rgb[3 * i] + 19235U * rgb[3 * i + 1] + 3735U * rgb[3 * i + 2];
        out[i] = static_cast<uint8_t>((luma + 16384U) >> 15);
    }
}

void equalized(const uint8_t* gray, size_t count, uint8_t* out) {
    const Table table = equalizing_table(count_levels(gray, count), count);
    for (size_t i = 0; i < count; ++i) {
        out[i] = table[gray[i]];
    }
}

void otsu(const uint8_t* gray, size_t count, uint8_t* out) {
    const int threshold = otsu_threshold(count_levels(gray, count), count);
    for (size_t i = 0; i < count; ++i) {
        out[i] = gray[i] > threshold ? 255 : 0;
    }
}

void stretched(const uint8_t* rgb, size_t count, uint8_t* out) {
    for (size_t c = 0; c < channels; ++c) {
        uint8_t low = 255, high = 0;
        for (size_t i = c; i < count * channels; i += channels) {
            low = std::min(low, rgb[i]);
            high = std::max(high, rgb[i]);
        }
        const Table table = stretching_table(low, high);
        for (size_t i = c; i < count * channels; i += channels) {
            out[i] = table[rgb[i]];
        }
    }
}

}  // namespace derm
