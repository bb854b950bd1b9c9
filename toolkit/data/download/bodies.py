"""What lies on the disk: a body is judged by its bytes, and takes its place in the folder of photos whole or not at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from derm_sdk.errors import DermError, FileError
from derm_sdk.image import read_image

from .reasons import Refused

SUFFIXES = (".jpg", ".png", ".webp", ".bmp")
_HTML = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<script")


def suffix_of(head: bytes) -> str:
    """The suffix that a photo's first bytes ask for; "" when they are no photo's. A file's name proves nothing."""
    if head.startswith(b"\xff\xd8\xff"):
        return ".jpg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return ".png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ".webp"
    return ".bmp" if head.startswith(b"BM") else ""


def judge(data: bytes, md5: str) -> tuple[str, bool]:
    """Says what a body is.

    Args:
        data: the whole body.
        md5: what the table says its MD5 is, 32 hex digits.
    Returns:
        The suffix for its file, and whether the bytes are the table's; if not, the body is at least a photo that opens.
    Raises:
        Refused: "wrong_content" for a web page, "not_an_image" for anything else that is no photo.
    """
    suffix = suffix_of(data[:16])
    if hashlib.md5(data, usedforsecurity=False).hexdigest() == md5 and suffix:
        return suffix, True
    if data.lstrip()[:9].lower().startswith(_HTML):
        raise Refused("wrong_content", "a web page")
    if not suffix:
        raise Refused(
            "not_an_image", f"{len(data):,} bytes that begin with {data[:8].hex(' ')}" if data else "an empty body"
        )
    try:
        read_image(data)
    except DermError as error:
        raise Refused("not_an_image", str(error)) from error
    return suffix, False


def settle(part: Path, photos: Path, md5: str, keep_changed: bool) -> tuple[str, int, bool]:
    """Moves a finished body to its place among the photos, synced, under a name made of its MD5.

    Args:
        part: the body.
        photos: the folder for it.
        md5: what the table says; it names the file.
        keep_changed: take another photo than the table's, too.
    Returns:
        The file's name, its size in bytes, and whether the bytes are the table's.
    Raises:
        Refused: it is not what was wanted; the body is gone then.
        FileError: the disk does not take it.
    """
    try:
        with part.open("r+b") as file:
            data = file.read()
            os.fsync(file.fileno())
        try:
            suffix, same = judge(data, md5)
            if not (same or keep_changed):
                raise Refused("wrong_md5", f"its MD5 is {hashlib.md5(data, usedforsecurity=False).hexdigest()}")
        except Refused:
            part.unlink()
            raise
        part.replace(photos / f"{md5}{suffix}")
    except OSError as error:
        raise FileError(f"Cannot write {str(photos / md5)!r}: {error.strerror or error}.") from error
    return f"{md5}{suffix}", len(data), same
