"""Every figure against scikit-learn, on photos written out as often as they count."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from derm_toolkit.evaluation.measures import baselines
from derm_toolkit.evaluation.scores import (
    CalibrationError,
    ClassCounts,
    Ranking,
    brier_scores,
    class_scores,
    in_top,
    log_losses,
    share,
    weighted_means,
)

CLASSES = 5


@st.composite
def weighted_photos(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth [N], probabilities [N, CLASSES] that add up to 1, weights [3, N]; classes may be absent, scores equal."""
    count = draw(st.integers(1, 30))
    stream = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    truth = stream.integers(0, draw(st.integers(1, CLASSES)), count)
    shares = stream.integers(1, draw(st.sampled_from([3, 1000])), (count, CLASSES)).astype(float)
    weights = stream.integers(0, 3, (3, count)).astype(float)
    weights[:, 0] += 1
    return truth, shares / shares.sum(axis=1, keepdims=True), weights


@settings(max_examples=60, deadline=None)
@given(weighted_photos())
def test_figures_of_classes_equal_scikit_learns(case: tuple[np.ndarray, np.ndarray, np.ndarray]):
    truth, shares, weights = case
    guess = shares.argmax(axis=1)
    found = class_scores(*ClassCounts(truth, guess, CLASSES)(weights))
    found["log_loss"] = weighted_means(log_losses(shares, truth), weights)
    found["brier"] = weighted_means(brier_scores(shares, truth), weights)
    for replicate, counts in enumerate(weights.astype(int)):
        true, guessed, told = np.repeat(truth, counts), np.repeat(guess, counts), np.repeat(shares, counts, axis=0)
        options = {"labels": np.unique(true), "zero_division": 0.0}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # classes that are guessed, but not true
            expected = {
                "accuracy": sk.accuracy_score(true, guessed),
                "balanced_accuracy": sk.balanced_accuracy_score(true, guessed),
                "macro_f1": sk.f1_score(true, guessed, average="macro", **options),
                "weighted_f1": sk.f1_score(true, guessed, average="weighted", **options),
                "precision": sk.precision_score(true, guessed, average="macro", **options),
                "recall": sk.recall_score(true, guessed, average="macro", **options),
                "log_loss": sk.log_loss(true, told, labels=range(CLASSES)),
                "brier": CLASSES * sk.mean_squared_error(np.eye(CLASSES)[true], told),
            }
        for name, value in expected.items():
            assert found[name][replicate] == pytest.approx(value), name


@settings(max_examples=40, deadline=None)
@given(weighted_photos())
def test_the_roc_curve_equals_scikit_learns_ties_included(case: tuple[np.ndarray, np.ndarray, np.ndarray]):
    truth, shares, weights = case
    positive, score, specificities = truth == 0, shares[:, 0], (0.0, 0.8, 0.95)
    area, sensitivities = Ranking(score, positive)(weights, specificities)
    for replicate, counts in enumerate(weights.astype(int)):
        true, told = np.repeat(positive, counts), np.repeat(score, counts)
        if not 0 < true.sum() < len(true):
            assert np.isnan(area[replicate])
            continue
        assert area[replicate] == pytest.approx(sk.roc_auc_score(true, told))
        false_alarms, hits, _ = sk.roc_curve(true, told, drop_intermediate=False)
        for specificity, found in zip(specificities, sensitivities, strict=True):
            assert found[replicate] == pytest.approx(hits[false_alarms <= 1 - specificity + 1e-9].max())


def test_the_top_three_equal_scikit_learns_where_nothing_is_equal():
    stream = np.random.default_rng(1)
    truth, shares = stream.integers(0, CLASSES, 200), stream.dirichlet(np.ones(CLASSES), 200)
    assert in_top(shares, truth, 3).mean() == sk.top_k_accuracy_score(truth, shares, k=3, labels=range(CLASSES))
    assert in_top(np.full((2, 5), 0.2), np.array([2, 3]), 3).tolist() == [True, False]


def test_the_calibration_error_equals_that_of_scikit_learns_curve():
    stream = np.random.default_rng(2)
    confidence = stream.uniform(0.2, 1, 500)
    right = stream.random(500) < confidence**2
    told, happened = calibration_curve(right, confidence, n_bins=10)[::-1]
    photos = np.histogram(confidence, np.linspace(0, 1, 11))[0]
    expected = (photos[photos > 0] * np.abs(told - happened)).sum() / 500
    assert CalibrationError(confidence, right)(np.ones((1, 500)))[0] == pytest.approx(expected)
    assert CalibrationError(np.array([1.0]), np.array([True]))(np.ones((1, 1)))[0] == 0.0


def test_what_a_constant_answer_reaches_equals_scikit_learns_figures_of_one():
    truth = np.array([0] * 7 + [1] * 2 + [3] * 4 + [4])
    guess = np.zeros(len(truth), int)
    shares = np.tile(np.bincount(truth, minlength=CLASSES) / len(truth), (len(truth), 1))
    found = baselines(np.bincount(truth, minlength=CLASSES))
    options = {"labels": np.unique(truth), "zero_division": 0.0}
    assert found["accuracy"] == 0.5
    assert found["balanced_accuracy"] == found["recall"] == sk.recall_score(truth, guess, average="macro", **options)
    assert found["macro_f1"] == pytest.approx(sk.f1_score(truth, guess, average="macro", **options))
    assert found["weighted_f1"] == pytest.approx(sk.f1_score(truth, guess, average="weighted", **options))
    assert found["precision"] == pytest.approx(sk.precision_score(truth, guess, average="macro", **options))
    assert found["log_loss"] == pytest.approx(sk.log_loss(truth, shares, labels=range(CLASSES)))
    assert found["brier"] == pytest.approx(brier_scores(shares, truth).mean())
    assert found["top3"] == pytest.approx(in_top(shares, truth, 3).mean())


def test_figures_of_no_photo_are_not_defined():
    none, nobody = np.zeros(0, np.int64), np.zeros((2, 0))
    assert all(np.isnan(value).all() for value in class_scores(*ClassCounts(none, none, 3)(nobody)).values())
    assert np.isnan(CalibrationError(np.zeros(0), np.zeros(0, bool))(nobody)).all()
    assert np.isnan(Ranking(np.zeros(0), np.zeros(0, bool))(nobody, (0.9,))[0]).all()
    assert np.isnan(share(np.zeros(0, bool), np.zeros(0, bool), nobody)).all()
    assert np.isnan(weighted_means(np.zeros(0), nobody)).all()
