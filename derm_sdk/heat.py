"""Heat maps as pictures: where they lie on a photo, what colours they get, and their strongest region."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .image import Pixels

Heat = NDArray[np.float32]
Box = tuple[int, int, int, int]

REGION_SHARE = 0.5  # of the maximum: what is below it does not belong to the strongest region
_REGION_GRID = 128  # cells along a side on which the region is found; a network's own map has 5 to 10
_OPACITY = 0.65
_UNSEEN = 0.4
_STRIP_ROWS = 64
# Coefficients of t^0 .. t^7 for red, green, blue, fitted by least squares to the colour map "inferno" of Stefan van der Walt
# and Nathaniel Smith (CC0): from dark to bright in steps that look equal, also to the colour-blind and in print.
_INFERNO = (
    (0.0004, -0.0113, 0.0196),
    (0.1195, 1.3228, 0.7676),
    (11.3998, -14.3182, 29.6916),
    (-40.5123, 75.4552, -212.4104),
    (73.9996, -193.4416, 627.0707),
    (-66.9610, 263.3877, -949.5274),
    (22.1276, -179.0641, 716.2761),
    (0.8020, 47.6763, -211.2568),
)


@dataclass(frozen=True)
class Frame:
    """Where the square that a network sees lies on its photo, in pixels of the upright photo.

    Attributes:
        left, top: of the square; below 0 where "pad" lays a border around the photo.
        width, height: of the square; equal unless the fit is "stretch".
        photo_width, photo_height: of the photo.
    """

    left: int
    top: int
    width: int
    height: int
    photo_width: int
    photo_height: int

    @classmethod
    def of(cls, photo_width: int, photo_height: int, fit: str) -> Frame:
        """The frame of a photo; `fit` is "stretch", "crop" or "pad", as `derm_sdk.prepare` takes it."""
        if fit == "stretch":
            return cls(0, 0, photo_width, photo_height, photo_width, photo_height)
        if fit == "crop":
            side = min(photo_width, photo_height)
            return cls((photo_width - side) // 2, (photo_height - side) // 2, side, side, photo_width, photo_height)
        side = max(photo_width, photo_height)
        return cls(-((side - photo_width) // 2), -((side - photo_height) // 2), side, side, photo_width, photo_height)

    def box(self, left: float, top: float, right: float, bottom: float) -> Box | None:
        """A part of the square, in shares of its sides, as whole pixels of the photo that hold it; None if outside."""
        x = (int(np.floor(self.left + left * self.width)), int(np.ceil(self.left + right * self.width)))
        y = (int(np.floor(self.top + top * self.height)), int(np.ceil(self.top + bottom * self.height)))
        found = (max(x[0], 0), max(y[0], 0), min(x[1], self.photo_width), min(y[1], self.photo_height))
        return found if found[0] < found[2] and found[1] < found[3] else None


def positive_share(evidence: NDArray[np.floating]) -> Heat:
    """The part of a map that speaks for something: negative values become 0, the largest becomes 1.

    Args:
        evidence: [h, w], any unit.
    Returns:
        float32 [h, w], 0..1; all 0 where nothing is positive.
    """
    positive = np.maximum(np.asarray(evidence, np.float64), 0.0)
    most = float(positive.max())
    return (positive / most if most > 0 else positive).astype(np.float32)


def sample(heat: Heat, down: NDArray[np.float64], across: NDArray[np.float64]) -> Heat:
    """Reads a heat map between its cells: bilinear between the cells' centres, held beyond the outermost ones.

    Args:
        heat: float32 [h, w].
        down, across: [rows], [columns]: places in shares of the map's height and width, 0..1.
    Returns:
        float32 [rows, columns].
    """
    y, y0, y1 = _between(down, heat.shape[0])
    x, x0, x1 = _between(across, heat.shape[1])
    rows = heat[y0] * (1 - y)[:, None] + heat[y1] * y[:, None]
    found: Heat = (rows[:, x0] * (1 - x) + rows[:, x1] * x).astype(np.float32)
    return found


def strongest_region(heat: Heat, frame: Frame, share: float = REGION_SHARE) -> tuple[tuple[int, int] | None, Box | None]:
    """Finds the maximum of a heat map and the connected region around it.

    Args:
        heat: float32 [h, w], 0..1.
        frame: where it lies on the photo.
        share: of the maximum that a place of the region reaches at least.
    Returns:
        (x, y) of the maximum in pixels of the photo, outside of it where that lies in the border of "pad"; and the region's
        box (left, top, right, bottom), right and bottom just behind it. None where the map is 0 everywhere, or the region
        lies outside the photo.
    """
    height, width = (max(_REGION_GRID, side) for side in heat.shape)
    fine = sample(heat, _centres(height), _centres(width))
    y, x = divmod(int(fine.argmax()), width)
    if fine[y, x] <= 0:
        return None, None
    rows, columns = np.nonzero(_connected(fine >= share * fine[y, x], y, x))
    peak = (
        int(np.floor(frame.left + (x + 0.5) / width * frame.width)),
        int(np.floor(frame.top + (y + 0.5) / height * frame.height)),
    )
    box = frame.box(columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height)
    return peak, box


def overlay(picture: Pixels, heat: Heat, frame: Frame | None = None, box: Box | None = None) -> Pixels:
    """Lays a heat map over a picture, in colours from dark violet (little) over red to yellow (most).

    Args:
        picture: RGB uint8 [height, width, 3]: what the network saw; with `frame`, the whole upright photo, or a smaller
            copy of it. Where the network saw nothing of it, it is darkened.
        heat: float32 [h, w], 0..1; where it is 0 the picture stays as it is.
        frame: where the map lies on the whole photo; None when `picture` is the square itself.
        box: drawn as a white line, in pixels of the picture.
    Returns:
        uint8, of the picture's shape; a new array.
    """
    height, width = picture.shape[:2]
    down, across = _centres(height), _centres(width)
    if frame is not None:
        down = (down * frame.photo_height - frame.top) / frame.height
        across = (across * frame.photo_width - frame.left) / frame.width
    seen = ((down >= 0) & (down < 1))[:, None] & ((across >= 0) & (across < 1))
    colours = colour_map().astype(np.float32)
    result = np.empty_like(picture)
    for top in range(0, height, _STRIP_ROWS):
        strip = slice(top, top + _STRIP_ROWS)
        level = sample(heat, down[strip], across) * seen[strip]
        opacity = (_OPACITY * level)[..., None]
        photo = picture[strip] * np.where(seen[strip], 1.0, _UNSEEN).astype(np.float32)[..., None]
        result[strip] = np.rint(photo * (1 - opacity) + colours[np.rint(level * 255).astype(np.uint8)] * opacity)
    if box is not None:
        _draw(result, box)
    return result


def colour_map() -> Pixels:
    """The colours of a heat map, uint8 [256, 3]: inferno, from almost black to light yellow."""
    level = np.linspace(0, 1, 256)[:, None]
    colours = level ** np.arange(len(_INFERNO)) @ np.asarray(_INFERNO)
    return np.asarray(np.rint(np.clip(colours, 0, 1) * 255), np.uint8)


def _centres(count: int) -> NDArray[np.float64]:
    return (np.arange(count) + 0.5) / count


def _between(places: NDArray[np.float64], count: int) -> tuple[Heat, NDArray[np.intp], NDArray[np.intp]]:
    """The two cells around each place, and how far it is from the first to the second, 0..1."""
    at = np.clip(places * count - 0.5, 0, count - 1)
    first = np.floor(at).astype(np.intp)
    return (at - first).astype(np.float32), first, np.minimum(first + 1, count - 1)


def _connected(mask: NDArray[np.bool_], y: int, x: int) -> NDArray[np.bool_]:
    """The places of a mask that are connected with one of them, over edges."""
    found = np.zeros_like(mask)
    found[y, x] = True
    size = 0
    while size != (size := int(found.sum())):
        found[1:] |= found[:-1]
        found[:-1] |= found[1:]
        found[:, 1:] |= found[:, :-1]
        found[:, :-1] |= found[:, 1:]
        found &= mask
    return found


def _draw(picture: Pixels, box: Box) -> None:
    """Draws a box as a white line with a black one around it, in place."""
    thick = max(1, min(picture.shape[:2]) // 200)
    left, top, right, bottom = box
    for colour, out in ((0, thick), (255, 0)):
        x0, y0, x1, y1 = max(left - out, 0), max(top - out, 0), right + out, bottom + out
        inner = thick + 2 * out if colour == 0 else thick
        picture[y0 : y0 + inner, x0:x1] = colour
        picture[max(y1 - inner, 0) : y1, x0:x1] = colour
        picture[y0:y1, x0 : x0 + inner] = colour
        picture[y0:y1, max(x1 - inner, 0) : x1] = colour
