// calibration.json, and what follows from its numbers: what derm_sdk/calibration.py is in Python.

#ifndef DERM_CALIBRATION_H
#define DERM_CALIBRATION_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "composition.h"
#include "json.h"

namespace derm {

// A number as JSON has it: Python prints a whole one without ".0".
struct Number {
    double value = 0.0;
    bool whole = false;
};

constexpr std::array<const char*, 4> measure_names = {"brightness", "contrast", "sharpness", "familiarity"};
using Measures = std::array<double, 4>;  // in that order

struct Calibration {
    std::map<std::string, double> temperatures;             // by graph
    std::map<std::string, std::vector<double>> offsets;     // by graph
    std::map<std::string, double> answer, sets;             // by level
    Number coverage;
    bool refers = false;
    std::string refer_node;
    double refer_threshold = 0.5;
    std::map<std::string, std::pair<double, double>> quality;  // by measure

    // Throws Failure, DERM_BUNDLE_TEMPERATURE to DERM_BUNDLE_LIMITS, DERM_BUNDLE_CALIBRATION.
    static Calibration read(const Json& data);

    // Throws Failure where it names what the model does not have.
    void check(const Composition& composition) const;

    double needed(const std::string& level) const;  // at which a node of the level counts as certain
    double member(const std::string& level) const;  // of a prediction set

    std::vector<double> probabilities(const std::string& graph, const std::vector<double>& logits) const;
    std::size_t answer_of(const Composition& composition, const std::vector<double>& nodes) const;  // a node, or `none`
    std::vector<std::string> reasons(const Composition& composition, const std::vector<double>& nodes) const;
    std::vector<std::string> problems(const Measures& measures) const;
};

// rgb: size * size * 3 bytes.
Measures quality_measures(const std::uint8_t* rgb, std::size_t size, const std::vector<double>& root_logits);

// The first of the best; `nodes` must not be empty.
std::size_t best_of(const std::vector<std::size_t>& nodes, const std::vector<double>& probabilities);

}  // namespace derm

#endif
