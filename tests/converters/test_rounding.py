"""Learned rounding keeps the layers' outputs closer than rounding to the nearest level does."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from derm_converters.folding import fold_batchnorm
from derm_converters.rounding import (
    LEVELS,
    _patches,
    learned_kernels,
    nearest_kernels,
    put_kernels,
    round_kernel,
    rounded_rows,
)

from . import networks

RANDOM = np.random.default_rng(5)


def steps_of(rounded: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return rounded / (np.abs(rows).max(axis=1, keepdims=True) / LEVELS)


def test_kernels_rounded_to_the_nearest_have_255_levels_per_channel_and_zeros_stay():
    kernel = RANDOM.normal(size=(2, 2, 4, 3)).astype(np.float32)
    kernel[..., 1] = 0
    rounded = round_kernel(layers.Conv2D(3, 2), kernel)
    steps = rounded[..., 0] / (np.abs(kernel[..., 0]).max() / LEVELS)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-4)
    assert (rounded[..., 1] == 0).all()


@given(st.integers(1, 12), st.integers(1, 30), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_learned_weights_are_levels_of_the_same_scale(outputs, inputs, seed):
    random = np.random.default_rng(seed)
    rows = random.normal(size=(outputs, inputs)) * random.choice([0, 1e-3, 1, 50], (outputs, 1))
    values = random.normal(size=(40, inputs)) @ random.normal(size=(inputs, inputs))
    rounded = rounded_rows(rows, values.T @ values)
    for row, found in zip(rows, rounded, strict=True):
        if not row.any():
            assert not found.any()
            continue
        steps = found / (np.abs(row).max() / LEVELS)
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-6)
        assert np.abs(steps).max() == pytest.approx(LEVELS)
        assert found[np.abs(row).argmax()] == pytest.approx(row[np.abs(row).argmax()])


def test_inputs_that_go_together_lose_less_than_to_the_nearest_and_others_are_rounded_to_it():
    rows = RANDOM.normal(size=(16, 24))
    values = RANDOM.normal(size=(500, 4)) @ RANDOM.normal(size=(4, 24)) + 0.05 * RANDOM.normal(size=(500, 24))
    learned = rounded_rows(rows, values.T @ values)
    nearest = round_kernel(layers.Dense(16), rows.T.copy()).T
    errors = [np.square(values @ (rounded - rows).T).mean() for rounded in (learned, nearest)]
    assert errors[0] < 0.2 * errors[1]
    np.testing.assert_allclose(rounded_rows(rows, np.eye(24)), nearest, atol=1e-6)


def test_inputs_that_never_come_do_no_harm():
    rows = RANDOM.normal(size=(3, 5))
    np.testing.assert_allclose(
        steps_of(rounded_rows(rows, np.zeros((5, 5))), rows), np.rint(steps_of(rows, rows)), atol=1e-6
    )


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(4, 3, padding="same"),
        layers.Conv2D(4, 3, strides=2, padding="same"),
        layers.Conv2D(4, (5, 3), strides=(2, 1)),
        layers.Conv2D(4, 3, dilation_rate=2, padding="same"),
        layers.Conv2D(4, 1),
        layers.DepthwiseConv2D(3, strides=2, padding="same"),
        layers.DepthwiseConv2D(3, depth_multiplier=2),
    ],
    ids=lambda layer: f"{type(layer).__name__}-{layer.kernel_size}-{layer.strides}-{layer.padding}-{layer.dilation_rate}",
)
def test_patches_are_what_the_kernel_lies_on(layer):
    values = RANDOM.normal(size=(1, 11, 14, 3)).astype(np.float32)
    wanted = np.asarray(layer(values))[0]
    patches = _patches(layer, values[0])  # so small a map is looked at everywhere
    kernel = np.asarray(layer.kernel)
    if isinstance(layer, layers.DepthwiseConv2D):
        found = np.einsum("ptc,tcm->pcm", patches, kernel.reshape(-1, *kernel.shape[2:])).reshape(len(patches), -1)
    else:
        found = patches.reshape(len(patches), -1) @ kernel.reshape(-1, kernel.shape[-1])
    np.testing.assert_allclose(found, wanted.reshape(-1, wanted.shape[-1]), atol=1e-4)


@pytest.mark.parametrize("arrangement", ["plain", "preactivated", "gray_with_skin_type"])
def test_a_network_answers_closer_with_learned_weights(arrangement):
    network = getattr(networks, arrangement)()
    photos = networks.examples(network)
    exact, learned, nearest = (fold_batchnorm(network) for _ in range(3))
    batches = [{t.name: photo[t.name][None].astype(np.float32) for t in exact.inputs} for photo in photos]
    put_kernels(learned, learned_kernels(learned, batches))
    put_kernels(nearest, nearest_kernels(nearest))

    def answers(model: keras.Model) -> np.ndarray:
        return np.concatenate([np.asarray(model([batch[t.name] for t in model.inputs])) for batch in batches])

    errors = [np.square(answers(model) - answers(exact)).mean() for model in (learned, nearest)]
    assert errors[0] < 0.7 * errors[1]
