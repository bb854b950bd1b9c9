"""What a user sees of a download: rows, rate, time left; a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from .run import Progress

_SECONDS_BETWEEN_LINES = 30.0


@contextlib.contextmanager
def shown(title: str) -> Iterator[Progress]:
    """Shows the progress of a run on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True, soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Bar(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None, rate="")
        meter = _Meter()

        def advanced(done: int, total: int) -> None:
            meter.rows = done
            bar.update(task, completed=done, total=total, rate=meter.rate())
            if not console.is_terminal and meter.is_due():
                console.print(
                    f"{title}: {done:,} of {total:,} rows, {meter.rate()}, {meter.left(total)} left", highlight=False
                )

        def received(size: int) -> None:
            meter.bytes += size

        yield Progress(advanced, received, lambda text: console.print(text, markup=False, highlight=False))


class _Meter:
    """Rows and bytes since the run began to wait for the first of them."""

    def __init__(self) -> None:
        self.rows = 0
        self.bytes = 0
        self._start = self._last = time.monotonic()
        self._rows_before: int | None = None

    def _per_second(self) -> float:
        if self._rows_before is None or self.bytes == 0:
            self._rows_before, self._start = self.rows, time.monotonic()  # these were here already
        return (self.rows - self._rows_before) / max(time.monotonic() - self._start, 1e-3)

    def rate(self) -> str:
        return f"{self._per_second():,.1f} rows/s, {self.bytes / 1e6:,.1f} MB"

    def left(self, total: int) -> str:
        speed = self._per_second()
        seconds = int((total - self.rows) / speed) if speed > 0 else 0
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}" if speed > 0 else "unknown time"

    def is_due(self) -> bool:
        if time.monotonic() - self._last < _SECONDS_BETWEEN_LINES:
            return False
        self._last = time.monotonic()
        return True
