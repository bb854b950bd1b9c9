#include "task.h"

#include <algorithm>
#include <utility>

#include "failure.h"

namespace derm {

using std::size_t;

std::vector<double> finite_values(const Graph& graph, const Tensor& tensor, const void* stored) {
    std::vector<double> values = tensor.real_values(stored);
    const bool finite = std::all_of(values.begin(), values.end(), [](double value) { return value - value == 0.0; });
    require(finite, DERM_BUNDLE_LOGIT, graph.id);
    return values;
}

Classification::Classification(std::shared_ptr<const Bundle> bundle, Resized photo, int routing, std::shared_ptr<const Prior> prior)
    : bundle_(std::move(bundle)), width_(photo.width), height_(photo.height), skin_type_(photo.skin_type), routing_(routing), prior_(std::move(prior)),
      prepared_(prepared(*bundle_, std::move(photo.rgb), photo.skin_type)), logits_(bundle_->graphs.size()),
      due_(next_graph(*bundle_, routing, logits_)) {}

void Classification::take(const void* stored) {
    const Graph& graph = bundle_->graphs[due_];
    logits_[due_] = finite_values(graph, graph.output, stored);
    due_ = next_graph(*bundle_, routing_, logits_);
}

Answer Classification::answer() const {
    return tell(bundle_, logits_, {prepared_.rgb.data(), width_, height_, skin_type_, routing_, prior_.get()});
}

Explanation::Explanation(Classification classification, size_t node)
    : classified_(std::move(classification)), bundle_(classified_.bundle()),
      frame_(Frame::of(static_cast<long>(classified_.width()), static_cast<long>(classified_.height()), bundle_->fit)), node_(node) {
    require(bundle_->explains(), DERM_ARGUMENT_NO_EXPLAIN);
    if (!classified_.due()) {
        choose_target();
    }
}

std::optional<Ask> Explanation::due() const {
    if (const std::optional<Ask> ask = classified_.due()) {
        return ask;
    }
    return map_ ? std::nullopt : std::optional<Ask>({target_.head, true});
}

void Explanation::take(const void* stored) {
    if (classified_.due()) {
        classified_.take(stored);
        if (!classified_.due()) {
            choose_target();
        }
        return;
    }
    const Graph& graph = bundle_->graphs[target_.head];
    const std::vector<double> shares = bundle_->calibration.probabilities(graph.id, *classified_.logits()[target_.head]);
    const std::vector<double> evidence = finite_values(graph, graph.evidence, stored);
    map_ = heat_map(evidence, target_.weights(shares), graph.evidence.shape[1], graph.evidence.shape[2], frame_);
}

void Explanation::choose_target() {
    const std::vector<double> nodes = composed(*bundle_, classified_.logits());
    target_ = target_of(*bundle_, node_, bundle_->calibration.answer_of(bundle_->composition, nodes), nodes);
    probability_ = nodes[target_.node];
}

}  // namespace derm
