"""What a photo looks like, guessed by a few plain rules on a small copy: hints to look, which say how plain they are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from derm_sdk.image import Pixels

from .findings import Finding

SIDE = 320
_INNER = (0.15, 0.85)  # a seam nearer to the border is a border
_STEP = 14  # gray levels from one side of a seam to the other
_STRAIGHT = 0.85  # the share of a seam's length at which it is seen
_OTHERWISE = 0.30  # at most, along other lines
_DARK, _LIT = 30, 70
_STAINED = 0.6
_BLANK = 6.0  # gray levels vary less than this in blank space


def guesses(pixels: Pixels) -> Iterator[Finding]:
    """What a photo, uint8 [height, width, 3], seems to be."""
    import cv2

    scale = SIDE / max(pixels.shape[:2])
    size = max(8, round(pixels.shape[1] * scale)), max(8, round(pixels.shape[0] * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    seam, blank = max(_seam(gray), _seam(gray.T))
    if seam >= _STRAIGHT:
        yield Finding("wide border" if blank else "collage", f"a line along {seam:.0%} of its length", round(seam, 3))
    disc = _disc(gray)
    if disc > 0:
        yield Finding("dermatoscopic", "bright disc, dark corners", round(disc, 3))
    stained = _stained_share(small)
    if stained >= _STAINED:
        yield Finding("histological", f"{stained:.0%} of it pink or violet", round(stained, 3))
    letters = _line_of_letters(gray)
    if letters >= _LETTERS:
        yield Finding("watermark or ruler", f"{letters} small shapes in a line", round(min(1.0, letters / 20), 3))


def _seam(gray: NDArray[np.uint8]) -> tuple[float, bool]:
    """The largest share of the height along which the gray level steps between two neighbouring inner columns.

    Beside it: whether one of the two sides is blank.
    """
    share = (np.abs(np.diff(gray.astype(np.int16), axis=1)) >= _STEP).mean(axis=0)
    low, high = (int(edge * len(share)) for edge in _INNER)
    if high <= low or np.median(share) > _OTHERWISE:
        return 0.0, False
    place = low + int(share[low:high].argmax())
    sides = gray[:, : max(1, place - 2)], gray[:, place + 4 :]
    return float(share[place]), any(each.size > 0 and float(each.std()) < _BLANK for each in sides)


def _disc(gray: NDArray[np.uint8]) -> float:
    """How much brighter a disc is than the corners around it, 0..1; 0 where there is no such disc."""
    h, w = gray.shape
    edge = max(2, min(h, w) // 14)
    corners = [gray[y, x].mean() for y in (slice(0, edge), slice(-edge, None)) for x in (slice(0, edge), slice(-edge, None))]
    turns = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    radius = 0.42 * min(h, w)
    ring = gray[(h / 2 + radius * np.sin(turns)).astype(int), (w / 2 + radius * np.cos(turns)).astype(int)]
    if max(corners) > _DARK or float(np.mean(ring >= _LIT)) < 0.97:
        return 0.0
    return float(np.median(ring) - max(corners)) / 255


def _stained_share(rgb: Pixels) -> float:
    r, g, b = (rgb[..., channel].astype(np.int16) for channel in range(3))
    return float(((r > g + 25) & (b > g + 20)).mean())


_LETTERS = 7
_LETTER_HEIGHT = (4, 26)


def _line_of_letters(gray: NDArray[np.uint8]) -> int:
    """The largest number of small sharp shapes of one height that stand in a horizontal row, close to each other."""
    import cv2

    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (9, 9))
    most = 0
    for operation in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
        strokes = cv2.morphologyEx(gray, operation, kernel)
        _, _, boxes, _ = cv2.connectedComponentsWithStats((strokes > 45).astype(np.uint8), connectivity=8)
        boxes = boxes[1:]
        height, width, area = boxes[:, 3], boxes[:, 2], boxes[:, 4]
        shaped = (height >= _LETTER_HEIGHT[0]) & (height <= _LETTER_HEIGHT[1]) & (width <= 1.6 * height) & (area >= 6)
        filled = area / np.maximum(1, height * width)
        most = max(most, _longest_row(boxes[shaped & (filled > 0.2) & (filled < 0.95)]))
    return most


def _longest_row(boxes: NDArray[np.int32]) -> int:
    """How many boxes (x, y, width, height, area) follow each other on one line, of like heights, without wide gaps."""
    boxes = boxes[np.argsort(boxes[:, 0], kind="stable")][:400]
    best = np.ones(len(boxes), np.int64)
    for place in range(1, len(boxes)):
        x, _, _, height, _ = boxes[place]
        bottom = boxes[place, 1] + height
        before = boxes[:place]
        gap = x - (before[:, 0] + before[:, 2])
        level = np.abs(before[:, 1] + before[:, 3] - bottom) <= max(1, height // 4)
        like = np.abs(before[:, 3] - height) <= max(2, height // 2)
        linked = level & like & (gap >= -1) & (gap <= 1.2 * height)
        if linked.any():
            best[place] += best[:place][linked].max()
    return int(best.max()) if len(best) else 0
