"""The error of every tensor of a quantised graph against the same graph in float."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derm_sdk.runtime import ANSWER

from .errors import ConversionError
from .ranges import rounding_error, stride

Photos = Callable[[], Iterable[Mapping[str, np.ndarray]]]
EXACT = 99.0  # dB: no error that could be told from float's own
LEAST_MATCHED = 0.8  # of the activations, by their names in both graphs
_SAMPLES = 2000  # values of a tensor that are compared per photo


@dataclass(frozen=True)
class LayerError:
    """One tensor of a graph.

    Attributes:
        name: of the operation that writes it, without the converter's additions.
        tensor: its whole name in the graph.
        low, high: the range that its int8 stands for.
        rounding: signal to noise in dB, if this tensor alone were rounded.
        total: signal to noise in dB of what the int8 graph holds there: all rounding up to here.
        lost: by how many dB the total lies below the best of the tensors before it; 0 when it does not.
    """

    name: str
    tensor: str
    low: float
    high: float
    rounding: float
    total: float
    lost: float


def layer_errors(float_graph: bytes, int8_graph: bytes, photos: Photos, least: float = LEAST_MATCHED) -> list[LayerError]:
    """Compares two graphs tensor by tensor, in the order of the computation.

    Args:
        float_graph: takes float32 inputs; see `derm_converters.tensorflow_lite.calibrated_graph`.
        int8_graph: made of it, with uint8 inputs.
        photos: those on which the two are compared, {kind: uint8}.
        least: share of the tensors that must be found in both; the converter may join two operations, or part one.
    Raises:
        ConversionError: the two graphs have too few names in common.
    """
    reference, quantised = _Probe(float_graph), _Probe(int8_graph)
    twins = {_key(name): name for name in reference.places}
    shared = {name: twins[_key(name)] for name in quantised.places if _key(name) in twins}
    if len(shared) < least * len(quantised.places):
        raise ConversionError(
            f"Only {len(shared)} of the {len(quantised.places)} tensors of the int8 graph can be found in the float graph."
        )
    exact: dict[str, list[NDArray[np.float32]]] = {name: [] for name in shared}
    stored: dict[str, list[NDArray[np.float32]]] = {name: [] for name in shared}
    for photo in photos():
        reference.run({name: values[None].astype(np.float32) for name, values in photo.items()})
        quantised.run({name: values[None] for name, values in photo.items()})
        for name in shared:
            exact[name].append(reference.values(shared[name]))
            stored[name].append(quantised.values(name))
    rows: list[LayerError] = []
    for name in shared:
        values, found = np.concatenate(exact[name]), np.concatenate(stored[name])
        low, high = quantised.range(name)
        rounding = _decibels(values, rounding_error(values, min(low, 0.0), max(high, 0.0)))
        total = _decibels(values, float(np.square(found - values).mean()))
        before = [row.total for row in rows[-3:]]  # a shortcut joins what was written a little earlier
        rows.append(
            LayerError(_short(name), name, low, high, rounding, total, max(0.0, max(before) - total) if before else 0.0)
        )
    return rows


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
    return EXACT if error <= signal * 1e-9 else 10 * float(np.log10(max(signal, 1e-12) / error))


def _key(name: str) -> str:
    """A tensor's name without the operations that the converter joins to a convolution or leaves out."""
    pieces = [piece.rpartition("/") for piece in name.split(";")]
    joined = [scope if operation.rstrip("0123456789").lower() in _JOINED else scope + "/" + operation
              for scope, _, operation in pieces]  # fmt: skip
    return ";".join(dict.fromkeys(joined))


_JOINED = {"convolution", "depthwise", "biasadd", "matmul", "squeeze"}


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
