"""One photo opened, measured and looked at."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from derm_sdk.errors import DermError
from derm_sdk.image import Pixels, read_image
from derm_sdk.preprocess import resize

from ..manifest import Dataset
from .appearance import guesses
from .findings import Examined, Finding

SHORTEST = 128
FLATTEST = 4.0


def examine_all(dataset: Dataset, progress: Callable[[int, int], None] | None = None) -> list[Examined]:
    """Examines every photo in threads, a few at a time; in the data set's order."""
    threads = min(8, os.cpu_count() or 1)
    found: list[Examined] = []
    waiting: deque[Future[Examined]] = deque()
    pool = ThreadPoolExecutor(threads)

    def take() -> None:
        found.append(waiting.popleft().result())
        if progress is not None:
            progress(len(found), len(dataset.photos))

    try:
        for photo in dataset.photos:
            waiting.append(pool.submit(examine, dataset.path(photo), photo.digest))
            if len(waiting) > 2 * threads:
                take()
        while waiting:
            take()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return found


def examine(path: Path, digest: str = "") -> Examined:
    """Opens a photo and lists what is to be remarked about it; a broken one is a finding, not an error.

    Args:
        path: of the photo.
        digest: SHA-256 that its bytes should have; "" for any.
    """
    try:
        pixels = read_image(path)
        findings, kind = _about_file(path, digest)
    except (DermError, OSError) as error:
        return Examined((Finding("broken", str(error)),))
    return Examined((*findings, *_about_pixels(pixels), *guesses(pixels)), pixels.shape[1], pixels.shape[0], kind)


def _about_file(path: Path, digest: str) -> tuple[list[Finding], str]:
    from PIL import Image

    found = []
    with path.open("rb") as file:
        if digest and hashlib.file_digest(file, "sha256").hexdigest() != digest:
            found.append(Finding("changed"))
        file.seek(0)
        with Image.open(file) as picture:
            kind, mode, frames = str(picture.format), picture.mode, getattr(picture, "n_frames", 1)
            turned = _orientation(picture)
    if mode != "RGB":
        found.append(Finding("not RGB", f"Pillow's mode {mode}"))
    if frames > 1:
        found.append(Finding("several pictures", f"{frames} of them, {kind}"))
    if turned not in (None, 1):
        found.append(Finding("turned by EXIF", f"orientation {turned}"))
    return found, kind


def _orientation(picture: Any) -> int | None:
    try:
        value = picture.getexif().get(274)
    except Exception:  # a damaged EXIF block is no orientation, whatever Pillow raises about it
        return None
    return value if isinstance(value, int) and 1 <= value <= 8 else None


def _about_pixels(pixels: Pixels) -> Iterator[Finding]:
    height, width = pixels.shape[:2]
    if min(height, width) < SHORTEST:
        yield Finding("tiny", f"{width} x {height} pixels")
    small = resize(pixels, 64, "stretch")
    if float(small.mean(axis=2).std()) < FLATTEST:
        yield Finding("almost uniform", f"gray levels vary by {small.mean(axis=2).std():.1f}")
    elif int(np.ptp(small, axis=2).max()) <= 2:
        yield Finding("colourless")


def count_findings(examined: Sequence[Examined]) -> dict[str, int]:
    """How many photos each finding was made about."""
    counts: dict[str, int] = {}
    for photo in examined:
        for name in {finding.name for finding in photo.findings}:
            counts[name] = counts.get(name, 0) + 1
    return counts
