"""Photos in folders that are named by their labels: category/condition/*.jpg, as DermNet collections come.

A first folder that names a side (train, test, ...) does not count. Where a category holds photos directly, as in the
collection of 23 categories that circulates, a photo's condition is its name without the number at its end
(acne-cystic-12.jpg), or the category itself where there is none. A category's last word "photos" or "pictures" is left out.

The folders' names are the labels, a tree of two levels, unless a mapping to our tree is asked for ("dermnet" ships).
Neither patients, lesions nor skin types are told.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ...errors import DataError
from ..rows import Row

SIDES = ("train", "training", "validation", "valid", "val", "calibration", "test")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def rows(folder: Path) -> list[Row]:
    """A row for each photo, numbered in the order of their paths from 1 on, with the labels (category, condition).

    Raises:
        DataError: there is no photo in a folder of a folder.
    """
    found = []
    for number, path in enumerate(sorted(_photos(folder)), start=1):
        pure = PurePosixPath(path)
        parts = pure.parts[1:] if len(pure.parts) > 2 and pure.parts[0].lower() in SIDES else pure.parts
        if len(parts) > 1:
            found.append(Row(number, path, (_spoken(parts[0], True), _condition(parts)), "", folder.resolve().name))
    if not found:
        raise DataError(f"{str(folder)!r} holds no photos in folders named by their labels: category/condition/photo.jpg.")
    return found


def _photos(folder: Path) -> Iterator[str]:
    for place, _, files in os.walk(folder):
        for file in files:
            if file.lower().endswith(SUFFIXES):
                yield Path(place, file).relative_to(folder).as_posix()


def _condition(parts: tuple[str, ...]) -> str:
    if len(parts) > 2:
        return _spoken(parts[1])
    numbered = re.fullmatch(r"(.*[^\W\d_])[-_ ]*\(?\d*\)?", PurePosixPath(parts[1]).stem)
    has_number = numbered is not None and re.search(r"\d\)?$", PurePosixPath(parts[1]).stem)
    return _spoken(numbered[1]) if numbered and has_number else _spoken(parts[0], True)


def _spoken(name: str, is_category: bool = False) -> str:
    words = re.sub(r"[-_\s]+", " ", name).strip()
    return re.sub(r"(?i) (photos|pictures)$", "", words) if is_category else words
