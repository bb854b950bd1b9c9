"""The tiny run of the training tests, for evaluation to look at."""

from __future__ import annotations

from ..training.conftest import tiny_config, tiny_data, tiny_run

__all__ = ["tiny_config", "tiny_data", "tiny_run"]
