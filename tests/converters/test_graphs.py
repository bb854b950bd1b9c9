import numpy as np
import pytest

from derm_converters.bias_correction import correct_biases
from derm_converters.errors import ConversionError
from derm_converters.folding import WEIGHTED, fold_batchnorm
from derm_converters.graphs import check_graph, convert_graph, describe_graph
from derm_converters.recipe import Recipe
from derm_converters.rounding import nearest_kernels, put_kernels
from derm_sdk.preprocess import derive_inputs

from .. import models
from . import networks

KINDS = ("equalized", "otsu", "gray")
PHOTOS = [derive_inputs(photo, KINDS) for photo in models.photos(24, seed=3)]


@pytest.fixture(scope="module")
def network():
    return models.network(KINDS, 5, seed=9)


def trained_logits(network) -> np.ndarray:
    batch = [np.stack([photo[kind] for photo in PHOTOS]).astype(np.float32) for kind in KINDS]
    return np.asarray(network(batch, training=False))


def run(graph: bytes, photos=PHOTOS) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=graph)
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner()
    output = describe_graph(graph)[1][0]
    rows = [runner(**{kind: array[None] for kind, array in photo.items()})[output["name"]][0] for photo in photos]
    return (np.array(rows, np.float64) - output["zero_point"]) * output["scale"]


@pytest.mark.parametrize("precision", ["int8", "float16", "float32"])
def test_every_precision_takes_bytes_in_a_batch_of_one_and_answers_alike(network, precision):
    graph = convert_graph(network, Recipe(precision, explain=False), lambda: PHOTOS, lambda: PHOTOS[2:])
    inputs, outputs = describe_graph(graph)
    assert {(t["kind"], t["dtype"], t["scale"], t["zero_point"], t["shape"][0]) for t in inputs} == {
        (kind, "uint8", 1.0, 0, 1) for kind in KINDS
    }
    assert outputs[0]["dtype"] == ("uint8" if precision == "int8" else "float32")
    logits = trained_logits(network)
    tolerance = {"int8": 0.06, "float16": 0.01, "float32": 1e-4}[precision]
    assert np.abs(run(graph) - logits).max() < tolerance * np.ptp(logits)


@pytest.mark.parametrize("arrangement", networks.NETWORKS)
def test_every_arrangement_of_layers_converts_and_answers_alike(arrangement):
    network = networks.NETWORKS[arrangement]()
    photos = networks.examples(network)
    exact = networks.logits(network, photos)
    float32, int8 = (
        convert_graph(network, Recipe(p, explain=False), lambda: photos, lambda: photos[2:]) for p in ("float32", "int8")
    )
    assert np.abs(run(float32, photos) - exact).max() < 1e-5 * np.abs(exact).max()
    error = run(int8, photos) - exact  # `convert_graph` has checked that int8 holds no float
    assert np.sqrt((error**2).mean()) < 0.05 * exact.std()


def test_a_published_network_as_a_layer_converts_and_answers_alike():
    import keras
    from keras import layers

    keras.utils.set_random_seed(2)
    tensor = keras.Input((96, 96, 3), name="rgb")
    backbone = keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, weights=None, include_top=False, pooling="avg")
    x = backbone(layers.Rescaling(1 / 127.5, -1)(tensor), training=False)
    network = networks.randomised(keras.Model([tensor], layers.Dense(5)(layers.Dropout(0.2)(x))))
    photos = networks.examples(network, 5)
    exact = networks.logits(network, photos)
    error = run(convert_graph(network, Recipe("int8", explain=False), lambda: photos, lambda: photos), photos) - exact
    assert np.sqrt((error**2).mean()) < 0.1 * exact.std()


def test_int8_is_a_third_of_float32(network):
    import keras

    big = keras.Sequential([keras.Input((32, 32, 3), name="rgb"), keras.layers.Rescaling(1 / 255)])
    for width in (64, 96):
        big.add(keras.layers.Conv2D(width, 3))
    big.add(keras.layers.GlobalAveragePooling2D())
    photos = [{"rgb": photo} for photo in models.photos(4)]
    model = keras.Model(big.inputs, big.outputs)
    sizes = {
        p: len(convert_graph(model, Recipe(p, explain=False), lambda: photos, lambda: photos))
        for p in ("int8", "float16", "float32")
    }
    assert sizes["int8"] * 3 < sizes["float32"]
    assert sizes["float16"] * 1.8 < sizes["float32"]


def test_without_black_and_white_photos_the_input_scale_is_not_one_and_that_is_refused(network):
    dull = [{kind: np.clip(photo[kind], 60, 180) for kind in KINDS} for photo in PHOTOS]
    with pytest.raises(ConversionError, match="scale 1, zero point 0"):
        convert_graph(network, Recipe("int8", explain=False), lambda: dull, lambda: dull)


def test_a_float_graph_is_no_int8_graph(network):
    graph = convert_graph(network, Recipe("float32", explain=False), lambda: PHOTOS, list)
    with pytest.raises(ConversionError, match="one uint8 output"):
        check_graph(graph, "int8")


def test_the_same_network_gives_the_same_bytes(network):
    first, second = (
        convert_graph(network, Recipe("int8", explain=False), lambda: PHOTOS, lambda: PHOTOS[2:]) for _ in range(2)
    )
    assert first == second


def test_bias_correction_needs_photos(network):
    with pytest.raises(ConversionError, match="needs photos"):
        folded = fold_batchnorm(network)
        correct_biases(folded, [], nearest_kernels(folded))


def test_bias_correction_takes_the_mean_error_of_rounded_weights_away(network):
    import keras

    photos = [{kind: photo[kind][None].astype(np.float32) for kind in KINDS} for photo in PHOTOS]
    exact, corrected, rounded = (fold_batchnorm(network) for _ in range(3))
    correct_biases(corrected, photos, nearest_kernels(corrected))
    put_kernels(rounded, nearest_kernels(rounded))

    def mean_error(model, layer: str) -> float:
        """Largest error of a channel's mean over photos and places, at a layer's output."""
        probes = [keras.Model(each.inputs, each.get_layer(layer).output) for each in (model, exact)]
        outputs = [np.concatenate([np.asarray(p([photo[t.name] for t in p.inputs])) for photo in photos]) for p in probes]
        difference = outputs[0] - outputs[1]
        return float(np.abs(difference.mean(axis=tuple(range(difference.ndim - 1)))).max())

    weighted = [layer.name for layer in exact.layers if isinstance(layer, WEIGHTED)]
    for stem in weighted[:3]:
        assert mean_error(corrected, stem) < 1e-4 * mean_error(rounded, stem)
    assert mean_error(corrected, weighted[3]) < 0.3 * mean_error(rounded, weighted[3])
