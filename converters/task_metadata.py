"""Standard metadata of a TensorFlow Lite model, as MediaPipe and Android Studio read it: what its input is, and its labels.

A flatbuffer with the identifier "M001" lies in the model as the buffer "TFLITE_METADATA"; the labels are a text file in a
ZIP archive behind the model. The numbers below are the places of the fields in the published schema, metadata_schema.fbs of
MediaPipe (Apache-2.0). MediaPipe's own writer is not used: it is missing a part in the packages of 1.2.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import flatbuffers

LABELS = "labels.txt"
PARSER = "1.0.0"  # the oldest reader that knows all that is used here
_RGB, _IMAGE_PROPERTIES, _FEATURE_PROPERTIES, _NORMALIZATION, _AXIS_LABELS = 1, 2, 1, 1, 2


def with_metadata(graph: bytes, name: str, description: str, labels: Sequence[str], licence: str) -> bytes:
    """Adds the metadata of an image classifier.

    Args:
        graph: a model with one uint8 input [1, S, S, 3], RGB from 0 to 255, and one output [1, labels] of probabilities.
        name, description, licence: for people.
        labels: one per output, in their order.
    Returns:
        The model's bytes; its graph is the same.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(graph, 0))
    entry, buffer = schema.MetadataT(), schema.BufferT()
    entry.name, entry.buffer = b"TFLITE_METADATA", len(model.buffers)
    buffer.data = list(_metadata(name, description, licence))
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(len(graph) + 4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    file = io.BytesIO()
    file.write(bytes(builder.Output()))
    with zipfile.ZipFile(file, "a") as archive:
        fixed = zipfile.ZipInfo(LABELS)  # its time stamp is 1980: the same model, the same bytes
        archive.writestr(fixed, "\n".join(labels) + "\n")
    return file.getvalue()


def _metadata(name: str, description: str, licence: str) -> bytes:
    builder = flatbuffers.Builder(1024)
    picture = _table(builder, 2, (0, "int8", _RGB))
    content = _table(builder, 2, (0, "uint8", _IMAGE_PROPERTIES), (1, "table", picture))
    normalization = _table(builder, 2, (0, "table", _floats(builder, [0.0])), (1, "table", _floats(builder, [1.0])))
    unit = _table(builder, 2, (0, "uint8", _NORMALIZATION), (1, "table", normalization))
    stats = _table(builder, 2, (0, "table", _floats(builder, [255.0])), (1, "table", _floats(builder, [0.0])))
    image = _table(
        builder, 7,
        (0, "table", builder.CreateString("image")),
        (1, "table", builder.CreateString("The photo, RGB, 0 to 255; scaling is part of the graph.")),
        (3, "table", content),
        (4, "table", _vector(builder, [unit])),
        (5, "table", stats),
    )  # fmt: skip
    label_file = _table(
        builder, 5,
        (0, "table", builder.CreateString(LABELS)),
        (1, "table", builder.CreateString("The conditions, in the order of the probabilities.")),
        (2, "int8", _AXIS_LABELS),
    )  # fmt: skip
    feature = _table(builder, 0)
    scores = _table(builder, 2, (0, "uint8", _FEATURE_PROPERTIES), (1, "table", feature))
    score_stats = _table(builder, 2, (0, "table", _floats(builder, [1.0])), (1, "table", _floats(builder, [0.0])))
    probability = _table(
        builder, 7,
        (0, "table", builder.CreateString("probability")),
        (1, "table", builder.CreateString("Calibrated probability of each condition.")),
        (3, "table", scores),
        (5, "table", score_stats),
        (6, "table", _vector(builder, [label_file])),
    )  # fmt: skip
    subgraph = _table(builder, 10, (2, "table", _vector(builder, [image])), (3, "table", _vector(builder, [probability])))
    model = _table(
        builder, 8,
        (0, "table", builder.CreateString(name)),
        (1, "table", builder.CreateString(description)),
        (3, "table", _vector(builder, [subgraph])),
        (5, "table", builder.CreateString(licence)),
        (7, "table", builder.CreateString(PARSER)),
    )  # fmt: skip
    builder.Finish(model, b"M001")
    return bytes(builder.Output())


def _table(builder: Any, fields: int, *values: tuple[int, str, int]) -> int:
    """A table with so many fields; each value is (place, "table" for an offset or the number's type, value)."""
    builder.StartObject(fields)
    for place, kind, value in values:
        if kind == "table":
            builder.PrependUOffsetTRelativeSlot(place, value, 0)
        else:
            getattr(builder, f"Prepend{kind.capitalize()}Slot")(place, value, 0)
    return int(builder.EndObject())


def _floats(builder: Any, values: Sequence[float]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return int(builder.EndVector())


def _vector(builder: Any, tables: Sequence[int]) -> int:
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return int(builder.EndVector())
