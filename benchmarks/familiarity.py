"""Does it help to leave out photos that are unlike the training's? Figures of those that are left, by how they are chosen.

    python benchmarks/familiarity.py MODEL DATA [--prior malignant=0.6,benign=0.39,non-neoplastic=0.01]

MODEL is a bundle, DATA a data set that it was not trained on. Photos are left out by the bundle's own limits
(result.quality), by its familiarity (the energy score, docs/result.md), or by how sure it is of the category; figures are
those of the rest, with 95 % intervals of 1,000 bootstrap samples of photos.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from derm_sdk import Classifier
from derm_toolkit.data.manifest import read_dataset

SHARES = (0.9, 0.75, 0.5)
REPLICATES = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--prior", type=shares, metavar="NODE=SHARE,...")
    given = parser.parse_args()
    dataset = read_dataset(given.data)
    tree, top = dataset.taxonomy, dataset.taxonomy.levels[0]
    true, malignant, right, sure, familiar, flagged = [], [], [], [], [], []
    with Classifier(given.model) as classifier:
        for photo in dataset.photos:
            result = classifier.classify(dataset.path(photo), fitzpatrick=photo.fitzpatrick, prior=given.prior)
            best = result[top][0]
            category = tree.ancestor(photo.leaf, top)
            true.append(category == "malignant")
            malignant.append(next(node.probability for node in result[top] if node.id == "malignant"))
            right.append(best.id == category)
            sure.append(best.probability)
            familiar.append(result.quality.measures["familiarity"])
            flagged.append(bool(result.quality.problems))
    truth, shown, hits = np.array(true), np.array(malignant), np.array(right)
    print(f"| {len(truth)} photos | left | {top} accuracy | malignant AUROC |\n|---|---|---|---|")

    def line(name: str, kept: np.ndarray) -> None:
        accuracy = interval(hits[kept], lambda rows: float(hits[kept][rows].mean()))
        area = interval(truth[kept], lambda rows: float(roc_auc_score(truth[kept][rows], shown[kept][rows])))
        print(f"| {name} | {len(kept)} | {accuracy} | {area} |")

    line("all", np.arange(len(truth)))
    line("no problem named in `result.quality`", np.flatnonzero(~np.array(flagged)))
    for name, score in (("most familiar", np.array(familiar)), ("surest", np.array(sure))):
        for share in SHARES:
            line(f"the {name} {share:.0%}", np.argsort(-score, kind="stable")[: round(share * len(score))])


def interval(values: np.ndarray, figure: Callable[[np.ndarray], float]) -> str:
    """.700 (.650-.750)"""
    random = np.random.default_rng(0)
    found = [figure(random.integers(0, len(values), len(values))) for _ in range(REPLICATES)]
    ends = (figure(np.arange(len(values))), *np.percentile(found, [2.5, 97.5]))
    value, low, high = (f"{end:.3f}".removeprefix("0") for end in ends)
    return f"{value} ({low}-{high})"


def shares(text: str) -> dict[str, float]:
    return {node: float(share) for node, share in (pair.split("=") for pair in text.split(","))}


if __name__ == "__main__":
    main()
