"""The rows of a table as photos to get: which bytes, and from where."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from derm_sdk.errors import OptionError

from ...errors import DataError
from ..table import read_table

_MD5 = re.compile(r"[0-9a-f]{32}")
_PLACES = ("{md5}", "{name}", "{path}")


@dataclass(frozen=True)
class Wanted:
    """One photo to get.

    Attributes:
        md5: of its bytes, 32 hex digits; "" when the table has none that is one.
        url: the table's, "" when there is none.
        name: the table's url_alphanum, which some archives are named by; "" when there is none.
        rows: numbers of the rows that want it, as in a spreadsheet.
    """

    md5: str
    url: str
    name: str
    rows: tuple[int, ...]


def read_wanted(table: str | os.PathLike[str], limit: int | None = None) -> list[Wanted]:
    """Reads the photos that a table wants, in the order of their first rows.

    Args:
        table: a CSV file with the columns md5hash and url, such as fitzpatrick17k.csv.
        limit: take only so many rows.
    Raises:
        DataError: a column is missing, or there is no row.
        FileError: the file cannot be read.
    """
    _, rows = read_table(os.fspath(table), ("md5hash", "url"))
    if not rows:
        raise DataError(f"{os.path.basename(table)} has no rows below its header.")
    found: dict[str, Wanted] = {}
    for number, cells in rows[:limit]:
        md5 = cells["md5hash"].lower()
        md5 = md5 if _MD5.fullmatch(md5) else ""
        key = md5 or f"row {number}"
        before = found.get(key, Wanted(md5, "", "", ()))
        name = cells.get("url_alphanum", "")
        found[key] = Wanted(md5, before.url or cells["url"], before.name or name, (*before.rows, number))
    return list(found.values())


def check_mirror(mirror: str) -> str:
    """Raises OptionError unless `mirror` is an http(s) address, perhaps with places to fill in; returns it."""
    if urlsplit(mirror).scheme not in ("http", "https"):
        raise OptionError(f"--mirror must be a folder, or an address with http:// or https://; got {mirror!r}.")
    unknown = [place for place in re.findall(r"\{[^}]*\}", mirror) if place not in _PLACES]
    if unknown:
        raise OptionError(f"--mirror knows the places {', '.join(_PLACES)}; got {unknown[0]!r}.")
    return mirror


def address(wanted: Wanted, mirror: str | None) -> str:
    """Where to ask for a photo: the table's URL, or its place in a mirror; "" where neither is known.

    A mirror without places gets the URL's path and query behind it.
    """
    if mirror is None:
        return wanted.url
    parts = urlsplit(wanted.url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    if not any(place in mirror for place in _PLACES):
        return mirror.rstrip("/") + path if wanted.url else ""
    for place, value in zip(_PLACES, (wanted.md5, quote(wanted.name), path.lstrip("/")), strict=True):
        if place in mirror and not value:
            return ""
        mirror = mirror.replace(place, value)
    return mirror


def missing_rows(failures: Sequence[tuple[Wanted, str, str, str]]) -> list[tuple[object, ...]]:
    """The rows of missing.csv (row, md5hash, reason, detail, url), one for each row of the table, in its order."""
    lines = [(row, wanted.md5, reason, detail, url) for wanted, reason, detail, url in failures for row in wanted.rows]
    return sorted(lines, key=lambda line: line[0])
