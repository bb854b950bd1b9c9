"""The two-step model: one network names the category, then one network per category names the condition.

The root looks at the colour photo; an expert looks at three gray pictures of it (equalized, Otsu, gray), each through a
stem of its own. Each is a small residual network (He et al. 2016, the shortcut of He et al. 2019) or begins as ImageNet's
EfficientNet-Lite; both have ReLU6, so that int8 costs them little. A category with a single condition needs no expert.

What the converter relies on: inputs named after their kind, float32 0..255; then a Rescaling; each layer used once;
BatchNormalization directly behind a linear Conv2D or Dense; the output is the linear Dense layer "logits".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from derm_sdk.preprocess import INPUT_CHANNELS
from derm_sdk.taxonomy import Taxonomy

from .graph import GraphSpec

if TYPE_CHECKING:
    import keras

_CHANNELS = {"range": (1, 4096)}


@dataclass(frozen=True)
class Network:
    """One network: a residual network with random weights, or one that begins as ImageNet's EfficientNet-Lite.

    Attributes:
        inputs: what it looks at, names out of rgb, gray, equalized, otsu, stretched.
        backbone: "" for the residual network of stem, widths and blocks; "lite0", "lite1" or "lite2" to begin with the
            ImageNet weights of that EfficientNet-Lite: the inputs' channels, together three, stand for its colours.
        momentum: how slowly the backbone's batch normalisation takes up the statistics of new photos, 0..1.
        backbone_blocks: how many of the backbone's blocks are used; 0 for all of them and its head.
        stem: channels of the first convolution (stride 2), per input.
        widths: channels of each stage; each stage halves the picture's sides.
        blocks: residual blocks of each stage.
        dense: units of a hidden layer behind the pooling; 0 for none.
        dropout: share of the features dropped before the logits, in training.
    """

    inputs: tuple[str, ...] = field(default=("rgb",), metadata={"choices": tuple(INPUT_CHANNELS)})
    backbone: str = field(default="", metadata={"choices": ("", "lite0", "lite1", "lite2")})
    backbone_blocks: int = field(default=0, metadata={"range": (0, 30)})
    momentum: float = field(default=0.99, metadata={"range": (0.0, 0.9999)})
    stem: int = field(default=24, metadata=_CHANNELS)
    widths: tuple[int, ...] = field(default=(32, 64, 128), metadata=_CHANNELS)
    blocks: tuple[int, ...] = field(default=(1, 1, 1), metadata={"range": (1, 100)})
    dense: int = field(default=0, metadata={"range": (0, 65536)})
    dropout: float = field(default=0.2, metadata={"range": (0.0, 0.95)})

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.blocks) or not self.widths:
            raise ValueError(f"widths and blocks need one number per stage; got {len(self.widths)} and {len(self.blocks)}")
        if not self.inputs or len(set(self.inputs)) != len(self.inputs):
            raise ValueError(f"inputs must name one or more different pictures; got {list(self.inputs)}")
        if self.backbone and sum(INPUT_CHANNELS[name] for name in self.inputs) != 3:
            raise ValueError(f"a backbone needs three channels; {list(self.inputs)} have another number")


@dataclass(frozen=True)
class Settings:
    """The `[model]` table of a two-step config."""

    kind: str = "two_step"
    root: Network = field(default_factory=Network)
    expert: Network = field(default_factory=lambda: Network(inputs=("equalized", "otsu", "gray"), dense=64))


def graphs(taxonomy: Taxonomy, settings: Settings) -> tuple[GraphSpec, ...]:
    """The networks that a tree of labels needs: the root, and an expert for each category of several conditions."""
    categories = taxonomy.children(None)
    specs = [GraphSpec("root", None, tuple(node.id for node in categories), settings.root.inputs)]
    for category in categories:
        leaves = taxonomy.leaves_under(category.id)
        if len(leaves) > 1:
            specs.append(GraphSpec(f"expert-{category.id}", category.id, leaves, settings.expert.inputs))
    return tuple(specs)


def build(spec: GraphSpec, settings: Settings, size: int) -> keras.Model:
    """Builds a network with random weights.

    Args:
        spec: one of `graphs`.
        settings: the model's table.
        size: side of the inputs in pixels.
    Returns:
        A functional model {input: float32 [N, size, size, channels], 0..255} -> logits float32 [N, labels].
    """
    import keras
    from keras import layers

    network = settings.root if spec.given is None else settings.expert
    inputs = {name: keras.Input((size, size, INPUT_CHANNELS[name]), name=name) for name in spec.inputs}
    x = _pretrained_map(inputs, network) if network.backbone else _residual_map(inputs, network)
    x = layers.GlobalAveragePooling2D(name="pooling")(x)
    if network.dense:
        x = layers.Dense(network.dense, use_bias=False, name="dense")(x)
        x = _normalised(x, "dense")
    if network.dropout:
        x = layers.Dropout(network.dropout, name="dropout")(x)
    logits = layers.Dense(len(spec.labels), name="logits")(x)
    model = keras.Model(list(inputs.values()), logits, name=spec.id.replace("-", "_"))
    if network.backbone:
        from .weights import load_pretrained

        load_pretrained(model, network.backbone)
    return model


def _pretrained_map(inputs: Mapping[str, Any], network: Network) -> Any:
    """EfficientNet-Lite's layers on the inputs, scaled as its weights expect and laid side by side as its colours."""
    from keras import layers

    from .efficientnet_lite import lite_layers

    scaled = [layers.Rescaling(1 / 128, -127 / 128, name=f"{name}_rescaling")(picture) for name, picture in inputs.items()]
    x = layers.Concatenate(name="concatenate")(scaled) if len(scaled) > 1 else scaled[0]
    return lite_layers(x, network.backbone, network.backbone_blocks or None, momentum=network.momentum)


def _residual_map(inputs: Mapping[str, Any], network: Network) -> Any:
    """A stem per input, side by side, then the residual stages."""
    from keras import layers

    stems = []
    for name, picture in inputs.items():
        x = layers.Rescaling(1 / 255, name=f"{name}_rescaling")(picture)
        stems.append(_convolution(x, network.stem, 3, 2, f"{name}_stem"))
    x = layers.Concatenate(name="concatenate")(stems) if len(stems) > 1 else stems[0]
    for stage, (width, count) in enumerate(zip(network.widths, network.blocks, strict=True), start=1):
        for block in range(1, count + 1):
            x = _residual(x, width, 2 if block == 1 else 1, f"stage{stage}_block{block}")
    return x


def _residual(x: Any, width: int, stride: int, name: str) -> Any:
    """Two 3x3 convolutions beside a shortcut; where the shape changes, the shortcut averages 2x2 and mixes by 1x1."""
    from keras import layers

    shortcut = x
    if stride > 1:
        shortcut = layers.AveragePooling2D(stride, padding="same", name=f"{name}_shortcut_pooling")(shortcut)
    if stride > 1 or x.shape[-1] != width:
        shortcut = _convolution(shortcut, width, 1, 1, f"{name}_shortcut", relu=False)
    x = _convolution(x, width, 3, stride, f"{name}_a")
    x = _convolution(x, width, 3, 1, f"{name}_b", relu=False)
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return layers.ReLU(max_value=6.0, name=f"{name}_relu")(x)


def _convolution(x: Any, channels: int, kernel: int, stride: int, name: str, *, relu: bool = True) -> Any:
    from keras import layers

    x = layers.Conv2D(channels, kernel, stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
    return _normalised(x, name, relu=relu)


def _normalised(x: Any, name: str, *, relu: bool = True) -> Any:
    from keras import layers

    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-3, name=f"{name}_bn")(x)
    return layers.ReLU(max_value=6.0, name=f"{name}_relu")(x) if relu else x
