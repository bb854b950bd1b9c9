"""A tiny training that uses every part of the recipe, and how another process runs it on another backend."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from derm_toolkit.data.manifest import Dataset, read_split
from derm_toolkit.training.config import read_config
from derm_toolkit.training.train import Order

from .tiny import CONFIG, make_data

ROOT = Path(__file__).parents[3]
EVERYTHING = (
    "model.skin_type=true",
    "training.epochs=3",
    "training.optimizer=rmsprop",
    "training.learning_rate=3e-3",
    "training.backbone_rate=0.5",
    "training.frozen=[0.4, 0.0]",
    "training.sizes=[24, 16]",
    "training.label_smoothing=0.05",
    "training.hierarchy=0.5",
    "training.focal=1.0",
    "training.logit_adjustment=0.5",
    "training.mixup=0.2",
    "training.cutmix=1.0",
    "training.mix_share=0.5",
)


def one_network(folder: Path) -> tuple[Dataset, Path]:
    """A data set that needs no experts, and the tiny config."""
    config = folder / "tiny.toml"
    data = make_data(folder / "data", 20, ("melanoma", "wart", "eczema"))
    config.write_text(CONFIG)
    return data, config


def order(data: Dataset, config: Path, out: Path, *overrides: str, resume: bool = False) -> Order:
    return Order(read_config(config, overrides), data, read_split(data.folder / "splits.csv", data), out, resume)


def words(data: Dataset, config: Path, out: Path, *overrides: str) -> list[str]:
    """The same order as arguments of `derm-toolkit train`."""
    return [str(config), "--data", str(data.folder), "--out", str(out), *(f"--set={each}" for each in overrides)]


def python_with(backend: str) -> str:
    """A Python that has the backend; skips the test where there is none.

    Torch and JAX are too large for the test extra. Where they are installed, or where DERM_TEST_TORCH_PYTHON and
    DERM_TEST_JAX_PYTHON name a Python that has them beside the toolkit's other packages, they are tested.
    """
    variable = f"DERM_TEST_{backend.upper()}_PYTHON"
    python = os.environ.get(variable, sys.executable)
    if python == sys.executable and importlib.util.find_spec(backend) is None:
        import pytest  # not where another Python runs this file

        pytest.skip(f"{backend} is not installed here, and {variable} names no Python that has it")
    return python


def run_on(backend: str, *arguments: str, **environment: str) -> None:
    """Runs Python with these arguments on a backend; fails with what it printed where it fails."""
    path = [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    surroundings = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(path)} | environment
    done = subprocess.run([python_with(backend), *arguments], env=surroundings, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
