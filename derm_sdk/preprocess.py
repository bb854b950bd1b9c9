"""RGB photo -> the uint8 inputs of a network. This NumPy code is the definition; `derm_sdk/native` repeats it, bit for bit.

docs/preprocessing.md says the same in words. A change of any output byte is a new PREPROCESSING_VERSION.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import OptionError, closest
from .image import ImageSource, Pixels
from .image import decode as decode_image

PREPROCESSING_VERSION = 1
FITS = ("stretch", "crop", "pad")
DECODES = ("full", "reduced")
_REDUCED_MARGIN = 4  # each cell of the area average still covers four decoded pixels or more along each side
INPUT_CHANNELS = {"rgb": 3, "gray": 1, "equalized": 1, "otsu": 1, "stretched": 3}
MAX_SIZE = 4096
PAD_VALUE = 128


def _load_native() -> ModuleType | None:
    if os.environ.get("DERM_SDK_NATIVE", "1") == "0":
        return None
    try:
        from . import _native  # type: ignore[attr-defined,unused-ignore]
    except ImportError:
        return None
    module: ModuleType = _native
    return module if module.PREPROCESSING_VERSION == PREPROCESSING_VERSION else None


native: ModuleType | None = _load_native()


def prepare(
    image: ImageSource,
    size: int = 224,
    fit: str = "crop",
    inputs: Iterable[str] = ("rgb",),
    *,
    channels: str = "rgb",
    decode: str = "full",
) -> dict[str, Pixels]:
    """Turns a photo into the inputs of a network: the same bytes in training and on every device.

    Args:
        image: path, bytes, binary file, uint8 array (HxW, HxWx1, HxWx3, HxWx4) or PIL image.
        size: side of the square outputs in pixels, 1..4096.
        fit: "stretch" (the whole photo), "crop" (the centred square) or "pad" (a square with 128 around the photo).
        inputs: any of "rgb", "gray", "equalized", "otsu", "stretched".
        channels: order of an array's colours, "rgb" or "bgr".
        decode: "full", or "reduced": a JPEG file is decoded at 1/8, 1/4 or 1/2 of its size, the smallest at which both sides
            are at least four times `size`. Faster, and not the same bytes: take what the model was trained with.
    Returns:
        {name: uint8 [size, size, channels]}, in the order asked; 3 channels for rgb and stretched, 1 for the others.
    Raises:
        ImageError, FileError: the picture cannot be used or read.
        OptionError: an unknown fit, input or way of decoding, or a size out of range.
    Example:
        >>> prepare(np.zeros((2, 4), np.uint8), size=2, inputs=("gray",))["gray"].shape
        (2, 2, 1)
    """
    names = inputs if isinstance(inputs, (str, Sequence)) or not isinstance(inputs, Iterable) else tuple(inputs)
    check_options(size, fit, names, decode)
    side = int(size)  # not 16-bit sums for a 16-bit size
    return prepare_pixels(decode_image(image, channels, least_side(side, decode)).pixels, side, fit, names)


def least_side(size: int, decode: str) -> int | None:
    """The `least` of `derm_sdk.image.decode` for a network's size: None for "full", four times the size for "reduced"."""
    return _REDUCED_MARGIN * size if decode == "reduced" else None


def check_options(size: object, fit: object, inputs: Sequence[str], decode: object = "full") -> None:
    """Raises OptionError unless they name a defined preprocessing (see `prepare`)."""
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or not 1 <= size <= MAX_SIZE:
        raise OptionError(f"size must be a whole number from 1 to {MAX_SIZE}; got {size!r}.")
    if fit not in FITS:
        raise OptionError(f"Unknown fit {fit!r}." + closest(fit, FITS))
    if decode not in DECODES:
        raise OptionError(f"Unknown way of decoding {decode!r}." + closest(decode, DECODES))
    if isinstance(inputs, str) or not inputs:
        raise OptionError(f"inputs must be a sequence of names, such as ('rgb',); got {inputs!r}.")
    for name in inputs:
        if name not in INPUT_CHANNELS:
            raise OptionError(f"Unknown input {name!r}." + closest(name, INPUT_CHANNELS))


def prepare_pixels(pixels: Pixels, size: int, fit: str, inputs: Sequence[str]) -> dict[str, Pixels]:
    """`prepare` for a photo already read: pixels is upright RGB uint8 [height, width, 3], the options are valid."""
    return derive_inputs(resize(pixels, size, fit), inputs)


def resize(pixels: Pixels, size: int, fit: str) -> Pixels:
    """Fits a photo into a square and averages it over exact areas, in integers.

    Args:
        pixels: upright RGB uint8 [height, width, 3].
        size: side of the output in pixels.
        fit: "stretch", "crop" or "pad".
    Returns:
        uint8 [size, size, 3].
    Source: docs/preprocessing.md, "Fit" and "Exact area average".
    """
    if native is not None:
        out = np.empty((size, size, 3), np.uint8)
        native.resize(np.ascontiguousarray(pixels), *pixels.shape[:2], out, size, FITS.index(fit))
        return out
    return resize_definition(pixels, size, fit)


def derive_inputs(rgb: Pixels, inputs: Sequence[str]) -> dict[str, Pixels]:
    """Computes the asked inputs of a network from the resized photo.

    Args:
        rgb: uint8 [size, size, 3], as `resize` returns it (or an augmented photo of that size, in training).
        inputs: names out of INPUT_CHANNELS.
    Returns:
        {name: uint8 [size, size, channels]}, in the order asked.
    """
    single = native if native is not None else _Definition
    derived: dict[str, Pixels] = {"rgb": rgb}

    def get(name: str) -> Pixels:
        if name not in derived:
            if name == "stretched":
                derived[name] = _run(single.stretched, rgb, 3)
            elif name == "gray":
                derived[name] = _run(single.gray, rgb, 1)
            else:
                derived[name] = _run(getattr(single, name), get("gray"), 1)
        return derived[name]

    return {name: get(name) for name in inputs}


def _run(function: Callable[[Pixels, Pixels], Any], source: Pixels, channels: int) -> Pixels:
    out = np.empty((*source.shape[:2], channels), np.uint8)
    function(np.ascontiguousarray(source), out)
    return out


# --- The definition -------------------------------------------------------------------------------------------------


def resize_definition(pixels: Pixels, size: int, fit: str) -> Pixels:
    """`resize` in NumPy alone, whatever is compiled: the definition."""
    height, width = pixels.shape[:2]
    if fit == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        pixels = pixels[top : top + side, left : left + side]
        box_height = box_width = side
        top = left = 0
    elif fit == "pad":
        box_height = box_width = max(height, width)
        top, left = (box_height - height) // 2, (box_width - width) // 2
    else:
        box_height, box_width, top, left = height, width, 0, 0

    # One output row at a time, so that the largest photo needs little memory besides itself.
    sums = np.empty((size, size, 3), np.int64)
    for row, (low, high) in enumerate(itertools.pairwise(_edges(size, box_height, top, pixels.shape[0]))):
        sums[row] = _area_sums(_sum_rows(pixels, low, high, size), size, box_width, left)

    total = box_width * box_height
    if fit == "pad":
        covered_y = np.diff(_edges(size, box_height, top, height))
        covered_x = np.diff(_edges(size, box_width, left, width))
        sums += PAD_VALUE * (total - covered_y[:, None] * covered_x[None, :])[:, :, None]
    average: Pixels = ((2 * sums + total) // (2 * total)).astype(np.uint8)  # half up
    return average


def _edges(size: int, box: int, offset: int, count: int) -> NDArray[np.int64]:
    """The size + 1 edges of the cells of an axis, in units of 1/size pixel from the first of its `count` pixels.

    The cells share an axis `box` pixels long, on which the photo begins at `offset`; edges beyond it are moved to its ends.
    """
    return np.clip(np.arange(size + 1, dtype=np.int64) * box - offset * size, 0, count * size)


def _sum_rows(pixels: Pixels, low: np.int64, high: np.int64, size: int) -> NDArray[np.int64]:
    """Sums the rows between two edges, each times the part of it that lies there: int64 [width, 3]."""
    rows = np.arange(low // size, -(-high // size))
    weights = np.minimum((rows + 1) * size, high) - np.maximum(rows * size, low)
    sums: NDArray[np.int64] = np.einsum("y,yxc->xc", weights, pixels[low // size : -(-high // size)], dtype=np.int64)
    return sums


def _area_sums(values: NDArray[np.int64], size: int, box: int, offset: int) -> NDArray[np.int64]:
    """Sums the columns of [width, 3] between each two edges: int64 [size, 3].

    upto[k] is the sum of everything left of edge k; a cell is a difference of two.
    """
    prefix = np.concatenate([np.zeros((1, 3), np.int64), np.cumsum(values, axis=0)])
    whole, part = np.divmod(_edges(size, box, offset, len(values)), size)
    upto = size * prefix[whole] + part[:, None] * values[np.minimum(whole, len(values) - 1)]
    return np.diff(upto, axis=0)


class _Definition:
    """The inputs derived from the resized photo, each written into `out`, uint8 [size, size, channels]."""

    @staticmethod
    def gray(rgb: Pixels, out: Pixels) -> None:
        """BT.601 luma with 15-bit weights, half up: OpenCV's cvtColor."""
        wide = rgb.astype(np.uint32)
        out[..., 0] = (9798 * wide[..., 0] + 19235 * wide[..., 1] + 3735 * wide[..., 2] + 16384) >> 15

    @staticmethod
    def equalized(gray: Pixels, out: Pixels) -> None:
        """Histogram equalisation: OpenCV's equalizeHist. One float32 division, one float32 product per level."""
        histogram = np.bincount(gray.ravel(), minlength=256)
        first = int(np.flatnonzero(histogram)[0])
        rest = gray.size - int(histogram[first])
        if rest == 0:
            out[...] = gray
            return
        scale = np.float32(255) / np.float32(rest)
        above = np.cumsum(histogram) - histogram[first]
        above[: first + 1] = 0
        table = np.rint(above.astype(np.float32) * scale)  # rint: half to even
        out[...] = np.clip(table, 0, 255).astype(np.uint8)[gray]

    @staticmethod
    def otsu(gray: Pixels, out: Pixels) -> None:
        """255 where gray is above Otsu's threshold, else 0."""
        histogram = [int(n) for n in np.bincount(gray.ravel(), minlength=256)]
        out[...] = np.where(gray > otsu_threshold(histogram), 255, 0)

    @staticmethod
    def stretched(rgb: Pixels, out: Pixels) -> None:
        """Each channel stretched so that its minimum is 0 and its maximum 255, half up; a flat channel stays."""
        for channel in range(3):
            plane = rgb[..., channel]
            low, high = int(plane.min()), int(plane.max())
            span = high - low
            if span == 0:
                out[..., channel] = plane
            else:
                out[..., channel] = (510 * (plane.astype(np.uint32) - low) + span) // (2 * span)


def otsu_threshold(histogram: Sequence[int]) -> int:
    """Finds Otsu's threshold as OpenCV does: every step one IEEE double operation, in this order, none fused.

    Args:
        histogram: 256 counts of gray levels.
    Returns:
        The threshold, 0..255; levels above it are foreground.
    Source: Otsu 1979; the order of operations is that of OpenCV's threshold(THRESH_OTSU).
    """
    epsilon = 1.1920928955078125e-07  # FLT_EPSILON
    scale = 1.0 / sum(histogram)
    mean = 0.0
    for level, count in enumerate(histogram):
        mean += level * float(count)
    mean *= scale
    below_mean = below = best_sigma = 0.0
    best = 0
    for level, count in enumerate(histogram):
        share = count * scale
        below_mean *= below
        below += share
        above = 1.0 - below
        if min(below, above) < epsilon or max(below, above) > 1.0 - epsilon:
            continue
        below_mean = (below_mean + level * share) / below
        above_mean = (mean - below * below_mean) / above
        sigma = below * above * (below_mean - above_mean) * (below_mean - above_mean)
        if sigma > best_sigma:
            best_sigma, best = sigma, level
    return best
