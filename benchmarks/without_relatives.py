"""What a run's figures are without the test photos that a new search for near duplicates finds relatives of.

    python benchmarks/without_relatives.py RUN...

A split is as clean as the search it was made with. This looks for near duplicates anew, over the whole data set, and judges
each run (after `derm-toolkit evaluate RUN`) on all of its test photos, and on those with no relative among the photos that
it was trained, chosen or calibrated on. RUN:FILE.npz takes another evaluation of the run, such as that of its int8 bundle.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from sklearn.metrics import f1_score, roc_auc_score

from derm_toolkit.data.duplicates import Clusters, find_clusters
from derm_toolkit.data.manifest import Dataset, Split
from derm_toolkit.evaluation.predictions import Predictions, read_predictions
from derm_toolkit.training.run import read_run

_FOUND: dict[str, Clusters] = {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN[:FILE.npz]")
    print("| run | test photos | category accuracy | condition accuracy | condition macro F1 | AUROC |")
    print("|---|---|---|---|---|---|")
    for word in parser.parse_args().runs:
        name, _, file = word.partition(":")
        run = read_run(Path(name))
        dataset = run.dataset()
        said = read_predictions(Path(file) if file else run.folder / "evaluation" / "test.npz")
        clean = without_relatives(dataset, run.split(dataset), found_clusters(dataset))
        for which, keep in (("all", np.ones(len(said), bool)), ("no relative", np.isin(said.digest, sorted(clean)))):
            print(f"| {word} | {keep.sum()}, {which} | " + " | ".join(figures(said, keep)) + " |", flush=True)


def found_clusters(dataset: Dataset) -> Clusters:
    """What a search for near duplicates finds today; looked for once a data set."""
    if dataset.digest not in _FOUND:
        _FOUND[dataset.digest] = find_clusters(dataset, "embedding", dataset.folder / "descriptors", _told)
    return _FOUND[dataset.digest]


def without_relatives(dataset: Dataset, split: Split, clusters: Clusters) -> set[str]:
    """Digests of the test photos whose clusters hold no photo of another side."""
    sides: dict[str, set[str]] = defaultdict(set)
    for photo in dataset.photos:
        sides[clusters.names[photo.digest]].add(split.assignments[photo.digest])
    return {photo.digest for photo in dataset.photos if sides[clusters.names[photo.digest]] == {"test"}}


def figures(said: Predictions, keep: np.ndarray) -> list[str]:
    tree, cells = said.taxonomy, []
    for level in (tree.levels[0], tree.levels[-1]):
        columns = [place for place, node in enumerate(said.nodes) if tree.node(str(node)).level == level]
        best = said.nodes[columns][said.probabilities[:, columns].argmax(axis=1)][keep]
        truth = said.truth[keep, tree.levels.index(level)]
        cells.append(f"{(best == truth).mean():.3f}")
    cells.append(f"{f1_score(truth, best, average='macro', labels=np.unique(truth)):.3f}")
    malignant = said.probabilities[keep, list(said.nodes).index("malignant")]
    cells.append(f"{roc_auc_score(said.truth[keep, 0] == 'malignant', malignant):.3f}")
    return [cell.removeprefix("0") for cell in cells]


def _told(done: int, total: int) -> None:
    print(f"\r{done} of {total} photos described", end="\n" if done == total else "", file=sys.stderr)


if __name__ == "__main__":
    main()
