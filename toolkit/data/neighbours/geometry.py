"""Whether two photos are one picture: enough points of the one lie in the other as one turn, scale and shift would put them,
and the two agree where they overlap.

The second condition is the guard against stamps and rulers: two photos with the same watermark share points too, but not the
picture around them. So the details of the gray copies are correlated block by block, and the median block counts: a stamp or
a border fills few of them. Of 43 pairs of strangers with the same large stamp none gets above .35; of 800 copies 1 % less.
Among a thousand photos with one stamp some pass all the same, and would join everything. But words lie on a line: the points
of 233 of 245 such pairs deviate from theirs by less than .04 of the photo's side, of 4,000 copies 2, of 671 real pairs none.

Most pairs are strangers, so a glance at the first 128 points of each comes first: of 400 pairs of neighbours it sends 88 %
away at a quarter of the cost, and of 60 copies of each kind none, but 3 of those cropped to 60 % a side.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import keypoints
from .keypoints import GRAY, MIRRORED

LEAST_POINTS = 12
LEAST_CORRELATION = 0.4
LEAST_OVERLAP = 0.10
LEAST_SPREAD = 0.04
_GLANCE = 128  # points of each that are looked at first
_LEAST_AT_A_GLANCE = 10  # matches among these; below, they are strangers
_SURROUNDINGS = 4.0  # pixels of the gray copy, deviation of a Gaussian
_BLOCK = 8  # pixels a side
_FLAT = 8.0 * _BLOCK  # added to the length of a block's contrast: noise on even skin correlates with nothing
_RATIO = 0.85  # a match must be nearer than the second best by this factor (Lowe 2004: 0.8; here the alignment decides)
_WITHIN = 4.0  # pixels of the gray copy
_SCALES = (0.2, 5.0)
VERSION = hashlib.sha256(
    f"4 {keypoints.VERSION} {LEAST_POINTS} {_RATIO} {_WITHIN} {_GLANCE} {_LEAST_AT_A_GLANCE}".encode()
).hexdigest()[:12]


@dataclass(frozen=True)
class Alignment:
    """How one photo lies in another.

    Attributes:
        points: how many points agree with the alignment.
        correlation: of their details where they overlap, the median of blocks, -1..1; 0 where they hardly do.
        overlap: the share of the more covered photo that the other covers, 0..1.
        mirrored: whether one of them is mirrored.
        spread: deviation of these points from the line that they lie along, as a share of the photo's shorter side; of the
            photo where it is larger.
    """

    points: int = 0
    correlation: float = 0.0
    overlap: float = 0.0
    mirrored: bool = False
    spread: float = 0.0

    @property
    def same_picture(self) -> bool:
        """Whether that is enough to say that the photos are one picture."""
        enough = self.points >= LEAST_POINTS and self.overlap >= LEAST_OVERLAP
        return enough and self.correlation >= LEAST_CORRELATION and self.spread >= LEAST_SPREAD


def align(first: Any, second: Any) -> Alignment:
    """Lays one photo over the other, as it is or mirrored, whichever has more points in common at a glance.

    Args:
        first, second: records of `keypoints.describe_points`.
    """
    import cv2

    glance = [len(_matches(first, second, mirrored, _GLANCE)[0]) for mirrored in (False, True)]
    mirrored = glance[True] > glance[False]
    if max(glance) < _LEAST_AT_A_GLANCE:
        return Alignment(max(glance), mirrored=mirrored)
    here, there = _matches(first, second, mirrored, keypoints.POINTS)
    if len(here) < LEAST_POINTS:
        return Alignment(len(here), mirrored=mirrored)
    source = first["points"][here].astype(np.float32)
    if mirrored:
        source[:, 0] = first["size"][0] - 1 - source[:, 0]
    target = second["points"][there].astype(np.float32)
    matrix, inliers = cv2.estimateAffinePartial2D(
        source, target, method=cv2.RANSAC, ransacReprojThreshold=_WITHIN, maxIters=500, confidence=0.995
    )
    if matrix is None or not _SCALES[0] < float(np.hypot(matrix[0, 0], matrix[1, 0])) < _SCALES[1]:
        return Alignment(mirrored=mirrored)
    agreeing = inliers.ravel() > 0
    spread = max(_spread(source[agreeing], first["size"]), _spread(target[agreeing], second["size"]))
    return Alignment(int(agreeing.sum()), *_agreement(first, second, matrix, mirrored), mirrored, spread)


def _matches(first: Any, second: Any, mirrored: bool, most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Points, of the first so many, that are each other's best match, clearly ahead of the second best."""
    a, b = (each["descriptors"][: min(each["count"], most)] for each in (first, second))
    if min(len(a), len(b)) < LEAST_POINTS:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    cosines = (a[:, MIRRORED] if mirrored else a).astype(np.float32) @ b.astype(np.float32).T / 65025
    back, best, rows = cosines.argmax(axis=0), cosines.argmax(axis=1), np.arange(len(a))
    nearest = cosines[rows, best]
    cosines[rows, best] = -1
    distance, other = (np.maximum(0, 1 - each) for each in (nearest, cosines.max(axis=1)))
    kept = (distance < _RATIO**2 * other) & (back[best] == rows)
    return rows[kept], best[kept]


def _spread(points: NDArray[np.float32], size: Any) -> float:
    """Root mean square distance of the points from the line through them, as a share of the shorter side."""
    if len(points) < 2:
        return 0.0
    least = float(np.linalg.eigvalsh(np.cov(points.T, bias=True))[0])
    return float(np.sqrt(max(0.0, least)) / min(int(size[0]), int(size[1])))


def _agreement(first: Any, second: Any, matrix: NDArray[np.float64], mirrored: bool) -> tuple[float, float]:
    """Correlation, of the median block, and share of the overlap, on the small gray copies."""
    import cv2

    gray = first["gray"][:, ::-1] if mirrored else first["gray"]
    moved = _in_copies(matrix, first["size"], second["size"])
    shape = (GRAY, GRAY)
    laid = cv2.warpAffine(np.ascontiguousarray(gray), moved, shape, flags=cv2.INTER_LINEAR).astype(np.float32)
    covered = cv2.warpAffine(np.full(shape, 255, np.uint8), moved, shape, flags=cv2.INTER_NEAREST) > 0
    area = float(covered.mean())
    overlap = min(1.0, max(area, area / max(abs(float(np.linalg.det(moved[:, :2]))), 1e-6)))
    here, there = (_detail(each, covered.astype(np.float32)) for each in (laid, second["gray"].astype(np.float32)))
    return _median_block(here, there, covered), overlap


def _detail(gray: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """What differs from its surroundings: light and shade of two photos of skin agree by chance, their details do not."""
    import cv2

    around = cv2.GaussianBlur(gray * weight, (0, 0), _SURROUNDINGS) / np.maximum(
        cv2.GaussianBlur(weight, (0, 0), _SURROUNDINGS), 1e-3
    )
    return np.asarray(gray - around, np.float32)


def _median_block(here: NDArray[np.float32], there: NDArray[np.float32], covered: NDArray[np.bool_]) -> float:
    """Correlation of the median block among those that are covered by nine tenths; 0 where there is none."""
    a, b, mask = (_blocks(each) for each in (here, there, covered))
    whole = mask.mean(axis=1) >= 0.9
    if not whole.any():
        return 0.0
    mask = mask[whole].astype(np.float32)
    a, b = (
        (each - (each * mask).sum(axis=1, keepdims=True) / mask.sum(axis=1, keepdims=True)) * mask
        for each in (a[whole], b[whole])
    )
    length = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1)) + _FLAT
    return float(np.median((a * b).sum(axis=1) / length))


def _blocks(grid: NDArray[Any]) -> NDArray[Any]:
    """[GRAY, GRAY] as rows of blocks, [blocks, _BLOCK * _BLOCK]."""
    count = GRAY // _BLOCK
    return grid.reshape(count, _BLOCK, count, _BLOCK).swapaxes(1, 2).reshape(count * count, _BLOCK * _BLOCK)


def _in_copies(matrix: NDArray[np.float64], first: Any, second: Any) -> NDArray[np.float64]:
    """The alignment in pixels of the square gray copies, whose two axes have scales of their own."""
    into = np.diag([GRAY / second[0], GRAY / second[1]])
    out = np.diag([first[0] / GRAY, first[1] / GRAY])
    return np.concatenate([into @ matrix[:, :2] @ out, into @ matrix[:, 2:]], axis=1)
