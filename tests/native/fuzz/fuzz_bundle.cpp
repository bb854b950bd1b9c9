// Any bytes as a .derm file. Checksums and digests are made right first, so that the fuzzer gets behind them.

#include <cstdint>
#include <cstring>
#include <string>

#include "derm.h"
#include "sha256.h"

namespace {

std::uint32_t u32(const std::string& data, std::size_t at) {
    std::uint32_t value = 0;
    std::memcpy(&value, data.data() + at, 4);
    return value;
}

void put(std::string& data, std::size_t at, std::uint32_t value) { std::memcpy(data.data() + at, &value, 4); }

// Where the data of each entry lie, as far as the headers make sense.
template <class Each>
void for_each_entry(std::string& data, Each each) {
    if (data.size() < 22) {
        return;
    }
    for (std::size_t at = u32(data, data.size() - 6); at + 46 <= data.size();) {
        const std::size_t name = static_cast<unsigned char>(data[at + 28]), size = u32(data, at + 24), local = u32(data, at + 42);
        if (local + 30 > data.size() || at + 46 + name > data.size()) {
            return;
        }
        const std::size_t extra = static_cast<unsigned char>(data[local + 28]), start = local + 30 + name + extra;
        if (start + size > data.size() || start + size < start) {
            return;
        }
        each(at, local, start, size, data.substr(at + 46, name));
        at += 46 + name;
    }
}

void make_right(std::string& data) {
    std::size_t manifest = 0, manifest_size = 0;
    for_each_entry(data, [&](std::size_t at, std::size_t local, std::size_t start, std::size_t size, const std::string& name) {
        if (name == "manifest.json") {
            manifest = start;
            manifest_size = size;
        } else if (manifest_size != 0) {  // its digest stands behind its name, in "files" and once more in "graphs"
            const std::string digest = derm::sha256_hex(std::string_view(data).substr(start, size));
            const std::string text = data.substr(manifest, manifest_size);
            const std::size_t files = text.find("\"" + name + "\": \"");
            if (files != text.npos && files + name.size() + 5 + 64 <= manifest_size) {
                data.replace(manifest + files + name.size() + 5, 64, digest);
            }
            const std::size_t graph = text.find("\"sha256\": \"", text.find("\"file\": \"" + name + "\""));
            if (name.compare(0, 7, "graphs/") == 0 && graph != text.npos && graph + 11 + 64 <= manifest_size) {
                data.replace(manifest + graph + 11, 64, digest);
            }
        }
        (void)at, (void)local;
    });
    for_each_entry(data, [&](std::size_t at, std::size_t local, std::size_t start, std::size_t size, const std::string&) {
        const std::uint32_t crc = derm::crc32(std::string_view(data).substr(start, size));
        put(data, at + 16, crc);
        put(data, local + 14, crc);
    });
}

void open(const std::string& data) {
    derm_options options{};
    options.struct_size = sizeof options;
    options.without_graphs = 1;
    derm_classifier* classifier = nullptr;
    derm_error error{};
    if (derm_open_memory(data.data(), data.size(), &options, &classifier, &error) == DERM_OK) {
        derm_description description{};
        derm_describe(classifier, &description, &error);
    }
    derm_close(classifier);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    std::string data(reinterpret_cast<const char*>(bytes), size);
    open(data);
    make_right(data);
    open(data);
    return 0;
}
