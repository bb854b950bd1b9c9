"""The ends of the networks: from features to logits, and which labels these are about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from derm_sdk.fitzpatrick import SKIN_TYPE
from derm_sdk.taxonomy import Taxonomy

from .graph import GraphSpec

if TYPE_CHECKING:
    import keras


def with_skin_type(inputs: tuple[str, ...], skin_type: bool) -> tuple[str, ...]:
    """The inputs of a network: its pictures, then the skin type where it takes one."""
    return (*inputs, SKIN_TYPE) if skin_type else inputs


def whole_tree(taxonomy: Taxonomy, inputs: tuple[str, ...]) -> tuple[GraphSpec, ...]:
    """The one network of a flat model: it tells all conditions apart; a category is the sum of its conditions."""
    return (GraphSpec("tree", None, taxonomy.leaves_under(None), inputs),)


def hidden(x: Any, units: int) -> Any:
    """A hidden layer: linear, normalised, ReLU6; in this order the converter folds the normalisation away."""
    from keras import layers

    x = layers.Dense(units, use_bias=False, name="dense")(x)
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-3, name="dense_bn")(x)
    return layers.ReLU(max_value=6.0, name="dense_relu")(x)


def finish(x: Any, inputs: Mapping[str, Any], spec: GraphSpec, dropout: float) -> keras.Model:
    """Ends a network: dropout where there is some, then one logit per label.

    Args:
        x: Keras tensor [N, F], the features.
        inputs: of the network, in the order of `spec.inputs`.
        spec: the network.
        dropout: share of the features dropped in training.
    Returns:
        A functional model {input: float32, 0..255} -> logits float32 [N, labels].
    """
    import keras
    from keras import layers

    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    logits = layers.Dense(len(spec.labels), name="logits")(x)
    return keras.Model(list(inputs.values()), logits, name=spec.id.replace("-", "_"))
