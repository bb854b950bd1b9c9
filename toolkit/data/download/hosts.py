"""Manners towards one host: how many requests at once, how often, when to wait, when to give up, what robots.txt asks."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from protego import Protego

from .reasons import Refused
from .settings import USER_AGENT, Settings

_FAILURES = 8  # in a row, for each connection; of a host that has never answered, altogether
_LONGEST_CRAWL_DELAY = 60.0


class Host:
    """One host, known by its scheme, name and port.

    Attributes:
        given_up: why nothing is asked of it any more in this run; None while it is.
        robots: the parsed robots.txt, None until it was read.
        robots_lock: held while it is read, so that it is read once.
    """

    def __init__(self, name: str, settings: Settings, notify: Callable[[str], None]) -> None:
        self.name = name
        self.given_up: Refused | None = None
        self.robots: Protego | None = None
        self.robots_lock = asyncio.Lock()
        self._settings = settings
        self._notify = notify
        self._places = asyncio.Semaphore(settings.per_host)
        self._turn = asyncio.Lock()
        self._delay = settings.delay
        self._next = 0.0
        self._failures = 0
        self._has_answered = False
        self._waits = 0

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Waits for a connection and for the host's next turn. Raises Refused when the host is given up."""
        async with self._places:
            async with self._turn:
                while self.given_up is None and (wait := self._next - _now()) > 0:
                    await asyncio.sleep(wait)
                self._next = max(self._next, _now() + self._delay)
            if self.given_up is not None:
                raise self.given_up
            yield

    def answered(self) -> None:
        """The host works."""
        self._has_answered = True
        self._failures = 0
        self._waits //= 2

    def failed(self, reason: str, detail: str) -> None:
        """No answer; too many of these in a row, and the host is given up for this run."""
        self._failures += 1
        if self._failures >= _FAILURES * (self._settings.per_host if self._has_answered else 1) and self.given_up is None:
            self.given_up = Refused(reason, f"host given up after {self._failures} failures in a row; the last: {detail}")
            self._notify(f"{self.name}: {self.given_up.detail}")

    def wait(self, retry_after: str | None) -> None:
        """The host asked for a pause, perhaps by a Retry-After of seconds or a date; nobody asks it anything before."""
        self._waits += 1
        seconds = _seconds(retry_after)
        if seconds is None:
            seconds = min(2.0 ** min(self._waits, 6), self._settings.longest_wait)
        if seconds > self._settings.longest_wait:
            self.given_up = Refused("busy", f"the host asks to wait {seconds:.0f} seconds; try again later")
            self._notify(f"{self.name}: {self.given_up.detail}")
            return
        if _now() + seconds > self._next + 1:
            self._notify(f"{self.name} asks to wait {seconds:.0f} seconds.")
        self._next = max(self._next, _now() + seconds)

    def obey(self, robots: Protego) -> None:
        """Takes a robots.txt, and its Crawl-delay where that is longer than ours."""
        self.robots = robots
        asked = robots.crawl_delay(USER_AGENT)
        if asked is not None and math.isfinite(asked) and asked > self._delay:
            self._delay = min(asked, _LONGEST_CRAWL_DELAY)
            self._notify(f"{self.name}: robots.txt asks for {self._delay:g} seconds between requests.")


def _now() -> float:
    return asyncio.get_running_loop().time()


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After (RFC 9110, 10.2.3) in seconds; None when there is none that can be read."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
