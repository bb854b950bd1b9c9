"""One tiny data set and one finished run of it, for all tests here."""

from __future__ import annotations

from pathlib import Path

import pytest

from derm_toolkit.data.manifest import Dataset, read_split
from derm_toolkit.training.config import read_config
from derm_toolkit.training.run import Run
from derm_toolkit.training.train import Order, train

from .tiny import CONFIG, make_data


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_data(tmp_path_factory.mktemp("tiny") / "data")


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "tiny.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, tiny_data: Dataset, tiny_config: Path) -> Run:
    split = read_split(tiny_data.folder / "splits.csv", tiny_data)
    return train(Order(read_config(tiny_config), tiny_data, split, tmp_path_factory.mktemp("runs") / "whole"))
