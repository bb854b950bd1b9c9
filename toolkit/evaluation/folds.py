"""The figures of a cross-validation: their mean over the folds, how they scatter, and all photos together.

Two intervals, which answer two questions:

    of the mean   how well would this recipe do, trained on other photos of the same kind? Student's t over the k folds, with
                  the variance of the mean taken as (1/k + n_test/n_train) s^2 instead of s^2/k, since the folds share
                  training photos. Source: Nadeau and Bengio 2003, "Inference for the Generalization Error", Machine
                  Learning 52. For folds it is a heuristic: no unbiased estimate of this variance exists (Bengio and
                  Grandvalet 2004, "No Unbiased Estimator of the Variance of K-Fold Cross-Validation", JMLR 5).
    pooled        how well do these k models do on other photos? Every photo is judged by the model that has not seen it,
                  and whole groups of related photos are drawn again. Training another time is not in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from scipy import stats

from derm_sdk.calibration import Calibration

from ..errors import DataError
from .bootstrap import REPLICATES, Replicated, resample
from .figures import level_cell
from .measures import LEAST_PHOTOS, LevelMeasure, ReferMeasure, level_measure, refer_node
from .predictions import Predictions
from .table import plain_table, text_of

LEVEL_FIGURES = ("accuracy", "balanced_accuracy", "macro_f1")
REFER_FIGURES = ("auroc",)
_NAMES = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1", "auroc": "AUROC"}
_PER_PHOTO = ("digest", "leaf", "truth", "skin_type", "unit", "probabilities", "uncalibrated", "answer", "refer")
OF_MEAN = "95 %, Student's t over the folds, variance corrected for shared training photos (Nadeau and Bengio 2003)"


def pool(parts: Mapping[str, Predictions], model: str) -> Predictions:
    """Puts the folds' predictions about their own test photos into one, each photo judged by the model that never saw it.

    Args:
        parts: {fold: predictions}, all over the same tree.
        model: what it is called.
    Returns:
        Predictions whose meta names the folds. Answers and referrals are those of each fold's own calibration; the numbers
        in meta are none of theirs, so prediction sets cannot be made from it.
    Raises:
        DataError: the folds share a photo, or differ in their trees.
    """
    first = next(iter(parts.values()))
    for name, each in parts.items():
        if each.taxonomy != first.taxonomy:
            raise DataError(f"The labels of {name!r} are not those of the other folds.")
    arrays = {name: np.concatenate([getattr(each, name) for each in parts.values()]) for name in _PER_PHOTO}
    about = {name: {**_origin(each), "n": len(each)} for name, each in parts.items()}
    meta = {
        "format": first.meta["format"],
        "model": model,
        "model_sha256": _joined(str(each.meta.get("model_sha256")) for each in parts.values()),
        "dataset": first.meta.get("dataset"),
        "split": _joined(str(each.meta.get("split")) for each in parts.values()),
        "side": "test",
        "folds": about,
        "taxonomy": first.taxonomy.to_dict(),
        "calibration": Calibration(refer_node=first.calibration.refer_node, fitted_on={"split": "of each fold"}).to_dict(),
    }
    return Predictions(**arrays, nodes=first.nodes, meta=meta)


def fold_figures(
    parts: Mapping[str, Predictions],
    pooled: Predictions,
    train_photos: Mapping[str, int],
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, Any]:
    """The headline figures of a cross-validation.

    Args:
        parts: {fold: predictions}, two or more.
        pooled: `pool` of them.
        train_photos: {fold: photos that it was trained on}.
        replicates, seed: of the bootstrap.
    Returns:
        JSON-ready: {"n", "clusters", "levels": {level: {"n", "classes", "baselines", figure: spread}}, "refer": {"node",
        "n", "positives", "auroc": spread}, "interval": {"mean", "pooled"}}. A spread is {"folds": {fold: value}, "mean",
        "sd", "low", "high", "pooled": cell}; a fold with fewer than 20 photos has no value, and then there is no mean.
    """
    ratio = float(np.mean([len(each) / train_photos[name] for name, each in parts.items()]))
    node = refer_node(pooled)
    whole: dict[str, LevelMeasure | ReferMeasure] = {
        level: level_measure(pooled, level, _all(pooled)) for level in pooled.taxonomy.levels
    }
    if node is not None:
        whole["refer"] = ReferMeasure(pooled, node, _all(pooled))
    asked = {key: each for key, each in whole.items() if len(each.rows) >= LEAST_PHOTOS}
    found = resample(asked, pooled.unit.tolist(), replicates, seed) if asked else {}

    def figures(key: str, names: tuple[str, ...]) -> dict[str, Any]:
        of_folds = {fold: _values(each, key, node, names) for fold, each in parts.items()}
        return {
            name: {
                "folds": {fold: values[name] for fold, values in of_folds.items()},
                **_spread([values[name] for values in of_folds.values()], ratio),
                "pooled": _cell(name, found.get(key, {}).get(name), len(whole[key].rows)),
            }
            for name in names
        }

    levels = {}
    for level in pooled.taxonomy.levels:
        measure = whole[level]
        assert isinstance(measure, LevelMeasure)
        about = {"n": len(measure.rows), "classes": measure.classes, "baselines": measure.baselines}
        levels[level] = about | figures(level, LEVEL_FIGURES)
    told: dict[str, Any] = {"n": len(pooled), "clusters": len(np.unique(pooled.unit)), "levels": levels}
    if node is not None:
        refer = whole["refer"]
        about = {"node": node, "n": len(refer.rows), "positives": refer.counts["positives"]}
        told["refer"] = about | figures("refer", REFER_FIGURES)
    told["interval"] = {
        "mean": OF_MEAN,
        "pooled": f"95 %, {replicates} bootstrap replicates of whole clusters over all photos, seed {seed}",
    }
    return told


def print_fold_figures(found: Mapping[str, Any], title: str, console: Console) -> None:
    """Prints one table per level and the node to refer; made for 100 columns."""
    count = len(next(iter(found["levels"].values()))["accuracy"]["folds"])
    console.print(f"{title}: {found['n']:,} photos in {found['clusters']:,} groups, {count} folds", markup=False)
    parts = [(f"{level} ({values['classes']})", values, LEVEL_FIGURES) for level, values in found["levels"].items()]
    if "refer" in found:
        refer = found["refer"]
        parts.append((f"{refer['node']} ({refer['positives']:,} of {refer['n']:,})", refer, REFER_FIGURES))
    for heading, values, names in parts:
        table = plain_table("")
        for column in (heading, "mean of the folds", "sd", "least", "most", "all photos pooled", "constant"):
            table.add_column(column, no_wrap=True)
        for name in names:
            spread = values[name]
            told = [value for value in spread["folds"].values() if value is not None]
            ends = (spread["sd"], min(told), max(told)) if spread["mean"] is not None else ()
            table.add_row(
                _NAMES[name],
                text_of({**spread, "value": spread["mean"]}) if ends else "too few photos",
                *([f"{each:.3f}" for each in ends] or [""] * 3),
                text_of(spread["pooled"]),
                f"{values['baselines'][name]:.3f}" if name in values.get("baselines", {}) else "",
            )
        console.print(table)
    console.print(f"In brackets, mean: {found['interval']['mean']}.", markup=False)
    console.print(f"In brackets, pooled: {found['interval']['pooled']}; training again is not in it.", markup=False)


def _all(predictions: Predictions) -> NDArray[np.int64]:
    return np.arange(len(predictions))


def _values(predictions: Predictions, key: str, node: str | None, names: tuple[str, ...]) -> dict[str, float | None]:
    """A fold's figures; None for those that are not defined, or about fewer than 20 photos."""
    measure: LevelMeasure | ReferMeasure
    if key == "refer":
        measure = ReferMeasure(predictions, str(node), _all(predictions))
    else:
        measure = level_measure(predictions, key, _all(predictions))
    if len(measure.rows) < LEAST_PHOTOS:
        return dict.fromkeys(names)
    found = measure(np.ones((1, len(predictions))))
    return {name: float(found[name][0]) if np.isfinite(found[name][0]) else None for name in names}


def _spread(values: list[float | None], ratio: float) -> dict[str, float | None]:
    """Mean, standard deviation and interval of the mean; None unless every fold has a value, and there are two or more."""
    known = np.array([value for value in values if value is not None])
    if len(known) < max(2, len(values)):
        return dict.fromkeys(("mean", "sd", "low", "high"))
    mean, sd, k = float(known.mean()), float(known.std(ddof=1)), len(known)
    half = float(stats.t.ppf(0.975, k - 1)) * sd * (1 / k + ratio) ** 0.5
    return {"mean": mean, "sd": sd, "low": max(0.0, mean - half), "high": min(1.0, mean + half)}


def _cell(name: str, figure: Replicated | None, count: int) -> dict[str, float] | None:
    return {"n": count} if figure is None else level_cell(name, figure, count)


def _origin(predictions: Predictions) -> dict[str, Any]:
    return {key: predictions.meta.get(key) for key in ("model_sha256", "split", "calibration")}


def _joined(digests: Any) -> str:
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
