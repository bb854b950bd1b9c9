"""A network that was trained elsewhere: which inputs it takes, what a pixel is to it, what it answers.

It is not built here; `adopted_network` lays the SDK's inputs in front of it and takes a softmax off its end. The run folder
that `derm-toolkit adopt` makes of it is evaluated, reported and converted like any other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from derm_sdk.errors import OptionError
from derm_sdk.preprocess import INPUT_CHANNELS
from derm_sdk.taxonomy import Taxonomy

from ..errors import ConfigError
from .graph import GraphSpec
from .inputs import keras_inputs

if TYPE_CHECKING:
    import keras

KIND = "flat"


@dataclass(frozen=True)
class Settings:
    """The `[model]` table of the config that describes an adopted network.

    Attributes:
        labels: names or ids of the conditions, in the order of the network's outputs; all of the data set's.
        inputs: what goes into its inputs, in their order: "rgb", "gray", "equalized", "otsu", "stretched".
        scale, offset: what the network expects of a level v of 0..255: scale * v + offset; one number, or one each for R, G
            and B.
        channels: the order of colours that it expects, "rgb" or "bgr".
        answers: "probabilities" when it ends in a softmax, "logits" when not.
    """

    kind: str = "adopted"
    labels: tuple[str, ...] = ()
    inputs: tuple[str, ...] = field(default=("rgb",), metadata={"choices": tuple(INPUT_CHANNELS)})
    scale: tuple[float, ...] = field(default=(1.0,), metadata={"range": (-1e6, 1e6)})
    offset: tuple[float, ...] = field(default=(0.0,), metadata={"range": (-1e6, 1e6)})
    channels: str = field(default="rgb", metadata={"choices": ("rgb", "bgr")})
    answers: str = field(default="probabilities", metadata={"choices": ("probabilities", "logits")})

    def __post_init__(self) -> None:
        if not self.inputs or len(set(self.inputs)) < len(self.inputs):
            raise ValueError(f"inputs needs the kind of each input once; got {list(self.inputs)}")
        for name, values in (("scale", self.scale), ("offset", self.offset)):
            if len(values) not in (1, 3):
                raise ValueError(f"{name} needs one number, or one each for R, G and B; got {list(values)}")


def graphs(taxonomy: Taxonomy, settings: Settings) -> tuple[GraphSpec, ...]:
    """The one network, over all conditions, its labels found in the tree of the data.

    Raises:
        ConfigError: a label that the data lack, one that is named twice or is no condition, or a condition without one.
    """
    leaves = taxonomy.leaves_under(None)
    labels = []
    for name in settings.labels:
        try:
            node = taxonomy.node(name)
        except OptionError as error:
            raise ConfigError(f"model.labels: the data have no label {name!r}. {error}") from error
        if node.id not in leaves:
            raise ConfigError(f"model.labels must name conditions; {name!r} is a {node.level}.")
        labels.append(node.id)
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice:
        raise ConfigError(f"model.labels names {twice!r} twice; each output needs a condition of its own.")
    missing = [leaf for leaf in leaves if leaf not in labels]
    if missing:
        raise ConfigError(
            f"model.labels lacks {len(missing)} of the data's {len(leaves)} conditions, such as {missing[0]!r}; name every "
            "output of the network in its order, and import the data with these labels alone."
        )
    return (GraphSpec("tree", None, tuple(labels), settings.inputs),)


def build(spec: GraphSpec, settings: Settings, size: int | None) -> NoReturn:
    """Raises ConfigError: there is nothing to build."""
    raise ConfigError("A network that was trained elsewhere cannot be built anew.")


def adopted_network(network: keras.Model, spec: GraphSpec, settings: Settings, size: int) -> keras.Model:
    """Makes a network of the SDK out of one that was trained elsewhere.

    Args:
        network: with one output; functional or sequential, of Keras' own layers.
        spec: what it is to answer, as `graphs` makes it.
        settings: how it is to be fed.
        size: side of the pictures in pixels.
    Returns:
        A functional model {input: float32, 0..255} -> logits float32 [N, labels].
    Raises:
        ConfigError: its inputs or its output are not what the settings say.
    """
    import keras

    _check_inputs(network, settings, size)
    if len(network.outputs) != 1 or tuple(network.outputs[0].shape[1:]) != (len(spec.labels),):
        shapes = [list(tensor.shape) for tensor in network.outputs]
        raise ConfigError(
            f"The network must have one output of {len(spec.labels)} numbers, one per label in model.labels; got {shapes}."
        )
    logits = _without_softmax(network, settings.answers)
    inputs = keras_inputs(spec, size)
    pictures = [_as_expected(inputs[kind], kind, settings) for kind in settings.inputs]
    answer = logits(pictures if len(pictures) > 1 else pictures[0])
    return keras.Model(list(inputs.values()), answer, name="adopted")


def _check_inputs(network: keras.Model, settings: Settings, size: int) -> None:
    expected = [(size, size, INPUT_CHANNELS[kind]) for kind in settings.inputs]
    found = [tuple(tensor.shape[1:]) for tensor in network.inputs]
    fits = len(found) == len(expected) and all(
        len(shape) == 3 and all(side in (None, wanted) for side, wanted in zip(shape, each, strict=True))
        for shape, each in zip(found, expected, strict=False)
    )
    if not fits:
        raise ConfigError(
            f"The network takes {[list(shape) for shape in found]}; model.inputs = {list(settings.inputs)} at "
            f"preprocessing.size = {size} gives {[list(shape) for shape in expected]}."
        )


def _without_softmax(network: keras.Model, answers: str) -> keras.Model:
    """The network up to its logits."""
    import keras
    from keras import layers

    last = network.outputs[0]._keras_history.operation
    if isinstance(last, layers.Softmax):
        name = "softmax"
    else:
        name = getattr(getattr(last, "activation", None), "__name__", "linear")
    if name != {"probabilities": "softmax", "logits": "linear"}[answers]:
        raise ConfigError(
            f'The network ends in {last.name!r} with the activation {name!r}; model.answers = "probabilities" needs a '
            'softmax there, and "logits" none. Labels that do not exclude each other cannot be adopted.'
        )
    if answers == "logits":
        return network
    if isinstance(last, (layers.Softmax, layers.Activation)):
        return keras.Model(network.inputs, last.input)
    linear = type(last).from_config({**last.get_config(), "name": f"{last.name}_logits", "activation": None})
    answer = linear(last.input)
    linear.set_weights(last.get_weights())
    return keras.Model(network.inputs, answer)


def _as_expected(picture: Any, kind: str, settings: Settings) -> Any:
    """A picture of 0..255 as the network was trained with it."""
    from keras import layers

    channels = INPUT_CHANNELS[kind]
    scale, offset = (
        list(each) if channels == 3 and len(each) == 3 else each[0] for each in (settings.scale, settings.offset)
    )
    if (settings.scale, settings.offset) != ((1.0,), (0.0,)):
        picture = layers.Rescaling(scale, offset, name=f"{kind}_rescaling")(picture)
    if settings.channels == "bgr" and channels == 3:
        turn = layers.Conv2D(3, 1, use_bias=False, trainable=False, name=f"{kind}_to_bgr")
        picture = turn(picture)
        turn.set_weights([np.eye(3, dtype=np.float32)[::-1][None, None]])
    return picture
