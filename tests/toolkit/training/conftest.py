"""One tiny data set and one finished run of it, for all tests of training and evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest

from derm_toolkit.data.manifest import Dataset, read_dataset
from derm_toolkit.training.run import Run

from .tiny import finished_run, tiny_folders


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return read_dataset(tiny_folders(tmp_path_factory.getbasetemp())[0])


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folders(tmp_path_factory.getbasetemp())[1]


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return finished_run(tmp_path_factory.getbasetemp())
