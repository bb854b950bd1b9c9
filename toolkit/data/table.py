"""CSV tables as people send them: with or without a BOM, any line ends, commas, semicolons or tabs between the fields."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from derm_sdk.errors import FileError, closest

from ..errors import DataError

MAX_TABLE_BYTES = 1 << 30


def read_table(path: str | Path, required: Sequence[str] = ()) -> tuple[tuple[str, ...], list[tuple[int, dict[str, str]]]]:
    """Reads a CSV file; cells are stripped, blank rows left out.

    Args:
        path: the file, UTF-8.
        required: columns that must be there.
    Returns:
        The header, and (row number, {column: cell}) for each row. Rows count as in a spreadsheet: the header is row 1.
    Raises:
        DataError: no UTF-8, no header, a column missing or named twice, or a row with more cells than the header.
        FileError: the file cannot be read.
    """
    name = Path(path).name
    records = _records(_read_text(Path(path)), name)
    if not records:
        raise DataError(f"{name} is empty; its first row must name the columns.")
    header = tuple(cell.strip() for cell in records[0])
    twice = [column for column in dict.fromkeys(header) if column and header.count(column) > 1]
    if twice:
        raise DataError(f"{name} has two columns named {twice[0]!r}; every column needs a name of its own.")
    require_columns(header, required, name)
    rows = []
    for number, record in enumerate(records[1:], start=2):
        cells = [cell.strip() for cell in record]
        if not any(cells):
            continue
        if len(cells) > len(header) and any(cells[len(header) :]):
            raise DataError(
                f"Row {number} of {name} has {len(cells)} cells, but the header has {len(header)}; quote the commas."
            )
        cells += [""] * (len(header) - len(cells))
        rows.append((number, dict(zip(header, cells, strict=False))))
    return header, rows


def require_columns(header: Sequence[str], required: Iterable[str], name: str) -> None:
    """Raises DataError naming the first required column that the header lacks."""
    for column in required:
        if column not in header:
            raise DataError(f"{name} needs a column {column!r}, which is missing." + closest(column, header))


def table_bytes(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Renders a CSV table as UTF-8 with LF line ends: the same content, the same bytes."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TABLE_BYTES + 1)
    except OSError as error:
        raise FileError(f"Cannot read {str(path)!r}: {error.strerror or error}.") from error
    if len(data) > MAX_TABLE_BYTES:
        raise DataError(f"{path.name} is larger than 1 GiB, which no table of photos is.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path.name} must be UTF-8 text, but line {line} is not; save it as 'CSV UTF-8'.") from error


def _records(text: str, name: str) -> list[list[str]]:
    first = text.lstrip().split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)  # the comma wins a draw: it stands first
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        records = list(reader)
    except csv.Error as error:
        raise DataError(f"Line {reader.line_num} of {name} is no CSV ({error}).") from error
    while records and not any(cell.strip() for cell in records[-1]):
        records.pop()
    return records
