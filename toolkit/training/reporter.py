"""What the user sees while a run is made: lines that stay (also in log.txt), and a live bar on a terminal."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from derm_sdk.errors import FileError


class Reporter:
    """Prints to a console and appends to a log file. Without a terminal the live bars are left out."""

    def __init__(self, log: Path | None = None, console: Console | None = None) -> None:
        """`log` is appended to; without a console one on standard error is made."""
        self.log = log
        self.console = console or Console(stderr=True, highlight=False)

    def say(self, text: str) -> None:
        """Prints a line that stays, and logs it with the time."""
        self.console.print(text, markup=False, soft_wrap=True)
        self.record(text)

    def record(self, text: str) -> None:
        """Only logs a line, such as an error that the command prints itself."""
        if self.log is None:
            return
        try:
            with self.log.open("a", encoding="utf-8") as file:
                file.write(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S%z} {text}\n")
        except OSError as error:
            raise FileError(f"Cannot write {str(self.log)!r}: {error.strerror or error}.") from error

    @contextlib.contextmanager
    def bar(self, what: str) -> Iterator[Callable[[int, int], None]]:
        """A live bar for work on photos; gives the function to call with (done, total)."""
        with _progress(self.console) as progress:
            task = progress.add_task(what, total=None, details="")
            yield lambda done, total: progress.update(task, completed=done, total=total)

    @contextlib.contextmanager
    def meter(self) -> Iterator[Meter]:
        """A live line for the training of networks."""
        with _progress(self.console) as progress:
            yield Meter(self, progress)


def metric_name(metric: str) -> str:
    """How people write a metric of the config, such as "macro F1" for "macro_f1"."""
    return metric.replace("_", " ").replace("f1", "F1")


class Meter:
    """Shows epoch, loss, macro F1, photos/s and the time left of a network's training; one line per epoch stays."""

    def __init__(self, reporter: Reporter, progress: Progress) -> None:
        """Made by `Reporter.meter`."""
        self._reporter, self._progress = reporter, progress
        self._task: TaskID | None = None
        self._graph, self._epochs, self._epoch, self._best = "", 0, 0, ""
        self._photos, self._since = 0, time.perf_counter()

    def start(self, graph: str, epochs: int, photos: int, done: int) -> None:
        """A network begins, or goes on after `done` of its epochs; an epoch has `photos` photos."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._graph, self._epochs, self._epoch, self._best = graph, epochs, done, ""
        self._photos, self._since = 0, time.perf_counter()
        total = epochs * photos
        self._task = self._progress.add_task(graph, total=total, completed=done * photos, details="")

    def step(self, photos: int, loss: float) -> None:
        """A batch of photos is done; `loss` is the epoch's mean so far."""
        self._photos += photos
        speed = self._photos / max(1e-9, time.perf_counter() - self._since)
        best = f"  best {self._best}" if self._best else ""
        details = f"epoch {self._epoch + 1}/{self._epochs}  loss {loss:.3f}{best}  {speed:.0f} photos/s"
        if self._task is not None:
            self._progress.update(self._task, advance=photos, details=details)

    def epoch(self, row: Mapping[str, Any], best: str, is_best: bool) -> None:
        """An epoch is done: `row` as in history.csv; `best` says how good the best one is, which may be this one."""
        self._epoch, self._best = row["epoch"], best
        self._photos, self._since = 0, time.perf_counter()
        star = " *" if is_best else ""
        self._reporter.say(
            f"{self._graph:<24} epoch {row['epoch']:>3}/{self._epochs}  loss {row['loss']:.3f}  "
            f"validation: loss {row['validation_loss']:.3f}, accuracy {row['validation_accuracy']:.3f}, "
            f"macro F1 {row['validation_macro_f1']:.3f}  {row['photos_per_second']:.0f} photos/s{star}"
        )


def _progress(console: Console) -> Progress:
    columns: tuple[ProgressColumn, ...] = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %", markup=False),
        TextColumn("{task.fields[details]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("left:", markup=False),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal, speed_estimate_period=120)
