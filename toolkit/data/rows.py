"""One row of any table of photos: where the photo should be, and what is said about it."""

from __future__ import annotations

from dataclasses import dataclass

from derm_sdk.errors import OptionError

_ROMAN = {"i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5, "vi": 6}
_UNKNOWN = ("", "-1", "na", "nan", "n/a", "none", "unknown")


@dataclass(frozen=True)
class Row:
    """One row, as its source tells it; what is unknown is "".

    Attributes:
        number: as in a spreadsheet, where the header is row 1.
        file: path of the photo below the photo folder, or its name without a suffix.
        labels: from the top level down; a source with labels of its own has one, for a mapping to translate.
        fitzpatrick: the skin type as it is written in the table.
        skin_tone: on another scale, or coarser than a Fitzpatrick type: see `manifest.SKIN_TONE`.
        md5: of the photo's bytes, where the table tells it.
        qc: the table's own remark on the photo's quality.
        told_category: benign or malignant as the source itself says, where that can differ from our tree's.
    """

    number: int
    file: str
    labels: tuple[str, ...]
    fitzpatrick: str
    source: str = ""
    patient_id: str = ""
    lesion_id: str = ""
    md5: str = ""
    qc: str = ""
    skin_tone: str = ""
    told_category: str = ""


def tidy(label: str) -> str:
    """A label in lower case with single spaces, by which labels are compared: "  Bowen's  Disease" -> "bowen's disease"."""
    return " ".join(label.lower().split())


def parse_fitzpatrick(text: str) -> int | None:
    """Reads a skin type: 1 to 6 (also "3.0"), I to VI; None for unknown (-1, empty, nan).

    Raises:
        OptionError: anything else.
    """
    word = text.strip().lower().removesuffix(".0")
    if word in _UNKNOWN:
        return None
    if word in _ROMAN:
        return _ROMAN[word]
    if word in ("1", "2", "3", "4", "5", "6"):
        return int(word)
    raise OptionError(f"A skin type is 1 to 6, I to VI, or -1 for unknown; got {text!r}.")


def whole_number(text: str) -> str:
    """An id that a spreadsheet may have turned into a decimal: "53.0" -> "53"; others as they are."""
    return text.removesuffix(".0") if text.removesuffix(".0").isdecimal() else text
