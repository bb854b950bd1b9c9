"""The tiny run of the training tests, for the converter to take, and one of a single network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import keras
import pytest

from derm_sdk.calibration import Calibration
from derm_toolkit.data.manifest import Dataset
from derm_toolkit.models.inputs import join_skin_type, keras_inputs
from derm_toolkit.training.run import Run, read_run

from ..toolkit.training.conftest import tiny_config, tiny_data, tiny_run

__all__ = ["tiny_config", "tiny_data", "tiny_run"]


@pytest.fixture(scope="session")
def flat_run(tiny_run: Run, tiny_data: Dataset, tmp_path_factory) -> Run:
    """The tiny run with one network over the whole tree in place of its own, which takes the skin type, too."""
    folder = Path(shutil.copytree(tiny_run.folder, tmp_path_factory.mktemp("flat") / "run"))
    leaves = tiny_data.taxonomy.leaves
    table = json.loads((folder / "model" / "graphs.json").read_text())
    row = {"id": "tree", "file": "tree.keras", "given": None, "labels": list(leaves), "inputs": ["rgb", "skin_type"]}
    (folder / "model" / "graphs.json").write_text(json.dumps({**table, "kind": "flat", "graphs": [row]}))
    calibration = Calibration(temperatures={"tree": 0.6}, offsets={"tree": (0.5, -1.0, 0.0, 2.0, 0.1)})
    (folder / "calibration.json").write_text(json.dumps(calibration.to_dict()))
    record = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**record, "folder": str(tiny_data.folder)}))
    keras.utils.set_random_seed(11)
    (folder / "model" / "tree.keras").write_bytes(b"")
    run = read_run(folder)
    inputs = keras_inputs(run.graphs[0], run.preprocessing.size)
    x = keras.layers.Rescaling(1 / 255)(inputs["rgb"])
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(8, 3, strides=2, use_bias=False)(x))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    x = keras.layers.Dropout(0.5)(join_skin_type(x, inputs, 4))
    logits = keras.layers.Dense(len(leaves), kernel_initializer=keras.initializers.RandomNormal(stddev=3))(x)
    keras.Model(list(inputs.values()), logits).save(run.model_path("tree"))
    return run
