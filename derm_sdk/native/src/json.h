// A strict JSON reader, and the few lines that write JSON as Python's json module does.
//
// Our own, since it must refuse exactly what derm_sdk/bundle.py refuses (docs/bundle.md, "JSON"), which no general reader does:
// a field twice, a number that overflows, half a surrogate pair, more than 64 levels, more than a million values. It is used on
// files that an enemy may have written: it reads nothing outside its input and its memory is bounded by the limits.

#ifndef DERM_JSON_H
#define DERM_JSON_H

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace derm {

constexpr std::size_t max_json_bytes = std::size_t{16} << 20;
constexpr std::size_t max_json_depth = 64;
constexpr std::size_t max_json_values = 1000000;

class Json {
public:
    enum class Type : unsigned char { null, boolean, whole, real, text, list, object };

    Type type() const { return type_; }
    bool is(Type type) const { return type_ == type; }
    bool is_number() const { return type_ == Type::whole || type_ == Type::real; }
    double number() const { return number_; }         // of whole and real; 1 or 0 of boolean
    const std::string& text() const { return inner_->text; }
    const std::vector<Json>& items() const { return inner_->items; }          // of list and object
    const std::vector<std::string>& names() const { return inner_->names; }  // of object, in step with items()
    const Json* find(std::string_view name) const;  // nullptr when this is no object or has no such field

private:
    friend class JsonReader;
    struct Inner {
        std::string text;
        std::vector<Json> items;
        std::vector<std::string> names;
    };
    Type type_ = Type::null;
    double number_ = 0.0;
    std::unique_ptr<Inner> inner_;
};

// Throws Failure: DERM_BUNDLE_JSON_SIZE, _UTF8, _JSON, _FINITE, _FIELD_TWICE; `name` is of the entry, for the message.
Json read_json(std::string_view data, const std::string& name);

bool is_utf8(std::string_view data);

// Appends text in quotes, escaped as json.dumps(ensure_ascii=False) does.
void write_json_text(std::string& out, std::string_view text);

}  // namespace derm

#endif
