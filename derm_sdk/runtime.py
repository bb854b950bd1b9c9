"""The interpreter that runs a graph, behind one small class: LiteRT; where it is missing, tflite-runtime or TensorFlow's."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bundle import GraphSpec, Tensor
from .composition import Floats
from .errors import BundleError, RuntimeMissingError
from .image import Pixels

# The signatures of a graph that has two. The first by name is the primary one, which foreign readers run.
ANSWER, EXPLAIN = "classify", "explain"


def load_interpreter() -> tuple[Any, str]:
    """Finds an interpreter class and the name of its package. Raises RuntimeMissingError where none is installed."""
    try:
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter, "ai-edge-litert"
    except ImportError:
        pass
    try:
        from tflite_runtime.interpreter import Interpreter

        return Interpreter, "tflite-runtime"
    except ImportError:
        pass
    try:
        from tensorflow.lite import Interpreter

        return Interpreter, "tensorflow"
    except ImportError:
        raise RuntimeMissingError("No interpreter is installed; run: pip install ai-edge-litert") from None


def package_version() -> str:
    """Name and version of the package whose interpreter is used. Raises RuntimeMissingError where none is installed."""
    _, package = load_interpreter()
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:  # TensorFlow goes by several names
        return package


def real_values(tensor: Tensor, stored: NDArray[Any]) -> Floats:
    """Stored values of a tensor, of any shape -> real ones: scale * (stored - zero_point), float64."""
    return np.asarray((stored.astype(np.float64) - tensor.zero_point) * tensor.scale)


class Network:
    """One graph, ready to run. Not for two threads at once.

    Raises:
        RuntimeMissingError: no interpreter is installed, or it cannot load the graph.
        BundleError: the graph's tensors are not those of its description.
    """

    def __init__(self, spec: GraphSpec, data: bytes, threads: int) -> None:
        interpreter_class, package = load_interpreter()
        self.spec = spec
        try:
            self._interpreter = interpreter_class(model_content=data, num_threads=threads)
            self._interpreter.allocate_tensors()
            runner = self._interpreter.get_signature_runner(ANSWER if spec.explain else None)
            inputs, outputs = runner.get_input_details(), runner.get_output_details()
            del runner  # it knows the tensors by name; but it is slower than what it wraps, and keeps that from being used
        except (ValueError, RuntimeError) as error:
            raise RuntimeMissingError(f"{package} cannot load the graph {spec.id!r}: {error}") from error
        _check_tensors(spec, inputs, spec.inputs)
        _check_tensors(spec, outputs, (spec.output,))
        self._inputs = [(int(inputs[tensor.name]["index"]), tensor.kind) for tensor in spec.inputs]
        self._output = int(outputs[spec.output.name]["index"])

    def logits(self, prepared: Mapping[str, Pixels]) -> Floats:
        """Runs the graph on one photo.

        Args:
            prepared: {kind: uint8}, as `derm_sdk.inputs.network_inputs` makes them; more than needed is fine.
        Returns:
            float64 [labels]: the output's stored values, made real by scale * (stored - zero_point).
        Raises:
            BundleError: one of them is not finite.
        """
        return real_values(self.spec.output, self.stored_output(prepared))

    def stored_output(self, prepared: Mapping[str, Pixels]) -> NDArray[Any]:
        """As `logits`, but as the graph stores them: uint8 or float32 [labels]."""
        for index, kind in self._inputs:
            self._interpreter.set_tensor(index, prepared[kind][None])
        self._interpreter.invoke()
        stored: NDArray[Any] = self._interpreter.get_tensor(self._output)[0]
        if not np.isfinite(stored).all():
            raise BundleError(
                f"The graph {self.spec.id!r} answered with a logit that is not finite; its weights are damaged."
            )
        return stored


class EvidenceNetwork:
    """The signature "explain" of a graph, ready to run, with an interpreter of its own. Not for two threads at once.

    Raises:
        RuntimeMissingError: no interpreter is installed.
        BundleError: the graph has no such signature, or not the one of its description.
    """

    def __init__(self, spec: GraphSpec, data: bytes, threads: int) -> None:
        interpreter_class, _ = load_interpreter()
        if spec.explain is None:
            raise BundleError(f"The graph {spec.id!r} was made without a signature {EXPLAIN!r}.")
        self.spec, self._output = spec, spec.explain
        try:
            self._interpreter = interpreter_class(model_content=data, num_threads=threads)
            self._runner = self._interpreter.get_signature_runner(EXPLAIN)
            taken = self._runner.get_input_details()
        except (ValueError, RuntimeError) as error:
            raise BundleError(f"The graph {spec.id!r} has no signature {EXPLAIN!r} that can be run: {error}") from error
        self._inputs = tuple(tensor for tensor in spec.inputs if tensor.name in taken)
        _check_tensors(spec, taken, self._inputs)
        _check_tensors(spec, self._runner.get_output_details(), (self._output,))

    def evidence(self, prepared: Mapping[str, Pixels]) -> Floats:
        """Runs the signature on one photo.

        Args:
            prepared: as for `Network.logits`.
        Returns:
            float64 [h, w, labels]: how much each place speaks for each label; the mean over the places, and what does not
            depend on the place, make the label's logit.
        Raises:
            BundleError: one of them is not finite.
        """
        found = self._runner(**{tensor.name: prepared[tensor.kind][None] for tensor in self._inputs})
        stored = found[self._output.name][0]
        if not np.isfinite(stored).all():
            raise BundleError(f"The graph {self.spec.id!r} explained with what is not finite; its weights are damaged.")
        return real_values(self._output, stored)


def _check_tensors(spec: GraphSpec, found: Mapping[str, Any], described: tuple[Tensor, ...]) -> None:
    if set(found) != {tensor.name for tensor in described}:
        raise BundleError(f"The graph {spec.id!r} has the tensors {sorted(found)}, not those of its description.")
    for tensor in described:
        detail = found[tensor.name]
        shape, dtype = tuple(int(n) for n in detail["shape"]), np.dtype(detail["dtype"]).name
        scale, zero_point = detail["quantization"] if dtype == "uint8" and detail["quantization"][0] else (1.0, 0)
        expected = (tensor.shape, tensor.dtype, np.float32(tensor.scale), tensor.zero_point)
        if (shape, dtype, np.float32(scale), int(zero_point)) != expected:
            raise BundleError(
                f"The tensor {tensor.name!r} of the graph {spec.id!r} is {dtype}{list(shape)} with scale {scale} and zero "
                f"point {zero_point}; its description says {tensor.dtype}{list(tensor.shape)}, {tensor.scale}, "
                f"{tensor.zero_point}."
            )
