"""A whole download: every row of a table ends as a photo in the folder or as a line in missing.csv."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from derm_sdk.errors import DermError, FileError
from derm_sdk.files import write_bytes

from ..table import table_bytes
from .archives import Found, open_archive
from .journal import Journal
from .plan import Wanted, address, missing_rows, read_wanted
from .reasons import Refused
from .settings import Settings

if TYPE_CHECKING:
    from .fetch import Fetcher

MISSING_COLUMNS = ("row", "md5hash", "reason", "detail", "url")
_HOSTS_AT_ONCE = 32


@dataclass
class Progress:
    """What is told while a run is at work; every method may be replaced by a caller.

    Attributes:
        advanced: called with (rows done, rows in all) after each photo.
        received: called with the size in bytes of every piece that came in.
        notify: called with a sentence for the user.
    """

    advanced: Callable[[int, int], None] = lambda done, total: None
    received: Callable[[int], None] = lambda size: None
    notify: Callable[[str], None] = lambda text: None


@dataclass
class Outcome:
    """How a run ended, in rows of the table.

    Attributes:
        rows: how many were asked for.
        counts: "ok" and "changed", or a reason -> rows.
        new: photos that this run brought.
        stopped: the run was interrupted; the same command goes on.
    """

    rows: int
    counts: dict[str, int] = field(default_factory=dict)
    new: int = 0
    stopped: bool = False

    @property
    def here(self) -> int:
        """Rows with a photo."""
        return self.counts.get("ok", 0) + self.counts.get("changed", 0)


class Run:
    """The state of one run; `download` and `collect` drive it."""

    def __init__(self, journal: Journal, wanted: Sequence[Wanted], mirror: str | None, progress: Progress) -> None:
        self._journal = journal
        self._wanted = wanted
        self._urls = {item: address(item, mirror) for item in wanted}
        self._progress = progress
        self._ends: dict[Wanted, tuple[str, str]] = {}
        self._rows_done = 0
        self.outcome = Outcome(sum(len(item.rows) for item in wanted))

    def url(self, item: Wanted) -> str:
        return self._urls[item]

    def end(self, item: Wanted, status: str, detail: str = "", new: bool = False) -> None:
        """Notes how a photo ended, and tells."""
        self._ends[item] = status, detail
        self._rows_done += len(item.rows)
        self.outcome.new += new
        self._progress.advanced(self._rows_done, self.outcome.rows)

    def open(self, retry_failed: bool, by_url: bool = True) -> Iterator[Wanted]:
        """The photos that are neither here nor refused for good; the others end at once."""
        for item in self._wanted:
            status, detail = self._journal.status(item, self._urls[item], retry_failed) if item.md5 else ("bad_row", "")
            if not status and by_url and not self._urls[item]:
                status = "no_url"
            if status:
                self.end(item, status, detail)
            else:
                yield item

    def close(self, stopped: bool = False) -> Outcome:
        """Counts, and writes missing.csv."""
        self.outcome.stopped = stopped
        if stopped:  # a photo may have come to its place while its worker was already stopped
            self._journal.look()
            for item in [item for item in self._wanted if item.md5 and item not in self._ends]:
                if (status := self._journal.status(item, self._urls[item], retry_failed=True)[0]) in ("ok", "changed"):
                    self.end(item, status, new=True)
        failures = []
        for item in self._wanted:
            status, detail = self._ends.get(item, ("not_tried", ""))
            self.outcome.counts[status] = self.outcome.counts.get(status, 0) + len(item.rows)
            if status not in ("ok", "changed"):
                failures.append((item, status, detail, item.url))
        write_bytes(self._journal.folder / "missing.csv", table_bytes(MISSING_COLUMNS, missing_rows(failures)))
        return self.outcome


def download(
    table: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    settings: Settings | None = None,
    *,
    mirror: str | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Fetches the photos of a table from their hosts, or from a mirror.

    Safe to kill at any moment and to repeat: what is here, and what a host has refused for good, is not asked for again.

    Args:
        table: a CSV file with md5hash and url, such as fitzpatrick17k.csv.
        folder: where to: photos/<md5hash>.<suffix>, missing.csv, and what a later run goes on from.
        settings: limits and manners.
        mirror: another address to ask instead, see `plan.address`.
        limit: take only so many rows.
        progress: what to tell meanwhile.
    Returns:
        The outcome; after a KeyboardInterrupt it says `stopped`.
    Raises:
        DataError: the table lacks a column.
        RunError: another download is at work in the folder.
        FileError: the disk does not take it.
    """
    wanted = read_wanted(table, limit)
    settings, progress = settings or Settings(), progress or Progress()
    with Journal(Path(folder)) as journal:
        run = Run(journal, wanted, mirror, progress)
        try:
            asyncio.run(_fetch_all(run, journal, settings, progress))
        except KeyboardInterrupt:
            return run.close(stopped=True)
        return run.close()


async def _fetch_all(run: Run, journal: Journal, settings: Settings, progress: Progress) -> None:
    """Every host has workers of its own, so that one that is slow, or asks to wait, holds up nobody else."""
    from .fetch import Fetcher
    from .web import Web

    async with Web(settings, progress.notify) as web:
        fetcher = Fetcher(web, journal, settings, progress.received)
        queues: dict[str, deque[Wanted]] = {}
        for item in run.open(settings.retry_failed):
            try:
                queues.setdefault(web.host(run.url(item)).name, deque()).append(item)
            except Refused as refused:
                run.end(item, refused.reason, refused.detail)
        hosts_at_once = asyncio.Semaphore(_HOSTS_AT_ONCE)

        async def work(queue: deque[Wanted]) -> None:
            while queue:
                await _fetch_one(run, journal, fetcher, queue.popleft())

        async def serve(queue: deque[Wanted]) -> None:
            async with hosts_at_once, asyncio.TaskGroup() as workers:
                for _ in range(min(settings.per_host, len(queue))):
                    workers.create_task(work(queue))

        try:
            async with asyncio.TaskGroup() as hosts:
                for queue in queues.values():
                    hosts.create_task(serve(queue))
        except BaseExceptionGroup as errors:  # a full disk, most likely: one sentence, from whoever met it first
            raise _first(errors, journal.folder) from None


async def _fetch_one(run: Run, journal: Journal, fetcher: Fetcher, item: Wanted) -> None:
    url = run.url(item)
    try:
        run.end(item, await fetcher.fetch(item, url), new=True)
    except Refused as refused:
        journal.record_failure(item.md5, refused, url)
        run.end(item, refused.reason, refused.detail)


def _first(errors: BaseException, folder: Path) -> BaseException:
    while isinstance(errors, BaseExceptionGroup):
        errors = errors.exceptions[0]
    if isinstance(errors, OSError) and not isinstance(errors, DermError):
        return FileError(f"Cannot write in {str(folder)!r}: {errors.strerror or errors}.")
    return errors


def collect(
    table: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    archive: str | os.PathLike[str],
    settings: Settings | None = None,
    *,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Takes the photos of a table out of a folder or a zip file: the authors' archive, or what another tool fetched.

    A photo is known by its MD5, whatever its name. With `settings.keep_changed`, one named by the md5hash, the
    url_alphanum or the URL's path is taken although its bytes differ.

    Args:
        table, folder, limit, progress: as for `download`.
        archive: a folder, or a zip file.
        settings: of these, max_bytes and keep_changed count.
    Raises:
        DataError: as `download`; and the archive is none, or expands beyond all bounds.
        FileError: the archive cannot be read, or the disk does not take the photos.
    """
    wanted = read_wanted(table, limit)
    settings, progress = settings or Settings(), progress or Progress()
    with Journal(Path(folder)) as journal, open_archive(Path(archive), settings.max_bytes) as source:
        run = Run(journal, wanted, None, progress)
        found = Found(list(run.open(retry_failed=True, by_url=False)), journal, settings.keep_changed)
        try:
            for entry in source:
                for item in found.take_exact(entry):
                    run.end(item, "ok", new=True)
            for item, status, detail in found.take_by_name():
                run.end(item, status, detail, new=status == "changed")
        except KeyboardInterrupt:
            return run.close(stopped=True)
        return run.close()
