"""Peak memory of preparing a data set, which must not depend on how many photos it has.

    python benchmarks/cache_memory.py [PHOTOS ...]

Draws a few hundred photos, makes as many distinct files of them as asked, and fills the exact cache in a fresh process for
each number; Fitzpatrick17k has 16,577.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from derm_toolkit.data.importers import import_table
from derm_toolkit.data.synth import make_photos

DRAWN = 300
FILL = """
import resource, sys
from derm_toolkit.data.cache import PhotoCache
from derm_toolkit.data.manifest import read_dataset
dataset = read_dataset(sys.argv[1])
PhotoCache(dataset, 224, "crop", root=sys.argv[2]).fill(dataset.photos, 2)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def main() -> None:
    numbers = [int(word) for word in sys.argv[1:]] or [500, 4000]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = make_photos(folder / "drawn", DRAWN, 0, 256)
        for number in numbers:
            data = many(folder, Path(table), number)
            start = time.perf_counter()
            command = [sys.executable, "-c", FILL, str(data), str(folder / f"cache-{number}")]
            peak = float(subprocess.run(command, capture_output=True, check=True).stdout)
            print(f"{number:6d} photos: peak RSS {peak:5.0f} MB, {number / (time.perf_counter() - start):4.0f} photos/s")


def many(folder: Path, table: Path, number: int) -> Path:
    """A data set of `number` distinct files: drawn photos with a number behind their last byte, which decoders ignore."""
    rows = list(csv.DictReader(table.open()))
    photos = folder / f"photos-{number}"
    photos.mkdir()
    found = []
    for place in range(number):
        row = dict(rows[place % len(rows)])
        source = folder / "drawn" / "photos" / row["file"]
        row["file"] = f"{place}{source.suffix}"
        (photos / row["file"]).write_bytes(source.read_bytes() + place.to_bytes(4, "big"))
        found.append(row)
    with (folder / f"{number}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, found[0])
        writer.writeheader()
        writer.writerows(found)
    data = folder / f"data-{number}"
    import_table(folder / f"{number}.csv", photos, data, sources=[], taxonomy=None)
    return data


if __name__ == "__main__":
    main()
