"""A trained network -> its int8 graph, by the remedies of a recipe, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

import keras
import numpy as np

from .bias_correction import correct_biases
from .equalisation import equalise
from .errors import ConversionError
from .evidence import evidence_model
from .fake_quantisation import activation_ranges
from .finetuning import Batch, Lessons, finetune
from .float_layers import float_tensors, worst_layers
from .folding import WEIGHTED, fold_batchnorm
from .layer_errors import Photos, layer_errors
from .ranges import with_measured_ranges
from .recipe import Recipe
from .reestimation import reestimated
from .rounding import learned_kernels, nearest_kernels, put_kernels
from .tensorflow_lite import Batches, calibrated_graph, quantised_graph

_COMPARED = 12  # photos on which the worst layers are found
_MATCHED = 0.5  # of the tensors, in both graphs: enough to choose among, where fewer do for a table of all


@dataclass(frozen=True)
class Sources:
    """The training photos of a conversion; a photo is {kind: uint8}, a picture [size, size, channels], the skin type [7].

    Attributes:
        representative: int8 takes its ranges from them.
        correction: for the equalisation, the rounding, the biases, and the choice of the worst layers.
        normalisation: batches of photos, {kind: uint8 [N, ...]}, from which moving statistics are taken again.
        lessons: what the network is fine-tuned on.
    """

    representative: Photos
    correction: Photos
    normalisation: Callable[[], Iterable[Batch]] | None = None
    lessons: Lessons | None = None


def int8_graph(model: keras.Model, recipe: Recipe, sources: Sources) -> tuple[bytes, tuple[str, ...]]:
    """Makes the graph.

    Args:
        model: as for `derm_converters.graphs.convert_graph`.
        recipe: the remedies.
        sources: the photos that they need.
    Returns:
        The bytes of the graph, and the layers in it that compute in floats.
    Raises:
        ConversionError: as `convert_graph`; or the recipe needs photos that `sources` does not give.
    """
    folded = fold_batchnorm(_with_statistics(model, recipe, sources))
    representative, correction = (_batches(folded, each) for each in (sources.representative, sources.correction))
    if recipe.equalisation:
        equalise(folded, correction())
    exact = {layer.name: layer.get_weights() for layer in folded.layers if isinstance(layer, WEIGHTED)}
    reference = _calibrated(folded, recipe, representative) if recipe.float_layers else b""
    _round(folded, recipe, correction)
    if recipe.qat_epochs:
        if sources.lessons is None:
            raise ConversionError("The fine-tuning needs training photos; there was none.")
        ranges = activation_ranges(folded, representative(), recipe.ranges)
        finetune(model, folded, ranges, recipe.qat_epochs, sources.lessons)

    graph = quantised_graph(_measured(folded, recipe, representative))
    if not recipe.float_layers:
        return graph, ()
    rows = layer_errors(reference, graph, lambda: islice(sources.correction(), _COMPARED), _MATCHED)
    inner = [name for name in exact if not _reads_an_input(folded, folded.get_layer(name))]
    worst = worst_layers(rows, recipe.float_layers, inner)
    for name in worst:
        folded.get_layer(name).set_weights(exact[name])
    measured = _measured(folded, recipe, representative)
    return quantised_graph(measured, float_tensors(measured, worst, tuple(exact))), worst


def _with_statistics(model: keras.Model, recipe: Recipe, sources: Sources) -> keras.Model:
    if not recipe.batchnorm_photos:
        return model
    if sources.normalisation is None:
        raise ConversionError("New statistics of the normalisations need training photos; there was none.")
    return reestimated(model, sources.normalisation())


def _calibrated(folded: keras.Model, recipe: Recipe, batches: Batches) -> bytes:
    return calibrated_graph(folded, evidence_model(folded) if recipe.explain else None, batches)


def _measured(folded: keras.Model, recipe: Recipe, batches: Batches) -> bytes:
    return with_measured_ranges(_calibrated(folded, recipe, batches), batches, recipe.ranges)


def _round(folded: keras.Model, recipe: Recipe, photos: Batches) -> None:
    """Rounds the weights of a folded model, in place."""
    kernels = learned_kernels(folded, photos()) if recipe.rounding == "learned" else nearest_kernels(folded)
    if recipe.bias_correction:
        correct_biases(folded, photos(), kernels)
    else:
        put_kernels(folded, kernels)


def _reads_an_input(folded: keras.Model, layer: keras.Layer) -> bool:
    """Whether a layer reads the skin type as it comes in; in floats, it would take the input along."""
    tensor = layer.input
    while isinstance(tensor._keras_history.operation, keras.layers.Rescaling):
        tensor = tensor._keras_history.operation.input
    return len(tensor.shape) == 2 and any(tensor is each for each in folded.inputs)


def _batches(folded: keras.Model, photos: Photos) -> Batches:
    names = [tensor.name for tensor in folded.inputs]
    return lambda: ({name: photo[name][None].astype(np.float32) for name in names} for photo in photos())
