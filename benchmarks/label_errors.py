"""How many exchanged labels `data check` finds among real photos, and how many of its suspicions are such.

    python benchmarks/label_errors.py DATA [--share 0.05] [--strengths 0.001 0.01 0.1]

A share of the photos gets the label of another condition, drawn from all photos of the data set ("any"), or from those of
its own group ("near"), where a mistake is likely and hard to see. "Found" is the share of these photos that are suspected,
"right" the share of the suspicions that are about them, "of the first n" the same for as many suspicions as labels were
exchanged. What is suspected besides may be a mistake of the data set's own, so "right" is a lower bound.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from derm_toolkit.data.check import label_errors
from derm_toolkit.data.descriptors import describe
from derm_toolkit.data.duplicates import find_clusters
from derm_toolkit.data.manifest import Dataset, read_dataset


def exchange(dataset: Dataset, share: float, near: bool, seed: int = 0) -> tuple[Dataset, set[int]]:
    """The data set with wrong labels, and the places of the photos that have them."""
    random, photos, changed = np.random.default_rng(seed), list(dataset.photos), set()
    for place in random.choice(len(photos), round(share * len(photos)), replace=False):
        own = photos[place].labels
        others = [p.labels for p in dataset.photos if p.labels[-1] != own[-1] and (not near or p.labels[:-1] == own[:-1])]
        if others:
            photos[place] = dataclasses.replace(photos[place], labels=others[random.integers(len(others))])
            changed.add(int(place))
    return dataclasses.replace(dataset, photos=tuple(photos)), changed


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--strengths", type=float, nargs="+", default=[label_errors.STRENGTH])
    options = parser.parse_args()
    dataset = read_dataset(options.data)
    cache = dataset.folder / "descriptors"
    names = find_clusters(dataset, "embedding", cache).names
    clusters = [names[photo.digest] for photo in dataset.photos]
    features = np.asarray(describe(dataset, "embedding", cache).features, np.float32)
    print("| C | exchanged | judge right | suspected | found | right | of the first n |\n|---|---|---|---|---|---|---|")
    for strength in options.strengths:
        label_errors.STRENGTH = strength
        for name, (changed, wrong) in {
            "none": (dataset, set()),
            "any": exchange(dataset, options.share, near=False),
            "near": exchange(dataset, options.share, near=True),
        }.items():
            told = label_errors.suspect_labels(changed, features, clusters)
            suspected = [suspect.photo for suspect in told.suspects]
            hits = np.isin(suspected, sorted(wrong))
            cells = [f"{strength:g}", f"{name}, {len(wrong)}", f"{told.accuracy:.3f}", f"{len(suspected)}"]
            cells += (
                [f"{hits.sum() / len(wrong):.1%}", f"{hits.mean():.1%}", f"{hits[: len(wrong)].mean():.1%}"]
                if wrong
                else [""] * 3
            )
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
