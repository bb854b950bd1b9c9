"""The drawn pictures of a bundle's self-test, and what was recorded of them when it was made: `selftest.json`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bundle import Bundle, read_json
from .composition import Floats
from .errors import BundleError
from .fitzpatrick import check_fitzpatrick
from .image import Pixels
from .inputs import network_inputs
from .preprocess import resize
from .routing import composed
from .runtime import real_values

ENTRY = "selftest.json"
VERSION = 1
MAX_SAMPLES = 256
MAX_DRAWN_PIXELS = 1 << 20  # of a picture that is drawn here: the record of a stranger must not ask for gigabytes


@dataclass(frozen=True)
class Probe:
    """One drawn picture and what was recorded of it.

    Attributes:
        name: of its file, such as "turned.jpg".
        file: the picture as it would come from a camera. pixels: what it was decoded to, uint8 [height, width, 3], stored or
            drawn again; None of a picture too large to keep, which tests the decoding and the whole way alone.
        width, height: of the decoded pixels. decoded: their fingerprint.
        lossy: whether two sound decoders may differ in it.
        fitzpatrick: the skin type told with it, 1..6 or None.
        inputs: {kind: fingerprint of the prepared bytes}, as `fingerprint` makes it.
        outputs: {graph: [labels]}, the stored numbers of its output.
        probabilities: float64 [nodes], in the order of the tree.
    """

    name: str
    file: bytes
    pixels: Pixels | None
    width: int
    height: int
    decoded: Mapping[str, str]
    lossy: bool
    fitzpatrick: int | None
    inputs: Mapping[str, Mapping[str, str]]
    outputs: Mapping[str, NDArray[Any]]
    probabilities: Floats


@dataclass(frozen=True)
class Tolerances:
    """What two sound devices may differ by.

    Attributes:
        decoded, decoded_mean: levels, at any value and on average, of a lossy picture.
        outputs: {graph: steps of its stored output}: how far two correct sets of kernels were seen apart at conversion.
        probability: of any node, from the file to the end.
    """

    decoded: float
    decoded_mean: float
    outputs: Mapping[str, float]
    probability: float


def read_probes(bundle: Bundle) -> tuple[list[Probe], Tolerances, dict[str, str]]:
    """The probes of a bundle, what they may differ by, and what they were recorded with.

    Raises:
        BundleError: there is no record, or it is not one.
    """
    if ENTRY not in bundle.attachments:
        raise BundleError("The bundle was made without a self-test; convert the model again to get one.")
    record = read_json(bundle.attachments[ENTRY], ENTRY)
    try:
        if record["version"] != VERSION:
            raise BundleError(f"{ENTRY} has version {record['version']!r}; this version of derm-sdk reads {VERSION}.")
        limits = record["tolerances"]
        tolerances = Tolerances(
            decoded=float(limits["decoded"]),
            decoded_mean=float(limits["decoded_mean"]),
            outputs={graph.id: float(limits["outputs"][graph.id]) for graph in bundle.graphs},
            probability=float(limits["probability"]),
        )
        probes = [_probe(row, bundle) for row in record["probes"]]
        recorded_with = {str(key): str(value) for key, value in record["recorded_with"].items()}
    except BundleError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BundleError(f"{ENTRY} lacks a field, or one has the wrong type ({error}).") from error
    if not probes:
        raise BundleError(f"{ENTRY} holds no picture to test with.")
    return probes, tolerances, recorded_with


def _probe(row: Mapping[str, Any], bundle: Bundle) -> Probe:
    name, width, height = row["name"], row["width"], row["height"]
    nodes = np.asarray(row["probabilities"], np.float64)
    pixels = _pixels(row, bundle)
    outputs = {graph.id: np.asarray(row["outputs"][graph.id], graph.output.dtype) for graph in bundle.graphs}
    if nodes.shape != (len(bundle.taxonomy.nodes),) or any(outputs[g.id].shape != (len(g.labels),) for g in bundle.graphs):
        raise BundleError(f"{ENTRY} records another number of nodes or labels of {name!r} than the model has.")
    return Probe(
        name=str(name),
        file=bundle.attachments[f"probes/{name}"],
        pixels=pixels,
        width=int(width),
        height=int(height),
        decoded=_fingerprint(row["decoded"]) if pixels is None else fingerprint(pixels),
        lossy=bool(row["lossy"]),
        fitzpatrick=check_fitzpatrick(row["fitzpatrick"]),
        inputs={kind: _fingerprint(row["inputs"][kind]) for kind in bundle.input_kinds},
        outputs=outputs,
        probabilities=nodes,
    )


def _pixels(row: Mapping[str, Any], bundle: Bundle) -> Pixels | None:
    """The recorded pixels of a picture: stored beside it, drawn again, or None where only their fingerprint was kept."""
    name, width, height = row["name"], row["width"], row["height"]
    if "drawn" in row:
        pixels = drawn(index(width), index(height), index(row["drawn"]))
        if fingerprint(pixels) != _fingerprint(row["decoded"]):
            raise BundleError(f"{ENTRY} says that {name!r} is drawing {row['drawn']}, but records other pixels.")
        return pixels
    if "decoded" in row:
        return None
    return np.frombuffer(bundle.attachments[f"probes/{name}.rgb"], np.uint8).reshape(height, width, 3)


def _fingerprint(row: Mapping[str, Any]) -> dict[str, str]:
    return {"sha256": str(row["sha256"]), "sample": bytes.fromhex(row["sample"]).hex()}


def prepared(bundle: Bundle, pixels: Pixels, fitzpatrick: int | None) -> dict[str, Pixels]:
    """Every input that a bundle's graphs take, of one decoded picture: {kind: uint8}."""
    rgb = resize(pixels, bundle.preprocessing.size, bundle.preprocessing.fit)
    return network_inputs(rgb, fitzpatrick, bundle.input_kinds)


def probabilities(bundle: Bundle, outputs: Mapping[str, NDArray[Any]]) -> Floats:
    """Stored outputs of all graphs -> float64 [nodes], calibrated."""
    logits = {graph.id: real_values(graph.output, outputs[graph.id]) for graph in bundle.graphs}
    return composed(bundle.composition, bundle.calibration, logits)


def drawn(width: int, height: int, number: int) -> Pixels:
    """A picture without symmetry, in integers: skin with a dark, uneven patch; red above blue, so that a swap shows.

    Args:
        width, height: in pixels, 1 or more each, and at most MAX_DRAWN_PIXELS together.
        number: 0..99; each gives another grain and patch.
    Returns:
        uint8 [height, width, 3]. docs/selftest.md states the formula, so that no bundle has to store what it gives.
    Raises:
        ValueError: a side or a number out of its range.
    """
    if not (width >= 1 and height >= 1 and width * height <= MAX_DRAWN_PIXELS and 0 <= number <= 99):
        raise ValueError(f"no drawing {number} of {width} x {height} pixels: sides from 1, numbers from 0 to 99")
    y, x = np.mgrid[0:height, 0:width]
    across, down = 255 * x // width, 255 * y // height
    grain = ((x * 7919 + y * 104729 + number * 1299709) % 251) // 16
    patch = (3 * across - 300 - 20 * (number % 5)) ** 2 + (4 * down - 420) ** 2 < (90 + 25 * number) ** 2
    red = 190 + across // 8 - grain
    green = 120 + down // 6 - grain + 5 * (number % 4)
    blue = 60 + across // 5 + down // 9
    skin = np.stack([red, green, blue], axis=2)
    dark = np.stack([red - 110 + grain * 3, green - 70, blue - 20 + grain], axis=2)
    return np.where(patch[..., None], dark, skin).clip(0, 255).astype(np.uint8)


def fingerprint(array: Pixels) -> dict[str, str]:
    """What is recorded of prepared bytes: their SHA-256, and at most 256 of them, evenly spread, both in hex.

    Place k of K is k (n - 1) // (K - 1) of the n bytes in C order.
    """
    flat = np.ascontiguousarray(array).ravel()
    return {"sha256": hashlib.sha256(flat.tobytes()).hexdigest(), "sample": sampled(flat).tobytes().hex()}


def sampled(flat: Pixels) -> Pixels:
    """The bytes that `fingerprint` records of all the bytes, uint8 [at most 256]."""
    count = min(len(flat), MAX_SAMPLES)
    return flat[np.arange(count, dtype=np.int64) * (len(flat) - 1) // max(count - 1, 1)]
