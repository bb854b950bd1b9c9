// The drawn pictures of a bundle on this device, stage by stage, from their stored pixels: derm_sdk/selftest.py.

#ifndef DERM_SELFTEST_H
#define DERM_SELFTEST_H

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "derm.h"
#include "json.h"
#include "task.h"

namespace derm {

class SelfTest : public Task {
public:
    // Throws Failure, DERM_BUNDLE_NO_SELFTEST or DERM_BUNDLE_SELFTEST, here or when an answer is taken.
    explicit SelfTest(std::shared_ptr<const Bundle> bundle);

    std::optional<Ask> due() const override { return way_ ? way_->due() : std::nullopt; }
    const Prepared& inputs() const override { return way_->inputs(); }
    void take(const void* stored) override;

    const derm_selftest_report& report() const { return report_; }  // once nothing is due

private:
    void begin_next();
    bool begin(const Json& probe);
    void compare_inputs(const Json& wanted);
    void compare_outputs(const Json& wanted);
    void compare_probabilities(const Logits& logits, double tolerance, derm_selftest_stage& stage);
    void count(derm_selftest_stage& stage, bool identical, bool close, const std::string& what);

    std::shared_ptr<const Bundle> bundle_;
    Json record_;
    std::size_t next_ = 0;               // probe
    const Json* probe_ = nullptr;        // the one whose way is gone
    std::optional<Classification> way_;  // nothing once all are done
    Logits recorded_;                    // of its graphs
    derm_selftest_report report_{};
};

}  // namespace derm

#endif
