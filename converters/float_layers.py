"""The layers of an int8 graph that compute in floats: which are worth it, and what the converter calls them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import ConversionError
from .layer_errors import LayerError

_BETWEEN = {"QUANTIZE", "DEQUANTIZE", "DELEGATE"}  # between the floats of a layer and the integers around it


def worst_layers(rows: Sequence[LayerError], count: int, layers: Sequence[str]) -> tuple[str, ...]:
    """The layers with weights behind which most signal is lost, the worst first.

    The one that writes the output is left out: the output of an int8 graph is an integer.

    Args:
        rows: of `layer_errors`, in the order of the computation.
        count: how many; fewer where fewer lose anything.
        layers: names of the layers with weights.
    """
    lost: dict[str, float] = {}
    for row in rows[:-1]:
        layer = layer_of(row.tensor, layers)
        if layer is not None and row.lost > 0:
            lost[layer] = max(lost.get(layer, 0.0), row.lost)
    return tuple(sorted(lost, key=lambda name: -lost[name])[:count])


def float_tensors(graph: bytes, chosen: Sequence[str], layers: Sequence[str]) -> list[str]:
    """Names of the tensors that the operations of some layers write, in every signature of a float graph.

    Raises:
        ConversionError: a layer writes no tensor of the graph.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(graph, 0))
    names = {
        subgraph.tensors[place].name.decode()
        for subgraph in model.subgraphs
        for operation in subgraph.operators
        for place in operation.outputs
    }
    found = {name: layer for name in sorted(names) if (layer := layer_of(name, layers)) in chosen}
    missing = [layer for layer in chosen if layer not in found.values()]
    if missing:
        raise ConversionError(f"The layer {missing[0]!r} cannot be found in the graph, so it cannot stay in floats.")
    return list(found)


def float_operations(interpreter: Any) -> list[str]:
    """What the operations of a quantised graph that compute in floats write: names of tensors, of the first signature."""
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    return [
        str(details[place]["name"])
        for operation in interpreter._get_ops_details()
        if operation["op_name"] not in _BETWEEN
        for place in operation["outputs"]
        if place in details and np.dtype(details[place]["dtype"]).kind == "f"
    ]


def layer_of(tensor: str, layers: Sequence[str]) -> str | None:
    """The layer with weights that writes a tensor: "tree/relu_1/Relu6;tree/expand_1/convolution" is "expand"."""
    parts = [part for piece in tensor.split(";") for part in piece.split("/")]
    for part in (*(re.sub(r"_\d+$", "", part) for part in parts), *parts):  # TensorFlow counts how often it met a name
        if part in layers:
            return part
    return None
