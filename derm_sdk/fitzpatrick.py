"""The skin type of a person on Fitzpatrick's scale: as people write it, and as a network takes it."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import OptionError

SKIN_TYPE = "skin_type"  # the kind of a network's input that is no picture
SKIN_TYPE_WIDTH = 7  # unknown, then 1 to 6
_ROMAN = {"I": 1, "II": 2, "III": 3, "IV": 4, "V": 5, "VI": 6}


def check_fitzpatrick(value: Any) -> int | None:
    """Reads a skin type: None, 1..6 or "I".."VI". Raises OptionError for anything else."""
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.strip().upper() in _ROMAN:
        return _ROMAN[value.strip().upper()]
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or not 1 <= number <= 6:
        raise OptionError(f"fitzpatrick must be 1 to 6, 'I' to 'VI', or None when unknown; got {value!r}.")
    return number


def skin_type_input(value: int | None) -> NDArray[np.uint8]:
    """The skin type as a network's input: 255 at its place, 0 elsewhere; place 0 stands for unknown.

    Args:
        value: as `check_fitzpatrick` gives it.
    Returns:
        uint8 [7], a new array.
    Example:
        >>> skin_type_input(2).tolist()
        [0, 0, 255, 0, 0, 0, 0]
    """
    vector = np.zeros(SKIN_TYPE_WIDTH, np.uint8)
    vector[value or 0] = 255
    return vector
