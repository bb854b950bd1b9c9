"""A network so small, and a config so short, that tests can train it several times."""

from __future__ import annotations

from pathlib import Path

CONFIG = """
version = 1
[preprocessing]
size = 16
[model]
kind = "lenet"
filters = [4, 6]
dense = 8
[training]
seed = 1
epochs = 2
batch_size = 16
learning_rate = 1e-2
warmup_epochs = 0.0
workers = 1
"""


def write_config(folder: Path) -> Path:
    """Writes the config and returns its path."""
    path = folder / "flat.toml"
    path.write_text(CONFIG)
    return path
