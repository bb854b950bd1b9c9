"""Pictures as cameras give them -> upright RGB: the definition, in NumPy, of what `libderm` does without a full-size copy.

docs/preprocessing.md, "Camera formats", says the same in words.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .errors import ImageError, OptionError, closest
from .image import MAX_PIXELS, MAX_SIDE, Pixels

FORMATS = ("rgb", "bgr", "rgba", "bgra", "gray", "nv21", "nv12", "i420")
ROTATIONS = (0, 90, 180, 270)
_BYTES = {"rgb": 3, "bgr": 3, "rgba": 4, "bgra": 4, "gray": 1}
_BIAS = 256 << 16  # keeps the sums positive, so that >> rounds down in every language


def camera_pixels(
    planes: Sequence[NDArray[np.uint8]],
    width: int,
    height: int,
    format: str,
    *,
    rotation: int = 0,
    strides: Sequence[int] | None = None,
) -> Pixels:
    """Turns a picture as a camera gives it into upright RGB.

    Args:
        planes: flat uint8 arrays: one, but two for "nv21" and "nv12" (Y, then V and U by turns, or U and V), and three for
            "i420" (Y, U, V). The colours of those three formats have a value for each two by two pixels, BT.601, full range.
        width, height: of the picture as it lies in memory, in pixels.
        format: out of FORMATS.
        rotation: by how many degrees the picture must be turned clockwise to be upright: 0, 90, 180 or 270.
        strides: bytes from one row of a plane to the next; None where rows follow one another without a gap.
    Returns:
        uint8 [height, width, 3], or [width, height, 3] when turned by 90 or 270.
    Raises:
        OptionError: an unknown format or rotation.
        ImageError: no pixels or too many, planes missing or too short, or a stride shorter than a row.
    """
    if format not in FORMATS:
        raise OptionError(f"Unknown format {format!r}." + closest(format, FORMATS))
    if rotation not in ROTATIONS:
        raise OptionError(f"rotation must be 0, 90, 180 or 270 degrees clockwise; got {rotation!r}.")
    if not 1 <= width <= MAX_SIDE or not 1 <= height <= MAX_SIDE or width * height > MAX_PIXELS:
        raise ImageError(f"A picture has 1 to {MAX_SIDE} pixels along a side, 100 million in all; got {width} x {height}.")
    shapes = plane_shapes(width, height, format)
    strides = [row for _, row in shapes] if strides is None else strides
    if len(planes) != len(shapes) or len(strides) != len(shapes):
        raise ImageError(f"The format {format!r} has {len(shapes)} planes, each with a stride; got {len(planes)}.")
    rows = [_rows(plane, stride, *shape) for plane, stride, shape in zip(planes, strides, shapes, strict=True)]
    stored = _colours(rows, width, height, format)
    return np.ascontiguousarray(np.rot90(stored, -rotation // 90))


def plane_shapes(width: int, height: int, format: str) -> list[tuple[int, int]]:
    """(rows, bytes of a row) of each plane of a picture."""
    if format in _BYTES:
        return [(height, width * _BYTES[format])]
    across, down = (width + 1) // 2, (height + 1) // 2
    return [(height, width)] + ([(down, across)] * 2 if format == "i420" else [(down, 2 * across)])


def _rows(plane: NDArray[np.uint8], stride: int, rows: int, row: int) -> Pixels:
    if stride < row:
        raise ImageError(f"A row has {row} bytes, so the stride must be at least that; got {stride}.")
    if plane.size < (rows - 1) * stride + row:
        raise ImageError(f"The plane must hold {(rows - 1) * stride + row} bytes; it holds {plane.size}.")
    return np.lib.stride_tricks.as_strided(plane, (rows, row), (stride, 1), writeable=False)


def _colours(planes: Sequence[Pixels], width: int, height: int, format: str) -> Pixels:
    first = planes[0]
    if format == "gray":
        return np.repeat(first[..., None], 3, axis=2)
    if format in _BYTES:
        pixels = first.reshape(height, width, _BYTES[format])
        colours = pixels[..., 2::-1] if format.startswith("bgr") else pixels[..., :3]
        return colours if _BYTES[format] == 3 else _over_white(colours, pixels[..., 3:])
    if format == "i420":
        u, v = planes[1], planes[2]
    else:
        u, v = (planes[1][:, 1::2], planes[1][:, ::2]) if format == "nv21" else (planes[1][:, ::2], planes[1][:, 1::2])
    full = [plane.repeat(2, axis=0)[:height].repeat(2, axis=1)[:, :width].astype(np.int64) - 128 for plane in (u, v)]
    return yuv_to_rgb(first.astype(np.int64), *full)


def _over_white(colours: Pixels, alpha: Pixels) -> Pixels:
    wide = alpha.astype(np.uint32)
    return np.asarray((colours * wide + 255 * (255 - wide) + 127) // 255, np.uint8)


def yuv_to_rgb(y: NDArray[np.int64], u: NDArray[np.int64], v: NDArray[np.int64]) -> Pixels:
    """BT.601, full range, in integers with 16 bits behind the point: as JPEG decoders do it.

    Args:
        y: luma, 0..255. u, v: blue and red difference, -128..127; all of one shape.
    Returns:
        uint8 [..., 3].
    """
    red = y + ((91881 * v + 32768 + _BIAS) >> 16) - 256
    green = y + ((-22554 * u - 46802 * v + 32768 + _BIAS) >> 16) - 256
    blue = y + ((116130 * u + 32768 + _BIAS) >> 16) - 256
    return np.asarray(np.clip(np.stack([red, green, blue], axis=-1), 0, 255), np.uint8)
