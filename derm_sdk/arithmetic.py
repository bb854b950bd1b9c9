"""exp, log and sums of doubles, each a fixed sequence of IEEE operations: the same bits in every language, on every device.

NumPy's own `exp` and `sum` are not: their last bits depend on the processor. docs/arithmetic.md says the same in words, and
`derm_sdk/native/src/arithmetic.cpp` repeats it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_EXPONENT = -708.0  # below, exp is 0: e^-708 is the last whole exponent above the subnormal numbers
_PER_LN2 = 1.4426950408889634
_LN2_HIGH = 0.6931471803691238  # 32 bits of ln 2: whole numbers below 2^21 times it are exact
_LN2_LOW = 1.9082149292705877e-10  # the rest
_TAYLOR = [1.0 / math.factorial(n) for n in range(13, -1, -1)]
_ODD = [1.0 / n for n in range(23, 0, -2)]
_ROOT_HALF = 0.7071067811865476


def exp(values: NDArray[Any]) -> Floats:
    """e to the power of each value, within 2 units of the last place.

    Args:
        values: any shape, at most 0.
    Returns:
        float64 of that shape, 0..1; exactly 0 below -708.
    """
    x = np.maximum(np.asarray(values, np.float64), LEAST_EXPONENT)
    whole = np.rint(x * _PER_LN2)
    rest = (x - whole * _LN2_HIGH) - whole * _LN2_LOW
    power = np.full_like(rest, _TAYLOR[0])
    for coefficient in _TAYLOR[1:]:
        power = power * rest + coefficient
    found = np.ldexp(power, whole.astype(np.int32))
    return np.asarray(np.where(np.asarray(values) < LEAST_EXPONENT, 0.0, found))


def log(value: float) -> float:
    """The natural logarithm of a number of 1 or more, within 4 units of the last place."""
    fraction, exponent = math.frexp(value)  # 0.5 <= fraction < 1
    if fraction < _ROOT_HALF:
        fraction, exponent = 2.0 * fraction, exponent - 1
    ratio = (fraction - 1.0) / (fraction + 1.0)  # log(fraction) = 2 atanh(ratio)
    square = ratio * ratio
    series = 0.0
    for coefficient in _ODD:
        series = series * square + coefficient
    return exponent * _LN2_HIGH + (2.0 * ratio * series + exponent * _LN2_LOW)


def total(values: NDArray[Any]) -> Floats:
    """The sum over the last axis, added from its first value to its last; float64 [...] of float64 [..., n], n 1 or more."""
    return np.asarray(np.add.accumulate(np.asarray(values, np.float64), axis=-1)[..., -1])
