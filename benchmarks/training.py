"""How many photos a second a network trains on, by backend, network, size, precision and share of frozen layers.

    python benchmarks/training.py [--backends tensorflow torch] [--networks lite0 lenet_3] [--sizes 224 160] [--help]

Every backend has a process of its own; they take turns, and medians are compared with the first row's: read the ratios.
`--python torch=/other/venv/bin/python` names a Python for a backend that is not installed beside the others.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

LABELS = 21
SECONDS = 4.0  # of one measurement


def main() -> None:
    options = read_options()
    pythons = dict(each.split("=", 1) for each in options.python)
    cases = list(
        itertools.product(options.networks, options.sizes, options.frozen, options.precisions, options.normalisations)
    )
    workers = {
        f"{name}{'' if memory == 'kept' else ' (memory returned)'}": Worker(
            pythons.get(name, sys.executable), name, cases, options.batch, memory
        )
        for name, memory in itertools.product(options.backends, options.memory)
    }
    rates: dict[tuple[str, int], list[float]] = {}
    for _ in range(options.rounds):
        for number, (name, worker) in itertools.product(range(len(cases)), workers.items()):
            rates.setdefault((name, number), []).append(worker.measure(number))
    print(f"photos/s, batches of {options.batch}, median of {options.rounds} (least, most), and the ratio to the first row")
    first, width = statistics.median(rates[next(iter(workers)), 0]), max(map(len, workers))
    for (number, (network, size, frozen, precision, normalisation)), name in itertools.product(enumerate(cases), workers):
        seen = rates[name, number]
        rate = statistics.median(seen)
        print(
            f"{name:{width}s} {network:12s} {size:4d} px  frozen {frozen:4.2f}  {precision:14s} {normalisation:5s} "
            f"{rate:7.1f} ({min(seen):.1f}, {max(seen):.1f})  x {rate / first:4.2f}"
        )


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backends", nargs="+", default=["tensorflow"])
    parser.add_argument("--networks", nargs="+", default=["lite0"], help="backbones of the flagship, or names of configs")
    parser.add_argument("--sizes", nargs="+", type=int, default=[224, 160])
    parser.add_argument("--frozen", nargs="+", type=float, default=[0.0, 0.15], help="shares of the backbone's layers")
    parser.add_argument("--precisions", nargs="+", default=["float32"], help="float32, mixed_float16, mixed_bfloat16")
    parser.add_argument("--normalisations", nargs="+", default=["fused"], choices=["fused", "keras"])
    parser.add_argument(
        "--memory", nargs="+", default=["kept"], choices=["kept", "returned"], help="what glibc does with freed"
    )
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--python", nargs="+", default=[], metavar="BACKEND=PATH")
    return parser.parse_args()


class Worker:
    """A process with one backend; it makes each network when that is first measured, and keeps it."""

    def __init__(self, python: str, backend: str, cases: list[Any], batch: int, memory: str) -> None:
        code = f"import training; training.serve({cases!r}, {batch}, {memory!r})"
        surroundings = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        folders = [os.path.dirname(os.path.abspath(__file__)), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        surroundings["PYTHONPATH"] = os.pathsep.join(folders)
        self._process = subprocess.Popen(
            [python, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=surroundings,
        )

    def measure(self, number: int) -> float:
        """Photos/s of one of the cases, measured now."""
        print(number, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            sys.exit("The process of a backend ended; what it said stands above.")
        return float(answer)


def serve(cases: list[Any], batch: int, memory: str) -> None:
    """Answers the number of a case by its rate, until the input ends."""
    from derm_toolkit.training.allocator import keep_freed_memory

    if memory == "kept":
        keep_freed_memory()
    trainers: dict[int, Callable[[], float]] = {}
    for line in sys.stdin:
        number = int(line)
        if number not in trainers:
            trainers[number] = network_step(*cases[number], batch)
        print(rate_of(trainers[number], batch), flush=True)


def network_step(
    network: str, size: int, frozen: float, precision: str, normalisation: str, batch: int
) -> Callable[[], float]:
    """A training step of the flagship on some backbone, or of a config's first network; weights do not matter here."""
    from derm_sdk.taxonomy import Taxonomy
    from derm_toolkit.models import FAMILIES, single_view, untrained
    from derm_toolkit.models.efficientnet_lite import VARIANTS
    from derm_toolkit.training.config import Training, find_config, read_config

    overrides = [f"model.backbone={network}"] if network in VARIANTS else []
    model = read_config(find_config("hierarchical" if overrides else network), overrides).model
    labels = Taxonomy.from_paths(("category", "condition"), [(f"category {n % 3}", f"condition {n}") for n in range(LABELS)])
    spec = FAMILIES[model.kind].graphs(labels, model)[0]
    recipe = Training(frozen=(frozen,), precision=precision)
    return trainer(FAMILIES[model.kind], spec, single_view(untrained(model)), size, recipe, batch, normalisation)


def trainer(
    family: Any, spec: Any, settings: Any, size: int, recipe: Any, batch: int, normalisation: str = "fused"
) -> Callable[[], float]:
    """A step of a family's network on one batch of noise, as the training loop compiles it; called twice already."""
    from derm_sdk.inputs import input_shape
    from derm_toolkit.training.backend import load_keras
    from derm_toolkit.training.loop import precision
    from derm_toolkit.training.normalisation import fuse_normalisations
    from derm_toolkit.training.objective import objective
    from derm_toolkit.training.optimizers import build_optimizer
    from derm_toolkit.training.stages import freeze

    keras = load_keras()
    with precision(recipe.precision):
        model = family.build(spec, settings, size)
    if normalisation == "fused":
        fuse_normalisations(model)
    freeze(model, recipe.frozen[0])
    loss = objective((), hierarchy=0.0, focal=0.0, log_prior=np.zeros(len(spec.labels), np.float32))
    model.compile(build_optimizer(model, recipe), loss, jit_compile=keras.backend.backend() == "jax")
    stream = np.random.default_rng(0)
    inputs = [stream.integers(0, 256, (batch, *input_shape(name, size)), np.uint8) for name in spec.inputs]
    targets = np.eye(len(spec.labels), dtype=np.float32)[stream.integers(0, len(spec.labels), batch)]

    def step() -> float:
        return float(model.train_on_batch(inputs, targets))

    step()
    step()
    return step


def rate_of(step: Callable[[], Any], photos: int, seconds: float = SECONDS) -> float:
    """Photos/s of a step that takes so many, called for some seconds and twice at least."""
    start, done = time.perf_counter(), 0
    while done < 2 or time.perf_counter() - start < seconds:
        step()
        done += 1
    return done * photos / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
