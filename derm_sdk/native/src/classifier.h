// A photo's way through the model: what a handle of derm.h stands for.

#ifndef DERM_CLASSIFIER_H
#define DERM_CLASSIFIER_H

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "camera.h"
#include "derm.h"
#include "litert.h"
#include "loaded.h"
#include "task.h"

namespace derm {

class Classifier {
public:
    Classifier(std::shared_ptr<const Loaded> bundle, const derm_options& options);

    const Loaded& bundle() const { return *bundle_; }
    std::shared_ptr<const Bundle> shared() const { return bundle_; }
    int routing() const { return routing_; }
    // The prior of what is answered from now on; none without shares. Throws Failure, and keeps the one there was.
    void set_prior(const derm_share* shares, std::size_t count);
    const Prior* prior() const { return prior_.get(); }
    // What a photo is routed by. Throws Failure, DERM_ARGUMENT_PRIOR_ROUTING.
    int routing_of(int asked) const;
    const std::string& runtime() const { return runtime_; }  // "" without graphs

    Answer classify(const Camera& photo, int skin_type, int routing);
    // Of outputs that somebody else's interpreter made.
    Answer answer(const Logits& logits, const Photo& photo) const { return tell(bundle_, logits, photo); }
    Resized resized(const Camera& photo, int skin_type) const;
    // Runs every graph that is due. Throws Failure, DERM_ARGUMENT_NO_GRAPHS, DERM_RUNTIME_*, DERM_BUNDLE_*.
    void run(Task& task);

private:
    std::shared_ptr<const Loaded> bundle_;
    int routing_;
    std::shared_ptr<const Prior> prior_;  // none: the training's own shares
    std::string runtime_;
    std::unique_ptr<Litert> litert_;
    std::vector<std::unique_ptr<Network>> networks_;  // by graph
};

}  // namespace derm

#endif
