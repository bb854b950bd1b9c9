"""Groups of photos are drawn whole, in bounded memory, and intervals are as wide as they should be."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from derm_toolkit.data.manifest import Photo, Split
from derm_toolkit.evaluation.bootstrap import Replicated, interval, resample, units, weight_blocks
from derm_toolkit.evaluation.scores import weighted_means


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


def test_intervals_leave_undefined_replicates_out():
    assert interval(np.array([np.nan, 1.0, 1.0])) == (1.0, 1.0)
    assert interval(np.array([np.nan])) is None
    assert Replicated(np.nan, np.array([1.0, 1.0])).cell(9) is None
    assert Replicated(1.0, np.array([np.nan])).cell(9) is None


def test_the_interval_of_an_accuracy_is_about_as_wide_as_it_should_be(stream: np.random.Generator):
    right = (stream.random(400) >= 0.2).astype(float)

    def width(right: np.ndarray, clusters: list[str]) -> float:
        measure = {"x": lambda weights: {"accuracy": weighted_means(right, weights)}}
        cell = resample(measure, clusters, 2000)["x"]["accuracy"].cell(400)
        assert cell["value"] == pytest.approx(right.mean())
        return cell["high"] - cell["low"]

    alone = width(right, [str(n) for n in range(400)])
    assert alone == pytest.approx(2 * 1.96 * np.sqrt(0.2 * 0.8 / 400), rel=0.15)
    # Photos that come in copies of four say as little as a quarter of them: the interval is twice as wide.
    assert width(np.repeat(right[::4], 4), [str(n // 4) for n in range(400)]) == pytest.approx(2 * alone, rel=0.25)


def test_all_measures_are_computed_on_the_same_draws(stream: np.random.Generator):
    values = stream.random(50)
    measures = {key: lambda weights: {"mean": weighted_means(values, weights)} for key in "ab"}
    found = resample(measures, [str(n // 2) for n in range(50)], 40)
    assert found["a"]["mean"].minus(found["b"]["mean"]).cell(50) == {"value": 0, "low": 0, "high": 0, "n": 50}


def test_noise_that_is_counted_as_a_difference_is_corrected(stream: np.random.Generator):
    """Six groups of 50 that are right equally often: best minus worst is never 0, but nothing lies between them."""
    raw, corrected, far = [], [], np.repeat(np.arange(6), 50)

    def gap(weights: np.ndarray) -> dict[str, np.ndarray]:
        of_group = [weighted_means(right[far == group], weights[:, far == group]) for group in range(6)]
        return {"gap": np.ptp(of_group, axis=0)}

    for seed in range(40):
        right = (stream.random(300) < 0.7).astype(float)
        figure = resample({"x": gap}, [str(n) for n in range(300)], 200, seed)["x"]["gap"]
        cell = figure.corrected_cell(300)
        raw, corrected = [*raw, cell["value"]], [*corrected, cell["corrected"]]
        assert 0 <= cell["low"] <= cell["corrected"] <= cell["high"] <= 1
    assert np.mean(raw) > 0.12
    assert np.mean(corrected) < 0.7 * np.mean(raw)


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
