"""The skin type of a person on Fitzpatrick's scale, as people write it."""

from __future__ import annotations

import operator
from typing import Any

from .errors import OptionError

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
