#include "classifier.h"

#include <cstdint>
#include <utility>

#include "failure.h"

namespace derm {

Classifier::Classifier(std::shared_ptr<const Loaded> bundle, const derm_options& options)
    : bundle_(std::move(bundle)), routing_(options.routing) {
    set_prior(options.prior, options.prior_count);
    routing_of(DERM_AS_OPENED);
    if (options.without_graphs != 0) {
        return;
    }
    litert_ = std::make_unique<Litert>(options.litert_path == nullptr ? "" : options.litert_path);
    runtime_ = litert_->name();
    for (const Graph& graph : bundle_->graphs) {
        networks_.push_back(std::make_unique<Network>(*litert_, graph, options.threads == 0 ? 1 : options.threads));
    }
}

void Classifier::set_prior(const derm_share* shares, size_t count) {
    if (shares == nullptr) {
        require(count == 0, DERM_ARGUMENT_NULL, "prior");
        prior_.reset();
        return;
    }
    prior_ = std::make_shared<const Prior>(read_prior(*bundle_, shares, count));
}

int Classifier::routing_of(int asked) const {
    return routing_beside(prior(), asked == DERM_AS_OPENED ? routing_ : asked);
}

Resized Classifier::resized(const Camera& photo, int skin_type) const {
    std::vector<std::uint8_t> rgb(bundle_->size * bundle_->size * 3);
    photo.prepare(rgb.data(), bundle_->size, bundle_->fit);
    return {std::move(rgb), photo.width(), photo.height(), skin_type};
}

void Classifier::run(Task& task) {
    require(litert_ != nullptr, DERM_ARGUMENT_NO_GRAPHS);
    while (const std::optional<Ask> ask = task.due()) {
        Network& network = *networks_[ask->graph];
        task.take(ask->evidence ? network.evidence(task.inputs()) : network.answer(task.inputs()));
    }
}

Answer Classifier::classify(const Camera& photo, int skin_type, int routing) {
    Classification task(bundle_, resized(photo, skin_type), routing, prior_);
    run(task);
    return task.answer();
}

}  // namespace derm
