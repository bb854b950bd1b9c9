// What is asked of a model's graphs, step by step. The core never runs a graph: it says which one is due, whoever has an
// interpreter (litert.cpp, a browser's) runs it on the inputs and hands over what it stored.
//
//     while (const std::optional<Ask> ask = task.due()) {
//         task.take(run(*ask, task.inputs()));
//     }

#ifndef DERM_TASK_H
#define DERM_TASK_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "answer.h"
#include "explain.h"
#include "inputs.h"

namespace derm {

struct Ask {
    std::size_t graph;
    bool evidence;  // of its signature "explain"; else its answer
};

class Task {
public:
    virtual ~Task() = default;
    virtual std::optional<Ask> due() const = 0;  // nothing: it is done
    virtual const Prepared& inputs() const = 0;
    // What the graph that is due stored; read during the call alone. Throws Failure, DERM_BUNDLE_LOGIT.
    virtual void take(const void* stored) = 0;
};

// A photo, resized to the model's size, and what is known beside it.
struct Resized {
    std::vector<std::uint8_t> rgb;  // size * size * 3
    std::size_t width, height;      // of the upright photo
    int skin_type;                  // 0 for unknown
};

class Classification : public Task {
public:
    // `routing`: as routing_beside says. `prior`: none for the training's own shares.
    Classification(std::shared_ptr<const Bundle> bundle, Resized photo, int routing, std::shared_ptr<const Prior> prior = nullptr);

    std::optional<Ask> due() const override { return due_ == none ? std::nullopt : std::optional<Ask>({due_, false}); }
    const Prepared& inputs() const override { return prepared_; }
    void take(const void* stored) override;

    const Logits& logits() const { return logits_; }
    Answer answer() const;  // once nothing is due

    const std::shared_ptr<const Bundle>& bundle() const { return bundle_; }
    std::size_t width() const { return width_; }
    std::size_t height() const { return height_; }
    int skin_type() const { return skin_type_; }
    int routing() const { return routing_; }

private:
    std::shared_ptr<const Bundle> bundle_;
    std::size_t width_, height_;
    int skin_type_, routing_;
    std::shared_ptr<const Prior> prior_;
    Prepared prepared_;
    Logits logits_;
    std::size_t due_;
};

class Explanation : public Task {
public:
    // `classification`: with the routing DERM_ALL, just begun or done. `node`: `none` for the answer, or the nearest node above
    // it that can be explained. Throws Failure, DERM_ARGUMENT_NO_EXPLAIN, here or when the last answer is taken.
    Explanation(Classification classification, std::size_t node);

    std::optional<Ask> due() const override;
    const Prepared& inputs() const override { return classified_.inputs(); }
    void take(const void* stored) override;

    // Once nothing is due:
    const Target& target() const { return target_; }
    double probability() const { return probability_; }
    const HeatMap& map() const { return *map_; }
    const Frame& frame() const { return frame_; }

private:
    void choose_target();

    Classification classified_;
    std::shared_ptr<const Bundle> bundle_;
    Frame frame_;
    std::size_t node_;
    Target target_;
    double probability_ = 0.0;
    std::optional<HeatMap> map_;
};

// The real values of what a graph stored. Throws Failure, DERM_BUNDLE_LOGIT, where one is not finite.
std::vector<double> finite_values(const Graph& graph, const Tensor& tensor, const void* stored);

}  // namespace derm

#endif
