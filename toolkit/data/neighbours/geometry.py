"""Whether two photos are one picture: enough points of the one lie in the other as one turn, scale and shift would put them,
and the two agree where they overlap.

The second condition is the guard against logos and rulers: two photos with the same watermark share points too, but not the
picture around them.
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
LEAST_CORRELATION = 0.6
LEAST_OVERLAP = 0.10
_RATIO = 0.85  # a match must be nearer than the second best by this factor (Lowe 2004: 0.8; here the alignment decides)
_WITHIN = 4.0  # pixels of the gray copy
_SCALES = (0.2, 5.0)
VERSION = hashlib.sha256(f"1 {keypoints.VERSION} {LEAST_POINTS} {_RATIO} {_WITHIN}".encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Alignment:
    """How one photo lies in another.

    Attributes:
        points: how many points agree with the alignment.
        correlation: of the gray copies where they overlap, -1..1; 0 where they hardly do.
        overlap: the share of the more covered photo that the other covers, 0..1.
        mirrored: whether one of them is mirrored.
    """

    points: int = 0
    correlation: float = 0.0
    overlap: float = 0.0
    mirrored: bool = False

    @property
    def same_picture(self) -> bool:
        """Whether that is enough to say that the photos are one picture."""
        enough = self.points >= LEAST_POINTS and self.overlap >= LEAST_OVERLAP
        return enough and self.correlation >= LEAST_CORRELATION


def align(first: Any, second: Any) -> Alignment:
    """Lays one photo over the other, as it is or mirrored, whichever has more points in common.

    Args:
        first, second: records of `keypoints.describe_points`.
    """
    import cv2

    tried = [(_matches(first, second, mirrored), mirrored) for mirrored in (False, True)]
    (here, there), mirrored = max(tried, key=lambda each: len(each[0][0]))
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
    return Alignment(int(inliers.sum()), *_agreement(first, second, matrix, mirrored), mirrored)


def _matches(first: Any, second: Any, mirrored: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Points that are each other's best match, clearly ahead of the second best."""
    a, b = first["descriptors"][: first["count"]], second["descriptors"][: second["count"]]
    if min(len(a), len(b)) < LEAST_POINTS:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    cosines = (a[:, MIRRORED] if mirrored else a).astype(np.float32) @ b.astype(np.float32).T / 65025
    back, best, rows = cosines.argmax(axis=0), cosines.argmax(axis=1), np.arange(len(a))
    nearest = cosines[rows, best]
    cosines[rows, best] = -1
    distance, other = (np.maximum(0, 1 - each) for each in (nearest, cosines.max(axis=1)))
    kept = (distance < _RATIO**2 * other) & (back[best] == rows)
    return rows[kept], best[kept]


def _agreement(first: Any, second: Any, matrix: NDArray[np.float64], mirrored: bool) -> tuple[float, float]:
    """Correlation and share of the overlap, on the small gray copies."""
    import cv2

    gray = first["gray"][:, ::-1] if mirrored else first["gray"]
    moved = _in_copies(matrix, first["size"], second["size"])
    shape = (GRAY, GRAY)
    laid = cv2.warpAffine(np.ascontiguousarray(gray), moved, shape, flags=cv2.INTER_LINEAR).astype(np.float32)
    covered = cv2.warpAffine(np.full(shape, 255, np.uint8), moved, shape, flags=cv2.INTER_NEAREST) > 0
    area = float(covered.mean())
    overlap = min(1.0, max(area, area / max(abs(float(np.linalg.det(moved[:, :2]))), 1e-6)))
    if covered.sum() < 32:
        return 0.0, overlap
    a, b = laid[covered], second["gray"][covered].astype(np.float32)
    a, b = a - a.mean(), b - b.mean()
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return (float(a @ b) / length if length > 1e-3 else 0.0), overlap


def _in_copies(matrix: NDArray[np.float64], first: Any, second: Any) -> NDArray[np.float64]:
    """The alignment in pixels of the square gray copies, whose two axes have scales of their own."""
    into = np.diag([GRAY / second[0], GRAY / second[1]])
    out = np.diag([first[0] / GRAY, first[1] / GRAY])
    return np.concatenate([into @ matrix[:, :2] @ out, into @ matrix[:, 2:]], axis=1)
