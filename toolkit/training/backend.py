"""Keras on whichever backend the user chose (KERAS_BACKEND, or Keras' own config file): loading, seeding, describing it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import logging
import os
import platform
import sys
from collections.abc import Iterator
from typing import Any

from ..errors import TrainingError

_PACKAGES = ("derm-sdk", "numpy", "keras", "tensorflow", "tensorflow-cpu", "torch", "jax", "opencv-python-headless")
_MORE_PACKAGES = ("pillow", "scikit-learn", "scipy", "h5py")


def load_keras() -> Any:
    """Imports Keras quietly and returns the module. Raises TrainingError when it, or its backend, is not installed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        with _without_greetings() if "keras" not in sys.modules else contextlib.nullcontext():
            import keras
    except ImportError as error:
        chosen = os.environ.get("KERAS_BACKEND", "tensorflow")
        raise TrainingError(
            f"Keras with the backend {chosen!r} cannot be imported ({error}). Install derm-sdk[toolkit], or set "
            "KERAS_BACKEND to tensorflow, torch or jax, whichever is installed."
        ) from error
    return keras


@contextlib.contextmanager
def _without_greetings() -> Iterator[None]:
    """Hides what TensorFlow's C++ code prints while it is loaded, before its log level counts. Python errors still rise."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def seed_everything(seed: int, *, deterministic: bool) -> None:
    """Seeds Python, NumPy and the backend; with `deterministic`, only kernels that repeat bit for bit are used."""
    keras = load_keras()
    # Keras also seeds an installed TensorFlow that is not its backend, and so loads it.
    loads = "tensorflow" not in sys.modules and importlib.util.find_spec("tensorflow") is not None
    with _without_greetings() if loads else contextlib.nullcontext():
        keras.utils.set_random_seed(seed)
    if deterministic and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    elif deterministic and keras.backend.backend() == "torch":
        import torch

        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment(seed: int) -> dict[str, Any]:
    """What a run was made with, JSON-ready; bit-equal repetition is promised where all of it is the same."""
    keras = load_keras()
    versions = {}
    for package in (*_PACKAGES, *_MORE_PACKAGES):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cores": usable_cores(),
        "backend": keras.backend.backend(),
        "device": _device(keras.backend.backend()),
        "packages": versions | {"keras": keras.__version__},
        "seed": seed,
    }


def _device(backend: str) -> str:
    if backend == "torch":
        import torch

        return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else "cpu"
    if backend == "tensorflow":
        import tensorflow as tf

        return "gpu" if tf.config.list_physical_devices("GPU") else "cpu"
    if backend == "jax":
        import jax

        return str(jax.devices()[0])
    return "cpu"
