"""Resized photos beside the data set, so that no epoch decodes a JPEG twice.

Two kinds, both exact area averages made by `derm_sdk`:

    exact    [S, S, 3]: the bytes that the device computes; for validation, calibration and test
    canvas   [C, C, 3], C = ceil(S * margin): a little larger, for augmentation to cut from

One file per photo, DATA/cache/<kind>-<side>-<fit>-<decode>-v<version>-pillow<version>/<digest>.npy; another version of the
decoder may give other pixels, so it has a folder of its own. In the file: the .npy header, the pixels, and the CRC-32 of the
pixels (4 bytes, little-endian) behind them, which NumPy ignores. A file of any other length, header or checksum is made
again. Each is renamed into place whole, so runs may share a cache, and an interruption costs one photo. Photos that lie in
shards (see `shards`) have no file of their own.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import mmap
import os
import shutil
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import PIL

from derm_sdk.errors import DermError, FileError
from derm_sdk.files import replacing
from derm_sdk.image import Pixels
from derm_sdk.image import decode as decode_image
from derm_sdk.preprocess import PREPROCESSING_VERSION, check_options, least_side, resize

from ..errors import DataError
from .manifest import Dataset, Photo

if TYPE_CHECKING:
    from .shards import Shards

SHARDS = "shards"  # a cache's folder of `shards`, where `data prepare` has made them
_CRC_BYTES = 4


class PhotoCache:
    """The photos of a data set at one size, made when first asked for. Thread-safe.

    Attributes:
        folder: where the files lie.
        side: side of the stored photos in pixels.
    """

    def __init__(
        self,
        dataset: Dataset,
        size: int,
        fit: str,
        *,
        margin: float | None = None,
        decode: str = "full",
        root: str | os.PathLike[str] | None = None,
    ) -> None:
        """Names a cache; nothing is read or written yet.

        Args:
            dataset: whose photos.
            size: S, the side of the network's input in pixels.
            fit: "stretch", "crop" or "pad".
            margin: None for the exact cache; a factor from 1 for the canvas of side ceil(S * margin).
            decode: how photos are decoded, "full" or "reduced"; of a canvas, too, by S, so that its photos are those that
                the device sees.
            root: folder of all caches; the data set's own `cache` unless given.
        Raises:
            OptionError: the size or the fit is out of range.
        """
        self.dataset = dataset
        self.fit = fit
        self._least = least_side(size, decode)
        self.side = size if margin is None else math.ceil(round(size * margin, 6))
        check_options(self.side, fit, ("rgb",))
        kind = "exact" if margin is None else "canvas"
        decoded = decode if self._least is None else f"{decode}{self._least}"
        name = f"{kind}-{self.side}-{fit}-{decoded}-v{PREPROCESSING_VERSION}-pillow{PIL.__version__}"
        self.folder = Path(root if root is not None else dataset.folder / "cache") / name
        self._header = _npy_header(self.side)
        self._pixel_bytes = self.side * self.side * 3
        self._verified: set[str] = set()

    @cached_property
    def _shards(self) -> Shards | None:
        if not (self.folder / SHARDS).is_dir():
            return None
        from .shards import open_shards

        return open_shards(self.folder / SHARDS, self.side)

    def path(self, photo: Photo) -> Path:
        """Where the photo's file is, or will be."""
        return self.folder / f"{photo.digest}.npy"

    def read(self, photo: Photo) -> Pixels:
        """The resized photo.

        Returns:
            uint8 [side, side, 3], read-only, backed by the file (no copy is made).
        Raises:
            DataError: the photo must be made, but is gone or not the one that was imported.
            ImageError: it is no picture.
            FileError: it cannot be read, or the cache cannot be written.
        """
        pixels = self._open(photo)
        if pixels is None:
            self._make(photo)
            pixels = self._open(photo)
        if pixels is None:
            raise FileError(f"{str(self.path(photo))!r} was written but cannot be read back; is the disk failing?")
        return pixels

    def fill(
        self, photos: Sequence[Photo], workers: int = 2, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> int:
        """Makes what is missing or damaged; a few photos are in memory at a time.

        Args:
            photos: those that will be read.
            workers: threads.
            progress: called with (photos done, photos in all), from this thread.
        Returns:
            How many were made.
        Raises:
            DataError, ImageError, FileError: as `read`; what was made before stays.
        """
        remove_leftovers(self.folder)
        waiting = iter(photos)
        made = done = 0
        pool = ThreadPoolExecutor(workers, thread_name_prefix="cache")
        running: set[Future[bool]] = set()
        try:
            while True:
                running |= {pool.submit(self._ensure, photo) for photo in islice(waiting, 2 * workers - len(running))}
                if not running:
                    return made
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    made += future.result()
                done += len(finished)
                progress(done, len(photos))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def render(self, photo: Photo) -> Pixels:
        """Makes the resized photo, whatever is stored: uint8 [side, side, 3]. Raises as `read`."""
        return resize(read_photo(self.dataset, photo, self._least), self.side, self.fit)

    def _ensure(self, photo: Photo) -> bool:
        if self._open(photo) is not None:
            return False
        self._make(photo)
        return True

    def _open(self, photo: Photo) -> Pixels | None:
        """The stored pixels, or None where the file is missing or not what it must be."""
        if self._shards is not None and (sharded := self._shards.read(photo.digest)) is not None:
            return sharded
        start, end = len(self._header), len(self._header) + self._pixel_bytes
        try:
            with self.path(photo).open("rb") as file:
                if os.fstat(file.fileno()).st_size != end + _CRC_BYTES:
                    return None
                view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FileError(f"Cannot read {str(self.path(photo))!r}: {error.strerror or error}.") from error
        if photo.digest not in self._verified:
            if view[:start] != self._header or zlib.crc32(view[start:end]).to_bytes(_CRC_BYTES, "little") != view[end:]:
                return None
            self._verified.add(photo.digest)
        return np.frombuffer(view[start:end], np.uint8).reshape(self.side, self.side, 3)

    def _make(self, photo: Photo) -> None:
        data = self.render(photo).tobytes()
        with replacing(self.path(photo)) as file:
            file.write(self._header)
            file.write(data)
            file.write(zlib.crc32(data).to_bytes(_CRC_BYTES, "little"))


def remove_leftovers(folder: Path, older_than_s: float = 86_400.0) -> None:
    """Removes what killed writers left in a folder: files `.*.tmp` and folders `.model-*`, untouched for a day."""
    limit = time.time() - older_than_s
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            unfinished = entry.name.startswith(".") and entry.name.endswith(".tmp") and entry.is_file(follow_symlinks=False)
            scratch = entry.name.startswith(".model-") and entry.is_dir(follow_symlinks=False)
            with contextlib.suppress(OSError):
                if (unfinished or scratch) and entry.stat(follow_symlinks=False).st_mtime < limit:
                    shutil.rmtree(entry.path) if scratch else os.unlink(entry.path)


def read_photo(dataset: Dataset, photo: Photo, least: int | None = None) -> Pixels:
    """Decodes one of the data set's photos, after checking that it is still the one that was imported.

    Args:
        dataset, photo: which one.
        least: how far a JPEG may be reduced; see `derm_sdk.image.decode`.
    Returns:
        Upright RGB uint8 [height, width, 3].
    Raises:
        DataError: the file is gone, or its bytes are others.
        ImageError: it is no picture.
        FileError: it cannot be read.
    """
    path = dataset.path(photo)
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"The photo {str(path)!r} is gone; put it back, or import the data again without it.") from error
    except OSError as error:
        raise FileError(f"Cannot read {str(path)!r}: {error.strerror or error}.") from error
    if hashlib.sha256(data).hexdigest() != photo.digest:
        raise DataError(f"The photo {str(path)!r} has changed since the import; restore it, or import the data again.")
    try:
        return decode_image(data, least=least).pixels
    except DermError as error:
        raise type(error)(f"{str(path)!r}: {error}") from error


def _npy_header(side: int) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (side, side, 3)})
    return header.getvalue()
