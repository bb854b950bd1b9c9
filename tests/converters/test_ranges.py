"""The ranges that int8 gets are those that the tensors have; equalised channels leave the function as it was."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from keras import layers

from derm_converters.equalisation import equalise
from derm_converters.folding import fold_batchnorm
from derm_converters.graphs import convert_graph
from derm_converters.ranges import rounding_error, stride, with_measured_ranges
from derm_converters.recipe import Recipe
from derm_converters.tensorflow_lite import calibrated_graph

SIZE = 16


def bottlenecks(spread: float = 1.0) -> keras.Model:
    """Two inverted residual blocks, as in MobileNetV2: linear bottlenecks with a shortcut, channels of uneven width."""
    keras.utils.set_random_seed(3)
    photo = keras.Input((SIZE, SIZE, 3), name="rgb")
    x = layers.Rescaling(1 / 128, -127 / 128, name="scaled")(photo)
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="stem")(x)
    for block in range(2):
        y = layers.ReLU(max_value=6.0)(layers.Conv2D(24, 1, name=f"expand{block}")(x))
        y = layers.ReLU(max_value=6.0)(layers.DepthwiseConv2D(3, padding="same", name=f"depthwise{block}")(y))
        y = layers.Conv2D(8, 1, name=f"project{block}")(y)
        x = layers.Add(name=f"add{block}")([x, y])
    x = layers.ReLU(max_value=6.0)(layers.Conv2D(16, 1, name="head")(x))
    model = keras.Model(photo, layers.Dense(5, name="logits")(layers.GlobalAveragePooling2D()(x)))
    widths = np.geomspace(1, spread, 8)
    for name in ("stem", "project0", "project1"):
        kernel, bias = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([kernel * widths, bias * widths])
    for name in ("expand0", "expand1", "head"):
        kernel, bias = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([3 * kernel / widths[:, None], bias])
    return model


def photos(count: int = 12) -> list[dict[str, np.ndarray]]:
    random = np.random.default_rng(0)
    found = [{"rgb": random.integers(0, 256, (SIZE, SIZE, 3), np.uint8)} for _ in range(count)]
    found[0]["rgb"][:], found[1]["rgb"][:] = 0, 255
    return found


def batches():
    return ({"rgb": photo["rgb"][None].astype(np.float32)} for photo in photos())


def ranges_of(graph: bytes) -> dict[str, tuple[float, float]]:
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(graph, 0))
    return {
        tensor.name.decode(): (float(tensor.quantization.min[0]), float(tensor.quantization.max[0]))
        for tensor in model.subgraphs[0].tensors
        if tensor.quantization is not None and tensor.quantization.min is not None and len(tensor.quantization.min) == 1
    }


def true_range(model: keras.Model, layer: str) -> tuple[float, float]:
    probe = keras.Model(model.inputs, model.get_layer(layer).output)
    found = np.concatenate([np.asarray(probe([batch["rgb"]])) for batch in batches()])
    return float(min(found.min(), 0)), float(max(found.max(), 0))


def test_the_range_of_a_tensor_that_a_sum_overwrites_is_its_own():
    folded = fold_batchnorm(bottlenecks())
    calibrated = calibrated_graph(folded, None, batches)
    measured = ranges_of(with_measured_ranges(calibrated, batches))
    for layer in ("project0", "project1", "add0", "add1"):
        found = next(pair for name, pair in measured.items() if f"/{layer}_" in name or f"/{layer}/" in name)
        assert found == pytest.approx(true_range(folded, layer), rel=1e-4), layer
    # A pixel times 1/128, before the offset is added in its place: each of its levels stays a level of int8.
    assert any(pair == pytest.approx((0.0, 255 / 128)) for pair in measured.values()), measured


def test_the_range_of_least_error_is_smaller_and_leaves_less_error():
    random = np.random.default_rng(1)
    values = np.append(random.normal(0, 1, 5000), [30.0, -20.0]).astype(np.float32)
    exact = rounding_error(values, -20.0, 30.0)
    shrunk = min(rounding_error(values, -20 * s, 30 * s) for s in np.linspace(0.4, 1, 25))
    assert shrunk < exact == pytest.approx((50 / 255) ** 2 / 12, rel=0.1)
    assert rounding_error(np.zeros(4), 0, 0) == 0
    folded = fold_batchnorm(bottlenecks())
    calibrated = calibrated_graph(folded, None, batches)
    wide, narrow = (ranges_of(with_measured_ranges(calibrated, batches, method)) for method in ("min-max", "mse"))
    assert all(wide[name][0] <= narrow[name][0] and narrow[name][1] <= wide[name][1] for name in wide)
    assert any(narrow[name] != wide[name] for name in wide)
    inputs = [name for name in wide if "rgb" in name and "serving" in name]
    assert inputs and all(narrow[name] == wide[name] == (0.0, 255.0) for name in inputs)


def test_equalised_channels_are_the_same_function():
    model = fold_batchnorm(bottlenecks(spread=100.0))
    before = np.concatenate([np.asarray(model([batch["rgb"]])) for batch in batches()])
    assert equalise(model, batches()) == 5  # the stem, two bottlenecks and two sums
    after = np.concatenate([np.asarray(model([batch["rgb"]])) for batch in batches()])
    np.testing.assert_allclose(after, before, atol=1e-4 * np.abs(before).max())
    probe = keras.Model(model.inputs, [model.get_layer(name).output for name in ("stem", "project0", "project1", "add1")])
    widest = np.max([[np.abs(np.asarray(x)).max(axis=(0, 1, 2)) for x in probe([b["rgb"]])] for b in batches()], axis=(0, 1))
    assert widest.max() / widest.min() < 1.5


def test_uneven_channels_lose_less_when_they_are_equalised():
    def error(equalised: bool) -> float:
        from .test_graphs import run

        model = bottlenecks(spread=100.0)
        graph = convert_graph(
            model, Recipe("int8", equalisation=equalised, rounding="nearest", explain=False), photos, photos
        )
        exact = np.concatenate([np.asarray(model([batch["rgb"]])) for batch in batches()])
        return float(np.sqrt(np.square(run(graph, photos()) - exact).mean()))

    assert error(True) < 0.5 * error(False)


def test_what_is_read_by_something_else_than_a_convolution_is_left_alone():
    photo = keras.Input((SIZE, SIZE, 3), name="rgb")
    x = layers.Conv2D(4, 3, name="pooled")(photo)
    y = layers.Conv2D(4, 1, name="behind_relu", activation="relu")(x)
    z = layers.Conv2D(4, 1, name="summed")(y)
    model = fold_batchnorm(keras.Model(photo, layers.Dense(2)(layers.GlobalAveragePooling2D()(layers.Add()([x, z])))))
    before = [weight.copy() for layer in model.layers for weight in layer.get_weights()]
    assert equalise(model, batches()) == 0
    after = [weight for layer in model.layers for weight in layer.get_weights()]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("shape", [(1, 112, 112, 32), (1, 14, 14, 672), (1, 21), (1, 7, 7, 1152), (3,)])
def test_values_are_taken_of_every_channel(shape):
    channels = np.arange(shape[-1]) + np.zeros(shape, int)
    step = stride(channels, 2000)
    taken = channels.ravel()[::step]
    assert len(np.unique(taken)) == shape[-1] and len(taken) >= min(channels.size, 1500)
