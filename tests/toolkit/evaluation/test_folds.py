"""Figures over folds: against the formulas written out, and where they are not defined."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from derm_toolkit.errors import DataError
from derm_toolkit.evaluation.folds import fold_figures, pool
from derm_toolkit.evaluation.predictions import Predictions

from .cases import random_case


def parts(*sizes: int) -> dict[str, Predictions]:
    """Folds of random photos, all different."""
    found = {}
    for number, size in enumerate(sizes, start=1):
        case = random_case(size, number)
        digest = np.array([f"{number:02x}{name[2:]}" for name in case.digest])
        found[f"fold-{number}"] = dataclasses.replace(case, digest=digest, unit=digest)
    return found


def test_the_interval_of_the_mean_allows_for_shared_training_photos():
    folds = parts(40, 50, 60)
    found = fold_figures(folds, pool(folds, "m"), {"fold-1": 80, "fold-2": 100, "fold-3": 120}, replicates=20)
    spread = found["levels"]["category"]["accuracy"]
    values = np.array([np.mean(_best(each) == each.truth[:, 0]) for each in folds.values()])
    assert list(spread["folds"].values()) == pytest.approx(values)
    assert (spread["mean"], spread["sd"]) == pytest.approx((values.mean(), values.std(ddof=1)))
    half = stats.t.ppf(0.975, 2) * values.std(ddof=1) * np.sqrt(1 / 3 + 0.5)  # 0.5: test photos per training photo
    assert (spread["low"], spread["high"]) == pytest.approx((max(0, values.mean() - half), min(1, values.mean() + half)))
    assert found["refer"]["auroc"]["mean"] > 0.5


def _best(predictions: Predictions) -> np.ndarray:
    columns = predictions.columns("category")
    return predictions.nodes[columns][predictions.probabilities[:, columns].argmax(axis=1)]


def test_a_fold_of_few_photos_gets_no_figure_and_then_there_is_no_mean():
    folds = parts(40, 12)
    found = fold_figures(folds, pool(folds, "m"), {"fold-1": 80, "fold-2": 100}, replicates=20)
    spread = found["levels"]["condition"]["macro_f1"]
    assert spread["folds"]["fold-2"] is None
    assert spread["mean"] is None
    assert spread["pooled"]["n"] == 52


def test_folds_that_share_a_photo_are_refused():
    folds = parts(30)
    with pytest.raises(DataError, match="a photo twice"):
        pool({"fold-1": folds["fold-1"], "fold-2": folds["fold-1"]}, "m")
