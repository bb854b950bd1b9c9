// LiteRT's C API, found at run time: the library is not linked, so that the core builds and starts without it.
//
// The declarations are those of LiteRT 2.x (the library inside the Python package ai-edge-litert 2.3), reduced to what is
// used. Their order and traps: docs/c.md, "LiteRT".

#ifndef DERM_LITERT_H
#define DERM_LITERT_H

#include <memory>
#include <string>

#include "inputs.h"

namespace derm {

class LitertFunctions;

// The library and an environment in it. One per classifier: no global state.
class Litert {
public:
    // Throws Failure, DERM_RUNTIME_MISSING or DERM_RUNTIME_OTHER. `path`: "" for $DERM_LITERT or the usual names.
    explicit Litert(const std::string& path);
    ~Litert();
    Litert(const Litert&) = delete;
    Litert& operator=(const Litert&) = delete;

    const std::string& name() const { return name_; }
    const LitertFunctions& functions() const { return *functions_; }
    void* environment() const { return environment_; }

private:
    std::string name_;
    std::unique_ptr<LitertFunctions> functions_;
    void* environment_ = nullptr;
};

// One graph, ready to run; a signature of it gets its buffers when it is first asked for.
class Network {
public:
    // Keeps references. Throws Failure, DERM_RUNTIME_LOAD, DERM_BUNDLE_TENSORS.
    Network(const Litert& litert, const Graph& graph, int threads);
    ~Network();
    Network(const Network&) = delete;
    Network& operator=(const Network&) = delete;

    // The output as the graph stores it; valid until the next call. Throws Failure, DERM_RUNTIME_RUN.
    const void* answer(const Prepared& prepared);
    const void* evidence(const Prepared& prepared);  // also DERM_BUNDLE_NO_SIGNATURE

private:
    struct Signature;
    std::unique_ptr<Signature> open(const char* key, bool every_input, const Tensor& output) const;
    const void* run(Signature& signature, const Prepared& prepared);

    const Litert& litert_;
    const Graph& graph_;
    void *model_ = nullptr, *compiled_ = nullptr;
    std::unique_ptr<Signature> answer_, evidence_;
};

}  // namespace derm

#endif
