"""What a photo is recognised by when it is cropped, turned or mirrored: its distinctive points.

SIFT points (Lowe 2004, by OpenCV) on a gray copy of 176 pixels with evened-out contrast, their descriptors as RootSIFT
(Arandjelovic and Zisserman 2012), in bytes; and a small gray copy on which an alignment is checked. 38 KB a photo.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from derm_sdk.image import Pixels

SIDE = 176
POINTS = 256
GRAY = 64
VERSION = f"1 {SIDE} {POINTS} {GRAY}"
RECORD = np.dtype(
    [
        ("key", "S64"),
        ("count", np.uint16),
        ("size", np.uint16, 2),  # width and height of the gray copy in which the points lie
        ("points", np.float16, (POINTS, 2)),
        ("descriptors", np.uint8, (POINTS, 128)),
        ("gray", np.uint8, (GRAY, GRAY)),
    ]
)

# The descriptor of a mirrored photo's point has its 4 x 4 cells in another order, and its 8 directions the other way round.
MIRRORED = np.arange(128).reshape(4, 4, 8)[::-1][:, :, -np.arange(8) % 8].ravel()


def describe_points(pixels: Pixels, key: str) -> NDArray[Any]:
    """The record, of dtype RECORD, of a photo uint8 [height, width, 3]."""
    import cv2

    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    scale = SIDE / max(gray.shape)
    size = (max(1, round(gray.shape[1] * scale)), max(1, round(gray.shape[0] * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(gray, size, interpolation=how)
    record = np.zeros((), RECORD)
    record["key"], record["size"] = key.encode(), size
    record["gray"] = cv2.resize(small, (GRAY, GRAY), interpolation=cv2.INTER_AREA)
    even = cv2.createCLAHE(2.0, (4, 4)).apply(small)
    points, descriptors = cv2.SIFT_create(nfeatures=POINTS, contrastThreshold=0.01).detectAndCompute(even, None)
    count = min(len(points), POINTS) if descriptors is not None else 0
    if count:
        record["count"] = count
        record["points"][:count] = [point.pt for point in points[:count]]
        root = np.sqrt(descriptors[:count] / np.maximum(descriptors[:count].sum(axis=1, keepdims=True), 1e-6))
        record["descriptors"][:count] = np.minimum(np.rint(root * 255), 255)
    return record
