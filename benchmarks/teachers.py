"""How many photos a second a teacher answers while a student trains: a run on Keras against the bundles made of it.

    python benchmarks/teachers.py RUN RUN/float32.derm RUN/int8.derm

They take turns on the same batch, and medians are compared with the first one's: read the ratios.
"""

from __future__ import annotations

import argparse
import os
import statistics

import numpy as np
from training import rate_of

os.environ.setdefault("KERAS_BACKEND", "tensorflow")


def main() -> None:
    from derm_sdk.inputs import input_shape
    from derm_toolkit.training.run import read_run
    from derm_toolkit.training.teachers import Teachers, find_teachers

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="a finished run of one network")
    parser.add_argument("bundles", nargs="+", help=".derm files made of it, or of others over the same labels")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()

    run = read_run(options.run)
    spec, size = run.graphs[0], run.config.preprocessing.size
    stream = np.random.default_rng(0)
    batch = {name: stream.integers(0, 256, (options.batch, *input_shape(name, size)), np.uint8) for name in spec.inputs}
    teachers = {
        path: Teachers(find_teachers([path], spec.labels, spec.inputs, [size]), spec.labels, 1.0, os.cpu_count() or 1)
        for path in (options.run, *options.bundles)
    }
    for teacher in teachers.values():
        teacher.answers(batch)  # Keras compiles
    rates: dict[str, list[float]] = {path: [] for path in teachers}
    for _ in range(options.rounds):
        for path, teacher in teachers.items():
            rates[path].append(rate_of(lambda teacher=teacher: teacher.answers(batch), options.batch))
    print(f"photos/s, batches of {options.batch}, median of {options.rounds} (least, most), and the ratio to the first row")
    first = statistics.median(rates[options.run])
    for path, seen in rates.items():
        rate = statistics.median(seen)
        print(f"{path:32s} {rate:7.1f} ({min(seen):.1f}, {max(seen):.1f})  x {rate / first:4.2f}")


if __name__ == "__main__":
    main()
