"""The .derm file: everything that one model needs to answer, verified before anything of it is used."""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from . import archive
from .calibration import Calibration
from .composition import Composition, Head
from .errors import BundleError, DermError, FileError, OptionError
from .files import write_bytes
from .fitzpatrick import SKIN_TYPE
from .inputs import INPUT_KINDS, input_shape
from .preprocess import PREPROCESSING_VERSION, check_options
from .taxonomy import Taxonomy

FORMAT = 1
KINDS = ("two_step", "multi_input", "hierarchical", "flat")
DTYPES = ("uint8", "float32")
TEXT_ENTRIES = ("taxonomy.json", "calibration.json", "card.md", "licence.txt")
_MAX_JSON_BYTES = 16 << 20
_MAX_JSON_DEPTH = 64
_MAX_JSON_VALUES = 1_000_000
_FLOAT32 = np.finfo(np.float32)
_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Preprocessing:
    """How photos become inputs: `size` in pixels, `fit`, and how JPEGs are decoded ("full" or "reduced", see `prepare`)."""

    size: int
    fit: str
    decode: str = "full"
    version: int = PREPROCESSING_VERSION


@dataclass(frozen=True)
class Tensor:
    """One input or output of a graph: the real value is scale * (stored - zero_point); float32 has scale 1, zero point 0.

    `name` is its name in the graph's signature; `kind` says which prepared picture it takes, or "skin_type" ("" for an
    output).
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int


@dataclass(frozen=True)
class GraphSpec:
    """One network of a bundle: where it is, what goes in, and which labels its output answers below the node `given`.

    `explain` is the output of its signature "explain", the evidence for each label [1, h, w, labels]; None without one.
    """

    id: str
    file: str
    sha256: str
    given: str | None
    labels: tuple[str, ...]
    inputs: tuple[Tensor, ...]
    output: Tensor
    explain: Tensor | None = None


@dataclass(frozen=True)
class Bundle:
    """A verified .derm file.

    Attributes:
        manifest: manifest.json as it stands.
        digest: SHA-256 of manifest.json, hex: the bundle's identity, since the manifest holds every other digest.
        taxonomy, calibration, composition, preprocessing: what they are.
        graphs: descriptions of the networks; `graph_data` holds their bytes, by id.
        card: the model card, Markdown. licence: the licence of the weights.
        size_bytes: size of the file.
        attachments: {name: bytes} of all other entries: the self-test and its pictures, the parity report.
    """

    manifest: Mapping[str, Any]
    digest: str
    taxonomy: Taxonomy
    calibration: Calibration
    composition: Composition
    preprocessing: Preprocessing
    graphs: tuple[GraphSpec, ...]
    graph_data: Mapping[str, bytes]
    card: str
    licence: str
    size_bytes: int
    attachments: Mapping[str, bytes]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What every result of this model must say: that it was written although its conversion broke limits."""
        parity = self.manifest.get("parity")
        broken = parity.get("broken") if isinstance(parity, Mapping) else None
        sentences = [each for each in broken if isinstance(each, str)] if isinstance(broken, list) else []
        return (f"the converted model does not answer as the trained one: {'; '.join(sentences)}",) if sentences else ()

    @property
    def input_kinds(self) -> tuple[str, ...]:
        """What the graphs take together, out of derm_sdk.inputs.INPUT_KINDS, each once."""
        return tuple(dict.fromkeys(tensor.kind for graph in self.graphs for tensor in graph.inputs))

    @property
    def takes_skin_type(self) -> bool:
        """Whether a graph takes the skin type; otherwise it changes no answer."""
        return SKIN_TYPE in self.input_kinds


def read_bundle(source: str | os.PathLike[str] | bytes | bytearray | memoryview) -> Bundle:
    """Reads and verifies a .derm file.

    Args:
        source: its path, or its bytes.
    Returns:
        The bundle, every part of it checked.
    Raises:
        FileError: the path cannot be read.
        BundleError: the file is damaged, too new, or contradicts itself; nothing of it was used.
        OptionError: `source` is neither a path nor bytes.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _parse(memoryview(bytes(source)))
    if not isinstance(source, (str, os.PathLike)):
        raise OptionError(f"A bundle must be given as a path or as bytes; got {type(source).__name__}.")
    path = Path(os.fsdecode(source))
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise BundleError("The file is empty; it must be a .derm file.")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as view:
                return _parse(view)
    except BundleError as error:
        raise BundleError(f"{str(path)!r}: {error}") from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise FileError(f"Cannot read {str(path)!r}: {getattr(error, 'strerror', None) or error}.") from error


def write_bundle(
    path: str | os.PathLike[str],
    manifest: Mapping[str, Any],
    taxonomy: Taxonomy,
    calibration: Calibration,
    graph_data: Mapping[str, bytes],
    card: str,
    licence: str,
    attachments: Mapping[str, bytes] | None = None,
) -> str:
    """Writes a .derm file, whole or not at all, after reading it back.

    Args:
        path: where to.
        manifest: the fields of manifest.json except `format`, `files` and each graph's `sha256`, which are filled in.
        taxonomy, calibration: what goes into taxonomy.json and calibration.json.
        graph_data: {graph id: bytes of its .tflite file}.
        card, licence: Markdown and text.
        attachments: further entries, {name: bytes}.
    Returns:
        The bundle's digest, hex.
    Raises:
        BundleError: a reader would refuse the result. FileError: the file cannot be written.
    """
    data = pack_bundle(manifest, taxonomy, calibration, graph_data, card, licence, attachments)
    bundle = read_bundle(data)
    write_bytes(path, data)
    return bundle.digest


def pack_bundle(
    manifest: Mapping[str, Any],
    taxonomy: Taxonomy,
    calibration: Calibration,
    graph_data: Mapping[str, bytes],
    card: str,
    licence: str,
    attachments: Mapping[str, bytes] | None = None,
) -> bytes:
    """The bytes that `write_bundle` writes; the same content gives the same bytes."""
    entries = {
        "taxonomy.json": _json_bytes(taxonomy.to_dict()),
        "calibration.json": _json_bytes(calibration.to_dict()),
        **{f"graphs/{graph}.tflite": graph_data[graph] for graph in graph_data},
        "card.md": card.encode(),
        "licence.txt": licence.encode(),
        **(attachments or {}),
    }
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in entries.items()}
    graphs = [
        {**graph, "file": f"graphs/{graph['id']}.tflite", "sha256": digests.get(f"graphs/{graph['id']}.tflite")}
        for graph in manifest["graphs"]
    ]
    full = {"format": FORMAT, **manifest, "graphs": graphs, "files": digests}
    return archive.pack({"manifest.json": _json_bytes(full), **entries})


def _parse(view: memoryview) -> Bundle:
    entries = archive.unpack(view)
    if next(iter(entries)) != "manifest.json":
        raise BundleError("The first entry of a .derm file must be manifest.json.")
    raw_manifest = bytes(entries.pop("manifest.json"))
    manifest = read_json(raw_manifest, "manifest.json")
    _check_format(manifest)
    _check_digests(manifest, entries)
    taxonomy = _made(
        "taxonomy.json", lambda: Taxonomy.from_dict(read_json(bytes(entries["taxonomy.json"]), "taxonomy.json"))
    )
    calibration = _made(
        "calibration.json", lambda: Calibration.from_dict(read_json(bytes(entries["calibration.json"]), "calibration.json"))
    )
    preprocessing, graphs, composition = _made("manifest.json", lambda: _described(manifest, taxonomy))
    card, licence = _read_text(entries["card.md"], "card.md"), _read_text(entries["licence.txt"], "licence.txt")
    for graph in graphs:
        if graph.sha256 != manifest["files"].get(graph.file):
            raise BundleError(f"manifest.json gives two digests for the graph {graph.id!r}.")
    if {graph.file for graph in graphs} != {name for name in entries if name.startswith("graphs/")}:
        raise BundleError("The graphs that manifest.json describes are not the graphs in the file.")
    _check_calibration(calibration, composition)
    data = {graph.id: bytes(entries[graph.file]) for graph in graphs}
    attachments = {
        name: bytes(entry) for name, entry in entries.items() if name not in TEXT_ENTRIES and not name.startswith("graphs/")
    }
    return Bundle(
        manifest=manifest,
        digest=hashlib.sha256(raw_manifest).hexdigest(),
        taxonomy=taxonomy,
        calibration=calibration,
        composition=composition,
        preprocessing=preprocessing,
        graphs=graphs,
        graph_data=data,
        card=card,
        licence=licence,
        size_bytes=len(view),
        attachments=attachments,
    )


def _made(name: str, make: Callable[[], _T]) -> _T:
    """What `make` makes of the entry `name`; whatever is wrong in there is a BundleError that names it."""
    try:
        return make()
    except DermError as error:
        raise BundleError(str(error)) from error
    except _MALFORMED as error:
        raise BundleError(f"{name} lacks a field, or one has the wrong type ({error}).") from error


def _described(manifest: Mapping[str, Any], taxonomy: Taxonomy) -> tuple[Preprocessing, tuple[GraphSpec, ...], Composition]:
    preprocessing = _preprocessing(manifest["preprocessing"])
    graphs = tuple(_graph(row, preprocessing.size) for row in manifest["graphs"])
    composition = Composition(taxonomy, tuple(Head(graph.id, graph.given, graph.labels) for graph in graphs))
    texts = [manifest[key] for key in ("id", "name", "version", "created_with", "kind", "licence", "intended_use")]
    if not all(isinstance(text, str) for text in texts) or manifest["kind"] not in KINDS:
        raise BundleError(f"manifest.json must name its kind, one of {', '.join(KINDS)}; got {manifest['kind']!r}.")
    return preprocessing, graphs, composition


def _check_format(manifest: Any) -> None:
    if not isinstance(manifest, dict):
        raise BundleError("manifest.json must be an object.")
    version = manifest.get("format")
    if isinstance(version, bool) or not isinstance(version, int):
        raise BundleError(f"manifest.json must say its format, a whole number; got {version!r}.")
    if version != FORMAT:
        newer = "newer: update derm-sdk to read it" if version > FORMAT else "unknown"
        raise BundleError(f"The .derm file has format {version}; this version reads {FORMAT}, so it is {newer}.")


def _check_digests(manifest: Mapping[str, Any], entries: Mapping[str, memoryview]) -> None:
    files = manifest.get("files")
    if not isinstance(files, dict) or set(files) != set(entries) or not set(TEXT_ENTRIES) <= set(files):
        raise BundleError("manifest.json must list every entry of the file with its digest, and no other.")
    for name, data in entries.items():
        if hashlib.sha256(data).hexdigest() != files[name]:
            raise BundleError(f"{name!r} was changed after the bundle was made: its SHA-256 is not the manifest's.")


def _preprocessing(row: Mapping[str, Any]) -> Preprocessing:
    found = Preprocessing(row["size"], row["fit"], row["decode"], row["version"])
    check_options(found.size, found.fit, ("rgb",), found.decode)
    if found.version != PREPROCESSING_VERSION or isinstance(found.version, bool):
        raise BundleError(
            f"The model needs preprocessing version {found.version!r}; this version of derm-sdk has {PREPROCESSING_VERSION}."
        )
    return found


def _graph(row: Mapping[str, Any], size: int) -> GraphSpec:
    identity, file, given = row["id"], row["file"], row["given"]
    labels, outputs = tuple(row["labels"]), row["outputs"]
    if not isinstance(row["labels"], list):
        raise BundleError(f"manifest.json lacks a field, or one has the wrong type (labels {row['labels']!r}).")
    if not isinstance(identity, str) or not isinstance(file, str) or not (given is None or isinstance(given, str)):
        raise BundleError("A graph's id, file and node must be text.")
    if len(outputs) != 1:
        raise BundleError(f"The graph {identity!r} must have one output; it has {len(outputs)}.")
    inputs = tuple(_tensor(tensor, tensor["kind"], identity) for tensor in row["inputs"])
    output = _tensor(outputs[0], "", identity)
    for tensor in inputs:
        if tensor.kind not in INPUT_KINDS:
            raise OptionError(f"The graph {identity!r} wants the unknown input {tensor.kind!r}.")
        if tensor.dtype != "uint8" or tensor.scale != 1 or tensor.zero_point != 0:
            raise BundleError(
                f"The input {tensor.name!r} of the graph {identity!r} must be uint8 with scale 1, zero point 0."
            )
        if tensor.shape != (1, *input_shape(tensor.kind, size)):
            raise BundleError(f"The input {tensor.name!r} of the graph {identity!r} has the shape {list(tensor.shape)}.")
    if len({tensor.kind for tensor in inputs}) != len(inputs):
        raise BundleError(f"The graph {identity!r} takes an input twice.")
    if not inputs or output.shape != (1, len(labels)):
        raise BundleError(f"The graph {identity!r} has {len(labels)} labels; its output's shape is {list(output.shape)}.")
    explain = None if row.get("explain") is None else _tensor(row["explain"], "", identity)
    if explain is not None and not _is_map(explain.shape, len(labels), size):
        raise BundleError(
            f"The graph {identity!r} has {len(labels)} labels; the shape of its evidence is {list(explain.shape)}."
        )
    return GraphSpec(identity, file, row["sha256"], given, labels, inputs, output, explain)


def _is_map(shape: tuple[int, ...], labels: int, size: int) -> bool:
    """Whether a shape is [1, h, w, labels] with sides of 1 to `size` cells."""
    return len(shape) == 4 and shape[0] == 1 and shape[3] == labels and all(1 <= side <= size for side in shape[1:3])


def _tensor(row: Mapping[str, Any], kind: str, graph: str) -> Tensor:
    tensor = Tensor(row["name"], kind, tuple(row["shape"]), row["dtype"], row["scale"], row["zero_point"])
    whole = [*tensor.shape, tensor.zero_point]
    if (
        not isinstance(tensor.name, str)
        or any(isinstance(number, bool) or not isinstance(number, int) for number in whole)
        or tensor.dtype not in DTYPES
        or isinstance(tensor.scale, bool)
        or not isinstance(tensor.scale, (int, float))
        or not float(_FLOAT32.tiny) <= tensor.scale <= float(_FLOAT32.max)
        or not 0 <= tensor.zero_point <= 255
        or (tensor.dtype == "float32" and (tensor.scale != 1 or tensor.zero_point != 0))
    ):
        raise BundleError(
            f"The tensor {tensor.name!r} of the graph {graph!r} must be uint8 with a scale above 0, a normal float32, "
            "and a zero point of 0 to 255, or float32 with scale 1 and zero point 0."
        )
    return tensor


def _check_calibration(calibration: Calibration, composition: Composition) -> None:
    widths = {head.graph: len(head.labels) for head in composition.heads}
    known = {"graph": set(widths), "level": set(composition.taxonomy.levels)}
    named = [("graph", name) for name in (*calibration.temperatures, *calibration.offsets)]
    named += [("level", name) for name in (*calibration.answer, *calibration.sets)]
    for what, name in named:
        if name not in known[what]:
            raise BundleError(f"calibration.json names the {what} {name!r}, which the model does not have.")
    for graph, numbers in calibration.offsets.items():
        if len(numbers) != widths[graph]:
            raise BundleError(
                f"calibration.json gives the graph {graph!r} {len(numbers)} offsets; it has {widths[graph]} labels."
            )
    if calibration.refer_node is not None:
        try:
            composition.column(calibration.refer_node)
        except KeyError:
            raise BundleError(f"calibration.json refers on {calibration.refer_node!r}, which is not in the tree.") from None


def _json_bytes(data: Any) -> bytes:
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _read_text(data: bytes | memoryview, name: str) -> str:
    try:
        return bytes(data).decode()
    except UnicodeDecodeError as error:
        raise BundleError(f"{name} is not UTF-8 ({error.reason}).") from error


def read_json(data: bytes, name: str) -> Any:
    """Reads an entry that is JSON.

    Args:
        data: its bytes, UTF-8, at most 16 MiB.
        name: of the entry, for messages.
    Raises:
        BundleError: no JSON, a number that is not finite, a field twice in an object, half of a surrogate pair, more than 64
            lists and objects inside one another, or more than a million values.
    """

    def constant(text: str) -> float:
        raise BundleError(f"{name} holds {text[:40]}; every number must be finite.")

    def number(text: str) -> float:
        value = float(text)
        return value if math.isfinite(value) else constant(text)

    def whole(text: str) -> int:
        number(text)  # a whole number, too, must not overflow a double
        return int(text)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) != len(pairs):
            raise BundleError(f"{name} names a field twice.")
        return dict(pairs)

    if len(data) > _MAX_JSON_BYTES:
        raise BundleError(f"{name} is larger than 16 MiB.")
    try:
        text = _read_text(data, name)
        value = json.loads(text, parse_constant=constant, parse_float=number, parse_int=whole, object_pairs_hook=unique)
        if "\\ud" in text.lower():  # a half of a pair has no UTF-8
            json.dumps(value, ensure_ascii=False).encode()
        _check_extent(value)
        return value
    except BundleError:
        raise
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{name} is no JSON ({error}).") from error


def _check_extent(value: Any) -> None:
    """Raises ValueError for a value that a reader on a small device could not hold or walk."""
    inner, count = [value], 1
    for _ in range(_MAX_JSON_DEPTH + 1):
        inner = [each for each in inner if isinstance(each, (dict, list))]
        if not inner:
            return
        inner = [child for each in inner for child in (each.values() if isinstance(each, dict) else each)]
        count += len(inner)
        if count > _MAX_JSON_VALUES:
            raise ValueError(f"more than {_MAX_JSON_VALUES} values")
    raise ValueError(f"more than {_MAX_JSON_DEPTH} lists and objects inside one another")
