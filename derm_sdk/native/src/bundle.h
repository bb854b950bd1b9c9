// The .derm file: everything that one model needs to answer, verified before anything of it is used (docs/bundle.md).

#ifndef DERM_BUNDLE_H
#define DERM_BUNDLE_H

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "calibration.h"
#include "composition.h"
#include "preprocess.h"
#include "taxonomy.h"

namespace derm {

// One input or output of a graph; the real value is scale * (stored - zero_point).
struct Tensor {
    std::string name, kind;  // kind: which prepared picture, or skin_type; "" for an output
    std::vector<std::size_t> shape;
    bool floats = false;     // float32, else uint8
    double scale = 1.0;
    int zero_point = 0;

    std::size_t count() const;  // of numbers
    std::size_t bytes() const { return count() * (floats ? 4 : 1); }
    std::vector<double> real_values(const void* stored) const;
};

struct Graph {
    std::string id, file;
    std::vector<Tensor> inputs;
    Tensor output;
    bool explains = false;
    Tensor evidence;  // where it explains
    std::string_view data;
};

constexpr std::array<const char*, 6> input_kinds = {"rgb", "gray", "equalized", "otsu", "stretched", "skin_type"};

// Bytes of an input that are as numbers in each pixel; 0 for what is no kind of input.
std::size_t input_bytes(const std::string& kind, std::size_t size);

struct Bundle {
    Bundle() = default;
    Bundle(const Bundle&) = delete;  // the composition points to the taxonomy beside it
    Bundle& operator=(const Bundle&) = delete;

    std::string digest, id, name, version, kind, licence, intended_use, fit_name;
    std::size_t size = 0;  // side of the inputs in pixels
    Fit fit = Fit::crop;
    Taxonomy taxonomy;
    Calibration calibration;
    Composition composition;       // its heads in the order of `graphs`
    std::vector<Graph> graphs;
    // Training photos of each leaf, by node; nothing where the manifest does not tell them, or not as numbers.
    std::optional<std::vector<double>> photos;
    std::vector<std::string> warnings;
    std::vector<std::string> kinds;  // of input that the graphs take together, each once
    std::map<std::string, std::string_view> attachments;
    std::size_t size_bytes = 0;

    bool explains() const;  // whether any graph does
};

// Reads and verifies. `bundle` keeps views into `data`. Throws Failure, DERM_BUNDLE_*.
void read_bundle(std::string_view data, Bundle& bundle);

}  // namespace derm

#endif
