"""Transfer learning: a network of keras.applications with ImageNet's weights, and a new head over all conditions.

Report B's VGG16, InceptionV3 and ResNet101V2 and report A's MobileNetV2. The base's layers lie flat in the graph, in front
of the layer "pooling" or "flatten"; `[training]` says whether they are frozen, and until when.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from derm_sdk.taxonomy import Taxonomy

from .applications import APPLICATIONS, application_map
from .graph import GraphSpec
from .heads import finish, hidden, whole_tree, with_skin_type
from .inputs import join_skin_type, keras_inputs
from .plain import need_side

if TYPE_CHECKING:
    import keras

KIND = "flat"


@dataclass(frozen=True)
class Settings:
    """The `[model]` table of a transfer config.

    Attributes:
        backbone: a network of keras.applications, in lower case: "mobilenet_v2", "resnet101_v2", ...
        weights: "imagenet" (Keras downloads them once), "none" for random ones, or the path of a .keras, .weights.h5 or
            .h5 file of that network.
        pooling: "average" of each feature over the picture, or "flatten", which keeps places and fixes the size.
        dense: units of a hidden layer; 0 for none.
        dropout: share of the features dropped before the logits, in training.
        skin_type: whether the skin type is an input, joined to the features.
        skin_type_units: width of its embedding.
    """

    kind: str = "transfer"
    backbone: str = field(default="mobilenet_v2", metadata={"choices": tuple(APPLICATIONS)})
    weights: str = "imagenet"
    pooling: str = field(default="average", metadata={"choices": ("average", "flatten")})
    dense: int = field(default=0, metadata={"range": (0, 65536)})
    dropout: float = field(default=0.0, metadata={"range": (0.0, 0.95)})
    skin_type: bool = False
    skin_type_units: int = field(default=8, metadata={"range": (1, 1024)})


def graphs(taxonomy: Taxonomy, settings: Settings) -> tuple[GraphSpec, ...]:
    """The one network, over all conditions."""
    return whole_tree(taxonomy, with_skin_type(("rgb",), settings.skin_type))


def build(spec: GraphSpec, settings: Settings, size: int | None) -> keras.Model:
    """Builds the network.

    Args:
        spec: the one of `graphs`.
        settings: the model's table.
        size: side of the picture in pixels; None for any multiple of 32, where the features are averaged.
    Returns:
        A functional model {input: float32, 0..255} -> logits float32 [N, labels].
    Raises:
        ConfigError: the picture is too small, or has no fixed size and is laid flat.
        WeightsError: the weights cannot be had, or do not fit.
    """
    from keras import layers

    inputs = keras_inputs(spec, size)
    x: Any = application_map(inputs["rgb"], settings.backbone, settings.weights)
    if settings.pooling == "average":
        x = layers.GlobalAveragePooling2D(name="pooling")(x)
    else:
        need_side(x, 1, inputs["rgb"])
        x = layers.Flatten(name="flatten")(x)
    x = join_skin_type(x, inputs, settings.skin_type_units)
    if settings.dense:
        x = hidden(x, settings.dense)
    return finish(x, inputs, spec, settings.dropout)
