// From the graphs' stored outputs to what is told, and its JSON: `_told` of derm_sdk/classifier.py and derm_sdk/result.py.

#ifndef DERM_ANSWER_H
#define DERM_ANSWER_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bundle.h"
#include "derm.h"
#include "prior.h"

namespace derm {

// Of each graph its logits; nothing for one that was not run.
using Logits = std::vector<std::optional<std::vector<double>>>;

struct Answer {
    std::shared_ptr<const Bundle> bundle;
    std::vector<double> probabilities;          // of all nodes
    std::vector<std::vector<std::size_t>> levels, sets;  // nodes, best first
    std::size_t answer = none;
    std::vector<std::string> reasons, problems;
    std::string json;
};

// What a photo is, beside its pixels.
struct Photo {
    const std::uint8_t* rgb;     // prepared, size * size * 3
    std::size_t width, height;   // upright
    int skin_type;               // 0 for unknown
    int routing;                 // a derm_routing
    const Prior* prior;          // nullptr for the training's own shares
};

// The graph that a routing asks for next; `none` when the result is settled. docs/result.md, "Routing".
std::size_t next_graph(const Bundle& bundle, int routing, const Logits& logits);

// Probabilities of all nodes.
std::vector<double> composed(const Bundle& bundle, const Logits& logits);

Answer tell(std::shared_ptr<const Bundle> bundle, const Logits& logits, const Photo& photo);

}  // namespace derm

#endif
