"""The vectorised bootstrap against its slow, obvious twin: scikit-learn on photos written out as often as they count."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from derm_toolkit.data.manifest import Photo, Split
from derm_toolkit.evaluation.bootstrap import aurocs, class_scores, interval, units, weight_blocks, weighted_means
from derm_toolkit.evaluation.metrics import point_scores


def resampled_weights(clusters: list[str], replicates: int, seed: int) -> np.ndarray:
    """All replicates in one block."""
    (weights,) = weight_blocks(clusters, replicates, seed, block_bytes=1 << 30)
    return weights


@pytest.fixture
def stream() -> np.random.Generator:
    return np.random.default_rng(4)


def test_whole_clusters_are_drawn_as_many_as_there_are(stream: np.random.Generator):
    clusters = ["a", "b", "a", "c", "d", "d", "d"]
    weights = resampled_weights(clusters, 200, seed=1)
    assert weights.shape == (200, 7)
    assert np.array_equal(weights[:, 0], weights[:, 2])
    assert np.array_equal(weights[:, 4], weights[:, 6])
    assert (weights[:, [0, 1, 3, 4]].sum(axis=1) == 4).all()
    assert abs(weights.mean() - 1) < 0.1
    assert np.array_equal(weights, resampled_weights(clusters, 200, seed=1))
    assert not np.array_equal(weights, resampled_weights(clusters, 200, seed=2))


def test_every_score_equals_scikit_learns_on_the_replicate(stream: np.random.Generator):
    truth, predicted = stream.integers(0, 4, 60), stream.integers(0, 5, 60)
    truth[truth == 3] = 2  # class 3 is guessed, but never true
    weights = resampled_weights([str(n // 2) for n in range(60)], 25, seed=0)
    fast = class_scores(truth, predicted, 5, weights)
    for replicate, counts in enumerate(weights.astype(int)):
        slow = point_scores(np.repeat(truth, counts), np.repeat(predicted, counts))
        for name, value in slow.items():
            assert fast[name][replicate] == pytest.approx(value), name


def test_auroc_equals_scikit_learns_on_the_replicate_ties_included(stream: np.random.Generator):
    scores, positive = stream.integers(0, 8, 50) / 8, stream.random(50) < 0.4
    weights = resampled_weights([str(n) for n in range(50)], 25, seed=0)
    fast = aurocs(scores, positive, weights)
    for replicate, counts in enumerate(weights.astype(int)):
        assert fast[replicate] == pytest.approx(roc_auc_score(np.repeat(positive, counts), np.repeat(scores, counts)))


def test_a_replicate_without_positives_has_no_auroc():
    assert np.isnan(aurocs(np.array([0.1, 0.9]), np.array([False, True]), np.array([[2.0, 0.0]]))[0])


def test_intervals_leave_undefined_replicates_out():
    assert interval(np.array([np.nan, 1.0, 1.0])) == (1.0, 1.0)
    assert interval(np.array([np.nan])) is None
    assert np.allclose(weighted_means(np.array([1.0, 3.0]), np.array([[1.0, 1.0], [0.0, 2.0]])), [2, 3])


def test_the_interval_of_an_accuracy_is_about_as_wide_as_it_should_be(stream: np.random.Generator):
    truth = np.zeros(400, np.int64)
    predicted = (stream.random(400) < 0.2).astype(np.int64)
    alone = resampled_weights([str(n) for n in range(400)], 2000, seed=0)
    low, high = interval(class_scores(truth, predicted, 2, alone)["accuracy"])
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.2 * 0.8 / 400), rel=0.15)
    # Photos that come in copies of four say as little as a quarter of them: the interval is twice as wide.
    copies = resampled_weights([str(n // 4) for n in range(400)], 2000, seed=0)
    low4, high4 = interval(class_scores(truth, np.repeat(predicted[::4], 4), 2, copies)["accuracy"])
    assert high4 - low4 == pytest.approx(2 * (high - low), rel=0.25)


def test_the_size_of_the_blocks_changes_no_replicate():
    clusters = [str(n // 3) for n in range(61)]
    blocks = list(weight_blocks(clusters, 50, seed=5, block_bytes=7 * 61 * 8))
    assert [len(block) for block in blocks] == [7] * 7 + [1]
    assert np.array_equal(np.concatenate(blocks), resampled_weights(clusters, 50, seed=5))


def test_many_photos_take_little_memory():
    clusters = [str(n) for n in range(20_000)]
    list(weight_blocks(clusters, 1, seed=0))
    tracemalloc.start()
    sizes = [block.nbytes for block in weight_blocks(clusters, 200, seed=0)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(sizes) == 200 * 20_000 * 8
    assert peak < 60e6


def test_units_are_what_the_splitter_never_cuts():
    def photo(digest: str, patient: str = "", lesion: str = "") -> Photo:
        return Photo(f"{digest}.jpg", digest, ("x",), "x", None, "", patient, lesion, 9, 9)

    photos = [photo("a", "p"), photo("b"), photo("c", "p"), photo("d", "", "l"), photo("e", "", "l"), photo("f")]
    split = Split({each.digest: "test" for each in photos}, {each.digest: each.digest for each in photos} | {"b": "a"})
    # b is a near duplicate of a, and c a photo of the same patient: the three are one.
    assert units(photos, split) == ["a", "a", "a", "d", "d", "f"]
    assert units(photos, None) == ["a", "b", "a", "d", "d", "f"]
