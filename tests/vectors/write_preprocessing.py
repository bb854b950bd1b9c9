"""Writes tests/vectors/preprocessing.json: frozen inputs and outputs of the preprocessing, for every implementation.

    python -m tests.vectors.write_preprocessing

The outputs come from the NumPy definition alone. The file changes only together with PREPROCESSING_VERSION, or when cases
are added; tests/sdk/test_preprocess.py compares it with both implementations.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, features

from derm_sdk import preprocess
from derm_sdk.files import write_text
from derm_sdk.image import read_image

from . import files

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
# The same with a seed behind the pattern: photos found by search, for rules that a wrong implementation may break and yet
# agree on nearly every photo. tests/sdk/test_preprocess.py breaks each rule and asks whether these notice.
RARE_CASES = [
    ("noise", 1, 4, 4, 2, "stretch"),  # the average is rounded half up
    ("blocks", 10042, 4, 4, 4, "stretch"),  # equalized: the quotient is rounded to single precision
    ("blocks", 10011, 8, 8, 8, "stretch"),  # equalized: the product is rounded to single precision
    ("blocks", 10043, 6, 6, 6, "stretch"),  # equalized: ties go to even
    ("ramp", 0, 26, 1, 7, "stretch"),  # otsu: the order of the four factors
    ("ramp", 0, 62, 1, 21, "stretch"),  # otsu: p is a product, not a quotient
    ("ramp", 0, 110, 1, 7, "stretch"),  # otsu: mean is a product, not a quotient
    ("ramp", 0, 5, 1, 3, "stretch"),  # otsu: of equal scores the first
]
# With which the lossy files were decoded. Pillow 11.0.0 with libjpeg-turbo 3.0.4 and libwebp 1.4.0 gives the same bytes.
DECODERS = {
    "Pillow": PIL.__version__,
    "libjpeg-turbo": features.version("libjpeg_turbo"),
    "libwebp": features.version("webp"),
    "zlib-ng": features.version("zlib_ng"),
}
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
    """Files without loss, or whose decoding leaves no choice."""
    photo = make_photo("blocks", 900, 21, 18)
    rgb, gray = Image.fromarray(photo), Image.fromarray(photo[..., 0])
    rgba = Image.fromarray(np.dstack([photo, photo[..., ::-1][..., :1]]))
    found = {"png": files.save(rgb), "png_gray": files.save(gray), "png_rgba": files.save(rgba)}
    found["bmp"] = files.save(rgb, "BMP")
    found["png_palette_alpha"] = files.save(rgb.quantize(8), transparency=bytes(range(0, 256, 32)))
    found["png_gray16"] = files.save(Image.fromarray(photo[..., 0].astype(np.uint16) * 256 + photo[..., 1]))
    found["webp_lossless"] = files.save(rgb, "WEBP", lossless=True)
    for orientation in range(2, 9):
        tags = Image.Exif()
        tags[274] = orientation
        found[f"png_exif_{orientation}"] = files.save(rgb, exif=tags.tobytes())
    return found | png_files() | bmp_files() | webp_files(rgba)


ROW = bytes(range(10, 100, 10))  # three pixels
PALETTE = bytes([3, 2, 1, 99, 6, 5, 4, 99, 9, 8, 7, 99, 12, 11, 10, 99])  # of a BMP: blue, green, red, nothing


def png_files() -> dict[str, bytes]:
    turn = files.exif_block(6)
    whole = files.png(3, 1, 8, 2, ROW)
    hidden = (files.chunk(*files.frame_control(0, 3, 1)), files.chunk(*files.frame_data(1, bytes(9), 1)))
    shown = (files.chunk(*files.frame_control(1, 3, 1)), files.chunk(*files.frame_data(2, bytes(9), 1)))
    first = (files.animation_control(2), files.frame_control(0, 3, 1))
    indices = bytes([0, 1, 2, 250])
    return {
        "png_bytes_behind": whole + b"more",
        "png_without_end": whole[:-12],
        "png_wrong_picture_checksum": whole[:-16] + bytes(4) + whole[-12:],
        "png_colour_key": files.png(3, 1, 8, 2, ROW, (b"tRNS", b"\0\x0a\0\x14\0\x1e")),
        "png_palette_too_short": files.png(4, 1, 8, 3, indices, (b"PLTE", ROW), (b"tRNS", bytes([0, 100]))),
        "apng_first_frame": files.png(3, 1, 8, 2, ROW, *first, after=b"".join(shown)),
        "apng_default_image": files.png(3, 1, 8, 2, ROW, files.animation_control(1), after=b"".join(hidden)),
        "png_exif_behind_the_picture": files.png(3, 1, 8, 2, ROW, after=files.chunk(b"eXIf", turn)),
        "png_exif_last_counts": files.png(3, 1, 8, 2, ROW, (b"eXIf", files.exif_block(3)), (b"eXIf", turn)),
        "png_exif_big_endian": files.png(3, 1, 8, 2, ROW, (b"eXIf", files.exif_block(6, ">"))),
        "png_exif_with_prefix": files.png(3, 1, 8, 2, ROW, (b"eXIf", b"Exif\0\0" + turn)),
        "png_exif_long": files.png(3, 1, 8, 2, ROW, (b"eXIf", files.exif_block(6, kind=4))),
        "png_exif_count_2": files.png(3, 1, 8, 2, ROW, (b"eXIf", files.exif_block(6, number=2))),
    }


def bmp_files() -> dict[str, bytes]:
    row = bytes([1, 2, 3, 4, 5, 6, 0, 0])
    alpha_masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    return {
        "bmp_top_down": files.bmp(2, -2, 24, row + bytes(8)),
        "bmp_os2": files.bmp(2, 2, 24, row + bytes(8), header=12),
        "bmp_without_last_padding": files.bmp(2, 2, 24, row + row[:6]),
        "bmp_palette": files.bmp(4, 1, 8, bytes([0, 1, 2, 3]), palette=PALETTE, colours=4),
        "bmp_palette_too_short": files.bmp(4, 1, 8, bytes([0, 1, 200, 3]), palette=PALETTE, colours=4),
        "bmp_16_bits": files.bmp(2, 1, 16, bytes.fromhex("21c4ff7f")),
        "bmp_565": files.bmp(2, 1, 16, bytes.fromhex("21c4ff7f"), compression=3, masks=(0xF800, 0x7E0, 0x1F)),
        "bmp_32_bits": files.bmp(2, 1, 32, bytes([1, 2, 3, 100, 4, 5, 6, 0])),
        "bmp_alpha": files.bmp(2, 1, 32, bytes([1, 2, 3, 100, 4, 5, 6, 0]), header=108, compression=3, masks=alpha_masks),
        "bmp_alpha_masks_all_zero": files.bmp(2, 1, 32, bytes([1, 2, 3, 100, 4, 5, 6, 0]), header=108, compression=3),
        "bmp_rle8": files.bmp(
            5, 2, 8, bytes([9, 1, 0, 0, 0, 3, 2, 3, 2, 0, 0, 0, 0, 1]), compression=1, palette=PALETTE, colours=4
        ),
    }


def webp_files(rgba: Image.Image) -> dict[str, bytes]:
    small, other = rgba.crop((0, 0, 4, 4)).convert("RGB"), Image.new("RGB", (8, 6))
    clear = rgba.crop((0, 0, 4, 4))
    return {
        "webp_alpha": files.save(rgba, "WEBP", lossless=True, exact=True),
        "webp_alpha_without_its_flag": files.webp(files.webp_features(4, 4), files.webp_bitstream(clear)),
        "webp_bytes_behind": files.webp(files.webp_bitstream(small)) + b"more",
        "webp_animation": files.webp_animation(4, 4, (0, 0, small), (0, 0, other.crop((0, 0, 4, 4)))),
        "webp_small_first_frame": files.webp_animation(8, 6, (2, 2, small), (0, 0, other)),
        "webp_small_first_frame_alpha": files.webp_animation(8, 6, (2, 2, clear), (0, 0, other), alpha=True),
        "webp_exif": files.webp(
            files.webp_features(4, 4, exif=True), files.webp_bitstream(small), files.riff_chunk(b"EXIF", files.exif_block(6))
        ),
        "webp_exif_without_its_flag": files.webp(
            files.webp_features(4, 4), files.webp_bitstream(small), files.riff_chunk(b"EXIF", files.exif_block(6))
        ),
    }


def lossy_files() -> dict[str, bytes]:
    """Files of which another decoder, or another version of this one, may make slightly other bytes."""
    photo = make_photo("blocks", 900, 21, 18)
    rgb = Image.fromarray(photo)
    jpeg = files.save(rgb, "JPEG", quality=90)
    cmyk = files.save(rgb.convert("CMYK"), "JPEG", quality=90)
    progressive = files.save(rgb, "JPEG", quality=90, progressive=True)
    scans = [i for i in range(len(progressive)) if progressive[i : i + 2] == b"\xff\xda"]
    bare = files.without_segment(jpeg, 0xE0)
    segments = [
        files.jpeg_segment(0xE1, b"Exif\0\0" + part) for part in (files.exif_block(6)[:12], files.exif_block(6)[12:])
    ]
    return {
        "jpeg": jpeg,
        "jpeg_444": files.save(rgb, "JPEG", quality=90, subsampling=0),
        "jpeg_422": files.save(rgb, "JPEG", quality=90, subsampling=1),
        "jpeg_411": files.save(rgb, "JPEG", quality=90, subsampling="4:1:1"),
        "jpeg_gray": files.save(rgb.convert("L"), "JPEG", quality=90),
        "jpeg_progressive": progressive,
        "jpeg_progressive_unfinished": progressive[: scans[2]] + b"\xff\xd9",
        "jpeg_bytes_behind": jpeg + b"more",
        "jpeg_without_marker": bare,
        "jpeg_ids_rgb": files.with_component_ids(bare, b"RGB"),
        "jpeg_ids_rgb_with_jfif": files.with_component_ids(jpeg, b"RGB"),
        "jpeg_adobe_0": files.with_segments(bare, files.adobe(0)),
        "jpeg_cmyk": cmyk,
        "jpeg_cmyk_without_adobe": files.without_segment(cmyk, 0xEE),
        "jpeg_ycck": files.with_segments(files.without_segment(cmyk, 0xEE), files.adobe(2)),
        "jpeg_exif_in_two_segments": files.with_segments(jpeg, *segments),
        "webp_lossy": files.save(rgb, "WEBP", quality=80),
    }


def refused_files() -> dict[str, bytes]:
    photo = Image.fromarray(make_photo("blocks", 900, 21, 18))
    jpeg, png = files.save(photo, "JPEG"), files.png(3, 1, 8, 2, ROW)
    frame = jpeg.index(b"\xff\xc0")
    small_frame = (files.animation_control(2), files.frame_control(0, 1, 1))
    grays = b"".join(bytes([level] * 3 + [0]) for level in range(16))
    webp = files.webp(files.webp_bitstream(photo))
    return {
        "empty": b"",
        "gif": files.save(photo, "GIF"),
        "tiff": files.save(photo, "TIFF"),
        "jpeg_cut": jpeg[:-2],
        "jpeg_12_bits": jpeg[: frame + 4] + b"\x0c" + jpeg[frame + 5 :],
        "jpeg_two_components": b"\xff\xd8"
        + files.jpeg_segment(0xC0, bytes.fromhex("0800010008 02 011100 021100"))
        + files.jpeg_segment(0xDA, bytes.fromhex("02 0100 0200 003f00"))
        + b"\0\xff\xd9",
        "jpeg_height_0": jpeg[: frame + 5] + b"\0\0" + jpeg[frame + 7 :],
        "png_cut": files.save(photo)[:600],
        "png_wrong_header_checksum": png[:29] + bytes(4) + png[33:],
        "png_unknown_depth": files.png(3, 1, 4, 2, ROW),
        "png_wide": files.png(65536, 1, 8, 0, bytes(65536)),
        "apng_small_first_frame": files.png(1, 1, 8, 2, ROW[:3], *small_frame).replace(
            files.chunk(b"IHDR", bytes.fromhex("00000001 00000001 08 02 00 00 00")),
            files.chunk(b"IHDR", bytes.fromhex("00000003 00000001 08 02 00 00 00")),
        ),
        "bmp_cut": files.bmp(2, 2, 24, bytes(13)),
        "bmp_holds_jpeg": files.bmp(21, 18, 24, jpeg, compression=4),
        "bmp_other_masks": files.bmp(1, 1, 16, bytes(4), compression=3, masks=(0xF00, 0xF0, 0xF)),
        "bmp_2_bits": files.bmp(4, 1, 2, bytes(4), palette=PALETTE, colours=4),
        "bmp_4_bits_of_gray": files.bmp(4, 1, 4, bytes([1, 0x23, 0, 0]), palette=grays, colours=16),
        "bmp_8_bits_of_black_and_white": files.bmp(
            4, 1, 8, bytes([0, 1, 1, 0]), palette=bytes([0, 0, 0, 0, 255, 255, 255, 0]), colours=2
        ),
        "bmp_rle_ends_early": files.bmp(4, 2, 8, bytes([4, 1, 0, 1]), compression=1, palette=PALETTE, colours=4),
        "webp_cut": webp[:-1],
    }


def decoding_case(name: str, data: bytes, exact: bool) -> dict:
    pixels = read_image(data)
    case = {"name": name, "width": pixels.shape[1], "height": pixels.shape[0], "exact": exact}
    case |= {"file": text(data), "rgb_sha256": sha256(pixels)}
    return case if exact else case | {"rgb": text(pixels.tobytes())}


def make_document() -> dict:
    native, preprocess.native = preprocess.native, None
    try:
        cases = [resizing_case(100 * number, *case) for number, case in enumerate(CASES)]
        cases += [resizing_case(seed, pattern, *rest) for pattern, seed, *rest in RARE_CASES]
    finally:
        preprocess.native = native
    return {
        "format": 1,
        "preprocessing_version": preprocess.PREPROCESSING_VERSION,
        "generator": GENERATOR,
        "bytes": "base64, rows from the top, channels together; sha256 is of the same bytes",
        "cases": cases,
        "decoders": DECODERS,
        "decoding": [
            decoding_case(name, data, exact)
            for exact, found in ((True, decoding_files()), (False, lossy_files()))
            for name, data in found.items()
        ],
        "refused": [{"name": name, "file": text(data)} for name, data in refused_files().items()],
    }


if __name__ == "__main__":
    write_text(PATH, json.dumps(make_document(), indent=1) + "\n")
    print(f"{PATH}: {PATH.stat().st_size} bytes")
