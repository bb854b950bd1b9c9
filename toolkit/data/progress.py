"""What a user sees while photos are worked on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

Tick = Callable[[int, int], None]  # (done, in all)


@contextlib.contextmanager
def progress_bar(title: str) -> Iterator[Tick]:
    """A bar with the time left on stderr; it goes away when done."""
    with progress_bars(title) as (tick,):
        yield tick


@contextlib.contextmanager
def progress_bars(*titles: str) -> Iterator[list[Tick]]:
    """Bars one below the other, for work in several steps; each is seen from its first tick on."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks = [bar.add_task(title, total=None, visible=len(titles) == 1) for title in titles]
        yield [lambda done, total, task=task: bar.update(task, completed=done, total=total, visible=True) for task in tasks]
