"""Report A's multi-input model: several pictures of one photo, each through plain convolutions, all conditions at once.

The stacks have the same shape and weights of their own. Behind the hidden layer stand normalisation and dropout, as there;
the report does not state its filters.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from derm_sdk.preprocess import INPUT_CHANNELS
from derm_sdk.taxonomy import Taxonomy

from .graph import GraphSpec
from .heads import finish, hidden, whole_tree, with_skin_type
from .inputs import join_skin_type, keras_inputs, pictures
from .plain import plain_features

if TYPE_CHECKING:
    import keras

KIND = "multi_input"


@dataclass(frozen=True)
class Settings:
    """The `[model]` table of a multi-input config.

    Attributes:
        inputs: the pictures, names out of rgb, gray, equalized, otsu, stretched.
        filters: channels of each stage of a stack: a 3x3 convolution with ReLU, then 2x2 max pooling.
        dense: units of the hidden layer.
        dropout: share of the hidden units dropped before the logits, in training.
        skin_type: whether the skin type is an input.
        skin_type_units: width of its embedding.
    """

    kind: str = "multi_input"
    inputs: tuple[str, ...] = field(default=("equalized", "otsu", "gray"), metadata={"choices": tuple(INPUT_CHANNELS)})
    filters: tuple[int, ...] = field(default=(16, 32, 64, 128, 128), metadata={"range": (1, 4096)})
    dense: int = field(default=256, metadata={"range": (1, 65536)})
    dropout: float = field(default=0.3, metadata={"range": (0.0, 0.95)})
    skin_type: bool = False
    skin_type_units: int = field(default=8, metadata={"range": (1, 1024)})

    def __post_init__(self) -> None:
        if not self.inputs or len(set(self.inputs)) != len(self.inputs):
            raise ValueError(f"inputs must name one or more different pictures; got {list(self.inputs)}")
        if not self.filters:
            raise ValueError("filters needs one number per stage; got none")


def graphs(taxonomy: Taxonomy, settings: Settings) -> tuple[GraphSpec, ...]:
    """The one network, over all conditions."""
    return whole_tree(taxonomy, with_skin_type(settings.inputs, settings.skin_type))


def build(spec: GraphSpec, settings: Settings, size: int | None) -> keras.Model:
    """Builds the network with random weights.

    Args:
        spec: the one of `graphs`.
        settings: the model's table.
        size: side of the pictures in pixels.
    Returns:
        A functional model {input: float32, 0..255} -> logits float32 [N, labels].
    Raises:
        ConfigError: the pictures are too small, or of no fixed size.
    """
    from keras import layers

    inputs = keras_inputs(spec, size)
    stacks = [plain_features(picture, kind, settings.filters) for kind, picture in pictures(inputs).items()]
    x = layers.Concatenate(name="concatenate")(stacks) if len(stacks) > 1 else stacks[0]
    x = join_skin_type(x, inputs, settings.skin_type_units)
    return finish(hidden(x, settings.dense), inputs, spec, settings.dropout)
