#include "arithmetic.h"

#include <algorithm>
#include <cfloat>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <iterator>

static_assert(FLT_EVAL_METHOD == 0, "build for SSE2 (-msse2 -mfpmath=sse): every operation must be rounded to double");

namespace derm {
namespace {

constexpr double per_ln2 = 1.4426950408889634;
constexpr double ln2_high = 0.6931471803691238;  // 32 bits of ln 2: whole numbers below 2^21 times it are exact
constexpr double ln2_low = 1.9082149292705877e-10;
constexpr double root_half = 0.7071067811865476;
constexpr double least_exponent = -708.0;

// 1 / 13!, 1 / 12!, ... 1 / 0!: each quotient of exact numbers, rounded once.
constexpr double factorials[] = {6227020800.0, 479001600.0, 39916800.0, 3628800.0, 362880.0, 40320.0, 5040.0,
                                 720.0,        120.0,       24.0,       6.0,       2.0,      1.0,     1.0};

}  // namespace

double exact_exp(double x) {
    if (x < least_exponent) {
        return 0.0;
    }
    const double whole = std::nearbyint(x * per_ln2);
    const double high = x - whole * ln2_high;
    const double rest = high - whole * ln2_low;
    double power = 1.0 / factorials[0];
    for (std::size_t i = 1; i < std::size(factorials); ++i) {
        const double product = power * rest;
        power = product + 1.0 / factorials[i];
    }
    return std::ldexp(power, static_cast<int>(whole));
}

double exact_log(double value) {
    int exponent = 0;
    double fraction = std::frexp(value, &exponent);
    if (fraction < root_half) {
        fraction = 2.0 * fraction;
        --exponent;
    }
    const double ratio = (fraction - 1.0) / (fraction + 1.0);
    const double square = ratio * ratio;
    double series = 0.0;
    for (int n = 23; n > 0; n -= 2) {
        const double product = series * square;
        series = product + 1.0 / n;
    }
    const double twice = 2.0 * ratio;
    const double part = twice * series;
    const double low = exponent * ln2_low;
    const double high = exponent * ln2_high;
    return high + (part + low);
}

double total(const std::vector<double>& values) {
    double sum = values[0];
    for (std::size_t i = 1; i < values.size(); ++i) {
        sum += values[i];
    }
    return sum;
}

std::vector<double> softmax(const std::vector<double>& scaled) {
    const double most = *std::max_element(scaled.begin(), scaled.end());
    std::vector<double> shares(scaled.size());
    std::transform(scaled.begin(), scaled.end(), shares.begin(), [most](double x) { return exact_exp(x - most); });
    const double sum = total(shares);
    for (double& share : shares) {
        share = share / sum;
    }
    return shares;
}

double log_sum_exp(const std::vector<double>& values) {
    const double most = *std::max_element(values.begin(), values.end());
    std::vector<double> powers(values.size());
    std::transform(values.begin(), values.end(), powers.begin(), [most](double x) { return exact_exp(x - most); });
    return most + exact_log(total(powers));
}

namespace {

#if defined(__cpp_lib_to_chars) || (defined(_LIBCPP_VERSION) && _LIBCPP_VERSION >= 14000)
// The shortest digits and their exponent: "d", "d.ddd", then "e-05" or the like.
std::string shortest_scientific(double value) {
    char text[64];
    return {text, std::to_chars(text, text + sizeof text, value, std::chars_format::scientific).ptr};
}
#else
bool reads_back(const std::string& text, double value) { return std::strtod(text.c_str(), nullptr) == value; }

// "1.299e-05" -> "1.300e-05". Nothing but nines stay as they are: what they round up to has a shorter text, tried before.
std::string one_more(const std::string& text) {
    const std::size_t at = text.find_last_not_of("9.", text.find('e') - 1);
    if (at == text.npos || text[at] == '-') {
        return text;
    }
    std::string next = text;
    ++next[at];
    std::replace(next.begin() + static_cast<std::ptrdiff_t>(at) + 1, next.begin() + static_cast<std::ptrdiff_t>(text.find('e')), '9', '0');
    return next;
}

// At a power of two a number may be read back from farther above than below: there the digits nearest to it may not do,
// and the next ones do.
std::string shortest_scientific(double value) {
    char text[64];
    for (int digits = 0; digits < 17; ++digits) {
        std::snprintf(text, sizeof text, "%.*e", digits, value);
        if (reads_back(text, value)) {
            break;
        }
        int exponent = 0;
        const std::string next = digits > 0 && std::fabs(std::frexp(value, &exponent)) == 0.5 ? one_more(text) : text;
        if (reads_back(next, value)) {
            return next;
        }
    }
    return text;
}
#endif

}  // namespace

std::string repr(double value) {
    std::string text = shortest_scientific(value);
    const std::string sign = text[0] == '-' ? "-" : "";
    text.erase(0, sign.size());
    const std::size_t e = text.find('e');
    int exponent = std::atoi(text.c_str() + e + 1);
    std::string digits = text.substr(0, e);
    digits.erase(std::remove(digits.begin(), digits.end(), '.'), digits.end());
    while (digits.size() > 1 && digits.back() == '0') {
        digits.pop_back();
    }
    if (exponent < -4 || exponent >= 16) {
        if (digits.size() > 1) {
            digits.insert(1, ".");
        }
        const int size = std::abs(exponent);
        return sign + digits + (exponent < 0 ? "e-" : "e+") + (size < 10 ? "0" : "") + std::to_string(size);
    }
    if (exponent < 0) {
        return sign + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
    }
    const auto point = static_cast<std::size_t>(exponent) + 1;
    if (digits.size() <= point) {
        return sign + digits + std::string(point - digits.size(), '0') + ".0";
    }
    return sign + digits.substr(0, point) + "." + digits.substr(point);
}

std::string two_decimals(double value) {
    char text[512];  // 309 digits before the point at most
#if defined(__cpp_lib_to_chars) || (defined(_LIBCPP_VERSION) && _LIBCPP_VERSION >= 14000)
    return {text, std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, 2).ptr};
#else
    std::snprintf(text, sizeof text, "%.2f", value);
    return text;
#endif
}

}  // namespace derm
