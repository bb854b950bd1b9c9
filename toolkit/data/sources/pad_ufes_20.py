"""PAD-UFES-20: 2,298 phone photos of six diagnoses, with patients and lesions.

Layout (Mendeley Data zr7vgbcyr2, version 1): metadata.csv, one row per photo, with patient_id (PAT_1516), lesion_id (1765),
fitspatrick [sic] (1.0 to 6.0 or empty), diagnostic (ACK, BCC, MEL, NEV, SCC, SEK), img_id (PAT_1516_1765_530.png) and twenty
more; the photos in images/imgs_part_1 to imgs_part_3.

Source: Pacheco et al., Data in Brief 32 (2020), 106221, CC BY 4.0; the columns as public readers of the table list them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from ..rows import Row, whole_number

COLUMNS = ("patient_id", "lesion_id", "fitspatrick", "diagnostic", "img_id")


def rows(table: Path, records: Iterable[tuple[int, Mapping[str, str]]]) -> list[Row]:
    """The rows of metadata.csv; a photo is known by its name, whatever folder and suffix it has."""
    return [
        Row(
            number,
            PurePosixPath(cells["img_id"]).stem,
            (cells["diagnostic"],),
            cells["fitspatrick"],
            "pad-ufes-20",
            cells["patient_id"],
            f"PAD_{whole_number(cells['lesion_id'])}" if cells["lesion_id"] else "",
        )
        for number, cells in records
    ]
