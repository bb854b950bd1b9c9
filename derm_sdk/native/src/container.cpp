#include "container.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "failure.h"
#include "sha256.h"

namespace derm {
namespace {

using std::size_t;
using std::uint32_t;

constexpr size_t alignment = 64, max_entries = 256, max_name = 200;
constexpr size_t local_size = 30, central_size = 46, end_size = 22;

// Reads numbers from a place that was checked to lie inside the file.
struct Fields {
    std::string_view bytes;
    uint32_t u16(size_t at) const { return byte(at) | byte(at + 1) << 8; }
    uint32_t u32(size_t at) const { return u16(at) | u16(at + 2) << 16; }

private:
    uint32_t byte(size_t at) const { return static_cast<unsigned char>(bytes[at]); }
};

std::string number(uint32_t value, int bytes) {
    std::string text;
    for (int i = 0; i < bytes; ++i) {
        text += static_cast<char>(value >> (8 * i));
    }
    return text;
}

bool starts_well(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; }

bool is_part(std::string_view part) {
    return !part.empty() && starts_well(part[0]) &&
           std::all_of(part.begin(), part.end(), [](char c) { return starts_well(c) || c == '.'; });
}

bool is_name(std::string_view name) {
    if (name.size() > max_name || name.find("..") != name.npos) {
        return false;
    }
    const size_t slash = name.find('/');
    return is_part(name.substr(0, slash)) && (slash == name.npos || is_part(name.substr(slash + 1)));
}

// The only two headers that an entry may have: the one before its data, with name and padding, and the listed one.
std::string own_header(std::string_view name, uint32_t crc, uint32_t size, uint32_t offset) {
    const size_t before = size_t{offset} + local_size + name.size() + 6;
    const auto padding = static_cast<uint32_t>((alignment - before % alignment) % alignment);
    const std::string sizes = number(crc, 4) + number(size, 4) + number(size, 4);
    std::string header = "PK\3\4" + number(20, 2) + std::string(6, '\0') + number(33, 2) + sizes;
    header += number(static_cast<uint32_t>(name.size()), 2) + number(6 + padding, 2);
    header += std::string(name) + number(0xD935, 2) + number(2 + padding, 2) + number(alignment, 2);
    return header + std::string(padding, '\0');
}

std::string listed_header(std::string_view name, uint32_t crc, uint32_t size, uint32_t offset) {
    const std::string sizes = number(crc, 4) + number(size, 4) + number(size, 4);
    std::string header = "PK\1\2" + number(20, 2) + number(20, 2) + std::string(6, '\0') + number(33, 2) + sizes;
    header += number(static_cast<uint32_t>(name.size()), 2) + std::string(12, '\0') + number(offset, 4);
    return header + std::string(name);
}

// Compares an entry's own header with the table of contents, and names what differs.
void check_local(std::string_view data, size_t offset, size_t limit, const std::string& name, const Fields& listed) {
    require(offset + local_size <= limit, DERM_BUNDLE_REACHES, name);
    const Fields own{data.substr(offset, local_size)};
    const bool same = own.u16(6) == listed.u16(8) && own.u16(8) == listed.u16(10) && own.u32(14) == listed.u32(16) &&
                      own.u32(18) == listed.u32(20) && own.u32(22) == listed.u32(24);
    const size_t name_length = own.u16(26), extra_length = own.u16(28);
    const bool named = data.substr(offset + local_size, name_length) == name;
    require(own.bytes.substr(0, 4) == "PK\3\4" && same && named, DERM_BUNDLE_HEADERS, name);
    require((offset + local_size + name_length + extra_length) % alignment == 0, DERM_BUNDLE_ALIGNMENT, name);
}

// The end record, checked: (number of entries, start of the table of contents).
std::pair<size_t, size_t> read_end(std::string_view data) {
    require(data.substr(0, 4) == "PK\3\4", DERM_BUNDLE_START);
    require(data.size() >= end_size, DERM_BUNDLE_END);
    const Fields end{data.substr(data.size() - end_size)};
    require(end.bytes.substr(0, 4) == std::string_view("PK\5\6", 4), DERM_BUNDLE_END);
    const size_t count = end.u16(10);
    const bool plain = end.u16(4) == 0 && end.u16(6) == 0 && end.u16(20) == 0 && end.u16(8) == count;
    require(plain && count >= 1 && count <= max_entries, DERM_BUNDLE_TABLE, std::to_string(count) + " entries");
    require(size_t{end.u32(16)} + end.u32(12) == data.size() - end_size, DERM_BUNDLE_TABLE_PLACE);
    return {count, end.u32(16)};
}

}  // namespace

std::vector<Entry> unpack(std::string_view data) {
    const auto [count, table] = read_end(data);
    const size_t table_end = data.size() - end_size;
    std::vector<Entry> entries;
    size_t place = table, expected = 0;
    for (size_t i = 0; i < count; ++i) {
        require(place + central_size <= table_end, DERM_BUNDLE_TABLE_CUT);
        const Fields listed{data.substr(place, central_size)};
        const uint32_t flags = listed.u16(8), crc = listed.u32(16), size = listed.u32(24), offset = listed.u32(42);
        const size_t name_length = listed.u16(28);
        const std::string name(data.substr(place + central_size, name_length));
        require(is_name(name), DERM_BUNDLE_NAME);
        const bool bare = listed.u16(30) == 0 && listed.u16(32) == 0;
        require(listed.bytes.substr(0, 4) == "PK\1\2" && bare, DERM_BUNDLE_OTHER_TOOL, name);
        require((flags & 1) == 0, DERM_BUNDLE_ENCRYPTED, name);
        require(listed.u16(10) == 0 && listed.u32(20) == size, DERM_BUNDLE_COMPRESSED, name);
        require(flags == 0, DERM_BUNDLE_FLAGS, name);
        const std::string wanted = listed_header(name, crc, size, offset);
        require(data.substr(place, central_size + name_length) == wanted, DERM_BUNDLE_OTHER_TOOL, name);
        place += wanted.size();
        const bool twice = std::any_of(entries.begin(), entries.end(), [&](const Entry& e) { return e.name == name; });
        require(!twice, DERM_BUNDLE_TWICE, name);
        require(offset == expected, DERM_BUNDLE_OVERLAP, name);
        check_local(data, offset, table, name, listed);
        const std::string own = own_header(name, crc, size, offset);
        require(data.substr(offset, own.size()) == own, DERM_BUNDLE_OTHER_TOOL, name);
        const size_t start = offset + own.size();
        expected = start + size;
        require(expected <= table, DERM_BUNDLE_REACHES, name);
        require(crc32(data.substr(start, size)) == crc, DERM_BUNDLE_CHECKSUM, name);
        entries.push_back({name, data.substr(start, size)});
    }
    require(expected == table && place == table_end, DERM_BUNDLE_BYTES);
    return entries;
}

}  // namespace derm
