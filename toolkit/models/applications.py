"""The networks of keras.applications that begin a transfer model: which there are, and how each wants its picture.

A picture's scaling is a layer of the graph. Where a network was trained on BGR (the "caffe" ones), the picture stays RGB
and the input channels of the first convolution are turned round instead: the same sums, and nothing to do on the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError, WeightsError

if TYPE_CHECKING:
    import keras

# (scale, offset) per colour: keras.applications.imagenet_utils.preprocess_input, in RGB
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SCALINGS: dict[str, tuple[Any, Any]] = {
    "tf": (1 / 127.5, -1.0),
    "caffe": (1.0, [-123.68, -116.779, -103.939]),
    "torch": ([1 / (255 * std) for std in _STD], [-mean / std for mean, std in zip(_MEAN, _STD, strict=True)]),
}


@dataclass(frozen=True)
class Application:
    """One network: its name in keras.applications, how it wants its picture ("" when it scales itself), its least side."""

    function: str
    scaling: str
    least: int = 32


APPLICATIONS = {
    "mobilenet": Application("MobileNet", "tf"),
    "mobilenet_v2": Application("MobileNetV2", "tf"),
    "mobilenet_v3_small": Application("MobileNetV3Small", ""),
    "mobilenet_v3_large": Application("MobileNetV3Large", ""),
    "vgg16": Application("VGG16", "caffe"),
    "vgg19": Application("VGG19", "caffe"),
    "inception_v3": Application("InceptionV3", "tf", 75),
    "xception": Application("Xception", "tf", 71),
    "resnet50": Application("ResNet50", "caffe"),
    "resnet101": Application("ResNet101", "caffe"),
    "resnet152": Application("ResNet152", "caffe"),
    "resnet50_v2": Application("ResNet50V2", "tf"),
    "resnet101_v2": Application("ResNet101V2", "tf"),
    "resnet152_v2": Application("ResNet152V2", "tf"),
    "densenet121": Application("DenseNet121", "torch"),
    "densenet169": Application("DenseNet169", "torch"),
    "densenet201": Application("DenseNet201", "torch"),
}
_SOURCE_SIDE = 224  # of the network that published weights are read into; they are the same for every size


def application_map(picture: Any, name: str, weights: str) -> Any:
    """Lays a network's layers on a picture, in the same flat graph.

    Args:
        picture: Keras tensor [N, size, size, 3], RGB, 0..255. A size of None stands for any multiple of 32.
        name: one of APPLICATIONS.
        weights: "imagenet", "none" for random ones, or the path of a .keras, .weights.h5 or .h5 file of that network, with
            or without a head of its own.
    Returns:
        The last map.
    Raises:
        ConfigError: the picture is too small.
        WeightsError: the weights cannot be had, or do not fit.
    """
    import keras
    from keras import layers

    application = APPLICATIONS[name]
    make, size = getattr(keras.applications, application.function), picture.shape[1]
    if size is not None and size < application.least:
        raise ConfigError(f"{name} takes pictures of {application.least} pixels or more; preprocessing.size is {size}.")
    x = picture
    if application.scaling:
        scale, offset = _SCALINGS[application.scaling]
        x = layers.Rescaling(scale, offset, name="rgb_rescaling")(picture)
    network = make(include_top=False, weights=None, input_tensor=x)
    if weights != "none":
        _fill(network, _published(make, name, weights), turn=application.scaling == "caffe" and not _turned(weights))
    return network.output


def _published(make: Any, name: str, weights: str) -> keras.Model:
    """The network as Keras publishes it, with its weights."""
    from .keras_weights import load_keras_weights

    options: dict[str, Any] = {"include_top": False, "input_shape": (_SOURCE_SIDE, _SOURCE_SIDE, 3)}
    if weights != "imagenet":
        source = make(weights=None, **options)
        load_keras_weights(source, Path(weights))
        return source
    try:
        return make(weights="imagenet", **options)
    except Exception as error:  # no network, a proxy, a full disk, a changed file: each with its own type
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise WeightsError(
            f"The ImageNet weights of {name} cannot be downloaded ({reason}); name a local file in model.weights, or "
            'begin with random ones: --set model.weights="none".'
        ) from error


def _turned(weights: str) -> bool:
    """Whether the file's network already takes RGB: one that was built here."""
    from .keras_weights import is_our_own

    return is_our_own(Path(weights))


def _fill(network: keras.Model, source: keras.Model, *, turn: bool) -> None:
    """Copies weights, layer by layer; with `turn`, the first convolution's input channels go from BGR to RGB."""
    theirs = [layer for layer in source.layers if layer.weights]
    ours = [layer for layer in network.layers if layer.weights]
    for place, (layer, other) in enumerate(zip(ours, theirs, strict=True)):
        arrays = [np.asarray(array) for array in other.get_weights()]
        if turn and place == 0:
            arrays[0] = arrays[0][:, :, ::-1]
        layer.set_weights(arrays)
