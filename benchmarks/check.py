"""Photos a second: checking and describing them, beside plain reading with OpenCV on one thread.

    python benchmarks/check.py DATA [--photos 200]

All take turns on the same photos, one thread each; medians of processor time are compared, so that other work on the machine
changes little. The commands themselves use all cores.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from pathlib import Path

import cv2

from derm_sdk.image import read_image
from derm_toolkit.data.check.photo import examine
from derm_toolkit.data.manifest import read_dataset
from derm_toolkit.data.neighbours.geometry import align
from derm_toolkit.data.neighbours.keypoints import describe_points

ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--photos", type=int, default=200)
    options = parser.parse_args()
    dataset = read_dataset(options.data)
    paths = [dataset.path(photo) for photo in dataset.photos[:: max(1, len(dataset.photos) // options.photos)]]
    cv2.setNumThreads(1)
    ways = {
        "cv2.imread": lambda path: cv2.imread(str(path)),
        "read_image": read_image,
        "data check, opened and looked at": examine,
        "points for data duplicates": lambda path: describe_points(read_image(path), "x"),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            start = time.process_time()
            for path in paths:
                way(path)
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


if __name__ == "__main__":
    main()
