"""Draws the pictures of a bundle's self-test and records what every stage makes of them; `derm selftest` compares later."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derm_sdk.bundle import Bundle, read_bundle
from derm_sdk.image import Pixels, decode
from derm_sdk.preprocess import least_side
from derm_sdk.probes import ENTRY, VERSION, drawn, fingerprint, prepared, probabilities
from derm_sdk.runtime import Network
from derm_sdk.selftest import surroundings

from .kernels import built_in_outputs

DECODED_LEVELS, DECODED_MEAN = 8.0, 1.0  # JPEG decoders that follow the standard's accuracy test stay well inside
LEAST_STEPS, LEAST_FLOAT = 2.0, 1e-3  # the last bits of a float32 logit belong to the order of the sums
KERNELS = 2.0  # times the difference that was seen: other kernels than the ones at hand may be a little further apart
PROBABILITY = 0.05
KEPT_BYTES = 200_000  # of decoded pixels; of a larger picture only their fingerprint is recorded


@dataclass(frozen=True)
class Picture:
    """One drawn picture as a file.

    Attributes:
        file: its bytes.
        fitzpatrick: the skin type told with it, 1..6 or None.
        lossy: whether two sound decoders may differ.
        drawing: the number of the drawing that it decodes to, so that its pixels need not be stored; None of any other.
    """

    file: bytes
    fitzpatrick: int | None = None
    lossy: bool = False
    drawing: int | None = None


def record(packed: bytes) -> dict[str, bytes]:
    """Makes the self-test of a bundle.

    Args:
        packed: the bundle's bytes, without a self-test.
    Returns:
        Its further entries: {"selftest.json", "probes/NAME" and "probes/NAME.rgb" of each picture}.
    """
    bundle = read_bundle(packed)
    networks = {graph.id: Network(graph, bundle.graph_data[graph.id], 1) for graph in bundle.graphs}
    attachments: dict[str, bytes] = {}
    rows: list[dict[str, Any]] = []
    apart = {graph.id: LEAST_STEPS if graph.output.dtype == "uint8" else LEAST_FLOAT for graph in bundle.graphs}
    least = least_side(bundle.preprocessing.size, bundle.preprocessing.decode)
    for name, picture in (drawn_files() | reducible_file(least)).items():
        pixels = decode(picture.file, least=least).pixels
        inputs = prepared(bundle, pixels, picture.fitzpatrick)
        outputs = {graph: network.stored_output(inputs) for graph, network in networks.items()}
        for graph, other in _other_kernels(bundle, inputs).items():
            difference = np.abs(other.astype(np.float64) - outputs[graph]).max()
            apart[graph] = max(apart[graph], KERNELS * float(difference))
        kept = picture.drawing is None and pixels.nbytes <= KEPT_BYTES
        attachments |= {f"probes/{name}": picture.file} | ({f"probes/{name}.rgb": pixels.tobytes()} if kept else {})
        rows.append(
            {
                "name": name,
                "width": pixels.shape[1],
                "height": pixels.shape[0],
                "lossy": picture.lossy,
                "fitzpatrick": picture.fitzpatrick,
                "inputs": {kind: fingerprint(array) for kind, array in inputs.items()},
                "outputs": {graph: values.tolist() for graph, values in outputs.items()},
                "probabilities": probabilities(bundle, outputs).tolist(),
                **({} if kept else {"decoded": fingerprint(pixels)}),
                **({} if picture.drawing is None else {"drawn": picture.drawing}),
            }
        )
    tolerances = {"decoded": DECODED_LEVELS, "decoded_mean": DECODED_MEAN, "outputs": apart, "probability": PROBABILITY}
    content = {"version": VERSION, "recorded_with": surroundings(), "tolerances": tolerances, "probes": rows}
    return {ENTRY: json.dumps(content, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n", **attachments}


def _other_kernels(bundle: Bundle, inputs: Mapping[str, Pixels]) -> dict[str, NDArray[Any]]:
    """The graphs' outputs by LiteRT's built-in kernels: how far two correct devices may be apart."""
    return {graph.id: built_in_outputs(graph, bundle.graph_data[graph.id], inputs) for graph in bundle.graphs}


def drawn_files() -> dict[str, Picture]:
    """The pictures by name.

    Every format and trap that a photo meets: turned and mirrored by EXIF, progressive, gray, transparent, 16-bit, of a
    palette, odd, tiny, wide, flat, and larger than the network's input. Small, where a bundle has to store their pixels.
    """
    turned, mirrored = Image.Exif(), Image.Exif()
    turned[274], mirrored[274] = 6, 7
    alpha = np.dstack([drawn(41, 55, 3), np.linspace(0, 255, 41).astype(np.uint8)[None].repeat(55, axis=0)])
    deep = (drawn(57, 41, 4)[..., 0].astype(np.uint16) << 8) + np.arange(57, dtype=np.uint16)
    palette = Image.fromarray(drawn(44, 45, 5)).quantize(32)
    palette.info["transparency"] = 3
    progressive = _file(drawn(51, 34, 2), "JPEG", quality=80, subsampling=0, progressive=True, exif=mirrored)
    return {
        "odd.png": _drawing(97, 61, 0),
        "turned.jpg": Picture(_file(drawn(66, 44, 1), "JPEG", quality=90, exif=turned), 1, lossy=True),
        "mirrored.jpg": Picture(progressive, 2, lossy=True),
        "gray.jpg": Picture(_file(drawn(48, 37, 6)[..., 0], "JPEG", quality=85), 3, lossy=True),
        "alpha.png": Picture(_file(alpha, "PNG"), 4),
        "deep.png": Picture(_file(deep, "PNG"), 5),
        "palette.png": Picture(_file(palette, "PNG", transparency=3), 6),
        "tiny.bmp": _drawing(3, 2, 7, "BMP"),
        "wide.png": _drawing(301, 7, 8),
        "lossy.webp": Picture(_file(drawn(49, 37, 9), "WEBP", quality=80), lossy=True),
        "flat.png": Picture(_file(np.full((30, 37, 3), (201, 148, 120), np.uint8), "PNG")),
        "large.png": _drawing(263, 233, 10),
    }


def reducible_file(least: int | None) -> dict[str, Picture]:
    """The picture that is decoded at half its size, as `drawn_files` gives its own; none for a model that never reduces."""
    if least is None:
        return {}
    picture = Image.fromarray(drawn(303, 229, 11)).resize((2 * least + 151, 2 * least + 7), Image.Resampling.BILINEAR)
    return {"reducible.jpg": Picture(_file(picture, "JPEG", quality=70), lossy=True)}


def _drawing(width: int, height: int, number: int, kind: str = "PNG") -> Picture:
    """A drawing as it is, without loss."""
    return Picture(_file(drawn(width, height, number), kind), drawing=number)


def _file(picture: Pixels | NDArray[np.uint16] | Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(file, kind, **options)
    return file.getvalue()
