"""The rounded network answers as its int8 graph, and learns to answer as the float one; and the remedies beside it."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from derm_converters import finetuning
from derm_converters.errors import ConversionError
from derm_converters.fake_quantisation import activation_ranges, fake_quantised, rounded_kernel
from derm_converters.finetuning import Lessons, finetune
from derm_converters.float_layers import layer_of
from derm_converters.folding import fold_batchnorm
from derm_converters.graphs import check_graph, convert_graph, float_outputs
from derm_converters.ranges import Seen
from derm_converters.recipe import Recipe
from derm_converters.reestimation import reestimated

from .test_graphs import run
from .test_ranges import SIZE, batches, bottlenecks, photos

PLAIN = Recipe("int8", ranges="min-max", equalisation=False, rounding="nearest", bias_correction=False, explain=False)


def of_eight(count: int = 64):
    rows = np.stack([photo["rgb"] for photo in photos(count)])
    return ({"rgb": rows[start : start + 8]} for start in range(0, count, 8))


def logits(model: keras.Model) -> np.ndarray:
    return np.asarray(model(np.stack([photo["rgb"] for photo in photos()]).astype(np.float32)))


def rms(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.square(a - b).mean()))


def test_the_rounded_network_answers_as_its_int8_graph_does():
    model = bottlenecks(spread=30.0)
    folded = fold_batchnorm(model)
    rounded = fake_quantised(folded, activation_ranges(folded, batches(), "min-max"))
    stored = run(convert_graph(model, PLAIN, photos, photos), photos())
    assert rms(logits(rounded), stored) < 0.4 * rms(logits(model), stored)
    assert {each.name.rpartition("/")[-1] for each in rounded.trainable_variables} == {"kernel", "bias"}


def test_rounding_hands_its_gradient_on():
    kernel = np.random.default_rng(0).normal(0, 1, (3, 3, 4, 1)).astype(np.float32)
    found = np.asarray(rounded_kernel(kernel, depthwise=True))
    steps = found / (np.abs(kernel).max(axis=(0, 1), keepdims=True) / 127)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-4)
    model = bottlenecks()
    folded = fold_batchnorm(model)
    student = fake_quantised(folded, activation_ranges(folded, batches(), "mse"))
    before = [np.array(weight) for weight in student.get_weights()]
    student.compile(keras.optimizers.SGD(1e-3), loss="mse", jit_compile=False)
    student.train_on_batch(next(iter(of_eight()))["rgb"].astype(np.float32), np.zeros((8, 5), np.float32))
    assert all(not np.array_equal(a, b) for a, b in zip(before, student.get_weights(), strict=True))


def test_every_step_of_a_fine_tuning_is_told_and_the_graph_still_answers_alike(monkeypatch):
    monkeypatch.setattr(finetuning, "RATE", 1e-3)
    model, told = bottlenecks(spread=30.0), []
    lessons = Lessons(lambda epoch: of_eight(), 8, lambda *step: told.append(step))
    recipe = Recipe(**{**vars(PLAIN), "qat_epochs": 6})
    before, after = (
        rms(run(convert_graph(model, each, photos, photos, lessons=lessons), photos()), logits(model))
        for each in (PLAIN, recipe)
    )
    assert after != before and after < 1.2 * before
    assert [step[:2] for step in told] == [(done, 48) for done in range(1, 49)]


def test_without_photos_there_is_no_fine_tuning_and_a_loss_that_is_no_number_is_told():
    model = bottlenecks()
    folded = fold_batchnorm(model)
    ranges = activation_ranges(folded, batches(), "mse")
    with pytest.raises(ConversionError, match="needs training photos"):
        finetune(model, folded, ranges, 1, Lessons(lambda epoch: iter(()), 0))
    with pytest.raises(ConversionError, match="needs training photos"):
        convert_graph(model, Recipe("int8", qat_epochs=1), photos, photos)
    endless = model.get_layer("logits").get_weights()
    model.get_layer("logits").set_weights([np.full_like(endless[0], np.nan), endless[1]])
    with pytest.raises(ConversionError, match="diverged in step 1 of 8"):
        finetune(model, folded, ranges, 1, Lessons(lambda epoch: of_eight(), 8))


def test_new_statistics_are_those_of_the_photos():
    inputs = keras.Input((SIZE, SIZE, 3), name="rgb")
    x = layers.BatchNormalization(name="norm", trainable=False)(layers.Conv2D(4, 3, name="conv")(inputs))
    x = layers.BatchNormalization(name="second")(layers.Dropout(0.9)(layers.ReLU()(x)))
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    model.get_layer("norm").set_weights([np.ones(4), np.zeros(4), np.full(4, 9.0), np.full(4, 0.1)])
    probe = keras.Model(model.inputs, model.get_layer("conv").output)
    found = [np.asarray(probe(batch["rgb"].astype(np.float32))) for batch in of_eight()]
    norm, second = (reestimated(model, of_eight()).get_layer(name) for name in ("norm", "second"))
    np.testing.assert_allclose(norm.moving_mean, np.mean([each.mean(axis=(0, 1, 2)) for each in found], axis=0), rtol=1e-3)
    np.testing.assert_allclose(
        norm.moving_variance, np.mean([each.var(axis=(0, 1, 2)) for each in found], axis=0), rtol=1e-3
    )
    assert np.all(
        np.asarray(second.moving_mean) < 0.6
    )  # of a standard normal behind ReLU it is 0.4, and nothing was dropped
    assert float(model.get_layer("norm").moving_mean[0]) == 9.0
    with pytest.raises(ConversionError, match="need training photos"):
        reestimated(model, iter(()))


def test_a_percentile_range_clips_the_outermost_values_and_holds_0():
    seen = Seen()
    values = np.random.default_rng(1).normal(3, 0.1, 20_000).astype(np.float32)
    values[0], values[1] = 1000.0, 2.0
    seen.add(values)
    low, high = seen.range("percentile")
    assert low == 0 and 3.3 < high < 5 and seen.range("min-max")[1] == 1000.0


def test_the_graph_says_which_layer_computes_in_floats_and_no_other_may():
    model = bottlenecks(spread=3.0)
    graph = convert_graph(model, Recipe("int8", explain=False, float_layers=1), photos, photos)
    (name,) = (layer_of(each, [layer.name for layer in model.layers]) for each in float_outputs(graph))
    assert name is not None and rms(run(graph, photos()), logits(model)) < 0.05 * logits(model).std()
    check_graph(graph, "int8", (name,))
    for others in ((), ("logits",)):
        with pytest.raises(ConversionError, match="must be all integers"):
            check_graph(graph, "int8", others)
