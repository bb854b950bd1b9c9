// Where a photo holds the evidence for a node: derm_sdk/explanation.py and the first half of derm_sdk/heat.py.

#ifndef DERM_EXPLAIN_H
#define DERM_EXPLAIN_H

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "bundle.h"

namespace derm {

// A graph that helps to decide a node: its labels that lead to the node, against its other labels.
struct Target {
    std::size_t node = none, head = none;
    std::vector<bool> inside;

    // How the graph's score for the node changes with each of its logits. `shares`: its calibrated probabilities.
    std::vector<double> weights(const std::vector<double>& shares) const;
};

// The graph to ask for a node; for `none`, for the answer or the nearest node above it that can be explained.
// Throws Failure, DERM_ARGUMENT_NO_EXPLAIN.
Target target_of(const Bundle& bundle, std::size_t node, std::size_t answer, const std::vector<double>& probabilities);

// Where the square that a network sees lies on its photo, in pixels; left and top are below 0 where there is a border.
struct Frame {
    long left, top, width, height, photo_width, photo_height;
    static Frame of(long width, long height, Fit fit);
};

struct HeatMap {
    std::size_t rows = 0, columns = 0;
    std::vector<float> heat;  // 0 to 1
    std::optional<std::array<long, 2>> peak;
    std::optional<std::array<long, 4>> box;
};

// `evidence`: rows * columns * labels; `weights`: one per label.
HeatMap heat_map(const std::vector<double>& evidence, const std::vector<double>& weights, std::size_t rows,
                 std::size_t columns, const Frame& frame);

}  // namespace derm

#endif
