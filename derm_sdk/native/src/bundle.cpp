#include "bundle.h"

#include <algorithm>
#include <array>
#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <set>

#include "container.h"
#include "failure.h"
#include "sha256.h"

namespace derm {
namespace {

using std::size_t;
using Type = Json::Type;
using Entries = std::vector<Entry>;

constexpr const char* text_entries[] = {"taxonomy.json", "calibration.json", "card.md", "licence.txt"};
constexpr double most_photos = 1e15;  // of a label
constexpr const char* fits[] = {"stretch", "crop", "pad"};
constexpr const char* kinds[] = {"two_step", "multi_input", "hierarchical", "flat"};

const Json& field(const Json& row, const char* name) {
    const Json* found = row.find(name);
    require(found != nullptr, DERM_BUNDLE_FIELD, name);
    return *found;
}

std::string_view entry(const Entries& entries, const std::string& name) {
    const auto found = std::find_if(entries.begin(), entries.end(), [&](const Entry& e) { return e.name == name; });
    return found->data;  // its presence was checked with the digests
}

void check_format(const Json& manifest) {
    require(manifest.is(Type::object), DERM_BUNDLE_OBJECT);
    const Json* format = manifest.find("format");
    require(format != nullptr && format->is(Type::whole), DERM_BUNDLE_NO_FORMAT);
    require(format->number() == 1, DERM_BUNDLE_FORMAT, "this version reads 1");
}

void check_digests(const Json& manifest, const Entries& entries) {
    const Json* files = manifest.find("files");
    require(files != nullptr && files->is(Type::object), DERM_BUNDLE_FILES);
    std::set<std::string> listed(files->names().begin(), files->names().end()), there;
    for (size_t i = 1; i < entries.size(); ++i) {
        there.insert(entries[i].name);
    }
    require(listed == there, DERM_BUNDLE_FILES);
    for (const char* name : text_entries) {
        require(there.count(name) == 1, DERM_BUNDLE_FILES, name);
    }
    for (size_t i = 1; i < entries.size(); ++i) {
        const Json& digest = *files->find(entries[i].name);
        require(digest.is(Type::text) && digest.text() == sha256_hex(entries[i].data), DERM_BUNDLE_DIGEST, entries[i].name);
    }
}

void read_preprocessing(const Json& row, Bundle& bundle) {
    const Json &size = field(row, "size"), &fit = field(row, "fit"), &decode = field(row, "decode"),
               &version = field(row, "version");
    const bool sized = size.is(Type::whole) && size.number() >= 1 && size.number() <= double{max_size};
    require(sized, DERM_BUNDLE_PREPROCESSING, "size");
    bundle.size = static_cast<size_t>(size.number());
    const auto found = std::find_if(std::begin(fits), std::end(fits), [&](const char* each) { return fit.is(Type::text) && fit.text() == each; });
    require(found != std::end(fits), DERM_BUNDLE_PREPROCESSING, "fit");
    bundle.fit = static_cast<Fit>(found - std::begin(fits));
    bundle.fit_name = *found;
    // Which of the two is the business of whoever decodes JPEG files; the library is handed pixels.
    const bool decoded = decode.is(Type::text) && (decode.text() == "full" || decode.text() == "reduced");
    require(decoded, DERM_BUNDLE_PREPROCESSING, "decode");
    require(version.is_number() && version.number() == preprocessing_version, DERM_BUNDLE_PREPROCESSING, "version");
}

bool is_whole(const Json& value, double least, double most) {
    return value.is(Type::whole) && value.number() >= least && value.number() <= most;
}

Tensor read_tensor(const Json& row, const std::string& kind, const std::string& graph) {
    const Json &name = field(row, "name"), &shape = field(row, "shape"), &dtype = field(row, "dtype"),
               &scale = field(row, "scale"), &zero_point = field(row, "zero_point");
    require(shape.is(Type::list) || shape.is(Type::text) || shape.is(Type::object), DERM_BUNDLE_FIELD, "shape");
    bool good = shape.is(Type::list) && name.is(Type::text) && dtype.is(Type::text);
    Tensor tensor;
    if (good) {
        tensor.name = name.text();
        tensor.kind = kind;
        tensor.floats = dtype.text() == "float32";
        good = tensor.floats || dtype.text() == "uint8";
        for (const Json& side : shape.items()) {
            // A side that is no size fits no tensor: every shape is compared with the one it must have.
            good = good && side.is(Type::whole);
            tensor.shape.push_back(is_whole(side, 0, 1e9) ? static_cast<size_t>(side.number()) : none);
        }
    }
    good = good && scale.is_number() && scale.number() >= double{FLT_MIN} && scale.number() <= double{FLT_MAX} &&
           is_whole(zero_point, 0, 255) && (!tensor.floats || (scale.number() == 1 && zero_point.number() == 0));
    require(good, DERM_BUNDLE_TENSOR, graph);
    tensor.scale = scale.number();
    tensor.zero_point = static_cast<int>(zero_point.number());
    return tensor;
}

std::vector<size_t> input_shape(const std::string& kind, size_t size) {
    if (kind == "skin_type") {
        return {1, 7};
    }
    return {1, size, size, kind == "rgb" || kind == "stretched" ? size_t{3} : size_t{1}};
}

void check_inputs(const Graph& graph, size_t size) {
    std::set<std::string> taken;
    for (const Tensor& tensor : graph.inputs) {
        require(input_bytes(tensor.kind, size) != 0, DERM_BUNDLE_INPUT_KIND, tensor.kind);
        require(!tensor.floats && tensor.scale == 1 && tensor.zero_point == 0, DERM_BUNDLE_INPUT_TYPE, tensor.name);
        require(tensor.shape == input_shape(tensor.kind, size), DERM_BUNDLE_INPUT_SHAPE, tensor.name);
    }
    for (const Tensor& tensor : graph.inputs) {
        require(taken.insert(tensor.kind).second, DERM_BUNDLE_INPUT_TWICE, graph.id);
    }
}

void check_outputs(const Graph& graph, size_t labels, size_t size) {
    const bool fits = !graph.inputs.empty() && graph.output.shape == std::vector<size_t>{1, labels};
    require(fits, DERM_BUNDLE_OUTPUT_SHAPE, graph.id);
    if (graph.explains) {
        const std::vector<size_t>& map = graph.evidence.shape;
        const bool is_map = map.size() == 4 && map[0] == 1 && map[3] == labels && map[1] >= 1 && map[1] <= size &&
                            map[2] >= 1 && map[2] <= size;
        require(is_map, DERM_BUNDLE_EVIDENCE, graph.id);
    }
}

std::vector<size_t> read_labels(const Json& labels, const Taxonomy& taxonomy) {
    std::vector<size_t> found;
    require(labels.is(Type::list), DERM_BUNDLE_FIELD, "labels");
    for (const Json& label : labels.items()) {
        require(!label.is(Type::list) && !label.is(Type::object), DERM_BUNDLE_FIELD, "labels");
        found.push_back(label.is(Type::text) ? taxonomy.find(label.text()) : none);
    }
    return found;
}

void read_graph(const Json& row, Bundle& bundle, std::vector<Head>& heads) {
    const Json &id = field(row, "id"), &file = field(row, "file"), &given = field(row, "given"),
               &labels = field(row, "labels"), &outputs = field(row, "outputs");
    const std::vector<size_t> nodes = read_labels(labels, bundle.taxonomy);
    require(id.is(Type::text) && file.is(Type::text), DERM_BUNDLE_FIELD, "a graph's id and file");
    require(given.is(Type::null) || given.is(Type::text), DERM_BUNDLE_FIELD, "given");
    require(outputs.is(Type::list), DERM_BUNDLE_FIELD, "outputs");
    require(outputs.items().size() == 1, DERM_BUNDLE_OUTPUTS, id.text());
    Graph graph;
    graph.id = id.text();
    graph.file = file.text();
    const Json& inputs = field(row, "inputs");
    require(inputs.is(Type::list), DERM_BUNDLE_FIELD, "inputs");
    for (const Json& input : inputs.items()) {
        const Json& kind = field(input, "kind");
        graph.inputs.push_back(read_tensor(input, kind.is(Type::text) ? kind.text() : "", graph.id));
    }
    graph.output = read_tensor(outputs.items()[0], "", graph.id);
    check_inputs(graph, bundle.size);
    const Json* explain = row.find("explain");
    require(graph.inputs.size() > 0 && graph.output.shape == std::vector<size_t>{1, nodes.size()}, DERM_BUNDLE_OUTPUT_SHAPE, graph.id);
    if (explain != nullptr && !explain->is(Type::null)) {
        graph.explains = true;
        graph.evidence = read_tensor(*explain, "", graph.id);
    }
    check_outputs(graph, nodes.size(), bundle.size);
    field(row, "sha256");
    const size_t known = given.is(Type::null) ? none : bundle.taxonomy.find(given.text());
    heads.push_back({graph.id, given.is(Type::text) && known == none ? Composition::unknown : known, nodes});
    bundle.graphs.push_back(std::move(graph));
}

void read_texts(const Json& manifest, Bundle& bundle) {
    const Json& kind = field(manifest, "kind");
    bool good = std::any_of(std::begin(kinds), std::end(kinds), [&](const char* each) { return kind.is(Type::text) && kind.text() == each; });
    std::string ignored;
    const std::pair<const char*, std::string*> texts[] = {
        {"id", &bundle.id}, {"name", &bundle.name}, {"version", &bundle.version}, {"created_with", &ignored},
        {"kind", &bundle.kind}, {"licence", &bundle.licence}, {"intended_use", &bundle.intended_use}};
    for (const auto& [name, text] : texts) {
        const Json& found = field(manifest, name);
        good = good && found.is(Type::text);
        *text = found.is(Type::text) ? found.text() : "";
    }
    require(good, DERM_BUNDLE_KIND);
}

void check_graph_files(const Json& manifest, const Entries& entries, Bundle& bundle) {
    const Json& files = *manifest.find("files");
    const auto& rows = manifest.find("graphs")->items();
    std::set<std::string> described, there;
    for (size_t i = 0; i < bundle.graphs.size(); ++i) {
        const Json* listed = files.find(bundle.graphs[i].file);
        const Json* own = rows[i].find("sha256");
        const bool same = listed == nullptr ? own->is(Type::null) : own->is(Type::text) && own->text() == listed->text();
        require(same, DERM_BUNDLE_TWO_DIGESTS, bundle.graphs[i].id);
        described.insert(bundle.graphs[i].file);
    }
    for (const Entry& each : entries) {
        if (each.name.compare(0, 7, "graphs/") == 0) {
            there.insert(each.name);
        }
    }
    require(described == there, DERM_BUNDLE_GRAPHS);
    for (Graph& graph : bundle.graphs) {
        graph.data = entry(entries, graph.file);
    }
}

void read_warnings(const Json& manifest, Bundle& bundle) {
    const Json* parity = manifest.find("parity");
    const Json* broken = parity == nullptr ? nullptr : parity->find("broken");
    std::string sentences;
    bool any = false;
    if (broken != nullptr && broken->is(Type::list)) {
        for (const Json& each : broken->items()) {
            if (each.is(Type::text)) {
                sentences += (any ? "; " : "") + each.text();
                any = true;
            }
        }
    }
    if (any) {
        bundle.warnings.push_back("the converted model does not answer as the trained one: " + sentences);
    }
}

// What a prior needs (prior.cpp). A bundle that does not tell it is sound all the same.
void read_photos(const Json& manifest, Bundle& bundle) {
    const Json* training = manifest.find("training");
    const Json* counts = training == nullptr ? nullptr : training->find("photos_by_condition");
    if (counts == nullptr || !counts->is(Type::object)) {
        return;
    }
    const std::vector<Node>& nodes = bundle.taxonomy.nodes();
    std::vector<double> photos(nodes.size(), 0.0);
    for (const size_t leaf : bundle.taxonomy.at(bundle.taxonomy.levels().size() - 1)) {
        const Json* count = counts->find(nodes[leaf].id);
        if (count != nullptr && !(count->is_number() && count->number() >= 0 && count->number() < most_photos)) {
            return;
        }
        photos[leaf] = count == nullptr ? 0.0 : count->number();
    }
    bundle.photos = std::move(photos);
}

void collect(const Entries& entries, Bundle& bundle) {
    for (const Graph& graph : bundle.graphs) {
        for (const Tensor& tensor : graph.inputs) {
            if (std::find(bundle.kinds.begin(), bundle.kinds.end(), tensor.kind) == bundle.kinds.end()) {
                bundle.kinds.push_back(tensor.kind);
            }
        }
    }
    for (size_t i = 1; i < entries.size(); ++i) {
        bundle.attachments[entries[i].name] = entries[i].data;
    }
}

}  // namespace

size_t Tensor::count() const {
    size_t count = 1;
    for (const size_t side : shape) {
        count *= side;
    }
    return count;
}

std::vector<double> Tensor::real_values(const void* stored) const {
    std::vector<double> values(count());
    for (size_t i = 0; i < values.size(); ++i) {
        float number = 0;
        if (floats) {
            std::memcpy(&number, static_cast<const char*>(stored) + 4 * i, 4);
        } else {
            number = static_cast<const std::uint8_t*>(stored)[i];
        }
        values[i] = (double{number} - zero_point) * scale;
    }
    return values;
}

bool Bundle::explains() const {
    return std::any_of(graphs.begin(), graphs.end(), [](const Graph& graph) { return graph.explains; });
}

size_t input_bytes(const std::string& kind, size_t size) {
    if (std::find(input_kinds.begin(), input_kinds.end(), kind) == input_kinds.end()) {
        return 0;
    }
    const std::vector<size_t> shape = input_shape(kind, size);
    return shape.size() == 2 ? 7 : size * size * shape[3];
}

void read_bundle(std::string_view data, Bundle& bundle) {
    const Entries entries = unpack(data);
    require(entries[0].name == "manifest.json", DERM_BUNDLE_FIRST);
    const Json manifest = read_json(entries[0].data, "manifest.json");
    check_format(manifest);
    check_digests(manifest, entries);
    bundle.taxonomy = Taxonomy(read_json(entry(entries, "taxonomy.json"), "taxonomy.json"));
    bundle.calibration = Calibration::read(read_json(entry(entries, "calibration.json"), "calibration.json"));
    read_preprocessing(field(manifest, "preprocessing"), bundle);
    const Json& graphs = field(manifest, "graphs");
    require(graphs.is(Type::list), DERM_BUNDLE_FIELD, "graphs");
    std::vector<Head> heads;
    for (const Json& row : graphs.items()) {
        read_graph(row, bundle, heads);
    }
    bundle.composition = Composition(&bundle.taxonomy, std::move(heads));
    read_texts(manifest, bundle);
    for (const char* name : {"card.md", "licence.txt"}) {
        require(is_utf8(entry(entries, name)), DERM_BUNDLE_UTF8, name);
    }
    check_graph_files(manifest, entries, bundle);
    bundle.calibration.check(bundle.composition);
    read_warnings(manifest, bundle);
    read_photos(manifest, bundle);
    collect(entries, bundle);
    bundle.digest = sha256_hex(entries[0].data);
    bundle.size_bytes = data.size();
}

}  // namespace derm
