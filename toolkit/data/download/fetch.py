"""One photo from its URL to its place in the folder: tried again, continued where it broke off, bounded, checked."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

from derm_sdk.errors import FileError

from .bodies import settle
from .journal import Journal
from .plan import Wanted
from .reasons import RETRIED, SETTLED, Refused
from .settings import Settings
from .web import Answer, Web

_PAGES = ("text/html", "application/xhtml+xml")
_LONGEST_BACKOFF = 60.0


class Fetcher:
    """Fetches photos into a journal's folder.

    Args:
        web: the network.
        journal: the folder.
        settings: limits.
        received: called with the size of every piece of a body that came in.
    """

    def __init__(self, web: Web, journal: Journal, settings: Settings, received: Callable[[int], None]) -> None:
        self._web = web
        self._journal = journal
        self._settings = settings
        self._received = received

    async def fetch(self, wanted: Wanted, url: str) -> str:
        """Fetches one photo and records it.

        Returns:
            "ok", or "changed" for another photo than the table's, kept because the settings say so.
        Raises:
            Refused: it cannot be had; nothing of it is left but, where another run may go on, its first part.
            FileError: the disk does not take it.
        """
        part = self._journal.partial / wanted.md5
        for attempt in range(self._settings.tries):
            try:
                if not _size(part):
                    return await self._whole(wanted, url, part)
                return await self._continued(wanted, url, part)
            except Refused as refused:
                given_up = self._web.host(url).given_up
                if refused.reason in SETTLED:
                    part.unlink(missing_ok=True)
                if refused.reason not in RETRIED or given_up or attempt + 1 == self._settings.tries:
                    raise
                if refused.reason != "busy":  # then the host's own pause holds everybody
                    await asyncio.sleep(min(2.0**attempt, _LONGEST_BACKOFF) * random.uniform(0.5, 1.0))
        raise AssertionError("tries is at least 1; please report this")

    async def _whole(self, wanted: Wanted, url: str, part: Path) -> str:
        length_known = await self._receive(url, part, 0)
        try:
            return await self._settle(wanted, url, part, self._settings.keep_changed)
        except Refused as refused:
            if refused.reason == "not_an_image" and not length_known:
                raise Refused("cut_off", f"no length was told, and {refused.detail}") from refused
            raise

    async def _continued(self, wanted: Wanted, url: str, part: Path) -> str:
        """Goes on with a part that an earlier attempt or run has left; it may even be complete."""
        if await asyncio.to_thread(_is_whole, part, wanted.md5):
            return await self._settle(wanted, url, part, False)
        await self._receive(url, part, _size(part))
        try:
            return await self._settle(wanted, url, part, False)
        except Refused as refused:  # perhaps the file changed between the parts; now the part is gone
            raise Refused("cut_off", f"its parts do not fit: {refused.detail}") from refused

    async def _settle(self, wanted: Wanted, url: str, part: Path, keep_changed: bool) -> str:
        file, size, same = await asyncio.to_thread(settle, part, self._journal.photos, wanted.md5, keep_changed)
        status = "ok" if same else "changed"
        self._journal.record(wanted.md5, status, url, file=file, size=size)
        return status

    async def _receive(self, url: str, part: Path, start: int) -> bool:
        """Receives the body from byte `start` on; says whether the host told its length."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        async with self._web.get(url, headers) as answer:
            start = _check(answer, part, start)
            length = answer.response.headers.get("content-length", "")
            told = start + int(length) if length.isascii() and length.isdecimal() and len(length) < 16 else None
            self._check_size(told or start, part)
            await self._write(answer.response, part, start)
        return told is not None

    async def _write(self, response: httpx.Response, part: Path, start: int) -> None:
        size = start
        with _writing(part):
            file = part.open("ab" if start else "wb", buffering=0)  # what a kill leaves is on its way to the disk
        with file:
            async for piece in response.aiter_raw():
                size += len(piece)
                self._check_size(size, part)
                with _writing(part):
                    file.write(piece)
                self._received(len(piece))

    def _check_size(self, size: int, part: Path) -> None:
        if size > self._settings.max_bytes:
            part.unlink(missing_ok=True)
            raise Refused("too_large", f"at least {size:,} bytes; the limit is {self._settings.max_bytes:,}")


def _check(answer: Answer, part: Path, start: int) -> int:
    """Says where the body of an answer begins: at `start`, or at 0. Raises Refused when it is no photo's."""
    response, status = answer.response, answer.response.status_code
    if status in (404, 410):
        raise Refused("not_found", f"status {status}")
    if status == 206:
        told = re.match(r"bytes (\d{1,15})-", response.headers.get("content-range", ""))
        if not start or told is None or int(told[1]) != start:
            part.unlink(missing_ok=True)
            raise Refused("cut_off", "the host sent another range than asked for")
    elif status == 416:
        part.unlink(missing_ok=True)
        raise Refused("cut_off", "the host has fewer bytes than an earlier attempt got")
    elif status != 200:
        raise Refused("refused", f"status {status}")
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in _PAGES:
        if answer.redirected:
            raise Refused("redirected", f"to the page {response.url}")
        raise Refused("wrong_content", kind)
    encoding = response.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise Refused("wrong_content", f"compressed as {encoding}, which nobody asked for")
    return start if status == 206 else 0


@contextlib.contextmanager
def _writing(part: Path) -> Iterator[None]:
    """An error of the disk, told from one of the network, which may be an OSError, too."""
    try:
        yield
    except OSError as error:
        raise FileError(f"Cannot write {str(part)!r}: {error.strerror or error}.") from error


def _size(part: Path) -> int:
    try:
        return part.stat().st_size
    except FileNotFoundError:
        return 0


def _is_whole(part: Path, md5: str) -> bool:
    with part.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest() == md5
