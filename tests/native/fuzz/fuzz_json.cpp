// Any bytes as JSON, and the readers of taxonomy.json and calibration.json behind it. What was read as text prints as JSON
// that reads back as the same text.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "calibration.h"
#include "failure.h"
#include "json.h"
#include "taxonomy.h"

namespace {

void walk(const derm::Json& value) {
    using Type = derm::Json::Type;
    if (value.is(Type::text)) {
        std::string printed;
        derm::write_json_text(printed, value.text());
        if (derm::read_json(printed, "printed").text() != value.text()) {
            std::abort();
        }
    }
    if (value.is(Type::list) || value.is(Type::object)) {
        for (const derm::Json& each : value.items()) {
            walk(each);
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    try {
        const derm::Json value = derm::read_json({reinterpret_cast<const char*>(bytes), size}, "fuzz");
        walk(value);
        try {
            derm::Taxonomy{value};
        } catch (const derm::Failure&) {
        }
        derm::Calibration::read(value);
    } catch (const derm::Failure&) {
    }
    return 0;
}
