"""Picture files put together by hand: what Pillow reads, or must refuse, and does not write."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image


def save(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


# --- PNG --------------------------------------------------------------------------------------------------------------


def chunk(name: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def packed(rows: bytes, height: int) -> bytes:
    """The rows of a PNG, each with filter 0, as its IDAT holds them."""
    stride = len(rows) // height
    return zlib.compress(b"".join(b"\0" + rows[i * stride : (i + 1) * stride] for i in range(height)))


def png(
    width: int, height: int, depth: int, colour: int, rows: bytes, *before: tuple[bytes, bytes], after: bytes = b""
) -> bytes:
    """`before`: chunks, as name and data, in front of the picture; `after`: bytes behind it, in place of nothing."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    chunks = b"".join(chunk(*each) for each in before)
    return b"\x89PNG\r\n\x1a\n" + header + chunks + chunk(b"IDAT", packed(rows, height)) + after + chunk(b"IEND")


def animation_control(frames: int) -> tuple[bytes, bytes]:
    return b"acTL", struct.pack(">II", frames, 0)


def frame_control(number: int, width: int, height: int, x: int = 0, y: int = 0) -> tuple[bytes, bytes]:
    return b"fcTL", struct.pack(">IIIIIHHBB", number, width, height, x, y, 1, 10, 0, 0)


def frame_data(number: int, rows: bytes, height: int) -> tuple[bytes, bytes]:
    return b"fdAT", struct.pack(">I", number) + packed(rows, height)


# --- BMP --------------------------------------------------------------------------------------------------------------


def bmp(
    width: int,
    height: int,
    bits: int,
    data: bytes,
    *,
    header: int = 40,
    compression: int = 0,
    masks: tuple[int, ...] = (),
    palette: bytes = b"",
    colours: int = 0,
) -> bytes:
    """A BMP whose header has 12, 40 or more bytes; a negative height: the top row comes first."""
    if header == 12:
        head = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        head = struct.pack("<IiiHHIIiiII", header, width, height, 1, bits, compression, len(data), 0, 0, colours, 0)
        head += struct.pack(f"<{len(masks)}I", *masks)
        head += bytes(max(0, header - len(head)))
    start = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + head + palette + data


# --- WebP -------------------------------------------------------------------------------------------------------------


def riff_chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def webp(*chunks: bytes) -> bytes:
    data = b"".join(chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(data)) + b"WEBP" + data


def webp_features(width: int, height: int, *, animated: bool = False, alpha: bool = False, exif: bool = False) -> bytes:
    flags = 0x02 * animated | 0x08 * exif | 0x10 * alpha
    return riff_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + _three(width - 1) + _three(height - 1))


def webp_bitstream(picture: Image.Image) -> bytes:
    """The one chunk that holds the pixels, without loss."""
    return save(picture, "WEBP", lossless=True, exact=True)[12:]


def webp_animation(width: int, height: int, *frames: tuple[int, int, Image.Image], alpha: bool = False) -> bytes:
    """Frames as x, y (both even) and picture, on a canvas whose background colour is said to be opaque red."""
    parts = [webp_features(width, height, animated=True, alpha=alpha)]
    parts.append(riff_chunk(b"ANIM", struct.pack("<IH", 0xFFFF0000, 0)))
    for x, y, picture in frames:
        place = _three(x // 2) + _three(y // 2) + _three(picture.width - 1) + _three(picture.height - 1)
        parts.append(riff_chunk(b"ANMF", place + _three(100) + b"\0" + webp_bitstream(picture)))
    return webp(*parts)


def _three(number: int) -> bytes:
    return struct.pack("<I", number)[:3]


# --- JPEG -------------------------------------------------------------------------------------------------------------


def jpeg_segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", 2 + len(data)) + data


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """Puts segments right behind the first marker of a JPEG."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def without_segment(jpeg: bytes, marker: int) -> bytes:
    """Takes out the first segment with a marker."""
    start = jpeg.index(bytes([0xFF, marker]))
    length = int.from_bytes(jpeg[start + 2 : start + 4], "big")
    return jpeg[:start] + jpeg[start + 2 + length :]


def adobe(transform: int) -> bytes:
    return jpeg_segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform]))


def with_component_ids(jpeg: bytes, ids: bytes) -> bytes:
    """Names the three components of a baseline JPEG of one scan, in its frame and in its scan."""
    data = bytearray(jpeg)
    frame, scan = data.index(b"\xff\xc0"), data.index(b"\xff\xda")
    for i, name in enumerate(ids):
        data[frame + 10 + 3 * i] = data[scan + 5 + 2 * i] = name
    return bytes(data)


# --- EXIF -------------------------------------------------------------------------------------------------------------


def exif_block(orientation: int, order: str = "<", kind: int = 3, number: int = 1, tag: int = 274) -> bytes:
    """A TIFF header and a directory with one entry of 16 bits; kind 3 is SHORT."""
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(f"{order}IHHHIHHI", 8, 1, tag, kind, number, orientation, 0, 0)
