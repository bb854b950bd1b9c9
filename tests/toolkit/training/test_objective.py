from __future__ import annotations

import numpy as np
import pytest

from derm_sdk.taxonomy import Taxonomy
from derm_toolkit.training.objective import objective, upward_sums

PATHS = [
    ("malignant", "epidermal", "carcinoma"),
    ("malignant", "melanoma", "nodular"),
    ("malignant", "melanoma", "superficial"),
    ("benign", "dermal", "fibroma"),
]
TREE = Taxonomy.from_paths(("category", "group", "condition"), PATHS)
LEAVES = TREE.leaves_under(None)
NONE = np.zeros(len(LEAVES), np.float32)


def losses(targets: np.ndarray, logits: np.ndarray, **options) -> np.ndarray:
    settings = {"hierarchy": 0.0, "focal": 0.0, "log_prior": NONE} | options
    loss = objective(upward_sums(TREE, LEAVES), **settings)
    return np.asarray(loss(np.float32(targets), np.float32(logits)))


def softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


@pytest.fixture
def batch() -> tuple[np.ndarray, np.ndarray]:
    stream = np.random.default_rng(1)
    return np.eye(4)[[0, 1, 3]], stream.normal(size=(3, 4)) * 3


def test_sums_follow_the_tree_from_the_top():
    top, groups = upward_sums(TREE, LEAVES)
    assert top.shape == (4, 2) and groups.shape == (4, 3)
    for leaf, row in zip(LEAVES, top, strict=True):
        assert (row == top[LEAVES.index("fibroma")]).all() == (TREE.ancestor(leaf, "category") == "benign")


def test_labels_of_one_category_have_no_sum_over_categories():
    assert [each.shape for each in upward_sums(TREE, TREE.leaves_under("malignant"))] == [(3, 2)]
    assert upward_sums(TREE, [node.id for node in TREE.at("category")]) == []


def test_without_options_it_is_cross_entropy(batch):
    targets, logits = batch
    np.testing.assert_allclose(losses(targets, logits), -np.log((softmax(logits) * targets).sum(axis=1)), rtol=1e-5)


def test_each_level_above_adds_the_cross_entropy_of_its_sums(batch):
    targets, logits = batch
    expected = -np.log((softmax(logits) * targets).sum(axis=1))
    for below in upward_sums(TREE, LEAVES):
        expected -= 0.5 * np.log(((softmax(logits) @ below) * (targets @ below)).sum(axis=1))
    np.testing.assert_allclose(losses(targets, logits, hierarchy=0.5), expected, rtol=1e-5)


def test_focal_loss_matches_its_formula(batch):
    targets, logits = batch
    p = (softmax(logits) * targets).sum(axis=1)
    np.testing.assert_allclose(losses(targets, logits, focal=2.0), -((1 - p) ** 2) * np.log(p), rtol=1e-4)


def test_logit_adjustment_shifts_the_logits(batch):
    targets, logits = batch
    prior = np.log(np.float32([0.7, 0.1, 0.1, 0.1]))
    np.testing.assert_allclose(losses(targets, logits, log_prior=prior), losses(targets, logits + prior), rtol=1e-5)


def test_a_hopeless_photo_costs_a_finite_loss():
    logits = np.array([[200.0, -200.0, -200.0, -200.0]])
    assert np.isfinite(losses(np.eye(4)[[3]], logits, hierarchy=1.0, focal=2.0)).all()
