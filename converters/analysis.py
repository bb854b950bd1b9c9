"""Where int8 loses: one network of a run in int8 against the same network in float, layer by layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from derm_sdk.errors import closest
from derm_sdk.inputs import network_inputs
from derm_toolkit.data.manifest import Photo
from derm_toolkit.training.run import read_run

from .equalisation import equalise
from .errors import ConversionError
from .folding import fold_batchnorm
from .graphs import convert_graph
from .layer_errors import LayerError, Photos, layer_errors
from .recipe import Recipe
from .representative import stratified, with_extremes
from .tensorflow_lite import calibrated_graph


def analyse_graph(
    model: keras.Model, recipe: Recipe, representative: Photos, correction: Photos, photos: Photos
) -> list[LayerError]:
    """Compares an int8 graph with float, tensor by tensor, in the order of the computation.

    Args:
        model: a trained network, as for `convert_graph`.
        recipe: how int8 is made.
        representative, correction: photos for it, as for `convert_graph`.
        photos: those on which the two are compared, {kind: uint8}.
    Raises:
        ConversionError: the network cannot be converted, or the two graphs have too few names in common.
    """
    folded = fold_batchnorm(model)
    names = [tensor.name for tensor in folded.inputs]

    def batches(source: Photos) -> Callable[[], Iterable[dict[str, np.ndarray]]]:
        return lambda: ({name: photo[name][None].astype(np.float32) for name in names} for photo in source())

    if recipe.equalisation:
        equalise(folded, batches(correction)())
    reference = calibrated_graph(folded, None, lambda: iter(batches(representative)()))
    quantised = convert_graph(model, dataclasses.replace(recipe, explain=False), representative, correction)
    return layer_errors(reference, quantised, photos)


def analyse_run(folder: Path, graph: str | None, photos: int, data: Path | None = None) -> tuple[str, list[LayerError]]:
    """Analyses one network of a trained run, by the recipe that `derm-convert` follows unless told otherwise.

    Args:
        folder: the run folder.
        graph: id of the network; None for the first.
        photos: how many validation photos are compared.
        data: the data set's folder, when it has moved.
    Returns:
        The network's id and its tensors.
    Raises:
        ConversionError: no such network, no photo, or as `analyse_graph`. DermError: the run cannot be used.
    """
    run = read_run(folder)
    ids = [spec.id for spec in run.graphs]
    if graph is not None and graph not in ids:
        raise ConversionError(f"The model has no graph {graph!r}." + closest(graph, ids))
    spec = run.graph(graph or ids[0])
    dataset = run.dataset(data)
    split, cache = run.split(dataset), run.exact_cache(dataset)
    train = split.photos(dataset, "train")
    leaves = run.taxonomy.leaves_under(spec.given)
    chosen = stratified([photo for photo in split.photos(dataset, "validation") if photo.leaf in leaves], photos)
    if not chosen:
        raise ConversionError("There is no validation photo to compare on.")

    def inputs(some: Sequence[Photo]) -> Photos:
        return lambda: (network_inputs(cache.read(photo), photo.fitzpatrick, spec.inputs) for photo in some)

    def ranges() -> Iterable[Mapping[str, np.ndarray]]:
        some = ((cache.read(photo), photo.fitzpatrick) for photo in stratified(train, 60))
        return with_extremes(some, run.preprocessing.size, spec.inputs)

    own = stratified([photo for photo in train if photo.leaf in leaves], 64)
    model = run.load_model(spec.id)
    return spec.id, analyse_graph(model, Recipe("int8", explain=False), ranges, inputs(own), inputs(chosen))
