"""Folding: whatever the arrangement of layers, the same function, without a normalisation that int8 would suffer from."""

import numpy as np
import pytest

from derm_converters.errors import ConversionError
from derm_converters.folding import WEIGHTED, fold_batchnorm

from . import networks


@pytest.fixture(scope="module", params=networks.NETWORKS)
def network(request):
    return networks.NETWORKS[request.param]()


def test_folding_keeps_the_function_and_leaves_plain_layers(network):
    folded = fold_batchnorm(network)
    rows = networks.examples(network, 12)
    exact = networks.logits(network, rows)
    np.testing.assert_allclose(networks.logits(folded, rows), exact, atol=1e-5 * np.abs(exact).max())
    left = {type(layer).__name__ for layer in folded.layers}
    assert not left & {"BatchNormalization", "Dropout", "SpatialDropout2D", "SeparableConv2D", "Functional", "Sequential"}
    assert all(layer.use_bias for layer in folded.layers if isinstance(layer, WEIGHTED))
    assert all(len(layer._inbound_nodes) == 1 for layer in folded.layers)
    assert [(t.name, t.shape[0]) for t in folded.inputs] == [(t.name, 1) for t in network.inputs]


def test_a_normalisation_right_behind_a_linear_layer_costs_no_layer_and_any_other_costs_one():
    def added(name: str) -> set[str]:
        return {layer.name for layer in fold_batchnorm(networks.NETWORKS[name]()).layers if layer.name.startswith("batch")}

    assert added("gray_with_skin_type") == set()
    assert len(added("preactivated")) == 4  # one before each block and one at the end; those inside a block fold


def test_the_network_that_was_trained_is_left_as_it_was(network):
    before = [weight.copy() for weight in network.get_weights()]
    rows = networks.examples(network, 2)
    exact = networks.logits(network, rows)
    fold_batchnorm(network)
    assert all(np.array_equal(a, b) for a, b in zip(before, network.get_weights(), strict=True))
    assert np.array_equal(networks.logits(network, rows), exact)


def test_a_normalisation_over_rows_stays_as_it_is():
    import keras
    from keras import layers

    tensor = keras.Input((32, 32, 3), name="rgb")
    x = layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(tensor))
    x = layers.GlobalAveragePooling2D()(layers.BatchNormalization(axis=1)(x))
    network = networks.randomised(keras.Model([tensor], x))
    folded = fold_batchnorm(network)
    assert "BatchNormalization" in {type(layer).__name__ for layer in folded.layers}
    rows = networks.examples(network, 4)
    np.testing.assert_allclose(networks.logits(folded, rows), networks.logits(network, rows), rtol=1e-5)


def test_statistics_of_the_photos_inside_the_network_come_along():
    import keras
    from keras import layers

    tensor = keras.Input((32, 32, 3), name="rgb")
    adapted = layers.Normalization()
    adapted.adapt(np.random.default_rng(0).normal((90, 120, 150), (20, 30, 40), (500, 3)))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(adapted(tensor)))
    network = keras.Model([tensor], x)
    rows = networks.examples(network, 4)
    np.testing.assert_allclose(networks.logits(fold_batchnorm(network), rows), networks.logits(network, rows), rtol=1e-5)


def test_a_network_trained_in_mixed_precision_is_folded_in_float32():
    import keras
    from keras import layers

    policy = keras.dtype_policies.get("mixed_float16")
    tensor = keras.Input((32, 32, 3), name="rgb")
    x = layers.Rescaling(1 / 255, dtype=policy)(tensor)
    x = layers.BatchNormalization(dtype=policy)(layers.Conv2D(4, 3, dtype=policy)(x))
    network = networks.randomised(keras.Model([tensor], layers.GlobalAveragePooling2D(dtype=policy)(x)))
    folded = fold_batchnorm(network)
    assert {layer.compute_dtype for layer in folded.layers} == {"float32"}
    rows = networks.examples(network, 4)
    np.testing.assert_allclose(networks.logits(folded, rows), networks.logits(network, rows), atol=5e-3)


def test_layers_that_cannot_be_followed_are_refused_in_a_sentence():
    import keras

    class Opaque(keras.Model):
        def call(self, tensor):
            return keras.ops.mean(tensor, axis=(1, 2))

    tensor = keras.Input((32, 32, 3), name="rgb")
    with pytest.raises(ConversionError, match="'riddle' must be functional"):
        fold_batchnorm(keras.Model(tensor, Opaque(name="riddle")(tensor)))
