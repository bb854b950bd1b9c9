"""Writes the vectors of everything that libderm does besides what preprocessing.json holds: for every implementation.

    python -m tests.vectors.write_native

numbers.json: exp, log, softmax, and how numbers print. camera.json: pictures in every format -> prepared bytes.
bundles.json: good and bad bundles -> the number of derm.h. answers.json: stored outputs of graphs -> the result.
priors.json: the same for another place, and priors that are refused -> the number of derm.h. All of it comes from the Python
definition; tests/native/test_vectors.cpp and tests/sdk/test_native.py read it.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np

from derm_sdk import BundleError, OptionError, arithmetic, camera, preprocess, read_bundle
from derm_sdk.bundle import Bundle
from derm_sdk.calibration import quality_measures, quality_problems
from derm_sdk.classifier import Classifier
from derm_sdk.files import write_text
from derm_sdk.image import Decoded
from derm_sdk.prior import reweighted
from derm_sdk.routing import composed, run_graphs
from derm_sdk.runtime import real_values

from . import bundles
from .write_preprocessing import random_bytes

FOLDER = Path(__file__).parent

# What Python says -> the number of derm.h, the first that fits.
NUMBERS = [
    ("does not begin with", 401), ("something was put behind its end", 402), ("table of contents is damaged", 403),
    ("is not where its end says it is", 404), ("table of contents is cut off", 405), ("was packed by another tool", 406),
    ("is encrypted", 407), ("is compressed", 408), ("that we do not write", 409), ("is in the .derm file twice", 410),
    ("is no name for an entry", 411), ("overlaps its neighbour", 412), ("reaches over its end", 413),
    ("The two headers of", 414), ("is not aligned to", 415), ("its checksum is wrong", 416),
    ("bytes that belong to no entry", 417), ("The first entry of a .derm file must be", 421), ("larger than 16 MiB", 422),
    ("is not UTF-8", 423), ("is no JSON", 424), ("every number must be finite", 425), ("names a field twice", 426),
    ("must be an object", 427), ("must say its format", 428), ("newer: update derm-sdk", 429), ("so it is unknown", 429),
    ("must list every entry of the file", 430), ("was changed after the bundle was made", 431),
    ("must be two ordered numbers", 472), ("lacks or misspells a field", 474), ("must hold levels and nodes", 451),
    ("lacks a field, or one has the wrong type", 432), ("must be text", 432), ("must name its kind", 433),
    ("needs preprocessing version", 434), ("Unknown way of decoding", 434), ("Unknown fit", 434),
    ("size must be a whole number", 434), ("are not the graphs in the file", 435), ("must have one output", 436),
    ("wants the unknown input", 437), ("must be uint8 with scale 1, zero point 0", 438), ("has the shape", 439),
    ("output's shape is", 440), ("evidence is", 441), ("and a zero point of 0 to", 442), ("takes an input twice", 443),
    ("gives two digests for the graph", 444), ("must be non-empty text", 452), ("must be an id or null", 453),
    ("differently named levels", 454), ("A tree has at most", 454), ("each with an id of its own", 455),
    ("which is none of", 456), ("needs a parent one level up", 457), ("yet it is not on the last level", 458),
    ("one graph for the whole tree and at most one", 459), ("have the same id", 460), ("exactly once", 461),
    ("which is not below it", 462), ("No graph splits", 463), ("splits a node that no other graph answers", 464),
    ("which is not in the tree", 465), ("must be from 0.001 to 1000", 466), ("must be numbers from -100 to 100", 467),
    ("offsets; it has", 468), ("must be a probability from 0 to 1", 469), ("must be an id or nothing", 470),
    ("Unknown quality measure", 471), ("which the model does not have", 473),
]  # fmt: skip

# width, height, rotation, gap (bytes between rows), size, fit
CAMERA_CASES = [
    (1, 1, 0, 0, 2, "crop"), (3, 2, 90, 0, 2, "stretch"), (2, 3, 270, 5, 3, "pad"), (5, 4, 180, 1, 3, "crop"),
    (17, 9, 90, 3, 6, "pad"), (9, 17, 0, 0, 6, "pad"), (64, 48, 0, 16, 24, "crop"), (48, 64, 90, 0, 24, "stretch"),
    (65, 47, 270, 7, 24, "crop"), (40, 30, 180, 0, 64, "stretch"), (301, 200, 90, 11, 32, "crop"),
    (120, 700, 0, 0, 16, "pad"),
]  # fmt: skip


def number_of(data: bytes) -> int:
    """0 for a bundle that Python takes; else the number of its refusal."""
    try:
        read_bundle(data)
    except BundleError as error:
        return next(number for words, number in NUMBERS if words in str(error))
    return 0


def as_hex(values: Any) -> list[str]:
    """Doubles as the 16 digits of their bits."""
    return [struct.pack(">d", float(value)).hex() for value in np.ravel(values)]


# --- numbers.json -------------------------------------------------------------------------------------------------------


def numbers() -> dict[str, Any]:
    random = np.random.default_rng(1)
    exponents = np.concatenate(
        [-random.exponential(30, 150), -random.uniform(0, 1, 50), [0.0, -0.0, -707.9, -708.0, -708.1]]
    )
    at_least_one = np.concatenate(
        [1 + random.exponential(4, 100), [1.0, 2.0, 1.0000000000000002, 1.4142135623730951, 1e300]]
    )
    rows = [random.normal(0, 8, n) for n in (1, 2, 3, 7, 8, 9, 21, 130)]
    # Powers of two, since those of ten are not the same bits in every C library.
    wide = np.ldexp(random.uniform(1, 2, 60), random.integers(-1070, 1024, 60).astype(np.int32))
    printed = [*random.uniform(0, 1, 60), *wide, 0.0, -0.0, 1.0, 0.1, 1e-4, 1e-5, 9.999e-5]
    printed += [123456789012345680.0, 1e15, 1e16, 1.5e16, 1e22, 5e-324, 2.0**-44, 1.7976931348623157e308, -2.5, 100.0, 0.3]
    halves = [0.125, 0.375, 0.005, 0.015, 0.025, 0.045, 1.005, 0.995, 0.994999, 1.0, 0.0, -0.0, *random.uniform(0, 1, 40)]
    return {
        "format": 1,
        "bits": "doubles are the 16 hex digits of their bits, the sign first",
        "exp": list(zip(as_hex(exponents), as_hex(arithmetic.exp(exponents)), strict=True)),
        "log": [(as_hex(value)[0], as_hex(arithmetic.log(float(value)))[0]) for value in at_least_one],
        "softmax": [(as_hex(row), as_hex(softmax(row))) for row in rows],
        "repr": [(as_hex(value)[0], repr(float(value))) for value in printed],
        "two_decimals": [(as_hex(value)[0], f"{float(value):.2f}") for value in halves],
    }


def softmax(row: Any) -> Any:
    powers = arithmetic.exp(row - row.max())
    return powers / arithmetic.total(powers)


# --- camera.json --------------------------------------------------------------------------------------------------------


def planes_of(format: str, width: int, height: int, gap: int, seed: int) -> tuple[list[np.ndarray], list[int]]:
    planes, strides = [], []
    for number, (rows, row) in enumerate(camera.plane_shapes(width, height, format)):
        stride = row + gap
        planes.append(random_bytes(seed + number, np.arange(rows * stride - gap)).astype(np.uint8))
        strides.append(stride)
    return planes, strides


def camera_cases() -> dict[str, Any]:
    cases = []
    native, preprocess.native = preprocess.native, None
    try:
        for (place, (width, height, rotation, gap, size, fit)), format in itertools.product(
            enumerate(CAMERA_CASES), camera.FORMATS
        ):
            seed = 1000 * place + 10 * camera.FORMATS.index(format)
            planes, strides = planes_of(format, width, height, gap, seed)
            upright = camera.camera_pixels(planes, width, height, format, rotation=rotation, strides=strides)
            rgb = preprocess.resize(upright, size, fit)
            case = {"format": format, "width": width, "height": height, "rotation": rotation, "gap": gap, "seed": seed}
            case |= {"size": size, "fit": fit, "rgb_sha256": hashlib.sha256(rgb.tobytes()).hexdigest()}
            cases.append(case | ({"rgb": rgb.tobytes().hex()} if size <= 3 else {}))
    finally:
        preprocess.native = native
    generator = (
        "plane p holds byte(seed + p, k) of preprocessing.json at place k; a row is followed by `gap` bytes but the last"
    )
    return {"format": 1, "generator": generator, "formats": camera.FORMATS, "fits": preprocess.FITS, "cases": cases}


# --- bundles.json -------------------------------------------------------------------------------------------------------


def pieces(data: bytes, base: bytes) -> list[Any]:
    """`data` as a list of hex texts and of [place, length] in `base`, from which it is put together again."""
    window = 12
    where = {base[i : i + window]: i for i in range(len(base) - window, -1, -1)}
    found: list[Any] = []
    literal, at = bytearray(), 0
    while at < len(data):
        start = where.get(data[at : at + window])
        if start is None:
            literal.append(data[at])
            at += 1
            continue
        length = next((n for n in range(min(len(base) - start, len(data) - at)) if base[start + n] != data[at + n]), None)
        length = min(len(base) - start, len(data) - at) if length is None else length
        found += ([literal.hex()] if literal else []) + [[start, length]]
        literal, at = bytearray(), at + length
    return found + ([literal.hex()] if literal else [])


def bundle_cases() -> dict[str, Any]:
    base = bundles.GOOD[0]
    cases = [(data, "taken") for data in bundles.GOOD] + [
        pair
        for pair in bundles.BAD
        if pair[1] != "compressed" and len(pair[0]) < 30000  # zlib's bytes are its version's
    ]
    return {
        "format": 1,
        "file": "a bundle is put together from hex digits and from [place, length] of the base",
        "base": base64.b64encode(base).decode(),
        "cases": [
            {"name": f"{n}: {re.sub(r'[|^].*', '', words)}", "status": number_of(data), "file": pieces(data, base)}
            for n, (data, words) in enumerate(cases)
        ],
    }


# --- answers.json -------------------------------------------------------------------------------------------------------


class Outputs(Classifier):
    """A classifier whose graphs are not run: their stored outputs are given."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def told(
        self, stored: dict[str, Any], rgb: Any, width: int, height: int, skin_type: int | None, routing: str,
        shares: dict[str, float] | None = None, factors: Any = None,
    ) -> Any:  # fmt: skip
        specs = {graph.id: graph for graph in self.bundle.graphs}
        logits = run_graphs(self.composition, self.calibration, routing,
                            lambda head: real_values(specs[head.graph].output, stored[head.graph]))  # fmt: skip
        nodes = composed(self.composition, self.calibration, logits)
        nodes = nodes if factors is None else reweighted(self.composition, nodes[None], factors)[0]
        measures = quality_measures(rgb, logits[self.composition.root.graph])
        assert quality_problems(measures, self.calibration.quality) is not None
        pixels = np.broadcast_to(np.uint8(0), (height, width, 3))
        result = self._told(Decoded(pixels, width, height), rgb, logits, skin_type, routing, shares, factors)
        return result, nodes, list(logits)


def answer_cases() -> dict[str, Any]:
    taken = [bundles.GOOD[n] for n in (0, 2, 4, 5, 6)]
    cases = []
    for number, data in enumerate(taken):
        bundle = read_bundle(data)
        outputs = Outputs(bundle)
        for turn, routing in itertools.product(range(4), ("all", "lazy", "top")):
            seed = 100 * number + turn
            random = np.random.default_rng(seed)
            stored = {
                graph.id: random.integers(0, 256, len(graph.labels)).astype(np.uint8)
                if turn else np.full(len(graph.labels), 7, np.uint8)
                for graph in bundle.graphs
            }  # fmt: skip
            size = bundle.preprocessing.size
            rgb = (random_bytes(seed, np.arange(size * size * 3)) // (turn + 1)).astype(np.uint8).reshape(size, size, 3)
            width, height, skin_type = 5 + 200 * turn, 12 + 10 * turn, (turn + number) % 7 or None
            result, nodes, ran = outputs.told(stored, rgb, width, height, skin_type, routing)
            cases.append({
                "bundle": number, "seed": seed, "divisor": turn + 1, "width": width, "height": height,
                "skin_type": skin_type or 0, "routing": routing,
                "outputs": {graph: bytes(values).hex() for graph, values in stored.items()}, "ran": ran,
                "probabilities": "".join(as_hex(nodes)), "json": result.to_json(),
            })  # fmt: skip
    return {
        "format": 1,
        "generator": "the prepared rgb holds byte(seed, k) / divisor, rounded down, at place k",
        "bundles": [base64.b64encode(data).decode() for data in taken],
        "cases": cases,
    }


# --- priors.json ---------------------------------------------------------------------------------------------------------

# Training photos of each condition: whole and not, one without any, and none that are told.
PHOTOS = [
    {"nevus": 137, "lipoma": 1, "basal-cell-carcinoma": 29.25, "melanoma": 1000003, "acne": 333, "eczema": 0.1},
    {"nevus": 0, "lipoma": 0, "melanoma": 7, "acne": 2},
    {"nevus": -1},
    None,
]
PRIORS: list[list[tuple[str, float]]] = [
    [("malignant", 0.02)], [("non-neoplastic", 0.5), ("malignant", 0.02), ("benign", 0.48)],
    [("melanoma", 1e-12)], [("melanoma", 0.1), ("benign", 0.3)], [("basal cell carcinoma", 1 / 3), ("melanoma-group", 0.1)],
    [("malignant", 0.3333), ("benign", 0.3333), ("non-neoplastic", 0.3333)], [("malignant", 0.999999998)],
]  # fmt: skip
# bundle, routing, prior
REFUSED: list[tuple[int, str, list[tuple[str, float]]]] = [
    (0, "all", []), (0, "all", [("malign", 0.5)]),
    (0, "all", [("basal-cell-carcinoma", 0.1), ("basal cell carcinoma", 0.2)]),
    (0, "all", [("malignant", 0.0)]), (0, "all", [("malignant", 1.5)]), (0, "all", [("malignant", 9e-13)]),
    (0, "all", [("melanoma", 0.2), ("malignant", 0.3)]), (0, "all", [("malignant", 0.3), ("melanoma", 0.2)]),
    (0, "all", [("malignant", 0.3), ("benign", 0.3), ("non-neoplastic", 0.3)]),
    (0, "all", [("malignant", 0.6), ("benign", 0.4)]), (0, "all", [("malignant", 1.0)]),
    (0, "lazy", [("malignant", 0.7), ("benign", 0.29999999999999993)]), (1, "all", [("benign", 0.5)]),
    (2, "all", [("malignant", 0.5)]), (3, "all", [("malignant", 0.5)]), (0, "top", [("malignant", 0.5)]),
]  # fmt: skip
PRIOR_NUMBERS = [
    ("Unknown label", 105), ("must name shares of labels", 114), (" twice", 115), ("must be a share from 1e-12", 116),
    ("which lies above it", 117), ("must add up to 1", 118), ("must leave a share", 119), ("does not record", 120),
    ("training photos of a label", 120), ("no photo of", 121), ("needs every graph", 122),
]  # fmt: skip


def prior_number_of(bundle: Bundle, prior: list[tuple[str, float]], routing: str) -> int:
    try:
        Outputs(bundle)._read_prior(dict(prior), routing)
    except OptionError as error:
        return next(number for words, number in PRIOR_NUMBERS if words in str(error))
    return 0


def prior_cases() -> dict[str, Any]:
    training = [counts and {"photos_by_condition": counts} for counts in PHOTOS]
    taken = [bundles.small_bundle(lambda fields, told=told: fields.update(training=told)) for told in training]
    opened = [read_bundle(data) for data in taken]
    cases, bundle = [], opened[0]
    for turn, prior in enumerate(PRIORS):
        random = np.random.default_rng(turn)
        stored = {graph.id: random.integers(0, 256, len(graph.labels)).astype(np.uint8) for graph in bundle.graphs}
        shares, factors = Outputs(bundle)._read_prior(dict(prior), "all")
        size = bundle.preprocessing.size
        rgb = random_bytes(turn, np.arange(size * size * 3)).astype(np.uint8).reshape(size, size, 3)
        result, nodes, ran = Outputs(bundle).told(stored, rgb, 300, 200, None, "all", shares, factors)
        cases.append({
            "bundle": 0, "seed": turn, "divisor": 1, "width": 300, "height": 200, "skin_type": 0, "routing": "all",
            "prior": prior, "outputs": {graph: bytes(values).hex() for graph, values in stored.items()}, "ran": ran,
            "probabilities": "".join(as_hex(nodes)), "json": result.to_json(),
        })  # fmt: skip
    return {
        "format": 1,
        "generator": "as in answers.json",
        "bundles": [base64.b64encode(data).decode() for data in taken],
        "cases": cases,
        "refused": [
            {"bundle": n, "routing": routing, "prior": prior, "status": prior_number_of(opened[n], prior, routing)}
            for n, routing, prior in REFUSED
        ],
    }


def documents() -> dict[str, dict[str, Any]]:
    """{file name: content}, made from the definition."""
    return {"numbers": numbers(), "camera": camera_cases(), "bundles": bundle_cases(), "answers": answer_cases(),
            "priors": prior_cases()}  # fmt: skip


def text_of(document: dict[str, Any]) -> str:
    """One case a line, so that changes can be read."""
    lines = []
    for key, value in document.items():
        many = isinstance(value, list) and value and isinstance(value[0], (dict, list, tuple))
        inner = ",\n  ".join(json.dumps(each, ensure_ascii=False) for each in value) if many else ""
        lines.append(f' "{key}": ' + (f"[\n  {inner}\n ]" if many else json.dumps(value, ensure_ascii=False)))
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    for name, document in documents().items():
        write_text(FOLDER / f"{name}.json", text_of(document))
        print(f"{name}.json: {(FOLDER / f'{name}.json').stat().st_size} bytes")
