"""Compares what two machines made of the same photos: compare.py HERE THERE, files of answers.py. Exit code 1 where
they differ.

The outputs of a float32 model may differ in their last bits; then the largest difference is told.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PARTS = ("pixels", "prepared", "outputs", "answer")


def main(here: str, there: str) -> None:
    ours, theirs = ([json.loads(line) for line in Path(path).read_text("utf-8").splitlines()] for path in (here, there))
    if [row["photo"] for row in ours] != [row["photo"] for row in theirs] or not ours:
        sys.exit("The two files are not about the same photos.")
    pairs = list(zip(ours, theirs, strict=True))
    same = {part: sum(a[part] == b[part] for a, b in pairs) for part in PARTS}
    for part, count in same.items():
        print(f"{part}: identical for {count} of {len(pairs)} photos")
    if same["outputs"] < len(pairs):
        steps = max(abs(x - y) for a, b in pairs for x, y in outputs(a, b))
        moved = max(abs(x - y) for a, b in pairs for x, y in probabilities(a, b))
        first = sum(decided(a) == decided(b) for a, b in pairs)
        print(f"largest difference: {steps:.3g} of an output, {moved:.3g} of a probability; the same answer for {first}")
    sys.exit(any(count < len(pairs) for count in same.values()))


def outputs(a: dict[str, Any], b: dict[str, Any]) -> Iterator[tuple[float, float]]:
    for graph in a["outputs"]:
        yield from zip(a["outputs"][graph], b["outputs"][graph], strict=True)


def probabilities(a: dict[str, Any], b: dict[str, Any]) -> Iterator[tuple[float, float]]:
    found = [
        {row["id"]: row["probability"] for level in json.loads(each["answer"])["levels"].values() for row in level}
        for each in (a, b)
    ]
    yield from ((found[0][node], found[1][node]) for node in found[0])


def decided(row: dict[str, Any]) -> tuple[Any, ...]:
    answer = json.loads(row["answer"])
    return answer["answer"], answer["refer"], answer["prediction_sets"]


if __name__ == "__main__":
    main(*sys.argv[1:])
