"""path | bytes | file | array | PIL image -> upright RGB uint8 [height, width, 3].

The rules (docs/preprocessing.md, "Decoding"): EXIF orientation is applied; alpha is laid over white; of 16 bits the upper
8 are kept; gray is repeated three times; CMYK is converted without a profile; embedded colour profiles are ignored.
"""

from __future__ import annotations

import io
import os
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from .errors import DermError, FileError, ImageError, OptionError, closest

if TYPE_CHECKING:
    from PIL import Image, ImageFile

Pixels: TypeAlias = NDArray[np.uint8]
ImageSource: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | NDArray[Any] | Image.Image"

# A file is what its first bytes say, whatever its name says. JPEG includes MPO, of which the first picture is read.
_FIRST_BYTES = {
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "BMP": re.compile(rb"BM"),
    "WEBP": re.compile(rb"RIFF.{4}WEBPVP8[ LX]", re.DOTALL),
}
MAX_PIXELS = 100_000_000
MAX_SIDE = 65_535  # JPEG's own limit; with it every sum of the preprocessing fits 64 bits
MAX_FILE_BYTES = 1 << 30
_REDUCTIONS = (8, 4, 2)  # what every JPEG decoder of libjpeg's kind can do: 1, 2 or 4 samples of a block's 8
_STRIP_ROWS = 64
_ALPHA_MODES = ("RGBA", "LA", "P", "PA")  # Pillow's modes that have alpha, or may have it in their palette
_OPAQUE_MODES = ("RGB", "RGBX", "L", "1", "CMYK", "YCbCr")

# EXIF orientation -> a view of the upright pixels in which the stored picture lies as it is (TIFF 6.0, tag 274).
_AS_STORED: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[:, ::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[::-1].swapaxes(0, 1),
}


@dataclass(frozen=True)
class Decoded:
    """A picture that was read.

    Attributes:
        pixels: upright RGB uint8 [height, width, 3].
        width, height: of the upright picture at its full size; those of `pixels` unless it was decoded at a reduced one.
    """

    pixels: Pixels
    width: int
    height: int


def read_image(source: ImageSource, channels: str = "rgb") -> Pixels:
    """Reads a picture as upright RGB, at its full size.

    Args:
        source: a path, the bytes of a file, an open binary file (read from where it stands), a uint8
            array (HxW, HxWx1, HxWx3 or HxWx4), or a PIL image.
        channels: order of an array's colour channels, "rgb" or "bgr" (also for the colours of HxWx4).
    Returns:
        uint8 [height, width, 3], C-contiguous, values 0..255, first row on top. May share memory with an RGB array given.
    Raises:
        ImageError: not a picture, a damaged one, more than 100 megapixels or 65,535 pixels along a side, or an array of
            another dtype or shape.
        FileError: the path or the file object cannot be read.
        OptionError: `channels` is neither "rgb" nor "bgr".
    """
    return decode(source, channels).pixels


def decode(source: ImageSource, channels: str = "rgb", least: int | None = None) -> Decoded:
    """Reads a picture as upright RGB, a large JPEG at a reduced size where that is asked for.

    Args:
        source, channels: as for `read_image`.
        least: a JPEG file is decoded at 1/8, 1/4 or 1/2 of its size, the smallest at which both sides, rounded down, are
            this long or longer. None: at its full size, as every other format, array and Pillow object always is.
    Returns:
        The pixels, and the size of the whole picture.
    Raises:
        ImageError, FileError, OptionError: as `read_image`.
    Source: docs/preprocessing.md, "Reduced JPEG".
    """
    if channels not in ("rgb", "bgr"):
        raise OptionError(f"channels must be 'rgb' or 'bgr'; got {channels!r}." + closest(channels, ("rgb", "bgr")))
    if isinstance(source, np.ndarray):
        return _whole(_from_array(np.asarray(source), channels))
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _decode(io.BytesIO(_contiguous(source)), "the bytes given", least)
    if isinstance(source, (str, os.PathLike)):
        return _from_path(os.fsdecode(source), least)
    if hasattr(source, "getexif"):
        return _whole(_from_pil(cast("Image.Image", source), "the Pillow object"))
    if hasattr(source, "read"):
        return _decode(io.BytesIO(_read_all(source)), "the file object", least)
    raise ImageError(
        f"An image must be a path, bytes, a binary file, a uint8 array or a PIL image; got {type(source).__name__}."
    )


def _contiguous(data: bytes | bytearray | memoryview) -> bytes | bytearray | memoryview:
    if isinstance(data, memoryview) and not data.c_contiguous:
        raise ImageError("A memoryview must be C-contiguous; pass bytes(view).")
    return data


def _whole(pixels: Pixels) -> Decoded:
    return Decoded(pixels, pixels.shape[1], pixels.shape[0])


def _from_path(path: str, least: int | None) -> Decoded:
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_FILE_BYTES:
                raise ImageError(f"{path!r} is larger than 1 GiB, which no photo is.")
            return _decode(file, repr(path), least)
    except DermError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise FileError(f"Cannot read {path!r}: {getattr(error, 'strerror', None) or error}.") from error


def _read_all(file: BinaryIO) -> bytes:
    try:
        data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: closed, or text that is no text
        raise FileError(f"Cannot read the file object: {error}.") from error
    if not isinstance(data, bytes):
        raise ImageError(f"The file object must be opened in binary mode; read() gave {type(data).__name__}.")
    if len(data) > MAX_FILE_BYTES:
        raise ImageError("The file object holds more than 1 GiB, which no photo is.")
    return data


def _from_array(array: NDArray[Any], channels: str) -> Pixels:
    if array.dtype != np.uint8:
        hint = " Multiply by 255, round and convert if it holds 0..1." if array.dtype.kind == "f" else ""
        raise ImageError(f"An image array must be uint8 (0..255); got {array.dtype}.{hint}")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ImageError(f"An image array must be HxW, HxWx1, HxWx3 or HxWx4; got shape {array.shape}.")
    _check_size(array.shape[1], array.shape[0], "the array")
    if array.ndim == 2 or array.shape[2] == 1:
        return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    colours = array[..., 2::-1] if channels == "bgr" else array[..., :3]
    if array.shape[2] == 3:
        return np.ascontiguousarray(colours)
    pixels = np.empty((*array.shape[:2], 3), np.uint8)
    for top in range(0, len(pixels), _STRIP_ROWS):
        strip = slice(top, top + _STRIP_ROWS)
        pixels[strip] = _over_white(colours[strip], array[strip, :, 3:])
    return pixels


def _decode(file: BinaryIO, name: str, least: int | None) -> Decoded:
    from PIL import Image

    try:
        if not file.seekable():  # a pipe
            file = io.BytesIO(_read_all(file))
        head = file.read(30)
        kind = next((kind for kind, first in _FIRST_BYTES.items() if first.match(head)), None)
        if kind is None:
            raise ImageError(f"No image in {name}: it must be a JPEG, PNG, WebP or BMP file.")
        file.seek(0)
        with _open(kind, file) as picture:
            _check_size(picture.width, picture.height, name)
            _refuse_what_pillow_misreads(picture, head, name)
            width, height = picture.size
            if kind == "JPEG" and least is not None:
                _reduce(picture, least)
            reduced = picture.size != (width, height)
            pixels = _from_pil(picture, name)
            if not reduced:
                return _whole(pixels)
            return Decoded(pixels, *((height, width) if _orientation(picture) >= 5 else (width, height)))
    except DermError:
        raise
    except Image.DecompressionBombError as error:  # a WebP, whose canvas Pillow makes before its size is known here
        raise ImageError(f"The image in {name} says it has too many pixels; at most 100 megapixels are read.") from error
    except Exception as error:
        raise _failure(error, name) from error


def _open(kind: str, file: BinaryIO) -> ImageFile.ImageFile:
    """Opens a picture without decoding it.

    Not `Image.open`: it warns above 89 megapixels, and a warning can only be silenced, or its limit moved, for all threads
    of the process. Our own limit is checked by `_decode`.
    """
    from PIL import BmpImagePlugin, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

    if kind == "WEBP":
        if not WebPImagePlugin.SUPPORTED:
            raise OSError("this Pillow was built without WebP")
        return WebPImagePlugin.WebPImageFile(file)
    if kind == "JPEG":
        return JpegImagePlugin.jpeg_factory(file)
    return PngImagePlugin.PngImageFile(file) if kind == "PNG" else BmpImagePlugin.BmpImageFile(file)


def _reduce(picture: ImageFile.ImageFile, least: int) -> None:
    """Sets an opened JPEG to be decoded at the smallest size that still has `least` pixels along both sides."""
    for divisor in _REDUCTIONS:
        if min(picture.size) // divisor >= least:
            picture.draft(None, (picture.width // divisor, picture.height // divisor))
            return


def _refuse_what_pillow_misreads(picture: ImageFile.ImageFile, head: bytes, name: str) -> None:
    """Two kinds of file of which Pillow makes another picture than the file holds, without an error."""
    if any(tile[1] != (0, 0, *picture.size) for tile in picture.tile):
        raise ImageError(f"The first picture of the animation in {name} does not fill it; save that picture as a PNG.")
    if picture.format == "BMP" and picture.tile[0][0] == "raw" and picture.mode in ("1", "L"):
        # A palette of the levels 0, 1, 2, ... makes Pillow forget how many bits an index has.
        bits = int.from_bytes(head[24:26] if head[14] == 12 else head[28:30], "little")
        if bits != {"1": 1, "L": 8}[picture.mode]:
            raise ImageError(
                f"The BMP in {name} has a gray palette for {bits} bits, which Pillow misreads; save it as a PNG."
            )


def _from_pil(picture: Image.Image, name: str) -> Pixels:
    _check_size(picture.width, picture.height, name)
    if not picture.mode.startswith("I;16") and picture.mode not in (*_ALPHA_MODES, *_OPAQUE_MODES):
        raise ImageError(f"Images of Pillow's mode {picture.mode!r} have no rule here; convert to RGB first.")
    try:
        picture.load()
        orientation = _orientation(picture)
        shape = (picture.height, picture.width) if orientation < 5 else (picture.width, picture.height)
        upright = np.empty((*shape, 3), np.uint8)
        _copy_in_strips(picture, _AS_STORED[orientation](upright) if orientation != 1 else upright)
    except Exception as error:
        raise _failure(error, name) from error
    return upright


def _failure(error: Exception, name: str) -> DermError:
    """Names what went wrong inside Pillow, whose readers raise whatever comes up on a damaged file."""
    if isinstance(error, OSError) and error.errno is not None:
        return FileError(f"Cannot read {name}: {error.strerror}.")
    if isinstance(error, MemoryError):
        return ImageError(f"The image in {name} does not fit into memory.")
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return ImageError(f"The image in {name} is damaged or cut off, or of a kind that is not read ({reason}).")


def _orientation(picture: Image.Image) -> int:
    """EXIF tag 274 of the stored EXIF block, 1..8; 1 where there is none or the block is damaged.

    Not Pillow's `getexif()`: that also looks into XMP, which no other decoder does, and takes, with a warning, what is no
    orientation by the standard.
    """
    block = picture.info.get("exif")
    if not isinstance(block, bytes):
        return 1
    block = re.sub(rb"\A(Exif\0\0)+", b"", block)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", block, 4)
        (count,) = struct.unpack_from(f"{order}H", block, start)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, number, value = struct.unpack_from(f"{order}HHIH2x", block, at)
            if tag == 274:
                return value if (kind, number) == (3, 1) and value in _AS_STORED else 1
    except struct.error:  # cut off; the pixels are good, and viewers show them as stored
        pass
    return 1


def _copy_in_strips(picture: Image.Image, pixels: Pixels) -> None:
    """Converts a loaded picture into `pixels`; in one piece Pillow's own conversions would hold it three times over."""
    for top in range(0, picture.height, _STRIP_ROWS):
        bottom = min(top + _STRIP_ROWS, picture.height)
        strip = picture.crop((0, top, picture.width, bottom))
        rows, rgb = pixels[top:bottom], _to_rgb(strip)
        if rows.flags.c_contiguous:
            rows[...] = rgb
        else:  # turned: NumPy copies three planes twice as fast as pixels of three bytes
            for channel in range(3):
                rows[..., channel] = rgb[..., channel]


def _to_rgb(picture: Image.Image) -> Pixels:
    if picture.mode.startswith("I;16"):
        return np.repeat((np.asarray(picture) >> 8).astype(np.uint8)[..., None], 3, axis=2)
    if picture.mode in _ALPHA_MODES:
        rgba = np.asarray(picture.convert("RGBA"))
        return _over_white(rgba[..., :3], rgba[..., 3:])
    return np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB"))


def _over_white(colours: Pixels, alpha: Pixels) -> Pixels:
    """(c a + 255 (255 - a)) / 255, rounded to the nearest, in integers; colours [h, w, 3], alpha [h, w, 1]."""
    if alpha.min() == 255:
        return colours
    wide = alpha.astype(np.uint32)
    blended: Pixels = ((colours * wide + 255 * (255 - wide) + 127) // 255).astype(np.uint8)
    return blended


def _check_size(width: int, height: int, name: str) -> None:
    if width < 1 or height < 1:
        raise ImageError(f"The image in {name} has no pixels ({width} x {height}).")
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise ImageError(
            f"The image in {name} is {width} x {height}; at most 100 megapixels and {MAX_SIDE} pixels along a side are read."
        )
