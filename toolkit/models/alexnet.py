"""AlexNet (Krizhevsky et al. 2012), on one device, with batch normalisation in place of local response normalisation.

The normalisation stands between convolution and ReLU, where the converter folds it away. Of 150 pixels, the size at which
report B trained from scratch, a last map of 3x3 is left, of AlexNet's own 227 pixels 6x6.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from derm_sdk.taxonomy import Taxonomy

from .graph import GraphSpec
from .heads import finish, whole_tree, with_skin_type
from .inputs import join_skin_type, keras_inputs
from .plain import need_side

if TYPE_CHECKING:
    import keras

KIND = "flat"
_KERNELS = (11, 5, 3, 3, 3)
_POOLED = (True, True, False, False, True)


@dataclass(frozen=True)
class Settings:
    """The `[model]` table of an AlexNet config.

    Attributes:
        filters: channels of the five convolutions.
        dense: units of each hidden layer.
        dropout: share of the units of each hidden layer dropped, in training.
        skin_type: whether the skin type is an input.
        skin_type_units: width of its embedding.
    """

    kind: str = "alexnet"
    filters: tuple[int, ...] = field(default=(96, 256, 384, 384, 256), metadata={"range": (1, 4096)})
    dense: tuple[int, ...] = field(default=(4096, 4096), metadata={"range": (1, 65536)})
    dropout: float = field(default=0.5, metadata={"range": (0.0, 0.95)})
    skin_type: bool = False
    skin_type_units: int = field(default=8, metadata={"range": (1, 1024)})

    def __post_init__(self) -> None:
        if len(self.filters) != len(_KERNELS):
            raise ValueError(f"filters needs {len(_KERNELS)} numbers, one per convolution; got {len(self.filters)}")
        if not self.dense:
            raise ValueError("dense needs one number per hidden layer; got none")


def graphs(taxonomy: Taxonomy, settings: Settings) -> tuple[GraphSpec, ...]:
    """The one network, over all conditions."""
    return whole_tree(taxonomy, with_skin_type(("rgb",), settings.skin_type))


def build(spec: GraphSpec, settings: Settings, size: int | None) -> keras.Model:
    """Builds the network with random weights.

    Args:
        spec: the one of `graphs`.
        settings: the model's table.
        size: side of the picture in pixels, 67 or more.
    Returns:
        A functional model {input: float32, 0..255} -> logits float32 [N, labels].
    Raises:
        ConfigError: the picture is too small, or of no fixed size.
    """
    from keras import layers

    inputs = keras_inputs(spec, size)
    x: Any = layers.Rescaling(1 / 255, name="rgb_rescaling")(inputs["rgb"])
    for number, (width, kernel, pooled) in enumerate(zip(settings.filters, _KERNELS, _POOLED, strict=True), start=1):
        first = number == 1
        need_side(x, kernel if first else 1, inputs["rgb"])
        padding, stride = ("valid", 4) if first else ("same", 1)
        x = layers.Conv2D(width, kernel, stride, padding=padding, use_bias=False, name=f"conv{number}")(x)
        x = layers.BatchNormalization(name=f"conv{number}_bn")(x)
        x = layers.ReLU(name=f"conv{number}_relu")(x)
        if pooled:
            need_side(x, 3, inputs["rgb"])
            x = layers.MaxPooling2D(3, 2, name=f"conv{number}_pooling")(x)
    x = join_skin_type(layers.Flatten(name="flat")(x), inputs, settings.skin_type_units)
    for number, units in enumerate(settings.dense, start=1):
        if settings.dropout and number > 1:
            x = layers.Dropout(settings.dropout, name=f"dropout{number - 1}")(x)
        x = layers.Dense(units, activation="relu", name=f"dense{number}")(x)
    return finish(x, inputs, spec, settings.dropout)
