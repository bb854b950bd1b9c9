"""The same config on any backend and in any precision, and what an interruption leaves of all its parts."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from derm_toolkit.data.manifest import Dataset
from derm_toolkit.evaluation.predict import predict_models
from derm_toolkit.training.checkpoint import read_progress
from derm_toolkit.training.run import Run, read_run
from derm_toolkit.training.train import train

from .recipes import EVERYTHING, one_network, order, run_on, words

TRAIN = "import sys; from derm_toolkit.training.commands import train; train(sys.argv[1:])"


@pytest.fixture(scope="module")
def data_and_config(tmp_path_factory) -> tuple[Dataset, Path]:
    return one_network(tmp_path_factory.mktemp("one-network"))


def rows(run: Run) -> list[dict[str, str]]:
    with (run.folder / "history.csv").open() as file:
        return [{key: value for key, value in row.items() if "second" not in key} for row in csv.DictReader(file)]


def best_validation_loss(run: Run) -> float:
    """As the training wrote it down."""
    best = read_progress(run.folder / "checkpoints" / "root.npz").best_epoch
    return float(rows(run)[best - 1]["validation_loss"])


def validation_loss(run: Run, data: Dataset) -> float:
    """As the run's network has it here, in float32."""
    photos = run.split(data).photos(data, "validation")
    logits = predict_models({"root": run.load_model("root")}, photos, run.exact_cache(data))["root"].astype(np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = [run.graphs[0].labels.index(data.taxonomy.node(photo.labels[0]).id) for photo in photos]
    return float(-np.log(probabilities[range(len(truth)), truth]).mean())


def test_killed_in_mid_epoch_every_part_of_the_recipe_resumes_to_the_same_bits(data_and_config, tmp_path: Path):
    data, config = data_and_config
    settings = (*EVERYTHING, "training.precision=mixed_float16")
    command = [sys.executable, "-c", TRAIN, *words(data, config, tmp_path / "killed", *settings)]
    victim = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=dict(os.environ))
    checkpoint = tmp_path / "killed" / "checkpoints" / "root.npz"
    while victim.poll() is None and not checkpoint.is_file():
        time.sleep(0.002)
    time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    assert not read_progress(checkpoint).finished

    resumed = train(order(data, config, tmp_path / "killed", *settings, resume=True))
    whole = train(order(data, config, tmp_path / "whole", *settings))
    assert rows(resumed) == rows(whole)
    ends = [np.load(run.folder / "checkpoints" / "root.npz") for run in (resumed, whole)]
    assert set(ends[0].files) == set(ends[1].files)
    for name in set(ends[0].files) - {"state"}:  # weights, optimiser with its loss scale, random states, average
        np.testing.assert_array_equal(ends[0][name], ends[1][name], name)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_what_is_kept_and_validated_is_a_float32_network(data_and_config, tmp_path: Path, precision: str):
    data, config = data_and_config
    settings = ("training.epochs=2", "training.average=0.0", f"training.precision={precision}")
    run = train(order(data, config, tmp_path / "run", *settings))
    model = run.load_model("root")
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert {weights.dtype for weights in model.get_weights()} == {np.dtype(np.float32)}
    assert best_validation_loss(run) == pytest.approx(validation_loss(run, data), rel=1e-5)


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_another_backend_trains_every_part_of_the_recipe(data_and_config, tmp_path: Path, backend: str):
    data, config = data_and_config
    run_on(backend, "-c", TRAIN, *words(data, config, tmp_path / "run", *EVERYTHING, "training.epochs=2"))
    run = read_run(tmp_path / "run")
    assert f" on {backend} (" in (run.folder / "log.txt").read_text()
    # And what it trained answers here as it did there.
    assert best_validation_loss(run) == pytest.approx(validation_loss(run, data), rel=1e-4)
