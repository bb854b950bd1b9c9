"""Runs a graph by LiteRT's built-in kernels, in place of XNNPACK's: correct as well, slower, and not to the bit the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from derm_sdk.bundle import GraphSpec
from derm_sdk.image import Pixels
from derm_sdk.runtime import ANSWER


def built_in_outputs(spec: GraphSpec, data: bytes, prepared: Mapping[str, Pixels]) -> NDArray[Any]:
    """The stored output of one graph, [labels], as devices without XNNPACK compute it (tflite-runtime, some old phones)."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    interpreter.allocate_tensors()
    run = interpreter.get_signature_runner(ANSWER if spec.explain else None)
    found: NDArray[Any] = run(**{tensor.name: prepared[tensor.kind][None] for tensor in spec.inputs})[spec.output.name][0]
    return found
