"""The graphs of a bundle as plain .tflite files, with labels and a spec sheet, for people with a runtime of their own."""

from __future__ import annotations

import json
import os
from pathlib import Path

from derm_sdk.bundle import Bundle, GraphSpec, Tensor

from .outputs import write_all


def write_plain_graphs(bundle: Bundle, folder: str | os.PathLike[str]) -> None:
    """Writes the files of `plain_files` into a new folder, all of them or none.

    Raises:
        FileError: the folder holds something already, or cannot be written.
    """
    write_all({}, Path(folder), plain_files(bundle))


def plain_files(bundle: Bundle) -> dict[str, bytes]:
    """{name: content}: <graph>.tflite, <graph>.labels.txt of every graph, taxonomy.json, calibration.json, README.md."""
    files: dict[str, bytes] = {}
    for graph in bundle.graphs:
        files[f"{graph.id}.tflite"] = bytes(bundle.graph_data[graph.id])
        files[f"{graph.id}.labels.txt"] = "".join(f"{label}\n" for label in graph.labels).encode()
    for name, content in (("taxonomy", bundle.taxonomy.to_dict()), ("calibration", bundle.calibration.to_dict())):
        files[f"{name}.json"] = (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
    return {**files, "README.md": spec_sheet(bundle).encode()}


def spec_sheet(bundle: Bundle) -> str:
    """What somebody needs to run the graphs without the SDK, as Markdown."""
    shape = bundle.preprocessing
    lines = [
        f"# {bundle.manifest['name']}, version {bundle.manifest['version']}: its graphs",
        "",
        f"{bundle.manifest['intended_use']} Licence of the weights: {bundle.manifest['licence']}.",
        "",
        f"Photos: upright RGB, fit `{shape.fit}`, exact area average to {shape.size} x {shape.size}, preprocessing version "
        f"{shape.version} of the Derm SDK's docs/preprocessing.md. `derm_sdk.prepare(photo, size={shape.size}, "
        f"fit={shape.fit!r}, inputs=(...), decode={shape.decode!r})` gives the bytes. Another resize gives other answers.",
        "",
        "P(label | given) = softmax((logits + offset) / temperature), both in calibration.json; P(label) = P(given) * "
        "P(label | given); a parent is the sum of its children (taxonomy.json). Logits = scale * (stored - zero point). "
        "Labels are ids of taxonomy.json, one per line in `<graph>.labels.txt`.",
    ]
    for graph in bundle.graphs:
        lines += ["", f"## {graph.id}.tflite", "", _about(graph, bundle), "", *_tensors(graph)]
    return "\n".join(lines) + "\n"


def _about(graph: GraphSpec, bundle: Bundle) -> str:
    below = f"P(label | {graph.given})" if graph.given else "P(label), over the whole tree"
    temperature = bundle.calibration.temperatures.get(graph.id, 1.0)
    signature = "signature `classify` (and `explain`, evidence per place)" if graph.explain else "one signature"
    return f"{len(graph.labels)} labels, {below}; temperature {temperature:.4g}; {signature}; batch of 1."


def _tensors(graph: GraphSpec) -> list[str]:
    rows = ["| tensor | what | shape | type | scale | zero point |", "|---|---|---|---|---|---|"]
    outputs = [(graph.output, "logits"), *([(graph.explain, "evidence")] if graph.explain else [])]
    for tensor, what in [*((each, each.kind) for each in graph.inputs), *outputs]:
        rows.append(_row(tensor, what))
    return rows


def _row(tensor: Tensor, what: str) -> str:
    shape = " x ".join(map(str, tensor.shape))
    return f"| `{tensor.name}` | {what} | {shape} | {tensor.dtype} | {tensor.scale:g} | {tensor.zero_point} |"
