"""DDI, Diverse Dermatology Images: 656 clinical photos with biopsies, chosen so that skin types are comparable.

Layout (Stanford AIMI): ddi_metadata.csv, one row per photo, with DDI_ID, DDI_file (000001.png), skin_tone (12, 34 or 56:
Fitzpatrick types 1-2, 3-4, 5-6), malignant (True or False; "malignancy(malig=1)" in an older edition) and disease
(78 labels with hyphens). The photos beside it, or in images/. Neither patients nor lesions are told.

The skin types are pairs. A pair is no type, so `fitzpatrick` stays unknown, and `skin_tone` says "fitzpatrick 1-2".

Source: Daneshjou et al., Science Advances 8 (2022), eabq6147, and the authors' reader, github.com/DDI-Dataset/DDI-Code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from ..rows import Row, whole_number

COLUMNS = ("DDI_file", "skin_tone", "disease")
_PAIRS = {"12": "fitzpatrick 1-2", "34": "fitzpatrick 3-4", "56": "fitzpatrick 5-6"}
_MALIGNANT = {"true": "malignant", "1": "malignant", "false": "benign", "0": "benign"}


def rows(table: Path, records: Iterable[tuple[int, Mapping[str, str]]]) -> list[Row]:
    """The rows of ddi_metadata.csv; what it says of malignancy is compared with our tree."""
    return [
        Row(
            number,
            PurePosixPath(cells["DDI_file"]).stem,
            (cells["disease"],),
            "",
            "ddi",
            skin_tone=_PAIRS.get(whole_number(cells["skin_tone"]), ""),
            told_category=_MALIGNANT.get(whole_number(_malignant(cells)).lower(), ""),
        )
        for number, cells in records
    ]


def _malignant(cells: Mapping[str, str]) -> str:
    return cells.get("malignant") or cells.get("malignancy(malig=1)", "")
