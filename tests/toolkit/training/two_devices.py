"""What `test_devices` runs in a process of its own: python -m tests.toolkit.training.two_devices DATA CONFIG FOLDER."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from derm_toolkit.data.manifest import read_dataset
from derm_toolkit.training import loop
from derm_toolkit.training.backend import load_keras
from derm_toolkit.training.config import Training
from derm_toolkit.training.devices import choose_devices
from derm_toolkit.training.objective import objective
from derm_toolkit.training.optimizers import build_optimizer
from derm_toolkit.training.train import train

from .recipes import EVERYTHING, order

keras = load_keras()
RECIPE = dataclasses.replace(Training(), learning_rate=0.01, clip_norm=0.05, backbone_rate=0.5)


def divide_the_cpu() -> None:
    """Into two devices; JAX is told so by its environment."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        halves = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], halves)


def steps(count: int) -> dict[str, Any]:
    """The losses of a few steps of a network without batch normalisation, and its weights after them."""
    stream = np.random.default_rng(0)
    devices = choose_devices(count)
    assert devices.count == count
    keras.utils.set_random_seed(1)
    with devices.scope():
        inputs = keras.Input((8, 8, 3), name="rgb")
        x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
        x = keras.layers.GlobalAveragePooling2D(name="pooling")(x)
        model = keras.Model(inputs, keras.layers.Dense(3)(x))
        optimizer = build_optimizer(model, RECIPE, devices.optimizer)
        model.compile(optimizer, objective((), hierarchy=0.0, focal=0.0, log_prior=np.zeros(3, np.float32)))
        model.optimizer.build(model.trainable_variables)
    losses = []
    for _ in range(12):
        colours = stream.integers(0, 3, 7)
        photos = np.eye(3)[colours][:, None, None] * stream.random((7, 8, 8, 3))
        losses.append(devices.step(model, [photos.astype(np.float32)], np.eye(3, dtype=np.float32)[colours]))
    return {"losses": losses, "weights": [float(value) for each in model.get_weights() for value in each.ravel()]}


def end_of(run: Any) -> list[float]:
    """Every validation loss of a run, and the sum of each of its arrays in the last checkpoint."""
    lines = (run.folder / "history.csv").read_text().splitlines()
    column = lines[0].split(",").index("validation_loss")
    state = np.load(run.folder / "checkpoints" / "root.npz")
    sums = [float(state[name].sum(dtype=np.float64)) for name in sorted(state.files) if name != "state"]
    return [*(float(line.split(",")[column]) for line in lines[1:]), *sums]


def main() -> None:
    data, config, folder = (Path(word) for word in sys.argv[1:])
    divide_the_cpu()
    seen: dict[str, Any] = {"one": steps(1), "two": steps(2)}

    dataset, settings = (
        read_dataset(data),
        (*EVERYTHING, "training.epochs=2", "training.frozen=[0.4]", "training.devices=2", "training.batch_size=7"),
    )
    seen["whole"] = end_of(train(order(dataset, config, folder / "whole", *settings)))
    write = loop.write_checkpoint

    def write_and_stop(*arguments: Any) -> None:
        write(*arguments)
        raise KeyboardInterrupt

    loop.write_checkpoint = write_and_stop
    try:
        train(order(dataset, config, folder / "resumed", *settings))
    except KeyboardInterrupt:
        loop.write_checkpoint = write
    seen["resumed"] = end_of(train(order(dataset, config, folder / "resumed", *settings, resume=True)))
    (folder / "seen.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
