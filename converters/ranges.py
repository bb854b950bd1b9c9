"""The range of every tensor inside a graph, from which int8 takes its scales.

TensorFlow's calibrator reads the inputs of an operation after it has run. Where LiteRT computes in place (a sum, a product
with a constant), they hold the result by then: the range of a bottleneck before its shortcut comes out two to three times
too wide, and the scaled photo loses a third of its levels. Here every tensor keeps a place of its own while it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

Batches = Callable[[], Iterable[Mapping[str, np.ndarray]]]
METHODS = ("min-max", "percentile", "mse")
_BINS = 8192  # 16 or more for each step of int8, also when the range has just doubled
_SAMPLES = 20_000  # values of a tensor that are counted per photo
_TAIL = 1e-4  # share of the values that a percentile range clips at either end
_SHRINKS = np.linspace(0.4, 1.0, 25)


def with_measured_ranges(calibrated: bytes, batches: Batches, method: str = "min-max") -> bytes:
    """Writes the measured ranges into a float graph that TensorFlow has calibrated, before it is quantised.

    Args:
        calibrated: a graph out of `calibrate_only`: float32, each activation with a range, good or bad.
        batches: photos, {input: float32 [1, ...]}; run through every signature.
        method: "min-max"; "percentile", which clips the outermost 0.01 % of the values at either end; or "mse", the smaller
            range, from 0.4 times min-max on, whose rounding and clipping together leave the least mean squared error.
    Returns:
        The same graph with other ranges.
    """
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(calibrated, 0))
    interpreter = Interpreter(
        model_content=calibrated,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    found = {signature.subgraphIndex: _activations(model, signature.subgraphIndex) for signature in model.signatureDefs}
    for batch in batches():
        for signature in model.signatureDefs:
            runner = interpreter.get_signature_runner(signature.signatureKey.decode())
            runner(**{name: batch[name] for name in runner.get_input_details()})
            for place, seen in found[signature.subgraphIndex].items():
                seen.add(interpreter.get_tensor(place, signature.subgraphIndex))
    for subgraph, tensors in found.items():
        inputs = set(model.subgraphs[subgraph].inputs.tolist())
        for place, seen in tensors.items():
            quantization = model.subgraphs[subgraph].tensors[place].quantization
            low, high = seen.range("min-max" if place in inputs else method)
            quantization.min, quantization.max = np.float32([low]), np.float32([high])
    return _packed(model, len(calibrated))


class Seen:
    """What a tensor held: its extremes, and how often which values, in bins that widen as larger values come."""

    def __init__(self) -> None:
        self.low = self.high = 0.0
        self._reach = 2.0**-10  # the bins lie from -reach to reach
        self._counts = np.zeros(_BINS)

    def add(self, values: NDArray[Any]) -> None:
        flat = values.ravel()
        self.low, self.high = min(self.low, float(flat.min())), max(self.high, float(flat.max()))
        while max(-self.low, self.high) > self._reach:
            self._reach *= 2
            pairs = self._counts.reshape(-1, 2).sum(axis=1)
            self._counts = np.concatenate([np.zeros(_BINS // 4), pairs, np.zeros(_BINS // 4)])
        some = flat[:: stride(values, _SAMPLES)]
        places = ((some + self._reach) * (_BINS / 2 / self._reach)).astype(np.int64)
        self._counts += np.bincount(np.minimum(places, _BINS - 1), minlength=_BINS)

    def range(self, method: str) -> tuple[float, float]:
        """The range by one of `METHODS`; 0 is always within, as int8 must hold it exactly."""
        ways = {"min-max": lambda: (self.low, self.high), "percentile": self._percentiles, "mse": self._least_error}
        return ways[method]()

    def _percentiles(self) -> tuple[float, float]:
        """What is left without the outermost values at either end."""
        below = np.cumsum(self._counts)
        edges = np.linspace(-self._reach, self._reach, _BINS + 1)
        left_out = _TAIL * below[-1]
        low = edges[np.searchsorted(below, left_out, side="right")]
        high = edges[np.searchsorted(below, below[-1] - left_out) + 1]
        return max(self.low, min(float(low), 0.0)), min(self.high, max(float(high), 0.0))

    def _least_error(self) -> tuple[float, float]:
        """The part of the range that int8 serves best, for the values that were seen."""
        centres = (np.arange(_BINS) + 0.5) * (2 * self._reach / _BINS) - self._reach
        taken = np.flatnonzero(self._counts)
        ranges = [(self.low * shrink, self.high * shrink) for shrink in _SHRINKS]
        errors = [rounding_error(centres[taken], low, high, self._counts[taken]) for low, high in ranges]
        return ranges[int(np.argmin(errors))]


def stride(values: NDArray[Any], count: int) -> int:
    """The step at which about `count` values of a tensor are taken, in C order, such that all of its channels are."""
    step = max(1, values.size // count)
    while values.ndim and gcd(step, values.shape[-1]) > 1:
        step += 1
    return step


def rounding_error(values: NDArray[Any], low: float, high: float, weights: NDArray[Any] | None = None) -> float:
    """Mean squared error of values that are stored as int8 in the range from low to high, low <= 0 <= high.

    Args:
        values, weights: [N], and how often each occurs; once unless given.
    """
    scale = (high - low) / 255
    if scale == 0:
        return float(np.average(np.square(values), weights=weights))
    zero = np.rint(-low / scale)
    stored = np.clip(np.rint(values / scale) + zero, 0, 255)
    return float(np.average(np.square((stored - zero) * scale - values), weights=weights))


def _activations(model: Any, subgraph: int) -> dict[int, Seen]:
    """The tensors of a subgraph that the calibrator gave one range, by their place."""
    found = {}
    for place, tensor in enumerate(model.subgraphs[subgraph].tensors):
        quantization = tensor.quantization
        if quantization is not None and quantization.min is not None and len(quantization.min) == 1:
            found[place] = Seen()
    return found


def _packed(model: Any, size: int) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(size + 4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
