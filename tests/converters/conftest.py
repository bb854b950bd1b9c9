"""The tiny run of the training tests, for the converter to take."""

from __future__ import annotations

from ..toolkit.training.conftest import tiny_config, tiny_data, tiny_run

__all__ = ["tiny_config", "tiny_data", "tiny_run"]
