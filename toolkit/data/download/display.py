"""What a user sees of a download: rows, rate, time left; a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterator
from datetime import timedelta

from .run import Progress

_SECONDS = 30.0  # between lines, and of the rate
_SAMPLES = 30


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
    """Rows and bytes; the rate is that of the last half minute, so that rows that were here before do not count for long."""

    def __init__(self) -> None:
        self.rows = 0
        self.bytes = 0
        self._last = time.monotonic()
        self._samples: deque[tuple[float, int]] = deque(maxlen=_SAMPLES)

    def per_second(self) -> float:
        """Rows a second."""
        now = time.monotonic()
        if not self._samples or now - self._samples[-1][0] >= _SECONDS / _SAMPLES:
            self._samples.append((now, self.rows))
        then, rows = self._samples[0]
        return (self.rows - rows) / max(now - then, 0.1)

    def rate(self) -> str:
        return f"{self.per_second():,.1f} rows/s" + (f", {self.bytes / 1e6:,.1f} MB" if self.bytes else "")

    def left(self, total: int) -> str:
        speed = self.per_second()
        return str(timedelta(seconds=int((total - self.rows) / speed))) if speed > 0 else "unknown time"

    def is_due(self) -> bool:
        if time.monotonic() - self._last < _SECONDS:
            return False
        self._last = time.monotonic()
        return True
