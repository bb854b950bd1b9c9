#include "litert.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>
#include <set>

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#endif

#include "failure.h"

namespace derm {
namespace {

using std::size_t;

constexpr int accelerator_cpu = 1, type_float32 = 1, type_uint8 = 3, per_tensor = 1, any_int = 2;
constexpr int no_search_for_accelerators = 24, least_severity = 25, errors_only = 4;
constexpr size_t alignment = 64;

using Handle = void*;

struct EnvironmentOption {
    int tag;
    struct {
        int type;
        std::int64_t value;
    } any;
};
static_assert(sizeof(EnvironmentOption) == 24, "as in litert_environment_options.h");

struct Layout {
    unsigned rank : 7, has_strides : 1;
    std::int32_t sides[8];
    std::uint32_t strides[8];
};
struct TensorType {
    int element;
    Layout layout;
};
static_assert(sizeof(TensorType) == 72, "as in litert_model_types.h");

struct Quantization {
    float scale;
    std::int64_t zero_point;
};

}  // namespace

#define DERM_LITERT_FUNCTIONS(X)                                                                     \
    X(CreateEnvironment, int(int, const EnvironmentOption*, Handle*))                                \
    X(DestroyEnvironment, void(Handle))                                                              \
    X(CreateModelFromBuffer, int(Handle, const void*, size_t, Handle*))                              \
    X(DestroyModel, void(Handle))                                                                    \
    X(CreateOptions, int(Handle*))                                                                   \
    X(DestroyOptions, void(Handle))                                                                  \
    X(SetOptionsHardwareAccelerators, int(Handle, int))                                              \
    X(CreateOpaqueOptions, int(const char*, void*, void (*)(void*), Handle*))                        \
    X(AddOpaqueOptions, int(Handle, Handle))                                                         \
    X(CreateCompiledModel, int(Handle, Handle, Handle, Handle*))                                     \
    X(DestroyCompiledModel, void(Handle))                                                            \
    X(GetNumModelSignatures, int(Handle, size_t*))                                                   \
    X(GetModelSignature, int(Handle, size_t, Handle*))                                               \
    X(GetSignatureKey, int(Handle, const char**))                                                    \
    X(GetNumSignatureInputs, int(Handle, size_t*))                                                   \
    X(GetNumSignatureOutputs, int(Handle, size_t*))                                                  \
    X(GetSignatureInputName, int(Handle, size_t, const char**))                                      \
    X(GetSignatureOutputName, int(Handle, size_t, const char**))                                     \
    X(GetSignatureInputTensorByIndex, int(Handle, size_t, Handle*))                                  \
    X(GetSignatureOutputTensorByIndex, int(Handle, size_t, Handle*))                                 \
    X(GetRankedTensorType, int(Handle, TensorType*))                                                 \
    X(GetQuantizationTypeId, int(Handle, int*))                                                      \
    X(GetPerTensorQuantization, int(Handle, Quantization*))                                          \
    X(GetCompiledModelInputTensorLayout, int(Handle, size_t, size_t, Layout*))                       \
    X(GetCompiledModelOutputTensorLayouts, int(Handle, size_t, size_t, Layout*, bool))               \
    X(GetCompiledModelInputBufferRequirements, int(Handle, size_t, size_t, Handle*))                 \
    X(GetCompiledModelOutputBufferRequirements, int(Handle, size_t, size_t, Handle*))                \
    X(GetTensorBufferRequirementsBufferSize, int(Handle, size_t*))                                   \
    X(CreateTensorBufferFromHostMemory, int(const TensorType*, void*, size_t, void (*)(void*), Handle*)) \
    X(DestroyTensorBuffer, void(Handle))                                                             \
    X(RunCompiledModel, int(Handle, size_t, size_t, Handle*, size_t, Handle*))

class LitertFunctions {
public:
    explicit LitertFunctions(const std::string& path) {
        library_ = open(path);
        require(library_ != nullptr, DERM_RUNTIME_MISSING, path);
        bool whole = true;
#define DERM_FIND(name, type) whole = find("LiteRt" #name, name) && whole;
        DERM_LITERT_FUNCTIONS(DERM_FIND)
#undef DERM_FIND
        if (!whole) {
            close();
            throw Failure(DERM_RUNTIME_OTHER, path);
        }
    }
    ~LitertFunctions() { close(); }
    LitertFunctions(const LitertFunctions&) = delete;
    LitertFunctions& operator=(const LitertFunctions&) = delete;

#define DERM_DECLARE(name, type) std::add_pointer_t<type> name = nullptr;
    DERM_LITERT_FUNCTIONS(DERM_DECLARE)
#undef DERM_DECLARE

private:
#ifdef _WIN32
    static void* open(const std::string& path) { return reinterpret_cast<void*>(LoadLibraryA(path.c_str())); }
    void* symbol(const char* name) const {
        return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(library_), name));
    }
    void close() { FreeLibrary(static_cast<HMODULE>(library_)); }
#else
    static void* open(const std::string& path) { return dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL); }
    void* symbol(const char* name) const { return dlsym(library_, name); }
    void close() { dlclose(library_); }
#endif
    template <class Function>
    bool find(const char* name, Function& function) const {
        void* found = symbol(name);
        std::memcpy(&function, &found, sizeof found);
        return found != nullptr;
    }

    void* library_ = nullptr;
};

namespace {

#if defined(_WIN32)
constexpr const char* usual_names[] = {"LiteRt.dll", "libLiteRt.dll"};
#elif defined(__APPLE__)
constexpr const char* usual_names[] = {"libLiteRt.dylib", "@rpath/libLiteRt.dylib"};
#else
constexpr const char* usual_names[] = {"libLiteRt.so", "libLiteRt.so.2"};
#endif

// The library at `path`, or at $DERM_LITERT, or the first of the usual names that is there.
std::unique_ptr<LitertFunctions> find_library(const std::string& path, std::string& name) {
    const char* set = std::getenv("DERM_LITERT");
    name = !path.empty() ? path : set != nullptr ? set : "";
    if (!name.empty()) {
        return std::make_unique<LitertFunctions>(name);
    }
    for (const char* usual : usual_names) {
        name = usual;
        try {
            return std::make_unique<LitertFunctions>(name);
        } catch (const Failure& failure) {
            if (failure.status() != DERM_RUNTIME_MISSING) {
                throw;
            }
        }
    }
    throw Failure(DERM_RUNTIME_MISSING, usual_names[0]);
}

void check(int status, derm_status failure, const std::string& what) {
    require(status == 0, failure, what + ", LiteRT's status " + std::to_string(status));
}

// Memory that LiteRT takes as a tensor: aligned, and a multiple of the alignment long.
class HostMemory {
public:
    explicit HostMemory(size_t bytes) : whole_(bytes + alignment) {
        const auto address = reinterpret_cast<std::uintptr_t>(whole_.data());
        data_ = whole_.data() + (alignment - address % alignment) % alignment;
    }
    unsigned char* data() const { return data_; }

private:
    std::vector<unsigned char> whole_;
    unsigned char* data_;
};

}  // namespace

Litert::Litert(const std::string& path) {
    functions_ = find_library(path, name_);
    const EnvironmentOption options[] = {{no_search_for_accelerators, {any_int, 1}}, {least_severity, {any_int, errors_only}}};
    check(functions_->CreateEnvironment(2, options, &environment_), DERM_RUNTIME_OTHER, name_);
}

Litert::~Litert() { functions_->DestroyEnvironment(environment_); }

// A signature's number, and its tensors with a buffer each.
struct Network::Signature {
    struct Bound {
        Bound(const LitertFunctions& functions, size_t bytes) : functions(functions), memory(bytes) {}
        ~Bound() { functions.DestroyTensorBuffer(buffer); }
        Bound(const Bound&) = delete;
        Bound& operator=(const Bound&) = delete;
        const LitertFunctions& functions;
        HostMemory memory;
        Handle buffer = nullptr;
        std::string kind;  // of an input
        size_t bytes = 0;
    };
    size_t number = 0;
    std::vector<std::unique_ptr<Bound>> inputs, outputs;
    std::vector<Handle> in, out;
};

namespace {

// One signature of a model while it is opened: what LiteRT says of a tensor, against what the manifest says.
struct Inspection {
    const LitertFunctions& functions;
    Handle signature, compiled;
    size_t number;
    const Graph& graph;

    void tensors_differ(bool same, const std::string& name) const { require(same, DERM_BUNDLE_TENSORS, graph.id + ": " + name); }

    TensorType type(bool input, size_t i, const Tensor& tensor) const {
        Handle handle = nullptr;
        TensorType found{};
        const int status = input ? functions.GetSignatureInputTensorByIndex(signature, i, &handle)
                                 : functions.GetSignatureOutputTensorByIndex(signature, i, &handle);
        check(status, DERM_RUNTIME_LOAD, graph.id);
        check(functions.GetRankedTensorType(handle, &found), DERM_RUNTIME_LOAD, graph.id);
        found.layout = layout(input, i);  // the type itself has the signature's batch, -1 at times
        std::vector<size_t> shape;
        for (unsigned k = 0; k < found.layout.rank && k < 8; ++k) {
            shape.push_back(static_cast<size_t>(found.layout.sides[k]));
        }
        int kind = 0;
        Quantization quantization{1.0F, 0};
        check(functions.GetQuantizationTypeId(handle, &kind), DERM_RUNTIME_LOAD, graph.id);
        if (found.element == type_uint8 && kind == per_tensor) {
            check(functions.GetPerTensorQuantization(handle, &quantization), DERM_RUNTIME_LOAD, graph.id);
        }
        const bool same = found.element == (tensor.floats ? type_float32 : type_uint8) && shape == tensor.shape &&
                          quantization.scale == static_cast<float>(tensor.scale) && quantization.zero_point == tensor.zero_point;
        tensors_differ(same, tensor.name);
        return found;
    }

    Layout layout(bool input, size_t i) const {
        if (input) {
            Layout found{};
            check(functions.GetCompiledModelInputTensorLayout(compiled, number, i, &found), DERM_RUNTIME_LOAD, graph.id);
            return found;
        }
        size_t count = 0;
        check(functions.GetNumSignatureOutputs(signature, &count), DERM_RUNTIME_LOAD, graph.id);
        std::vector<Layout> all(count);
        check(functions.GetCompiledModelOutputTensorLayouts(compiled, number, count, all.data(), false), DERM_RUNTIME_LOAD, graph.id);
        return all[i];
    }

    template <class Bound>
    std::unique_ptr<Bound> bind(bool input, size_t i, const Tensor& tensor) const {
        const TensorType found = type(input, i, tensor);
        Handle needs = nullptr;
        size_t bytes = 0;
        const int status = input ? functions.GetCompiledModelInputBufferRequirements(compiled, number, i, &needs)
                                 : functions.GetCompiledModelOutputBufferRequirements(compiled, number, i, &needs);
        check(status, DERM_RUNTIME_LOAD, graph.id);
        check(functions.GetTensorBufferRequirementsBufferSize(needs, &bytes), DERM_RUNTIME_LOAD, graph.id);
        bytes = std::max((std::max(bytes, tensor.bytes()) + alignment - 1) / alignment * alignment, alignment);
        auto bound = std::make_unique<Bound>(functions, bytes);
        check(functions.CreateTensorBufferFromHostMemory(&found, bound->memory.data(), bytes, nullptr, &bound->buffer),
              DERM_RUNTIME_LOAD, graph.id);
        bound->kind = tensor.kind;
        bound->bytes = tensor.bytes();
        return bound;
    }
};

// The number of the signature `key`; of the only one for nullptr; `none` without it.
size_t signature_number(const LitertFunctions& functions, Handle model, const char* key) {
    size_t count = 0;
    if (functions.GetNumModelSignatures(model, &count) != 0) {
        return none;
    }
    if (key == nullptr) {
        return count == 1 ? 0 : none;
    }
    for (size_t i = 0; i < count; ++i) {
        Handle signature = nullptr;
        const char* found = nullptr;
        if (functions.GetModelSignature(model, i, &signature) == 0 && functions.GetSignatureKey(signature, &found) == 0 &&
            found != nullptr && std::strcmp(found, key) == 0) {
            return i;
        }
    }
    return none;
}

Handle make_options(const LitertFunctions& functions, int threads, const std::string& graph) {
    Handle options = nullptr, xnnpack = nullptr;
    check(functions.CreateOptions(&options), DERM_RUNTIME_LOAD, graph);
    const std::string text = "num_threads = " + std::to_string(threads) + "\n";
    char* copy = static_cast<char*>(std::malloc(text.size() + 1));  // LiteRT frees it
    bool good = copy != nullptr && functions.SetOptionsHardwareAccelerators(options, accelerator_cpu) == 0;
    if (good) {
        std::memcpy(copy, text.c_str(), text.size() + 1);
        good = functions.CreateOpaqueOptions("xnnpack", copy, std::free, &xnnpack) == 0;
    }
    if (!good) {
        std::free(copy);
    }
    good = good && functions.AddOpaqueOptions(options, xnnpack) == 0;
    if (!good) {
        functions.DestroyOptions(options);
        throw Failure(DERM_RUNTIME_LOAD, graph);
    }
    return options;
}

}  // namespace

Network::Network(const Litert& litert, const Graph& graph, int threads) : litert_(litert), graph_(graph) {
    const LitertFunctions& functions = litert.functions();
    try {
        check(functions.CreateModelFromBuffer(litert.environment(), graph.data.data(), graph.data.size(), &model_), DERM_RUNTIME_LOAD, graph.id);
        const Handle options = make_options(functions, threads, graph.id);
        const int status = functions.CreateCompiledModel(litert.environment(), model_, options, &compiled_);
        functions.DestroyOptions(options);
        check(status, DERM_RUNTIME_LOAD, graph.id);
        answer_ = open(graph.explains ? "classify" : nullptr, true, graph.output);
        require(answer_ != nullptr, DERM_RUNTIME_LOAD, graph.id + " has no signature to classify with");
    } catch (...) {
        answer_.reset();
        if (compiled_ != nullptr) {
            functions.DestroyCompiledModel(compiled_);
        }
        if (model_ != nullptr) {
            functions.DestroyModel(model_);
        }
        throw;
    }
}

Network::~Network() {
    answer_.reset();
    evidence_.reset();
    litert_.functions().DestroyCompiledModel(compiled_);
    litert_.functions().DestroyModel(model_);
}

std::unique_ptr<Network::Signature> Network::open(const char* key, bool every_input, const Tensor& output) const {
    const LitertFunctions& functions = litert_.functions();
    auto signature = std::make_unique<Signature>();
    signature->number = signature_number(functions, model_, key);
    if (signature->number == none) {
        return nullptr;
    }
    Handle handle = nullptr;
    size_t inputs = 0, outputs = 0;
    check(functions.GetModelSignature(model_, signature->number, &handle), DERM_RUNTIME_LOAD, graph_.id);
    check(functions.GetNumSignatureInputs(handle, &inputs), DERM_RUNTIME_LOAD, graph_.id);
    check(functions.GetNumSignatureOutputs(handle, &outputs), DERM_RUNTIME_LOAD, graph_.id);
    const Inspection inspection{functions, handle, compiled_, signature->number, graph_};
    inspection.tensors_differ((every_input ? inputs == graph_.inputs.size() : inputs <= graph_.inputs.size()) && outputs == 1, "their number");
    for (size_t i = 0; i < inputs; ++i) {
        const char* name = nullptr;
        check(functions.GetSignatureInputName(handle, i, &name), DERM_RUNTIME_LOAD, graph_.id);
        const auto found = std::find_if(graph_.inputs.begin(), graph_.inputs.end(), [&](const Tensor& each) { return each.name == name; });
        inspection.tensors_differ(found != graph_.inputs.end(), name);
        signature->inputs.push_back(inspection.bind<Signature::Bound>(true, i, *found));
        signature->in.push_back(signature->inputs.back()->buffer);
    }
    const char* name = nullptr;
    check(functions.GetSignatureOutputName(handle, 0, &name), DERM_RUNTIME_LOAD, graph_.id);
    inspection.tensors_differ(output.name == name, name);
    signature->outputs.push_back(inspection.bind<Signature::Bound>(false, 0, output));
    signature->out.push_back(signature->outputs.back()->buffer);
    return signature;
}

const void* Network::run(Signature& signature, const Prepared& prepared) {
    for (const auto& input : signature.inputs) {
        std::memcpy(input->memory.data(), prepared.find(input->kind), input->bytes);
    }
    check(litert_.functions().RunCompiledModel(compiled_, signature.number, signature.in.size(), signature.in.data(),
                                               signature.out.size(), signature.out.data()),
          DERM_RUNTIME_RUN, graph_.id);
    return signature.outputs[0]->memory.data();
}

const void* Network::answer(const Prepared& prepared) { return run(*answer_, prepared); }

const void* Network::evidence(const Prepared& prepared) {
    if (evidence_ == nullptr) {
        evidence_ = open("explain", false, graph_.evidence);
        require(evidence_ != nullptr, DERM_BUNDLE_NO_SIGNATURE, graph_.id);
    }
    return run(*evidence_, prepared);
}

}  // namespace derm
