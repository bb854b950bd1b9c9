"""Labels that the pictures speak against, by confident learning.

A plain classifier (logistic regression on the pretrained network's features, reduced to 128 components) answers about every
photo in five folds that no cluster of near duplicates, patient or lesion straddles. A label is suspected where confident
learning (Northcutt, Jiang and Chuang 2021, by the library cleanlab) says that, by the classes' own average confidence, the
photo belongs to another class. It is a hint to look: conditions that look alike are suspected, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..duplicates import connected, standardise
from ..manifest import Dataset

FOLDS = 5
COMPONENTS = 128
STRENGTH = 0.01  # C of the logistic regression: strong decay, since there are few photos a condition


@dataclass(frozen=True)
class Suspect:
    """A label to look at again.

    Attributes:
        photo: its place in the data set.
        given: the label it has, the name of a condition.
        suggested: the label that the classifier holds most likely.
        confidence: of the classifier in the given label, 0..1: the lower, the more suspect.
    """

    photo: int
    given: str
    suggested: str
    confidence: float


@dataclass(frozen=True)
class LabelErrors:
    """What was suspected, and how good the classifier is that suspects.

    Attributes:
        suspects: the most suspect first.
        judged: how many photos were judged.
        left_out: conditions with photos in fewer than FOLDS groups.
        accuracy: of the classifier's first guess on photos it was not fitted on.
    """

    suspects: tuple[Suspect, ...]
    judged: int
    left_out: tuple[str, ...]
    accuracy: float


def suspect_labels(dataset: Dataset, features: NDArray[np.float32], clusters: Sequence[str], seed: int = 0) -> LabelErrors:
    """Finds labels that the pictures speak against.

    Args:
        dataset: whose labels.
        features: float32 [n, 1280], one row per photo.
        clusters: name of each photo's cluster of near duplicates.
        seed: of the folds.
    """
    labels = np.array([photo.labels[-1] for photo in dataset.photos])
    keys = [list(clusters), [p.patient_id for p in dataset.photos], [p.lesion_id for p in dataset.photos]]
    groups = np.array(connected(len(labels), keys))
    spread = {name: len(set(groups[labels == name])) for name in sorted(set(labels))}
    left_out = tuple(name for name, count in spread.items() if count < FOLDS)
    kept = np.flatnonzero(~np.isin(labels, left_out))
    names, given = np.unique(labels[kept], return_inverse=True)
    if len(names) < 2:
        return LabelErrors((), 0, left_out, float("nan"))
    probabilities = _held_out(features[kept], given, groups[kept], seed)
    return LabelErrors(
        tuple(Suspect(int(kept[i]), str(names[given[i]]), str(names[best]), float(p)) for i, best, p in
              _suspects(given, probabilities)),
        len(kept), left_out, float((probabilities.argmax(axis=1) == given).mean()),
    )  # fmt: skip


def _held_out(features: NDArray[np.float32], given: NDArray[Any], groups: NDArray[Any], seed: int) -> NDArray[Any]:
    """Probabilities [n, classes] of each photo, by a classifier that saw neither it nor its group."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold

    count = int(given.max()) + 1
    rows = PCA(min(COMPONENTS, *features.shape), random_state=seed, svd_solver="randomized").fit_transform(
        standardise(features) * np.sqrt(features.shape[1])
    )
    rows = (rows / rows.std()).astype(np.float32)
    probabilities = np.full((len(rows), count), 1e-6)
    for fitted, judged in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(rows, given, groups):
        model = LogisticRegression(C=STRENGTH, max_iter=300).fit(rows[fitted], given[fitted])
        probabilities[np.ix_(judged, model.classes_)] += model.predict_proba(rows[judged])
    return probabilities / probabilities.sum(axis=1, keepdims=True)


def _suspects(given: NDArray[Any], probabilities: NDArray[Any]) -> list[tuple[int, int, float]]:
    from cleanlab.filter import find_label_issues

    ranked = find_label_issues(given, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
    best = probabilities.argmax(axis=1)
    return [(int(i), int(best[i]), float(probabilities[i, given[i]])) for i in ranked if best[i] != given[i]]
