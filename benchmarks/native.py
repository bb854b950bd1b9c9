"""Does libderm say what Python says, and in what time? Photos through both; the answers must be equal, byte for byte.

    python benchmarks/native.py BUILD MODEL PHOTOS [--limit N] [--soak N] [--emulator COMMAND] [--java CLASSES]

BUILD is a build folder of CMakeLists.txt, PHOTOS a data set. Prints how many photos gave the same JSON; the time
of a photo, pixels in, result out, in C beside Python's, measured by turns in one run; the same for four handles in four
threads; and the resident memory before and after --soak classifications.

Two options compare answers alone. --emulator: BUILD is for another processor, run by this command (docs/arm.md), and
DERM_LITERT a library for it. --java: through the Java machine and the JNI library of BUILD, with examples/android
compiled to CLASSES.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import ai_edge_litert
import numpy as np

from derm_sdk import Classifier
from derm_sdk.image import Pixels, read_image

CHUNK = 64
TIMED = 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--limit", type=int, default=10**9)
    parser.add_argument("--soak", type=int, default=0)
    parser.add_argument("--emulator", default="")
    parser.add_argument("--java", type=Path)
    given = parser.parse_args()
    os.environ.setdefault("DERM_LITERT", str(Path(ai_edge_litert.__file__).with_name("libLiteRt.so")))
    with tempfile.TemporaryDirectory() as folder, Classifier(given.model) as classifier:
        native = Native(command(given.build, given.model, given.emulator, given.java), Path(folder))
        compare(classifier, native, photos(given.photos, given.limit))
        if given.emulator or given.java:
            return
        timed = [pixels for pixels, _ in photos(given.photos, TIMED)]
        race(classifier, native, timed)
        if given.soak:
            found = native.measure(timed, given.soak)
            print(
                f"memory: {found['rss_before_kb']} kB before, {found['rss_after_kb']} kB after {given.soak} classifications"
            )


def command(build: Path, model: Path, emulator: str, classes: Path | None) -> list[str]:
    """A program that takes a list of raw photos and prints a result for each."""
    if classes is None:
        return [*emulator.split(), str(build / "tests" / "native" / "derm_run"), str(model)]
    java = ["java", f"-Djava.library.path={build / 'examples' / 'android' / 'jni'}", "-cp", str(classes)]
    return [*java, "org.dermsdk.Classify", str(model), os.environ["DERM_LITERT"]]


def photos(folder: Path, limit: int) -> Iterator[tuple[Pixels, int | None]]:
    record = json.loads((folder / "dataset.json").read_text("utf-8"))
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        for _, row in zip(range(limit), csv.DictReader(file), strict=False):
            skin_type = int(row["fitzpatrick"]) if row["fitzpatrick"] else None
            yield read_image(folder / record["photo_folder"] / row["file"]), skin_type


class Native:
    """A program of `command`, fed with raw pixels from a folder."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._command, self._folder = command, folder

    def _list(self, chunk: list[tuple[Pixels, int | None]]) -> str:
        lines = []
        for i, (pixels, skin_type) in enumerate(chunk):
            path = self._folder / f"{i}.rgb"
            path.write_bytes(np.ascontiguousarray(pixels).tobytes())
            lines.append(f"{path} 0 {pixels.shape[1]} {pixels.shape[0]} 0 {skin_type or 0}")
        path = self._folder / "list.txt"
        path.write_text("\n".join(lines) + "\n")
        return str(path)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run([*self._command, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr)
        return done.stdout

    def answers(self, chunk: list[tuple[Pixels, int | None]]) -> list[str]:
        return self._run(self._list(chunk)).splitlines()

    def measure(self, pixels: list[Pixels], repeats: int, handles: int = 1) -> dict[str, float]:
        listed = self._list([(each, None) for each in pixels])
        return json.loads(self._run(listed, str(repeats), str(handles)))


def compare(classifier: Classifier, native: Native, found: Iterator[tuple[Pixels, int | None]]) -> None:
    same = count = 0
    first = ""
    while chunk := [each for _, each in zip(range(CHUNK), found, strict=False)]:
        here = [classifier.classify(pixels, fitzpatrick=skin_type).to_json() for pixels, skin_type in chunk]
        for ours, theirs in zip(here, native.answers(chunk), strict=True):
            count += 1
            same += ours == theirs
            first = first or (f"first difference:\n  Python {ours}\n  C      {theirs}" if ours != theirs else "")
    print(f"answers: {same} of {count} photos have the same JSON\n{first}".rstrip())


def race(classifier: Classifier, native: Native, pixels: list[Pixels]) -> None:
    ratios, python_ms, native_ms = [], [], []
    for _ in range(5):
        start = time.perf_counter()
        for each in pixels:
            classifier.classify(each)
        python_ms.append(1000 * (time.perf_counter() - start) / len(pixels))
        native_ms.append(native.measure(pixels, len(pixels))["ms"])
        ratios.append(native_ms[-1] / python_ms[-1])
    four = native.measure(pixels, len(pixels), 4)["ms"]
    print(
        f"time of a photo: C {statistics.median(native_ms):.2f} ms, Python {statistics.median(python_ms):.2f} ms, "
        f"C / Python {statistics.median(ratios):.2f}; four handles in four threads {four:.2f} ms a photo"
    )


if __name__ == "__main__":
    main()
