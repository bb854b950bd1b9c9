"""Writes tests/vectors/preprocessing.json: frozen inputs and outputs of the preprocessing, for every implementation.

    python tests/vectors/write_preprocessing.py

The outputs come from the NumPy definition alone. The file changes only together with PREPROCESSING_VERSION, or when cases
are added; tests/sdk/test_preprocess.py compares it with both implementations.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from derm_sdk import preprocess
from derm_sdk.files import write_text
from derm_sdk.image import read_image

PATH = Path(__file__).with_name("preprocessing.json")

GENERATOR = [
    "All numbers are unsigned 32-bit and wrap around. byte(seed, k): x = seed + k; x ^= x >> 16; x *= 0x7feb352d;",
    "x ^= x >> 15; x *= 0x846ca68b; x ^= x >> 16; the result is x & 255. / is floored division.",
    "The photo is RGB, rows from the top; the byte of row y, column x, channel c (0 R, 1 G, 2 B) of a photo w wide is",
    "noise:  byte(seed, (y * w + x) * 3 + c)",
    "blocks: (3 * byte(seed, ((y / 16) * w + x / 16) * 3 + c) + byte(seed + 1, (y * w + x) * 3 + c)) / 4",
    "ramp:   (x * 255) / max(w - 1, 1)",
    "flat:   byte(seed, c)",
]

# pattern, width, height, size, fit
CASES = [
    ("noise", 1, 1, 1, "stretch"),
    ("noise", 1, 1, 5, "pad"),
    ("noise", 2, 3, 1, "crop"),
    ("noise", 3, 2, 4, "stretch"),
    ("noise", 3, 2, 4, "crop"),
    ("noise", 3, 2, 4, "pad"),
    ("blocks", 7, 5, 3, "pad"),
    ("blocks", 40, 33, 8, "crop"),
    ("noise", 1, 300, 16, "pad"),
    ("noise", 300, 1, 16, "stretch"),
    ("noise", 5, 3000, 7, "stretch"),
    ("ramp", 256, 256, 64, "stretch"),
    ("ramp", 640, 480, 224, "crop"),
    ("flat", 50, 40, 32, "stretch"),
    ("flat", 50, 40, 32, "pad"),
    ("blocks", 224, 224, 224, "stretch"),
    ("blocks", 100, 80, 224, "crop"),
    ("blocks", 448, 448, 224, "crop"),
    ("blocks", 640, 480, 224, "stretch"),
    ("blocks", 640, 480, 224, "crop"),
    ("blocks", 640, 480, 224, "pad"),
    ("blocks", 481, 641, 160, "pad"),
    ("blocks", 1023, 767, 224, "crop"),
    ("blocks", 1500, 1501, 320, "stretch"),
    ("noise", 2000, 1500, 224, "crop"),
    ("blocks", 2912, 2912, 224, "stretch"),
    ("blocks", 4000, 3000, 224, "stretch"),
    ("blocks", 1200, 1600, 224, "crop"),
    ("blocks", 1600, 1200, 224, "pad"),
    ("noise", 10, 9000, 3, "stretch"),
]
SMALL = 8  # outputs up to this size are kept whole


def random_bytes(seed: int, k: np.ndarray) -> np.ndarray:
    x = (seed + k).astype(np.uint32)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return (x & np.uint32(255)).astype(np.int64)


def make_photo(pattern: str, seed: int, width: int, height: int) -> np.ndarray:
    y, x, c = np.arange(height)[:, None, None], np.arange(width)[None, :, None], np.arange(3)
    place = (y * width + x) * 3 + c
    if pattern == "noise":
        values = random_bytes(seed, place)
    elif pattern == "blocks":
        values = (3 * random_bytes(seed, ((y // 16) * width + x // 16) * 3 + c) + random_bytes(seed + 1, place)) // 4
    elif pattern == "ramp":
        values = x * 255 // max(width - 1, 1)
    else:
        values = random_bytes(seed, c)
    return np.ascontiguousarray(np.broadcast_to(values, (height, width, 3)).astype(np.uint8))


def sha256(array: np.ndarray) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def resizing_case(seed: int, pattern: str, width: int, height: int, size: int, fit: str) -> dict:
    photo = make_photo(pattern, seed, width, height)
    outputs = preprocess.prepare_pixels(photo, size, fit, tuple(preprocess.INPUT_CHANNELS))
    case = {"pattern": pattern, "seed": seed, "width": width, "height": height, "size": size, "fit": fit}
    case |= {"photo_sha256": sha256(photo), "sha256": {name: sha256(array) for name, array in outputs.items()}}
    if size <= SMALL:
        case["bytes"] = {name: text(array.tobytes()) for name, array in outputs.items()}
    return case


def decoding_files() -> dict[str, bytes]:
    """Encoded files, lossless but for the JPEGs: theirs hold for libjpeg-turbo with its default settings."""
    photo = make_photo("blocks", 900, 21, 18)
    rgb, gray = Image.fromarray(photo), Image.fromarray(photo[..., 0])
    rgba = Image.fromarray(np.dstack([photo, photo[..., ::-1][..., :1]]))
    files = {"png": save(rgb), "png_gray": save(gray), "png_rgba": save(rgba), "bmp": save(rgb, "BMP")}
    files["png_palette_alpha"] = save(rgb.quantize(8), transparency=bytes(range(0, 256, 32)))
    files["png_gray16"] = save(Image.fromarray(photo[..., 0].astype(np.uint16) * 256 + photo[..., 1]))
    files["webp_lossless"] = save(rgb, "WEBP", lossless=True)
    for orientation in range(2, 9):
        tags = Image.Exif()
        tags[274] = orientation
        files[f"png_exif_{orientation}"] = save(rgb, exif=tags.tobytes())
    files["jpeg"] = save(rgb, "JPEG", quality=90)
    files["jpeg_444"] = save(rgb, "JPEG", quality=90, subsampling=0)
    files["jpeg_cmyk"] = save(rgba.convert("RGB").convert("CMYK"), "JPEG", quality=90)
    return files


def save(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def decoding_case(name: str, data: bytes) -> dict:
    pixels = read_image(data)
    size = {"width": pixels.shape[1], "height": pixels.shape[0]}
    return {"name": name, **size, "file": text(data), "rgb_sha256": sha256(pixels)}


def make_document() -> dict:
    native, preprocess.native = preprocess.native, None
    try:
        cases = [resizing_case(100 * number, *case) for number, case in enumerate(CASES)]
    finally:
        preprocess.native = native
    return {
        "format": 1,
        "preprocessing_version": preprocess.PREPROCESSING_VERSION,
        "generator": GENERATOR,
        "bytes": "base64, rows from the top, channels together; sha256 is of the same bytes",
        "cases": cases,
        "decoding": [decoding_case(name, data) for name, data in decoding_files().items()],
    }


if __name__ == "__main__":
    write_text(PATH, json.dumps(make_document(), indent=1) + "\n")
    print(f"{PATH}: {PATH.stat().st_size} bytes")
