#include "json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "failure.h"

namespace derm {
namespace {

// value = text, which is a number by JSON's grammar; infinity when it overflows.
double parse_number(std::string_view text) {
#if defined(__cpp_lib_to_chars)  // complete: with from_chars for double, which knows no locale
    double value = 0.0;
    const auto found = std::from_chars(text.data(), text.data() + text.size(), value);
    if (found.ec == std::errc{}) {
        return value;
    }
    // Out of range, one way or the other: at the end of the digits before the point, is anything there but zeros?
    std::int64_t magnitude = 0, exponent = 0;
    bool point = false, seen = false;
    std::size_t at = 0;
    for (; at < text.size() && text[at] != 'e' && text[at] != 'E'; ++at) {
        const char c = text[at];
        point = point || c == '.';
        if (c < '0' || c > '9') {
            continue;
        }
        seen = seen || c != '0';
        magnitude += seen && !point ? 1 : 0;
        magnitude -= !seen && point ? 1 : 0;
    }
    if (at < text.size()) {
        const bool negative = text[at + 1] == '-';
        for (++at; at < text.size(); ++at) {
            if (text[at] >= '0' && text[at] <= '9') {
                exponent = std::min<std::int64_t>(exponent * 10 + (text[at] - '0'), std::int64_t{1} << 40);
            }
        }
        exponent = negative ? -exponent : exponent;
    }
    return seen && magnitude + exponent > 0 ? HUGE_VAL : 0.0;
#else  // a program that sets a locale with another decimal point must not read numbers with it
    return std::strtod(std::string(text).c_str(), nullptr);
#endif
}

void append_utf8(std::string& out, std::uint32_t code) {
    if (code < 0x80) {
        out += static_cast<char>(code);
    } else if (code < 0x800) {
        out += static_cast<char>(0xC0 | (code >> 6));
        out += static_cast<char>(0x80 | (code & 63));
    } else if (code < 0x10000) {
        out += static_cast<char>(0xE0 | (code >> 12));
        out += static_cast<char>(0x80 | ((code >> 6) & 63));
        out += static_cast<char>(0x80 | (code & 63));
    } else {
        out += static_cast<char>(0xF0 | (code >> 18));
        out += static_cast<char>(0x80 | ((code >> 12) & 63));
        out += static_cast<char>(0x80 | ((code >> 6) & 63));
        out += static_cast<char>(0x80 | (code & 63));
    }
}

}  // namespace

class JsonReader {
public:
    JsonReader(std::string_view data, const std::string& name) : data_(data), name_(name) {}

    Json document() {
        Json value = read(0);
        skip_space();
        check(at_ == data_.size());
        return value;
    }

private:
    void check(bool condition) const { require(condition, DERM_BUNDLE_JSON, name_); }
    char peek() const { return at_ < data_.size() ? data_[at_] : '\0'; }
    void skip_space() {
        while (at_ < data_.size() && std::strchr(" \t\n\r", data_[at_]) != nullptr && data_[at_] != '\0') {
            ++at_;
        }
    }
    bool take(std::string_view word) {
        if (data_.substr(at_, word.size()) != word) {
            return false;
        }
        at_ += word.size();
        return true;
    }

    Json read(std::size_t depth) {
        skip_space();
        check(++count_ <= max_json_values);
        Json value;
        switch (peek()) {
            case '{':
            case '[':
                check(depth < max_json_depth);
                value.inner_ = std::make_unique<Json::Inner>();
                data_[at_] == '{' ? read_object(value, depth) : read_list(value, depth);
                return value;
            case '"':
                value.type_ = Json::Type::text;
                value.inner_ = std::make_unique<Json::Inner>();
                value.inner_->text = read_text();
                return value;
            default:
                read_word(value);
                return value;
        }
    }

    void read_object(Json& value, std::size_t depth) {
        value.type_ = Json::Type::object;
        ++at_;
        skip_space();
        if (take("}")) {
            return;
        }
        do {
            skip_space();
            check(peek() == '"');
            value.inner_->names.push_back(read_text());
            skip_space();
            check(take(":"));
            value.inner_->items.push_back(read(depth + 1));
            skip_space();
        } while (take(","));
        check(take("}"));
        std::vector<std::string_view> names(value.inner_->names.begin(), value.inner_->names.end());
        std::sort(names.begin(), names.end());
        require(std::adjacent_find(names.begin(), names.end()) == names.end(), DERM_BUNDLE_FIELD_TWICE, name_);
    }

    void read_list(Json& value, std::size_t depth) {
        value.type_ = Json::Type::list;
        ++at_;
        skip_space();
        if (take("]")) {
            return;
        }
        do {
            value.inner_->items.push_back(read(depth + 1));
            skip_space();
        } while (take(","));
        check(take("]"));
    }

    void read_word(Json& value) {
        if (take("null")) {
            return;
        }
        const bool truth = take("true");
        if (truth || take("false")) {
            value.type_ = Json::Type::boolean;
            value.number_ = truth ? 1.0 : 0.0;
            return;
        }
        require(!take("NaN") && !take("Infinity") && !take("-Infinity"), DERM_BUNDLE_FINITE, name_);
        read_number(value);
    }

    bool digits() {
        const std::size_t start = at_;
        while (peek() >= '0' && peek() <= '9') {
            ++at_;
        }
        return at_ > start;
    }

    void read_number(Json& value) {
        const std::size_t start = at_;
        take("-");
        check(take("0") || digits());
        value.type_ = Json::Type::whole;
        std::size_t end = at_;  // Python's grammar: what follows and is no fraction or exponent is not part of the number
        if (take(".") && digits()) {
            value.type_ = Json::Type::real;
            end = at_;
        }
        at_ = end;
        if (take("e") || take("E")) {
            if (!take("-")) {
                take("+");
            }
            if (digits()) {
                value.type_ = Json::Type::real;
                end = at_;
            }
        }
        at_ = end;
        value.number_ = parse_number(data_.substr(start, end - start));
        require(std::isfinite(value.number_), DERM_BUNDLE_FINITE, name_);
        if (value.is(Json::Type::whole) && value.number_ == 0.0) {
            value.number_ = 0.0;  // -0 as a whole number has no sign
        }
    }

    std::uint32_t four_hex() {
        check(at_ + 4 <= data_.size());
        std::uint32_t code = 0;
        for (int i = 0; i < 4; ++i) {
            const char c = data_[at_++];
            const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
            check(digit >= 0);
            code = code * 16 + static_cast<std::uint32_t>(digit);
        }
        return code;
    }

    std::string read_text() {
        std::string text;
        for (++at_;; ) {
            const std::size_t start = at_;
            while (at_ < data_.size() && data_[at_] != '"' && data_[at_] != '\\' && static_cast<unsigned char>(data_[at_]) >= 32) {
                ++at_;
            }
            text.append(data_.substr(start, at_ - start));
            if (take("\"")) {
                return text;
            }
            check(take("\\") && at_ < data_.size());
            read_escape(text);
        }
    }

    void read_escape(std::string& text) {
        static constexpr char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
        const char c = data_[at_++];
        if (c != 'u') {
            const char* found = c == '\0' ? nullptr : std::strchr(letters, c);
            check(found != nullptr);
            text += meanings[found - letters];
            return;
        }
        std::uint32_t code = four_hex();
        if (code >= 0xD800 && code < 0xDC00) {
            check(take("\\u"));
            const std::uint32_t low = four_hex();
            check(low >= 0xDC00 && low < 0xE000);
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        } else {
            check(code < 0xDC00 || code >= 0xE000);
        }
        append_utf8(text, code);
    }

    std::string_view data_;
    const std::string& name_;
    std::size_t at_ = 0, count_ = 0;
};

const Json* Json::find(std::string_view name) const {
    if (type_ != Type::object) {
        return nullptr;
    }
    const auto found = std::find(inner_->names.begin(), inner_->names.end(), name);
    return found == inner_->names.end() ? nullptr : &inner_->items[static_cast<std::size_t>(found - inner_->names.begin())];
}

bool is_utf8(std::string_view data) {
    for (std::size_t i = 0; i < data.size();) {
        const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(i + k < data.size() ? data[i + k] : 0); };
        const unsigned char first = byte(0);
        const std::size_t more = first < 0x80 ? 0 : first >= 0xC2 && first < 0xE0 ? 1 : first >= 0xE0 && first < 0xF0 ? 2 : 3;
        if (first >= 0x80 && (first < 0xC2 || first > 0xF4)) {
            return false;
        }
        for (std::size_t k = 1; k <= more; ++k) {
            if ((byte(k) & 0xC0) != 0x80) {
                return false;
            }
        }
        if ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F) || (first == 0xF0 && byte(1) < 0x90) ||
            (first == 0xF4 && byte(1) > 0x8F)) {  // too long for its value, half a surrogate pair, beyond Unicode
            return false;
        }
        i += more + 1;
    }
    return true;
}

Json read_json(std::string_view data, const std::string& name) {
    require(data.size() <= max_json_bytes, DERM_BUNDLE_JSON_SIZE, name);
    require(is_utf8(data), DERM_BUNDLE_UTF8, name);
    return JsonReader(data, name).document();
}

void write_json_text(std::string& out, std::string_view text) {
    static constexpr char hex[] = "0123456789abcdef";
    static constexpr char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    out += '"';
    for (const char c : text) {
        const char* found = c == '\0' ? nullptr : std::strchr(plain, c);
        if (found != nullptr) {
            out += '\\';
            out += letters[found - plain];
        } else if (static_cast<unsigned char>(c) < 32) {
            out += "\\u00";
            out += hex[c >> 4];
            out += hex[c & 15];
        } else {
            out += c;
        }
    }
    out += '"';
}

}  // namespace derm
