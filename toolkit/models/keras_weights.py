"""Weights out of Keras' own files, local ones: only numbers are read, never the layers that a file names."""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from derm_sdk.preprocess import INPUT_CHANNELS

from ..errors import WeightsError

if TYPE_CHECKING:
    import keras

ENDINGS = (".keras", ".weights.h5", ".h5")
_CONFIG_BYTES = 64 << 20


def load_keras_weights(network: keras.Model, path: Path) -> None:
    """Fills a network from a file of the same network; what the file holds behind its end, such as a head, is left out.

    Args:
        network: functional; changed in place, and of no use after an error.
        path: a .keras, .weights.h5 or .h5 file.
    Raises:
        WeightsError: the file cannot be read, is of another kind, or does not fit.
    """
    if not path.is_file():
        raise WeightsError(f"There is no weight file {str(path)!r}.")
    if not path.name.endswith(ENDINGS):
        raise WeightsError(f"{str(path)!r} must end in .keras, .weights.h5 or .h5, as Keras names its files.")
    network.set_weights([np.full(array.shape, np.nan, array.dtype) for array in network.get_weights()])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras merely warns of layers that the file lacks; they stay no numbers
            network.load_weights(path)
    except Exception as error:  # Keras and h5py raise whatever their readers raise
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise WeightsError(f"The weights in {str(path)!r} do not fit {network.name!r} ({reason}).") from error
    if not all(np.isfinite(array).all() for array in network.get_weights()):
        raise WeightsError(f"The weights in {str(path)!r} do not fit {network.name!r}, or are damaged: some are no numbers.")


def is_our_own(path: Path) -> bool:
    """Whether a .keras file is a network of this toolkit, whose first picture is named after its kind; False for others."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo("config.json").file_size > _CONFIG_BYTES:
                return False
            layers = json.loads(archive.read("config.json"))["config"]["layers"]
        return any(layer["class_name"] == "InputLayer" and layer["config"]["name"] in INPUT_CHANNELS for layer in layers)
    except (OSError, KeyError, TypeError, ValueError, RecursionError, NotImplementedError, zipfile.BadZipFile):
        return False
