// Bad input at the border of derm.h: a number and a sentence, and nothing else. test_border MODEL
// With DERM_LITERT set it also runs the model; its self-test and heat map where it has them.

#include <cstddef>
#include <cstdlib>
#include <limits>
#include <thread>

#include "derm.h"
#include "vectors.h"

namespace {

const char* model = nullptr;

derm_options options_with(int threads, int routing, bool graphs, const char* litert = nullptr) {
    derm_options options{};
    options.struct_size = sizeof options;
    options.threads = threads;
    options.routing = routing;
    options.without_graphs = graphs ? 0 : 1;
    options.litert_path = litert;
    return options;
}

void refused(derm_status wanted, derm_status found, const derm_error& error, const char* what) {
    expect(found == wanted && error.status == wanted && error.text[0] != '\0',
           std::string(what) + ": " + std::to_string(static_cast<int>(found)) + " " + error.text);
}

void opening() {
    derm_error error{};
    derm_classifier* classifier = nullptr;
    const auto tried = [&](const char* path, const derm_options* options) { return derm_open(path, options, &classifier, &error); };
    const derm_options good = options_with(1, 0, false);
    refused(DERM_ARGUMENT_NULL, derm_open(model, &good, nullptr, &error), error, "nowhere to put it");
    refused(DERM_ARGUMENT_NULL, tried(nullptr, &good), error, "no path");
    refused(DERM_FILE_READ, tried("/nowhere.derm", &good), error, "no file");
    refused(DERM_FILE_READ, tried("/", &good), error, "a folder");
    refused(DERM_FILE_READ, tried("/dev/zero", &good), error, "a device");
    refused(DERM_BUNDLE_START, tried("/proc/self/exe", &good), error, "a program");
    for (const int threads : {-1, 65}) {
        const derm_options bad = options_with(threads, 0, false);
        refused(DERM_ARGUMENT_THREADS, tried(model, &bad), error, "threads");
    }
    const derm_options routing = options_with(1, 3, false), missing = options_with(1, 0, true, "/nowhere/libLiteRt.so"),
                       other = options_with(1, 0, true, "libm.so.6");
    refused(DERM_ARGUMENT_ROUTING, tried(model, &routing), error, "routing");
    refused(DERM_RUNTIME_MISSING, tried(model, &missing), error, "no LiteRT");
    refused(DERM_RUNTIME_OTHER, tried(model, &other), error, "another library");
    derm_options small = good;
    small.struct_size = 8;
    refused(DERM_ARGUMENT_STRUCT, tried(model, &small), error, "an unknown struct");
    const derm_share share{"malignant", 0.02}, nameless{nullptr, 0.02};
    derm_options prior = good;
    prior.prior_count = 1;
    refused(DERM_ARGUMENT_NULL, tried(model, &prior), error, "a prior without shares");
    prior.prior = &nameless;
    refused(DERM_ARGUMENT_NULL, tried(model, &prior), error, "a share without a node");
    prior.prior = &share;
    prior.routing = DERM_TOP;
    refused(DERM_ARGUMENT_PRIOR_ROUTING, tried(model, &prior), error, "a prior beside top");
    expect(classifier == nullptr, "nothing is opened by a failure");
    derm_options older = good;  // a program from before the prior; what lies behind its struct is not read
    older.struct_size = offsetof(derm_options, prior);
    older.prior = &nameless;
    older.prior_count = 99;
    expect(tried(model, &older) == DERM_OK, error.text);
    derm_close(classifier);
    expect(tried(model, &good) == DERM_OK && classifier != nullptr, error.text);
    derm_close(classifier);
    derm_close(nullptr);
    expect(derm_open("/nowhere", nullptr, &classifier, nullptr) == DERM_FILE_READ, "an error need not be asked for");
}

void memory() {
    const std::string file = read_file(model);
    const derm_options good = options_with(1, 0, false);
    derm_error error{};
    derm_classifier* classifier = nullptr;
    refused(DERM_ARGUMENT_NULL, derm_open_memory(nullptr, 9, &good, &classifier, &error), error, "no memory");
    for (std::size_t size : {std::size_t{0}, std::size_t{4}, std::size_t{100}, file.size() / 2, file.size() - 1}) {
        const std::vector<char> cut(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size));
        const derm_status status = derm_open_memory(cut.empty() ? "" : cut.data(), size, &good, &classifier, &error);
        expect(status >= 400 && status < 500 && classifier == nullptr, "a truncated bundle is refused");
    }
    std::vector<char> shifted(file.size() + 1);  // not aligned
    std::copy(file.begin(), file.end(), shifted.begin() + 1);
    expect(derm_open_memory(shifted.data() + 1, file.size(), &good, &classifier, &error) == DERM_OK, error.text);
    derm_close(classifier);
}

void pictures(derm_classifier* classifier) {
    static std::uint8_t pixels[64 * 64 * 4];
    static std::uint8_t out[512 * 512 * 3];
    derm_description description{};
    expect(derm_describe(classifier, &description, nullptr) == DERM_OK && description.size <= 512, "a model of a usual size");
    const std::size_t bytes = description.size * description.size * 3;
    derm_error error{};
    derm_image image{};
    const auto prepared = [&](const derm_image& given) { return derm_prepare(classifier, &given, 0, "rgb", out, bytes, &error); };
    expect(derm_image_packed(DERM_RGB, 64, 64, pixels, sizeof pixels, &image, &error) == DERM_OK && prepared(image) == DERM_OK, error.text);
    const auto changed = [&](auto change) {
        derm_image other = image;
        change(other);
        return prepared(other);
    };
    const int most = std::numeric_limits<int>::max();
    refused(DERM_IMAGE_SIZE, changed([](derm_image& i) { i.width = 0; }), error, "no width");
    refused(DERM_IMAGE_SIZE, changed([](derm_image& i) { i.height = -1; }), error, "a negative height");
    refused(DERM_IMAGE_SIZE, changed([=](derm_image& i) { i.width = i.height = most; }), error, "a huge photo");
    refused(DERM_IMAGE_SIZE, changed([](derm_image& i) { i.width = i.height = 65535; }), error, "too many pixels");
    refused(DERM_IMAGE_STRIDE, changed([](derm_image& i) { i.strides[0] = 191; }), error, "a short stride");
    refused(DERM_IMAGE_BYTES, changed([](derm_image& i) { i.strides[0] = static_cast<std::size_t>(-1); }), error, "an overflowing stride");
    refused(DERM_IMAGE_BYTES, changed([](derm_image& i) { i.bytes[0] = 64 * 64 * 3 - 1; }), error, "a byte too few");
    refused(DERM_IMAGE_FORMAT, changed([](derm_image& i) { i.format = 8; }), error, "an unknown format");
    refused(DERM_IMAGE_FORMAT, changed([](derm_image& i) { i.format = -1; }), error, "an unknown format");
    refused(DERM_IMAGE_ROTATION, changed([](derm_image& i) { i.rotation = 45; }), error, "an odd rotation");
    refused(DERM_ARGUMENT_NULL, changed([](derm_image& i) { i.planes[0] = nullptr; }), error, "no pixels");
    refused(DERM_ARGUMENT_NULL, changed([](derm_image& i) { i.format = DERM_NV21; }), error, "a plane is missing");
    refused(DERM_ARGUMENT_STRUCT, changed([](derm_image& i) { i.struct_size = 0; }), error, "an unknown struct");
    refused(DERM_IMAGE_BYTES, derm_image_packed(DERM_RGBA, 65, 64, pixels, sizeof pixels, &image, &error), error, "packed");
    refused(DERM_ARGUMENT_BYTES, derm_prepare(classifier, &image, 0, "rgb", out, bytes - 1, &error), error, "out too small");
    refused(DERM_ARGUMENT_GRAPH, derm_prepare(classifier, &image, 0, "depth", out, bytes, &error), error, "an unknown input");
    refused(DERM_ARGUMENT_NULL, derm_prepare(classifier, nullptr, 0, "rgb", out, bytes, &error), error, "no image");
    refused(DERM_ARGUMENT_SKIN_TYPE, derm_prepare(classifier, &image, 7, "skin_type", out, 7, &error), error, "a seventh skin type");
}

void results(derm_classifier* classifier) {
    derm_error error{};
    derm_result* result = nullptr;
    static std::uint8_t pixels[3];
    derm_image image{};
    derm_prediction prediction{};
    derm_image_packed(DERM_RGB, 1, 1, pixels, sizeof pixels, &image, &error);
    refused(DERM_ARGUMENT_NO_GRAPHS, derm_classify(classifier, &image, 0, DERM_AS_OPENED, &result, &error), error, "without graphs");
    refused(DERM_ARGUMENT_NULL, derm_classify(nullptr, &image, 0, DERM_AS_OPENED, &result, &error), error, "no handle");
    expect(derm_result_json(nullptr, nullptr) == nullptr && derm_result_count(nullptr, 0) == 0 && derm_result_refer(nullptr) == 0 &&
               derm_result_reason(nullptr, 0) == nullptr && derm_result_answer(nullptr, &prediction) == 0 &&
               derm_result_prediction(nullptr, 0, 0, &prediction) == DERM_ARGUMENT_NULL && derm_level_name(nullptr, 0) == nullptr,
           "no result gives nothing");
    derm_result_free(nullptr);
    derm_heat_free(nullptr);
    derm_description description{};
    derm_describe(classifier, &description, nullptr);
    const std::vector<std::uint8_t> rgb(description.size * description.size * 3);
    const std::uint8_t number = 0;
    derm_output output{"nobody", &number, 1};
    refused(DERM_ARGUMENT_NULL, derm_set_prior(classifier, nullptr, 3, &error), error, "no shares");
    refused(DERM_ARGUMENT_NULL, derm_set_prior(nullptr, nullptr, 0, &error), error, "no handle");
    refused(DERM_ARGUMENT_GRAPH, derm_answer(classifier, rgb.data(), rgb.size(), 9, 9, 0, DERM_ALL, &output, 1, &result, &error), error, "another graph");
    refused(DERM_ARGUMENT_GRAPH, derm_answer(classifier, rgb.data(), rgb.size(), 9, 9, 0, DERM_ALL, &output, 0, &result, &error), error, "no root");
    refused(DERM_ARGUMENT_BYTES, derm_answer(classifier, rgb.data(), 3, 9, 9, 0, DERM_ALL, &output, 0, &result, &error), error, "another size");
}

// With LiteRT: classify, self-test, explain, many handles in many threads.
void running() {
    derm_error error{};
    derm_classifier* classifier = nullptr;
    expect(derm_open(model, nullptr, &classifier, &error) == DERM_OK, error.text);
    if (classifier == nullptr) {
        return;
    }
    derm_selftest_report report{};
    if (derm_selftest(classifier, &report, &error) != DERM_OK) {
        expect(error.status == DERM_BUNDLE_NO_SELFTEST, error.text);
    } else {
        expect(report.inputs.identical > 0 && report.inputs.different == 0 && report.outputs.different == 0 &&
                   report.probabilities.identical > 0 && report.probabilities.different == 0 && report.whole_way.different == 0,
               std::string("self-test: ") + report.note);
    }
    std::vector<std::uint8_t> pixels(200 * 100 * 3);
    for (std::size_t k = 0; k < pixels.size(); ++k) {
        pixels[k] = byte(1, static_cast<std::uint32_t>(k / 300));
    }
    derm_image image{};
    derm_image_packed(DERM_RGB, 200, 100, pixels.data(), pixels.size(), &image, &error);
    const auto json = [&](derm_classifier* handle) {
        derm_result* result = nullptr;
        derm_classify(handle, &image, 3, DERM_AS_OPENED, &result, nullptr);
        const std::string text = result == nullptr ? "" : derm_result_json(result, nullptr);
        derm_result_free(result);
        return text;
    };
    const std::string wanted = json(classifier);
    std::vector<std::thread> threads;
    std::vector<std::string> found(4);
    for (std::string& text : found) {
        threads.emplace_back([&] {
            derm_classifier* own = nullptr;
            derm_open(model, nullptr, &own, nullptr);
            text = json(own) == json(own) ? json(own) : "";
            derm_close(own);
        });
    }
    for (std::thread& each : threads) {
        each.join();
    }
    for (const std::string& text : found) {
        expect(!text.empty() && text == wanted, "handles in threads agree");
    }
    derm_heat* heat = nullptr;
    derm_explanation explanation{};
    derm_description description{};
    derm_describe(classifier, &description, nullptr);
    const derm_status unknown = derm_explain(classifier, &image, 0, "nowhere", &heat, &error);
    refused(description.explains ? DERM_ARGUMENT_NODE : DERM_ARGUMENT_NO_EXPLAIN, unknown, error, "an unknown node");
    const bool explained = derm_explain(classifier, &image, 0, nullptr, &heat, &error) == DERM_OK;
    expect(explained == (description.explains == 1), error.text);
    derm_close(classifier);  // a heat map outlives its classifier
    if (explained) {
        expect(derm_heat_explanation(heat, &explanation) == DERM_OK && explanation.rows > 1 && explanation.heat[0] >= 0, "a heat map");
    }
    derm_heat_free(heat);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        return 2;
    }
    model = argv[1];
    opening();
    memory();
    const derm_options options = options_with(1, 0, false);
    derm_classifier* classifier = nullptr;
    if (derm_open(model, &options, &classifier, nullptr) == DERM_OK) {
        pictures(classifier);
        results(classifier);
    }
    derm_close(classifier);
    const char* litert = std::getenv("DERM_LITERT");
    if (litert != nullptr && *litert != '\0') {
        running();
    }
    return failures == 0 ? 0 : 1;
}
