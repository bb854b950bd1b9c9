"""How long each step of a photo's way takes on this device, how much memory it needs, and what limits it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .bundle import read_bundle
from .classifier import Classifier
from .errors import OptionError
from .image import Decoded, Pixels, decode
from .inputs import network_inputs
from .preprocess import least_side, native, resize
from .runtime import Network

COLD_STARTS = 5
_NAMES = 30  # width of the first column
WHOLE, COLD, OPEN = "classify", "cold start", "open"
_FRESH = """
import sys, time
def memory():  # of this process alone; getrusage counts what its parent had before
    try:
        with open("/proc/self/status") as file:
            return next(line.split()[1] for line in file if line.startswith("VmHWM"))
    except (OSError, StopIteration):  # no Linux
        return "0"
import derm_sdk
found = [memory()]
classifier = derm_sdk.Classifier(sys.argv[1])
found.append(memory())
classifier.classify(sys.argv[2])
print(*found, memory())
"""


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one step, one number per repetition."""

    milliseconds: tuple[float, ...]

    @property
    def p50(self) -> float:
        """The median, in milliseconds."""
        return float(np.percentile(self.milliseconds, 50))

    @property
    def p95(self) -> float:
        """What 95 % of the repetitions stay below, in milliseconds."""
        return float(np.percentile(self.milliseconds, 95))


@dataclass(frozen=True)
class Measured:
    """One model on one photo.

    Attributes:
        model: {"file", "id", "version", "megabytes", "precision", "decode"}.
        photo: what it is, in words.
        steps: {name: Timing}, in the order of the way, with one thread; "classify" is the whole way of one photo.
        by_threads: {threads: {"graphs" | "classify": Timing}}.
        memory: {"import" | "open" | "classify": megabytes that a fresh process had needed at most until then}; empty where
            the system does not tell, that is, elsewhere than on Linux.
    """

    model: Mapping[str, Any]
    photo: str
    steps: Mapping[str, Timing]
    by_threads: Mapping[int, Mapping[str, Timing]]
    memory: Mapping[str, float]

    @property
    def limit(self) -> str:
        """What takes most of a photo's time, and what would help."""
        way = {name: timing.p50 for name, timing in self.steps.items() if name not in (COLD, OPEN, WHOLE)}
        shares = {"graphs": sum(time for name, time in way.items() if name.startswith("graph "))}
        shares |= {name: time for name, time in way.items() if not name.startswith("graph ")}
        worst = max(shares, key=lambda name: shares[name])
        return f"{worst}: {100 * shares[worst] / sum(way.values()):.0f} % of a photo's time. {self._advice(worst)}"

    def _advice(self, worst: str) -> str:
        if worst == "decode" and self.model["decode"] == "full":
            return (
                "A smaller JPEG, pixels that the camera has decoded already, or a model that was trained with "
                "decode = 'reduced' would be quicker."
            )
        if worst == "decode":
            return "A smaller JPEG, or pixels that the camera has decoded already, would be quicker."
        if worst == "prepare" and native is None:
            return "The compiled core is missing; reinstall derm-sdk with a C++ compiler at hand."
        graphs = {threads: found["graphs"].p50 for threads, found in self.by_threads.items()}
        best = min(graphs, key=lambda threads: graphs[threads])
        if worst == "graphs" and graphs[best] < 0.8 * graphs[1]:
            return f"With {best} threads the graphs take {graphs[best] / graphs[1]:.2f} of the time."
        if worst == "graphs" and self.model["precision"] != "int8":
            return "An int8 model would be quicker."
        return "Only a smaller network would be quicker." if worst == "graphs" else ""

    def to_dict(self) -> dict[str, Any]:
        """The measurement as JSON-ready data, times in milliseconds."""
        return {
            "model": dict(self.model),
            "photo": self.photo,
            "steps": {name: _numbers(timing) for name, timing in self.steps.items()},
            "threads": {
                str(threads): {name: _numbers(timing) for name, timing in found.items()}
                for threads, found in self.by_threads.items()
            },
            "memory": dict(self.memory),
            "limit": self.limit,
        }

    def __str__(self) -> str:
        model = self.model
        lines = [
            f"{model['file']}: {model['id']} {model['version']}, {model['precision']}, {model['megabytes']:.2f} MB",
            f"photo: {self.photo}",
            _row("ms", "p50", "p95"),
            *(_row(name, f"{timing.p50:.2f}", f"{timing.p95:.2f}") for name, timing in self.steps.items()),
            _row("threads", *map(str, self.by_threads)),
            *(
                _row(f"  {name}, p50", *(f"{found[name].p50:.2f}" for found in self.by_threads.values()))
                for name in ("graphs", WHOLE)
            ),
        ]
        if self.memory:
            lines += [
                _row("memory, MB, up to the", *(f"{name:>9}" for name in self.memory)),
                _row("  most of a process", *(f"{megabytes:.0f}" for megabytes in self.memory.values())),
            ]
        return "\n".join([*lines, f"limit: {self.limit}"])


def measure(
    models: Sequence[str], photo: str | None = None, *, threads: int | None = None, repeats: int = 30
) -> list[Measured]:
    """Measures models on one photo. The models take turns, so that a busy moment hits them alike.

    Args:
        models: paths of .derm files.
        photo: path of a picture; None for a drawn JPEG of 12 megapixels.
        threads: the most that a graph is tried with; None for the number of processors, at most 4.
        repeats: how often each step is measured, 2..10,000.
    Returns:
        One measurement per model, in their order.
    Raises:
        DermError: a model or the photo cannot be used. OptionError: threads or repeats out of range.
    """
    if not 2 <= repeats <= 10_000:
        raise OptionError(f"repeats must be from 2 to 10,000; got {repeats!r}.")
    most = min(os.cpu_count() or 1, 4) if threads is None else threads
    with tempfile.TemporaryDirectory() as folder:
        path = photo
        if path is None:
            path = str(Path(folder) / "drawn.jpg")
            Path(path).write_bytes(drawn_photo())
        whole = decode(path)
        size = f"{whole.width} x {whole.height} pixels, {Path(path).stat().st_size / 1e6:.1f} MB"
        described = f"drawn, {size}" if photo is None else f"{photo}, {size}"
        subjects = [_Subject(model, path, most) for model in models]
        for _ in range(repeats):
            for subject in subjects:
                subject.repeat()
        for _ in range(COLD_STARTS):
            for subject in subjects:
                subject.start_cold()
        return [subject.measured(described) for subject in subjects]


def comparison(first: Measured, second: Measured) -> str:
    """Two measurements side by side: the medians in milliseconds, and the second as a part of the first."""
    paths = [str(each.model["file"]) for each in (first, second)]
    names = [Path(path).name for path in paths]
    names = names if len(set(names)) == 2 else paths
    width = max(12, *(len(name) + 2 for name in names))
    lines = [f"{'p50, ms':<{_NAMES}}{names[0]:>{width}}{names[1]:>{width}}{'ratio':>10}"]
    ones, others = _with_sum(first.steps), _with_sum(second.steps)
    for name in [*ones, *(name for name in others if name not in ones)]:
        pair = [ones.get(name), others.get(name)]
        cells = "".join(f"{'-' if time is None else format(time, '.2f'):>{width}}" for time in pair)
        ratio = f"{pair[1] / pair[0]:.2f}" if pair[0] and pair[1] is not None else "-"
        lines.append(f"{name:<{_NAMES}}{cells}{ratio:>10}")
    size = [float(each.model["megabytes"]) for each in (first, second)]
    cells = "".join(f"{each:>{width}.2f}" for each in size)
    return "\n".join([*lines, f"{'file, MB':<{_NAMES}}{cells}{size[1] / size[0]:>10.2f}"])


def drawn_photo() -> bytes:
    """A drawn JPEG of 4000 x 3000 pixels with as much detail as a phone's photo: 3 to 4 MB."""
    from PIL import Image

    random = np.random.default_rng(0)
    pixels = np.empty((3000, 4000, 3), np.uint8)
    x = np.arange(4000, dtype=np.float32)
    for row in range(3000):
        light = 120 + 60 * np.sin(x / 700) * np.cos(row / 500)
        spot = 50 * (((x - 2100) / 600) ** 2 + ((row - 1400) / 450) ** 2 < 1)
        grain = random.normal(0, 9, 4000)
        pixels[row] = np.stack([light + 50 - spot + grain, light - spot + grain, light - 30 - spot / 2 + grain], 1).clip(
            0, 255
        )
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()


class _Subject:
    """One model under measurement."""

    def __init__(self, model: str, photo: str, most: int) -> None:
        self.path, self.photo = model, photo
        self.bundle = read_bundle(model)
        self.classifiers = {threads: Classifier(self.bundle, threads=threads) for threads in range(1, most + 1)}
        self.networks = {
            threads: [Network(graph, self.bundle.graph_data[graph.id], threads) for graph in self.bundle.graphs]
            for threads in self.classifiers
        }
        self.times: dict[str, list[float]] = {}
        self.memory: dict[str, float] = {}

    def repeat(self) -> None:
        """Every step once."""
        self._timed(OPEN, Classifier, self.path)
        photo = self._timed("decode", self._decoded)
        rgb, inputs = self._timed("prepare", self._prepared, photo.pixels)
        logits = {
            network.spec.id: self._timed(f"graph {network.spec.id}", network.logits, inputs) for network in self.networks[1]
        }
        self._timed("compose and tell", self.classifiers[1]._told, photo, rgb, logits, None, "all")
        for threads, classifier in self.classifiers.items():
            self._timed(f"graphs {threads}", self._run, threads, inputs)
            self._timed(f"{WHOLE} {threads}", classifier.classify, self.photo)

    def start_cold(self) -> None:
        """A fresh process that imports, opens and classifies one photo."""
        command = [sys.executable, "-c", _FRESH, self.path, self.photo]
        done = self._timed(COLD, partial(subprocess.run, capture_output=True, text=True), command)
        kilobytes = [int(word) for word in done.stdout.split()]
        if len(kilobytes) == 3 and all(kilobytes):
            self.memory = {name: kb / 1e3 for name, kb in zip(("import", "open", "classify"), kilobytes, strict=True)}

    def measured(self, photo: str) -> Measured:
        """What was measured so far."""
        manifest = self.bundle.manifest
        quantization = manifest.get("quantization")
        precision = quantization.get("precision") if isinstance(quantization, Mapping) else None
        model = {
            "file": self.path,
            "id": manifest["id"],
            "version": manifest["version"],
            "precision": str(precision or "precision not stated"),
            "decode": self.bundle.preprocessing.decode,
            "megabytes": self.bundle.size_bytes / 1e6,
        }
        timings = {name: Timing(tuple(times)) for name, times in self.times.items()}
        graphs = [f"graph {graph.id}" for graph in self.bundle.graphs]
        order = [COLD, OPEN, "decode", "prepare", *graphs, "compose and tell"]
        steps = {name: timings[name] for name in order} | {WHOLE: timings[f"{WHOLE} 1"]}
        by_threads = {n: {name: timings[f"{name} {n}"] for name in ("graphs", WHOLE)} for n in self.classifiers}
        return Measured(model, photo, steps, by_threads, self.memory)

    def _decoded(self) -> Decoded:
        shape = self.bundle.preprocessing
        return decode(self.photo, least=least_side(shape.size, shape.decode))

    def _prepared(self, pixels: Pixels) -> tuple[Pixels, dict[str, Pixels]]:
        rgb = resize(pixels, self.bundle.preprocessing.size, self.bundle.preprocessing.fit)
        return rgb, network_inputs(rgb, None, self.bundle.input_kinds)

    def _run(self, threads: int, inputs: Mapping[str, Pixels]) -> None:
        for network in self.networks[threads]:
            network.logits(inputs)

    def _timed(self, name: str, step: Callable[..., Any], *arguments: Any) -> Any:
        start = time.perf_counter()
        found = step(*arguments)
        self.times.setdefault(name, []).append(1e3 * (time.perf_counter() - start))
        return found


def _row(name: str, *cells: str) -> str:
    return f"{name:<{_NAMES}}" + "".join(f"{cell:>10}" for cell in cells)


def _numbers(timing: Timing) -> dict[str, float | int]:
    return {"p50": timing.p50, "p95": timing.p95, "n": len(timing.milliseconds)}


def _with_sum(steps: Mapping[str, Timing]) -> dict[str, float]:
    """Medians; the graphs, which two models may have under other names, as one sum."""
    medians = {name: timing.p50 for name, timing in steps.items()}
    graphs = sum(time for name, time in medians.items() if name.startswith("graph "))
    found: dict[str, float] = {}
    for name, time_ in medians.items():
        if not name.startswith("graph "):
            found[name] = time_
        elif "graphs" not in found:
            found["graphs"] = graphs
    return found
