"""A trained model -> one .tflite file that MediaPipe's ImageClassifier opens: photo in, calibrated probabilities out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from derm_sdk.calibration import Calibration
from derm_sdk.fitzpatrick import SKIN_TYPE, skin_type_input
from derm_toolkit.data.cache import PhotoCache
from derm_toolkit.data.manifest import Photo
from derm_toolkit.training.run import Run

from .card import INTENDED_USE
from .errors import ConversionError
from .folding import fold_batchnorm
from .graphs import convert_graph
from .manifest import About
from .recipe import Recipe
from .task_metadata import with_metadata

PICTURE = "rgb"


def check_single(run: Run) -> None:
    """Raises ConversionError unless a run is one graph over the whole tree whose only picture is the photo itself."""
    pictures = [kind for spec in run.graphs for kind in spec.inputs if kind != SKIN_TYPE]
    if len(run.graphs) != 1 or pictures != [PICTURE]:
        shown = "; ".join(f"{spec.id} ({', '.join(spec.inputs)})" for spec in run.graphs)
        raise ConversionError(
            f"MediaPipe's ImageClassifier runs one graph on the photo itself; this model has {shown}. A model of the "
            "families hierarchical, transfer, lenet or alexnet fits."
        )


def mediapipe_model(
    run: Run,
    calibration: Calibration,
    recipe: Recipe,
    cache: PhotoCache,
    chosen: Sequence[Photo],
    correction: Sequence[Photo],
    about: About,
) -> bytes:
    """Converts a model for MediaPipe.

    Offsets and temperature go into the last layer and a softmax behind it, so that the scores are the SDK's probabilities
    of the conditions. A skin type, which MediaPipe cannot pass, is built in as "unknown".

    Args:
        run: of one graph; see `check_single`.
        calibration: of the bundle.
        recipe: how it is made.
        cache: the run's exact cache.
        chosen, correction: training photos for the ranges, and for the equalisation and the bias correction.
        about: name and licence.
    Returns:
        The bytes of a .tflite file with metadata and labels.
    Raises:
        ConversionError: the model is no single graph, or cannot be converted.
    """
    check_single(run)
    (spec,) = run.graphs
    model = _with_probabilities(_of_photo_alone(run.load_model(spec.id)), spec.id, calibration, len(spec.labels))

    def pictures(photos: Sequence[Photo]) -> Iterator[dict[str, np.ndarray]]:
        return ({PICTURE: cache.read(photo)} for photo in photos)

    def ranges() -> Iterator[dict[str, np.ndarray]]:
        size = run.preprocessing.size
        yield from ({PICTURE: np.full((size, size, 3), level, np.uint8)} for level in (0, 255))
        yield from pictures(chosen)

    graph = convert_graph(model, dataclasses.replace(recipe, explain=False), ranges, lambda: pictures(correction))
    labels = [run.taxonomy.node(label).name for label in spec.labels]
    return with_metadata(graph, about.name, INTENDED_USE, labels, about.licence)


def _of_photo_alone(model: keras.Model) -> keras.Model:
    """The network in a batch of 1, the skin type, where it takes one, fixed to "unknown"."""
    shape = next(tensor.shape for tensor in model.inputs if tensor.name == PICTURE)
    picture = keras.Input(batch_shape=(1, *shape[1:]), name=PICTURE)
    inputs = [
        picture if tensor.name == PICTURE else _Constant(skin_type_input(None).tolist(), name="unknown")(picture)
        for tensor in model.inputs
    ]
    return keras.Model(picture, model(inputs))


def _with_probabilities(model: keras.Model, graph: str, calibration: Calibration, labels: int) -> keras.Model:
    """softmax((logits + offset) / T): the first part in the last layer's weights, where it costs nothing."""
    folded = fold_batchnorm(model)
    last = folded.outputs[0]._keras_history.operation
    if not isinstance(last, keras.layers.Dense):
        raise ConversionError(f"The network must end in a dense layer; it ends in {last.name!r}.")
    temperature = calibration.temperatures.get(graph, 1.0)
    offsets = np.asarray(calibration.offsets.get(graph, (0.0,) * labels))
    kernel, bias = (np.asarray(weight, np.float64) for weight in last.get_weights())
    last.set_weights([(kernel / temperature).astype(np.float32), ((bias + offsets) / temperature).astype(np.float32)])
    return keras.Model(folded.inputs, keras.layers.Softmax(name="probabilities")(folded.outputs[0]))


class _Constant(keras.layers.Layer):
    """The same values, float32 [1, n], whatever comes in; the converter folds what hangs on them."""

    def __init__(self, values: list[int], **options: Any) -> None:
        super().__init__(**options)
        self.values = values

    def call(self, inputs: Any) -> Any:
        return keras.ops.convert_to_tensor([self.values], "float32")

    def compute_output_shape(self, input_shape: Any) -> tuple[int, int]:
        return (1, len(self.values))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "values": self.values}
