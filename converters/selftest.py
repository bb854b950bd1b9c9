"""Draws the pictures of a bundle's self-test and records what every stage makes of them; `derm selftest` compares later."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derm_sdk.bundle import Bundle, read_bundle
from derm_sdk.image import Pixels, decode
from derm_sdk.preprocess import least_side
from derm_sdk.probes import ENTRY, VERSION, fingerprint, prepared, probabilities
from derm_sdk.runtime import Network
from derm_sdk.selftest import surroundings

from .kernels import built_in_outputs

DECODED_LEVELS, DECODED_MEAN = 8.0, 1.0  # JPEG decoders that follow the standard's accuracy test stay well inside
LEAST_STEPS, LEAST_FLOAT = 2.0, 1e-3  # the last bits of a float32 logit belong to the order of the sums
KERNELS = 2.0  # times the difference that was seen: other kernels than the ones at hand may be a little further apart
PROBABILITY = 0.05
KEPT_BYTES = 200_000  # of decoded pixels; of a larger picture only their fingerprint is recorded


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
    for name, (file, skin_type, lossy) in (drawn_files() | reducible_file(least)).items():
        pixels = decode(file, least=least).pixels
        inputs = prepared(bundle, pixels, skin_type)
        outputs = {graph: network.stored_output(inputs) for graph, network in networks.items()}
        for graph, other in _other_kernels(bundle, inputs).items():
            difference = np.abs(other.astype(np.float64) - outputs[graph]).max()
            apart[graph] = max(apart[graph], KERNELS * float(difference))
        kept = pixels.nbytes <= KEPT_BYTES
        attachments |= {f"probes/{name}": file} | ({f"probes/{name}.rgb": pixels.tobytes()} if kept else {})
        rows.append(
            {
                "name": name,
                "width": pixels.shape[1],
                "height": pixels.shape[0],
                "lossy": lossy,
                "fitzpatrick": skin_type,
                "inputs": {kind: fingerprint(array) for kind, array in inputs.items()},
                "outputs": {graph: values.tolist() for graph, values in outputs.items()},
                "probabilities": probabilities(bundle, outputs).tolist(),
                **({} if kept else {"decoded": fingerprint(pixels)}),
            }
        )
    tolerances = {"decoded": DECODED_LEVELS, "decoded_mean": DECODED_MEAN, "outputs": apart, "probability": PROBABILITY}
    content = {"version": VERSION, "recorded_with": surroundings(), "tolerances": tolerances, "probes": rows}
    return {ENTRY: json.dumps(content, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n", **attachments}


def _other_kernels(bundle: Bundle, inputs: Mapping[str, Pixels]) -> dict[str, NDArray[Any]]:
    """The graphs' outputs by LiteRT's built-in kernels: how far two correct devices may be apart."""
    return {graph.id: built_in_outputs(graph, bundle.graph_data[graph.id], inputs) for graph in bundle.graphs}


def drawn_files() -> dict[str, tuple[bytes, int | None, bool]]:
    """The pictures as files: {name: (bytes, skin type told with it, whether two sound decoders may differ)}.

    Every format and trap that a photo meets: turned and mirrored by EXIF, progressive, gray, transparent, 16-bit, of a
    palette, odd, tiny, wide, flat, and larger than the network's input.
    """
    turned, mirrored = Image.Exif(), Image.Exif()
    turned[274], mirrored[274] = 6, 7
    alpha = np.dstack([_drawn(60, 81, 3), np.linspace(0, 255, 60).astype(np.uint8)[None].repeat(81, axis=0)])
    deep = (_drawn(83, 61, 4)[..., 0].astype(np.uint16) << 8) + np.arange(83, dtype=np.uint16)
    palette = Image.fromarray(_drawn(64, 65, 5)).quantize(32)
    palette.info["transparency"] = 3
    return {
        "odd.png": (_file(_drawn(97, 61, 0), "PNG"), None, False),
        "turned.jpg": (_file(_drawn(96, 64, 1), "JPEG", quality=90, exif=turned), 1, True),
        "mirrored.jpg": (
            _file(_drawn(75, 50, 2), "JPEG", quality=80, subsampling=0, progressive=True, exif=mirrored),
            2,
            True,
        ),
        "gray.jpg": (_file(_drawn(70, 53, 6)[..., 0], "JPEG", quality=85), 3, True),
        "alpha.png": (_file(alpha, "PNG"), 4, False),
        "deep.png": (_file(deep, "PNG"), 5, False),
        "palette.png": (_file(palette, "PNG", transparency=3), 6, False),
        "tiny.bmp": (_file(_drawn(3, 2, 7), "BMP"), None, False),
        "wide.png": (_file(_drawn(301, 7, 8), "PNG"), None, False),
        "lossy.webp": (_file(_drawn(71, 53, 9), "WEBP", quality=80), None, True),
        "flat.png": (_file(np.full((40, 50, 3), (201, 148, 120), np.uint8), "PNG"), None, False),
        "large.png": (_file(_drawn(263, 233, 10), "PNG"), None, False),
    }


def reducible_file(least: int | None) -> dict[str, tuple[bytes, int | None, bool]]:
    """The picture that is decoded at half its size, as `drawn_files` gives its own; none for a model that never reduces."""
    if least is None:
        return {}
    picture = Image.fromarray(_drawn(303, 229, 11)).resize((2 * least + 151, 2 * least + 7), Image.Resampling.BILINEAR)
    return {"reducible.jpg": (_file(picture, "JPEG", quality=70), None, True)}


def _file(picture: Pixels | NDArray[np.uint16] | Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(file, kind, **options)
    return file.getvalue()


def _drawn(width: int, height: int, number: int) -> Pixels:
    """A picture without symmetry, in integers: skin with a dark, uneven patch; red above blue, so that a swap shows."""
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
