// A photo's way through the model: what a handle of derm.h stands for.

#ifndef DERM_CLASSIFIER_H
#define DERM_CLASSIFIER_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "answer.h"
#include "camera.h"
#include "derm.h"
#include "explain.h"
#include "litert.h"

namespace derm {

// The bytes of a bundle, however they came, and what was read from them. Results hold on to it.
struct Loaded : Bundle {
    Loaded() = default;
    ~Loaded();
    Loaded(const Loaded&) = delete;
    Loaded& operator=(const Loaded&) = delete;

    void map(const std::string& path);
    void view(std::string_view bytes);

private:
    void read(std::string_view bytes);
    std::string_view mapped_;
    std::vector<std::string> copies_;  // of graphs that were not aligned
};

class Classifier {
public:
    Classifier(std::shared_ptr<const Loaded> bundle, const derm_options& options);

    const Loaded& bundle() const { return *bundle_; }
    std::shared_ptr<const Bundle> shared() const { return bundle_; }
    int routing() const { return routing_; }
    // The prior of what is answered from now on; none without shares. Throws Failure, and keeps the one there was.
    void set_prior(const derm_share* shares, std::size_t count);
    const Prior* prior() const { return prior_ ? &*prior_ : nullptr; }
    // What a photo is routed by: with a prior any label can become the best one, so every graph is run.
    int routing_of(int asked) const;
    const std::string& runtime() const { return runtime_; }  // "" without graphs

    Answer classify(const Camera& photo, int skin_type, int routing);
    // Of outputs that somebody else's interpreter made.
    Answer answer(const Logits& logits, const Photo& photo) const { return tell(bundle_, logits, photo); }
    Prepared prepare(const Camera& photo, int skin_type) const;
    Prepared inputs(const std::vector<std::uint8_t>& rgb, int skin_type) const;
    std::vector<double> logits(std::size_t graph, const Prepared& prepared);
    const void* stored_output(std::size_t graph, const Prepared& prepared);
    HeatMap explain(const Camera& photo, int skin_type, std::size_t node, Target& target, double& probability);

private:
    void require_graphs() const;

    std::shared_ptr<const Loaded> bundle_;
    int routing_;
    std::optional<Prior> prior_;
    std::string runtime_;
    std::unique_ptr<Litert> litert_;
    std::vector<std::unique_ptr<Network>> networks_;  // by graph
};

// One input of a network, derived from the resized photo.
std::vector<std::uint8_t> derive(const std::uint8_t* rgb, std::size_t size, const std::string& kind, int skin_type);

// Throws Failure, DERM_BUNDLE_NO_SELFTEST, DERM_BUNDLE_SELFTEST, and what classifying throws.
derm_selftest_report selftest(Classifier& classifier);

}  // namespace derm

#endif
