"""The tables of other sources, known by their columns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..rows import Row
from . import ddi, ham10000, pad_ufes_20, scin


@dataclass(frozen=True)
class Source:
    """A published data set.

    Attributes:
        name: of the source, and of its mapping.
        columns: of its table; each of these sets is enough to know it by.
        rows: reads its rows; their one label is the source's own.
    """

    name: str
    columns: tuple[tuple[str, ...], ...]
    rows: Callable[[Path, Iterable[tuple[int, Mapping[str, str]]]], list[Row]]


SOURCES = (
    Source("pad-ufes-20", (pad_ufes_20.COLUMNS,), pad_ufes_20.rows),
    Source("ham10000", (ham10000.COLUMNS,), ham10000.rows),
    Source("ddi", (ddi.COLUMNS,), ddi.rows),
    Source("scin", (scin.CASES, scin.LABELS), scin.rows),
)


def known_by(header: Collection[str]) -> Source | None:
    """The source that has such a table, None when it is none of these."""
    for source in SOURCES:
        if any(set(columns) <= set(header) for columns in source.columns):
            return source
    return None
