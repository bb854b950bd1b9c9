"""The two-step model: one network names the category, then one network per category names the condition.

The root looks at the colour photo; an expert looks at three gray pictures of it (equalized, Otsu, gray), each through a
stem of its own. Each is a small residual network (He et al. 2016, the shortcut of He et al. 2019), begins as ImageNet's
EfficientNet-Lite (both have ReLU6, so that int8 costs them little), or is report A's plain one: convolutions and poolings
per picture, laid flat. A category with a single condition needs no expert.

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
from .heads import finish, hidden, with_skin_type
from .inputs import join_skin_type, keras_inputs, pictures
from .plain import plain_features

if TYPE_CHECKING:
    import keras

KIND = "two_step"
_CHANNELS = {"range": (1, 4096)}


@dataclass(frozen=True)
class Network:
    """One network: a residual or a plain one with random weights, or one that begins as ImageNet's EfficientNet-Lite.

    Attributes:
        inputs: what it looks at, names out of rgb, gray, equalized, otsu, stretched.
        architecture: "residual", or "plain": each picture through 3x3 convolutions and 2x2 max poolings, then laid flat.
        backbone: "" for a network of that architecture; "lite0", "lite1" or "lite2" to begin with the
            ImageNet weights of that EfficientNet-Lite: the inputs' channels, together three, stand for its colours.
        weights: of the backbone: "imagenet", "none" for random ones, or the path of a local file.
        momentum: how slowly the backbone's batch normalisation takes up the statistics of new photos, 0..1.
        backbone_blocks: how many of the backbone's blocks are used; 0 for all of them and its head.
        stem: channels of the first convolution (stride 2), per input; of a residual network alone.
        widths: channels of each stage; each stage halves the picture's sides.
        blocks: residual blocks of each stage; of a plain network, convolutions.
        dense: units of a hidden layer behind the pooling; 0 for none.
        dropout: share of the features dropped before the logits, in training.
    """

    inputs: tuple[str, ...] = field(default=("rgb",), metadata={"choices": tuple(INPUT_CHANNELS)})
    architecture: str = field(default="residual", metadata={"choices": ("residual", "plain")})
    backbone: str = field(default="", metadata={"choices": ("", "lite0", "lite1", "lite2")})
    weights: str = "imagenet"
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
        if not self.backbone and self.weights not in ("imagenet", "none"):
            raise ValueError(f"weights are those of a backbone, and none is named; got {self.weights!r}")


@dataclass(frozen=True)
class Settings:
    """The `[model]` table of a two-step config.

    Attributes:
        skin_type: whether the skin type is an input of every network.
        skin_type_units: width of its embedding.
    """

    kind: str = "two_step"
    root: Network = field(default_factory=Network)
    expert: Network = field(default_factory=lambda: Network(inputs=("equalized", "otsu", "gray"), dense=64))
    skin_type: bool = False
    skin_type_units: int = field(default=8, metadata={"range": (1, 1024)})


def graphs(taxonomy: Taxonomy, settings: Settings) -> tuple[GraphSpec, ...]:
    """The networks that a tree of labels needs: the root, and an expert for each category of several conditions."""
    categories = taxonomy.children(None)
    root, expert = (with_skin_type(network.inputs, settings.skin_type) for network in (settings.root, settings.expert))
    specs = [GraphSpec("root", None, tuple(node.id for node in categories), root)]
    for category in categories:
        leaves = taxonomy.leaves_under(category.id)
        if len(leaves) > 1:
            specs.append(GraphSpec(f"expert-{category.id}", category.id, leaves, expert))
    return tuple(specs)


def build(spec: GraphSpec, settings: Settings, size: int | None) -> keras.Model:
    """Builds a network, with random weights or with its backbone's.

    Args:
        spec: one of `graphs`.
        settings: the model's table.
        size: side of the inputs in pixels; None for any, which a plain network cannot have.
    Returns:
        A functional model {input: float32, 0..255} -> logits float32 [N, labels].
    Raises:
        ConfigError: a plain network, and pictures that are too small or of no fixed size.
        WeightsError: the backbone's weights cannot be had, or do not fit.
    """
    from keras import layers

    network = settings.root if spec.given is None else settings.expert
    inputs = keras_inputs(spec, size)
    if network.backbone:
        x = layers.GlobalAveragePooling2D(name="pooling")(_pretrained_map(pictures(inputs), network))
    elif network.architecture == "plain":
        x = _plain_features(pictures(inputs), network)
    else:
        x = layers.GlobalAveragePooling2D(name="pooling")(_residual_map(pictures(inputs), network))
    x = join_skin_type(x, inputs, settings.skin_type_units)
    if network.dense:
        x = hidden(x, network.dense)
    model = finish(x, inputs, spec, network.dropout)
    if network.backbone:
        from .weights import load_pretrained

        load_pretrained(model, network.backbone, network.weights)
    return model


def _pretrained_map(inputs: Mapping[str, Any], network: Network) -> Any:
    """EfficientNet-Lite's layers on the inputs, scaled as its weights expect and laid side by side as its colours."""
    from keras import layers

    from .efficientnet_lite import lite_layers

    scaled = [layers.Rescaling(1 / 128, -127 / 128, name=f"{name}_rescaling")(picture) for name, picture in inputs.items()]
    x = layers.Concatenate(name="concatenate")(scaled) if len(scaled) > 1 else scaled[0]
    return lite_layers(x, network.backbone, network.backbone_blocks or None, momentum=network.momentum)


def _plain_features(inputs: Mapping[str, Any], network: Network) -> Any:
    """A stack of plain convolutions per input, laid flat side by side."""
    from keras import layers

    flat = [plain_features(picture, kind, network.widths, network.blocks) for kind, picture in inputs.items()]
    return layers.Concatenate(name="concatenate")(flat) if len(flat) > 1 else flat[0]


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
