"""What can go wrong in the workshop, as a tree below the SDK's DermError.

DermError                            derm_sdk.errors
|-- DataError      (ValueError)      a table, data set or split is not what it must be
|-- ConfigError    (ValueError)      a config has an unknown key, or a value of the wrong type or range
|-- RunError       (ValueError)      a run folder is unfinished, damaged, or not what it must be
|-- TrainingError  (RuntimeError)    training cannot go on
`-- WeightsError   (ValueError)      pretrained weights are missing, damaged, or made for another network
"""

from __future__ import annotations

from derm_sdk.errors import DermError


class DataError(DermError, ValueError):
    """A table, data set or split is not what it must be."""


class ConfigError(DermError, ValueError):
    """A config has an unknown key, or a value of the wrong type or range."""


class RunError(DermError, ValueError):
    """A run folder is unfinished, damaged, or not what it must be."""


class TrainingError(DermError, RuntimeError):
    """Training cannot go on."""


class WeightsError(DermError, ValueError):
    """Pretrained weights are missing, damaged, or made for another network."""
