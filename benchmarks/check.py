"""Photos a second: importing, caching, checking and describing them, beside plain reading with OpenCV on one thread.

    python benchmarks/check.py DATA [--photos 200]

All take turns on the same photos, one thread each (`data import` and the cache write what they make to a temporary folder);
medians of processor time are compared, so that other work on the machine changes little. The commands themselves use all
cores.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2

from derm_sdk.image import read_image
from derm_toolkit.data.cache import PhotoCache
from derm_toolkit.data.check.photo import examine
from derm_toolkit.data.importers import import_table
from derm_toolkit.data.manifest import Dataset, Photo, read_dataset
from derm_toolkit.data.neighbours.geometry import align
from derm_toolkit.data.neighbours.keypoints import describe_points

ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--photos", type=int, default=200)
    options = parser.parse_args()
    dataset = read_dataset(options.data)
    photos = dataset.photos[:: max(1, len(dataset.photos) // options.photos)]
    paths = [dataset.path(photo) for photo in photos]
    cv2.setNumThreads(1)
    ways: dict[str, Callable[[], object]] = {
        "cv2.imread": lambda: [cv2.imread(str(path)) for path in paths],
        "read_image": lambda: [read_image(path) for path in paths],
        "data import": lambda: imported(dataset, photos),
        "the cache of a training, made": lambda: cached(dataset, photos),
        "data check, opened and looked at": lambda: [examine(path) for path in paths],
        "points for data duplicates": lambda: [describe_points(read_image(path), "x") for path in paths],
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            start = time.process_time()
            way()
            times[name].append((time.process_time() - start) / len(paths))
    plain = statistics.median(times["cv2.imread"])
    for name, found in times.items():
        each = statistics.median(found)
        print(f"{name:36} {1 / each:7.0f} photos/s   {each / plain:5.1f} times the reading")
    points = [describe_points(read_image(path), "x") for path in paths[:40]]
    start = time.process_time()
    for first, second in itertools.pairwise(points):
        align(first, second)
    print(f"laying one photo over another: {1000 * (time.process_time() - start) / (len(points) - 1):.1f} ms")


def imported(dataset: Dataset, photos: list[Photo]) -> None:
    """`data import` of a table of these photos."""
    with tempfile.TemporaryDirectory() as name:
        table = Path(name) / "photos.csv"
        with table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["file", "condition"])
            writer.writerows([photo.file, dataset.taxonomy.node(photo.leaf).name] for photo in photos)
        import_table(table, dataset.photo_folder, Path(name) / "data", taxonomy=dataset.taxonomy, threads=1)


def cached(dataset: Dataset, photos: list[Photo]) -> None:
    """What a training at 224 pixels cuts its pictures from."""
    with tempfile.TemporaryDirectory() as name:
        PhotoCache(dataset, 224, "crop", margin=1.15, root=name).fill(photos, workers=1)


if __name__ == "__main__":
    main()
