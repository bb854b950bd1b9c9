"""HAM10000: 10,015 dermatoscopic photos of seven diagnoses, with lesions. No clinical photos: another world than a phone's.

Layout (Harvard Dataverse DBW86T): HAM10000_metadata (also .csv or .tab), one row per photo, with lesion_id (HAM_0000118),
image_id (ISIC_0027419), dx (akiec, bcc, bkl, df, mel, nv, vasc), dx_type, age, sex, localization, and in later editions
dataset; the photos in HAM10000_images_part_1 and _2, as <image_id>.jpg. Neither patients nor skin types are told.

Source: Tschandl, Rosendahl and Kittler, Scientific Data 5 (2018), 180161, CC BY-NC 4.0; the columns as public readers of the
table list them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ..rows import Row

COLUMNS = ("lesion_id", "image_id", "dx")


def rows(table: Path, records: Iterable[tuple[int, Mapping[str, str]]]) -> list[Row]:
    """The rows of HAM10000_metadata; several photos may show one lesion."""
    return [
        Row(number, cells["image_id"], (cells["dx"],), "", "ham10000", lesion_id=cells["lesion_id"])
        for number, cells in records
    ]
