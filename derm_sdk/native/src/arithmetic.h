// exp, log and sums of doubles, each a fixed sequence of IEEE operations: the same bits as derm_sdk/arithmetic.py.

#ifndef DERM_ARITHMETIC_H
#define DERM_ARITHMETIC_H

#include <string>
#include <vector>

namespace derm {

double exact_exp(double x);      // x at most 0; exactly 0 below -708
double exact_log(double value);  // value 1 or more

// Added from the first to the last; values must not be empty.
double total(const std::vector<double>& values);

// softmax of finite numbers, one or more.
std::vector<double> softmax(const std::vector<double>& scaled);

// max + log(sum of exp(value - max)).
double log_sum_exp(const std::vector<double>& values);

// As Python prints a float: the shortest decimal that reads back as the same double. The value is finite.
std::string repr(double value);

// As Python's f"{value:.2f}".
std::string two_decimals(double value);

}  // namespace derm

#endif
