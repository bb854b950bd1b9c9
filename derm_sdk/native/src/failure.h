// What can go wrong, as a number and a sentence. Thrown inside the core; never across the C border (api.cpp).

#ifndef DERM_FAILURE_H
#define DERM_FAILURE_H

#include <exception>
#include <string>
#include <utility>

#include "derm.h"

namespace derm {

class Failure : public std::exception {
public:
    // `detail` says with which value; empty: the sentence of the number alone.
    explicit Failure(derm_status status, std::string detail = {}) : status_(status), text_(derm_status_text(status)) {
        if (!detail.empty()) {
            text_ += " (" + std::move(detail) + ")";
        }
    }
    derm_status status() const { return status_; }
    const char* what() const noexcept override { return text_.c_str(); }

private:
    derm_status status_;
    std::string text_;
};

inline void require(bool condition, derm_status status, const char* detail = "") {
    if (!condition) {
        throw Failure(status, detail);
    }
}

inline void require(bool condition, derm_status status, const std::string& detail) { require(condition, status, detail.c_str()); }

}  // namespace derm

#endif
