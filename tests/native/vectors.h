// What the tests need of tests/vectors: files, hex, base64, the generator of bytes.

#ifndef DERM_TEST_VECTORS_H
#define DERM_TEST_VECTORS_H

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "json.h"

inline int failures = 0;

inline void expect(bool condition, const std::string& what) {
    if (!condition) {
        ++failures;
        std::fprintf(stderr, "FAILED: %s\n", what.c_str());
    }
}

inline std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string data{std::istreambuf_iterator<char>(file), {}};
    expect(!data.empty(), "read " + path);
    return data;
}

inline derm::Json read_vectors(const std::string& folder, const std::string& name) {
    return derm::read_json(read_file(folder + "/" + name), name);
}

inline std::string from_hex(const std::string& text) {
    std::string bytes;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
        bytes += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
    }
    return bytes;
}

inline std::string from_base64(const std::string& text) {
    static const std::string letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string bytes;
    std::uint32_t bits = 0;
    int count = 0;
    for (const char c : text) {
        const std::size_t value = letters.find(c);
        if (value == letters.npos) {
            break;  // the padding
        }
        bits = bits << 6 | static_cast<std::uint32_t>(value);
        count += 6;
        if (count >= 8) {
            count -= 8;
            bytes += static_cast<char>(bits >> count & 255);
        }
    }
    return bytes;
}

inline double from_bits(const std::string& hex) {
    const std::uint64_t bits = std::stoull(hex, nullptr, 16);
    double value = 0;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

inline std::string bits_of(double value) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(bits));
    return text;
}

inline std::uint8_t byte(std::uint32_t seed, std::uint32_t k) {
    std::uint32_t x = seed + k;
    x ^= x >> 16;
    x *= 0x7feb352dU;
    x ^= x >> 15;
    x *= 0x846ca68bU;
    x ^= x >> 16;
    return static_cast<std::uint8_t>(x & 255);
}

inline std::size_t index_in(const derm::Json& list, const std::string& text) {
    std::size_t i = 0;
    while (i < list.items().size() && list.items()[i].text() != text) {
        ++i;
    }
    return i;
}

#endif
