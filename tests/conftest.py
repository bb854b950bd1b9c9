"""Fixtures that several rooms share."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest

from . import models


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny two-step int8 bundle with random weights."""
    path = tmp_path_factory.mktemp("bundle") / "tiny.derm"
    path.write_bytes(models.bundle_bytes())
    return path
