"""Where int8 loses: the error of every tensor of a quantised graph against the same network in float, layer by layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from derm_sdk.errors import closest
from derm_sdk.inputs import network_inputs
from derm_sdk.runtime import ANSWER
from derm_toolkit.data.manifest import Photo
from derm_toolkit.reporting.document import NOT_A_DEVICE, document
from derm_toolkit.reporting.markup import tag
from derm_toolkit.reporting.parts import bar, paragraph, table
from derm_toolkit.training.run import read_run

from .equalisation import equalise
from .errors import ConversionError
from .folding import fold_batchnorm
from .graphs import calibrated_graph, convert_graph
from .ranges import rounding_error, stride
from .recipe import Recipe
from .representative import stratified, with_extremes

Photos = Callable[[], Iterable[Mapping[str, np.ndarray]]]
_EXACT = 99.0  # dB: no error that could be told from float's own
_LEAST_MATCHED = 0.8  # of the activations, by their names in both graphs
_SAMPLES = 2000  # values of a tensor that are compared per photo


@dataclass(frozen=True)
class LayerError:
    """One tensor of a graph.

    Attributes:
        name: of the operation that writes it, without the converter's additions.
        low, high: the range that its int8 stands for.
        rounding: signal to noise in dB, if this tensor alone were rounded.
        total: signal to noise in dB of what the int8 graph holds there: all rounding up to here.
        lost: by how many dB the total lies below the best of the tensors before it; 0 when it does not.
    """

    name: str
    low: float
    high: float
    rounding: float
    total: float
    lost: float


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
    reference = _Probe(calibrated_graph(folded, None, lambda: iter(batches(representative)())))
    quantised = _Probe(convert_graph(model, dataclasses.replace(recipe, explain=False), representative, correction))
    shared = [name for name in quantised.places if name in reference.places]
    if len(shared) < _LEAST_MATCHED * len(quantised.places):
        raise ConversionError(
            f"Only {len(shared)} of the {len(quantised.places)} tensors of the int8 graph can be found in the float graph."
        )
    exact: dict[str, list[NDArray[np.float32]]] = {name: [] for name in shared}
    stored: dict[str, list[NDArray[np.float32]]] = {name: [] for name in shared}
    for photo in photos():
        reference.run({name: photo[name][None].astype(np.float32) for name in names})
        quantised.run({name: photo[name][None] for name in names})
        for name in shared:
            exact[name].append(reference.values(name))
            stored[name].append(quantised.values(name))
    rows: list[LayerError] = []
    for name in shared:
        values, found = np.concatenate(exact[name]), np.concatenate(stored[name])
        low, high = quantised.range(name)
        rounding = _decibels(values, rounding_error(values, min(low, 0.0), max(high, 0.0)))
        total = _decibels(values, float(np.square(found - values).mean()))
        before = [row.total for row in rows[-3:]]  # a shortcut joins what was written a little earlier
        rows.append(LayerError(_short(name), low, high, rounding, total, max(0.0, max(before) - total) if before else 0.0))
    return rows


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


def show_analysis(rows: Sequence[LayerError], name: str, console: Console | None = None, count: int = 12) -> None:
    """Prints the tensors that lose most by their own rounding, and what is left at the end."""
    console = console or Console()
    title = f"{name}: the {min(count, len(rows))} of {len(rows)} tensors that lose most by their own rounding"
    shown = Table(title=title, title_justify="left")
    for heading in ("tensor", "range", "rounding, dB", "all so far, dB"):
        shown.add_column(heading, justify="left" if heading == "tensor" else "right")
    for row in worst(rows, count):
        shown.add_row(row.name, f"{row.low:.2f} to {row.high:.2f}", f"{row.rounding:.1f}", f"{row.total:.1f}")
    console.print(shown)
    names = ", ".join(row.name for row in worst(rows))
    console.print(f"Worst by themselves: {names}. At the end {rows[-1].total:.1f} dB are left.", highlight=False)


def analysis_page(rows: Sequence[LayerError], name: str) -> str:
    """All tensors of a graph in the order of the computation, as a web page with a bar for each."""
    full = max(row.rounding for row in rows if row.rounding < _EXACT) if any(row.rounding < _EXACT for row in rows) else 1.0
    cells = [
        (
            row.name,
            f"{row.low:.2f} to {row.high:.2f}",
            tag("td", f"{row.rounding:.1f} ", bar(row.rounding / full), class_="n"),
            tag("td", f"{row.total:.1f} ", bar(row.total / full), class_="n"),
            f"{row.lost:.1f}",
        )
        for row in rows
    ]
    heads = ("tensor", "range", "its own rounding, dB", "all rounding so far, dB", "lost here, dB")
    body = tag(
        "body",
        tag("header", tag("p", "Derm SDK · where int8 loses", class_="kicker"), tag("h1", name), tag("p", NOT_A_DEVICE)),
        tag("main", paragraph(_EXPLAINED), table(heads, cells, "Signal to noise of every tensor, first to last")),
        tag("footer", paragraph(NOT_A_DEVICE)),
    )
    return document(f"{name}: where int8 loses", body)


_EXPLAINED = (
    "Signal to noise in decibels against the float network on validation photos; 6 dB are one bit. A tensor whose own "
    "rounding is poor has too wide a range for its values; where all rounding so far falls though its own is good, the "
    "weights of the layer that writes it are to blame."
)


def worst(rows: Sequence[LayerError], count: int = 3) -> list[LayerError]:
    """The tensors that lose most by their own rounding, the worst first."""
    return sorted(rows, key=lambda row: row.rounding)[:count]


class _Probe:
    """A graph whose every activation can be read after a run."""

    def __init__(self, graph: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        self._interpreter = Interpreter(
            model_content=graph,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        self._interpreter.allocate_tensors()
        signatures = self._interpreter.get_signature_list()
        self._runner = self._interpreter.get_signature_runner(ANSWER if ANSWER in signatures else None)
        written = [place for operation in self._interpreter._get_ops_details() for place in operation["outputs"]]
        details = {detail["index"]: detail for detail in self._interpreter.get_tensor_details()}
        self._details = {details[place]["name"]: details[place] for place in written if place in details}
        self.places = {name: int(detail["index"]) for name, detail in self._details.items()}

    def run(self, inputs: Mapping[str, np.ndarray]) -> None:
        self._runner(**{name: inputs[name] for name in self._runner.get_input_details()})

    def values(self, name: str) -> NDArray[np.float32]:
        """Some real values of a tensor after a run, the same places for every graph."""
        tensor = self._interpreter.get_tensor(self.places[name])
        stored = tensor.ravel()[:: stride(tensor, _SAMPLES)].astype(np.float32)
        scale, zero = self._scale(name)
        return (stored - zero) * scale

    def range(self, name: str) -> tuple[float, float]:
        """The least and the greatest number that a tensor's bytes can stand for."""
        scale, zero = self._scale(name)
        info = np.iinfo(self._details[name]["dtype"]) if np.dtype(self._details[name]["dtype"]).kind in "iu" else None
        return ((info.min - zero) * scale, (info.max - zero) * scale) if info else (0.0, 0.0)

    def _scale(self, name: str) -> tuple[float, int]:
        scale, zero = self._details[name]["quantization"]
        return (float(scale), int(zero)) if scale else (1.0, 0)


def _decibels(values: NDArray[Any], error: float) -> float:
    """10 log10 of the variance of the signal over the mean squared error; at most 99."""
    signal = float(values.var())
    return _EXACT if error <= signal * 1e-9 else 10 * float(np.log10(max(signal, 1e-12) / error))


def _short(name: str) -> str:
    """The layer that a tensor's name speaks of: "tree_1/block0_project_conv_1/convolution1" is block0_project_conv."""
    if name.startswith("StatefulPartitionedCall"):
        return "output"
    parts = name.split(";")[0].split("/")
    operation = parts[-1].rstrip("0123456789").lower() in _OPERATIONS
    return (parts[-2] if len(parts) > 1 and operation else parts[-1]).removesuffix("_1")


_OPERATIONS = {
    "add",
    "mul",
    "mean",
    "convolution",
    "depthwise",
    "biasadd",
    "matmul",
    "relu",
    "relu6",
    "concat",
    "max",
    "squeeze",
}
