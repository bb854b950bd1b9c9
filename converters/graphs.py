"""A Keras network -> the bytes of a .tflite graph that takes uint8 photos, in a batch of 1, and the proof that it does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from derm_sdk.runtime import ANSWER, EXPLAIN

from .compact import compact
from .errors import ConversionError
from .evidence import evidence_model
from .finetuning import Batch, Lessons
from .float_layers import float_operations, layer_of
from .folding import fold_batchnorm
from .int8 import Sources, int8_graph
from .layer_errors import Photos
from .recipe import Recipe
from .tensorflow_lite import plain_graph

PRECISIONS = ("int8", "float16", "float32")


def convert_graph(
    model: keras.Model,
    recipe: Recipe,
    representative: Photos,
    correction: Photos,
    normalisation: Callable[[], Iterable[Batch]] | None = None,
    lessons: Lessons | None = None,
) -> bytes:
    """Converts one network.

    Args:
        model: a trained functional model as derm_toolkit.models builds them: inputs named by kind, 0..255, logits out.
        recipe: how. With `explain` a network with a pooled head gets the signature "explain", too (see `evidence_model`).
        representative, correction, normalisation, lessons: the photos that int8 needs, the last two only for recipes that
            ask for them; see `derm_converters.int8.Sources`.
    Returns:
        The bytes of the graph: uint8 inputs with scale 1 and zero point 0, batch 1; logits as uint8 (int8) or float32.
    Raises:
        ConversionError: the layers cannot be followed, TensorFlow cannot convert one, or the graph is not what was promised;
            see `check_graph`.
    """
    if recipe.precision == "int8":
        graph, in_floats = int8_graph(model, recipe, Sources(representative, correction, normalisation, lessons))
        graph = compact(graph)
        check_graph(graph, "int8", in_floats)
        return graph
    folded = fold_batchnorm(model, "uint8")
    graph = compact(plain_graph(folded, evidence_model(folded) if recipe.explain else None, recipe.precision))
    check_graph(graph, recipe.precision)
    return graph


def describe_graph(graph: bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Describes a graph's inputs and outputs as a bundle's manifest does: name, shape, dtype, scale, zero_point."""
    interpreter = _interpreter(graph)
    runner = interpreter.get_signature_runner(ANSWER if _explains(interpreter) else None)
    inputs = [{**_tensor(name, detail), "kind": name} for name, detail in sorted(runner.get_input_details().items())]
    return inputs, [_tensor(name, detail) for name, detail in sorted(runner.get_output_details().items())]


def describe_explain(graph: bytes) -> dict[str, Any] | None:
    """Describes the output of the signature "explain" in the same way; None for a graph without one."""
    interpreter = _interpreter(graph)
    if not _explains(interpreter):
        return None
    ((name, detail),) = interpreter.get_signature_runner(EXPLAIN).get_output_details().items()
    return _tensor(name, detail)


def float_outputs(graph: bytes) -> list[str]:
    """The layers of an int8 graph that compute in floats, as the graph names what they write."""
    return float_operations(_interpreter(graph))


def check_graph(graph: bytes, precision: str, in_floats: Sequence[str] = ()) -> None:
    """Proves that a graph keeps its promises.

    Args:
        graph: its bytes.
        precision: "int8", "float16" or "float32".
        in_floats: of int8, the layers that compute in floats all the same.
    Raises:
        ConversionError: an input that is not uint8 with scale 1 and zero point 0 and batch 1; an int8 graph with a float
            tensor that is not of `in_floats`, or an output that is not uint8; variables left in the graph; more than one
            output.
    """
    inputs, outputs = describe_graph(graph)
    for tensor in inputs:
        if tensor["dtype"] != "uint8" or tensor["scale"] != 1 or tensor["zero_point"] != 0 or tensor["shape"][0] != 1:
            raise ConversionError(
                f"The input {tensor['name']!r} must be uint8 with scale 1, zero point 0 and batch 1; got {tensor['dtype']} "
                f"{tensor['shape']}, scale {tensor['scale']}, zero point {tensor['zero_point']}. "
                "Do the representative photos span 0 to 255?"
            )
    wanted = "uint8" if precision == "int8" else "float32"
    if len(outputs) != 1 or outputs[0]["dtype"] != wanted:
        raise ConversionError(f"A graph must have one {wanted} output; got {outputs}.")
    explained = describe_explain(graph)
    if explained is not None and explained["dtype"] != wanted:
        raise ConversionError(f"The evidence of a graph must be {wanted}, as its logits; got {explained['dtype']}.")
    interpreter = _interpreter(graph)
    if interpreter.get_output_details()[0]["shape"].tolist() != outputs[0]["shape"]:  # what foreign readers run
        raise ConversionError(f"The signature {ANSWER!r} must be the first subgraph of the graph.")
    operations = {operation["op_name"] for operation in interpreter._get_ops_details()}
    if operations & {"READ_VARIABLE", "VAR_HANDLE", "ASSIGN_VARIABLE", "CALL_ONCE"}:
        raise ConversionError("Variables are left in the graph: its weights were not frozen.")
    if precision == "int8":
        floats = [t["name"] for t in interpreter.get_tensor_details() if np.dtype(t["dtype"]).kind == "f"]
        if in_floats:
            floats = [name for name in float_operations(interpreter) if layer_of(name, in_floats) is None]
        if floats:
            raise ConversionError(
                f"An int8 graph must be all integers; {len(floats)} float tensors are left, such as {floats[0]!r}."
            )


def _tensor(name: str, detail: Mapping[str, Any]) -> dict[str, Any]:
    dtype = np.dtype(detail["dtype"]).name
    scale, zero_point = detail["quantization"] if dtype == "uint8" and detail["quantization"][0] else (1.0, 0)
    return {
        "name": name,
        "shape": [int(n) for n in detail["shape"]],
        "dtype": dtype,
        "scale": float(scale),
        "zero_point": int(zero_point),
    }


def _explains(interpreter: Any) -> bool:
    return EXPLAIN in interpreter.get_signature_list()


def _interpreter(graph: bytes) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=graph)
    interpreter.allocate_tensors()
    return interpreter
