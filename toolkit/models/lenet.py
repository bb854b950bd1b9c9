"""Report B's plain networks, which it calls LeNet: four or five convolutions, one hidden layer, all conditions at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from derm_sdk.taxonomy import Taxonomy

from .graph import GraphSpec
from .heads import finish, whole_tree, with_skin_type
from .inputs import join_skin_type, keras_inputs
from .plain import plain_features

if TYPE_CHECKING:
    import keras

KIND = "flat"


@dataclass(frozen=True)
class Settings:
    """The `[model]` table of a LeNet config.

    Attributes:
        filters: channels of each stage: a 3x3 convolution with ReLU, then 2x2 max pooling.
        dense: units of the hidden layer.
        dropout: share of the hidden units dropped before the logits, in training.
        skin_type: whether the skin type is an input.
        skin_type_units: width of its embedding.
    """

    kind: str = "lenet"
    filters: tuple[int, ...] = field(default=(32, 64, 128, 128), metadata={"range": (1, 4096)})
    dense: int = field(default=512, metadata={"range": (1, 65536)})
    dropout: float = field(default=0.0, metadata={"range": (0.0, 0.95)})
    skin_type: bool = False
    skin_type_units: int = field(default=8, metadata={"range": (1, 1024)})

    def __post_init__(self) -> None:
        if not self.filters:
            raise ValueError("filters needs one number per stage; got none")


def graphs(taxonomy: Taxonomy, settings: Settings) -> tuple[GraphSpec, ...]:
    """The one network, over all conditions."""
    return whole_tree(taxonomy, with_skin_type(("rgb",), settings.skin_type))


def build(spec: GraphSpec, settings: Settings, size: int | None) -> keras.Model:
    """Builds the network with random weights.

    Args:
        spec: the one of `graphs`.
        settings: the model's table.
        size: side of the picture in pixels.
    Returns:
        A functional model {input: float32, 0..255} -> logits float32 [N, labels].
    Raises:
        ConfigError: the picture is too small, or of no fixed size.
    """
    from keras import layers

    inputs = keras_inputs(spec, size)
    x = plain_features(inputs["rgb"], "rgb", settings.filters)
    x = join_skin_type(x, inputs, settings.skin_type_units)
    x = layers.Dense(settings.dense, activation="relu", name="dense")(x)
    return finish(x, inputs, spec, settings.dropout)
