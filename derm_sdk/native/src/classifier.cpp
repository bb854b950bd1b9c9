#include "classifier.h"

#include <cstdint>
#include <utility>

#include "failure.h"

namespace derm {

using std::size_t;
using std::uint8_t;
using Bytes = std::vector<uint8_t>;

Bytes derive(const uint8_t* rgb, size_t size, const std::string& kind, int skin_type) {
    const size_t count = size * size;
    Bytes out(input_bytes(kind, size));
    if (kind == "skin_type") {
        out[static_cast<size_t>(skin_type)] = 255;
        return out;
    }
    if (kind == "rgb") {
        return {rgb, rgb + count * 3};
    }
    if (kind == "stretched") {
        stretched(rgb, count, out.data());
        return out;
    }
    Bytes grays(count);
    gray(rgb, count, grays.data());
    if (kind == "gray") {
        return grays;
    }
    (kind == "otsu" ? otsu : equalized)(grays.data(), count, out.data());
    return out;
}

Classifier::Classifier(std::shared_ptr<const Loaded> bundle, const derm_options& options)
    : bundle_(std::move(bundle)), routing_(options.routing) {
    require(options.prior == nullptr || routing_ != DERM_TOP, DERM_ARGUMENT_PRIOR_ROUTING);
    set_prior(options.prior, options.prior_count);
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
    prior_ = read_prior(*bundle_, shares, count);
}

int Classifier::routing_of(int asked) const {
    const int routing = asked == DERM_AS_OPENED ? routing_ : asked;
    require(!prior_ || routing != DERM_TOP, DERM_ARGUMENT_PRIOR_ROUTING);
    return prior_ ? DERM_ALL : routing;
}

void Classifier::require_graphs() const { require(litert_ != nullptr, DERM_ARGUMENT_NO_GRAPHS); }

Prepared Classifier::prepare(const Camera& photo, int skin_type) const {
    Bytes rgb(bundle_->size * bundle_->size * 3);
    photo.prepare(rgb.data(), bundle_->size, bundle_->fit);
    return inputs(rgb, skin_type);
}

// What the graphs take, and the resized photo behind it.
Prepared Classifier::inputs(const Bytes& rgb, int skin_type) const {
    Prepared prepared;
    for (const std::string& kind : bundle_->kinds) {
        prepared.kinds.push_back(kind);
        prepared.bytes.push_back(derive(rgb.data(), bundle_->size, kind, skin_type));
    }
    prepared.kinds.push_back("photo");
    prepared.bytes.push_back(rgb);
    return prepared;
}

const void* Classifier::stored_output(size_t graph, const Prepared& prepared) { return networks_[graph]->answer(prepared); }

std::vector<double> Classifier::logits(size_t graph, const Prepared& prepared) {
    return bundle_->graphs[graph].output.real_values(stored_output(graph, prepared));
}

Answer Classifier::classify(const Camera& photo, int skin_type, int routing) {
    require_graphs();
    const Prepared prepared = prepare(photo, skin_type);
    const Logits found = run_graphs(*bundle_, routing, [&](size_t graph) { return logits(graph, prepared); });
    return tell(bundle_, found, {prepared.bytes.back().data(), photo.width(), photo.height(), skin_type, routing, prior()});
}

HeatMap Classifier::explain(const Camera& photo, int skin_type, size_t node, Target& target, double& probability) {
    require_graphs();
    const Prepared prepared = prepare(photo, skin_type);
    const Logits found = run_graphs(*bundle_, DERM_ALL, [&](size_t graph) { return logits(graph, prepared); });
    const std::vector<double> nodes = composed(*bundle_, found);
    target = target_of(*bundle_, node, bundle_->calibration.answer_of(bundle_->composition, nodes), nodes);
    probability = nodes[target.node];
    const Graph& graph = bundle_->graphs[target.head];
    const std::vector<double> weights = target.weights(bundle_->calibration.probabilities(graph.id, *found[target.head]));
    const std::vector<double> evidence = graph.evidence.real_values(networks_[target.head]->evidence(prepared));
    const Frame frame = Frame::of(static_cast<long>(photo.width()), static_cast<long>(photo.height()), bundle_->fit);
    return heat_map(evidence, weights, graph.evidence.shape[1], graph.evidence.shape[2], frame);
}

}  // namespace derm
