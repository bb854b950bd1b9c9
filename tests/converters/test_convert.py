"""A run folder to a .derm file, with a network that takes the skin type."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from rich.console import Console

from derm_converters.convert import About, convert_run
from derm_converters.parity import Limits
from derm_sdk import Classifier, read_bundle
from derm_toolkit.data.manifest import Dataset
from derm_toolkit.errors import RunError
from derm_toolkit.evaluation.predict import predict_bundle, predict_models
from derm_toolkit.models.inputs import join_skin_type, keras_inputs
from derm_toolkit.training.run import Run, read_run

ANY = Limits(0, 0, 99, 0, 1)  # random weights: whether they answer alike is what the test itself looks at
ABOUT = About("typed", "Typed", "1", "CC0-1.0", "CC0\n")


@pytest.fixture(scope="module")
def typed_run(tiny_run: Run, tiny_data: Dataset, tmp_path_factory) -> Run:
    """The tiny run, its root replaced by a network with random weights that takes the skin type, too."""
    folder = Path(shutil.copytree(tiny_run.folder, tmp_path_factory.mktemp("typed") / "run"))
    table = json.loads((folder / "model" / "graphs.json").read_text())
    table["graphs"][0]["inputs"] = ["rgb", "skin_type"]
    (folder / "model" / "graphs.json").write_text(json.dumps(table))
    record = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**record, "folder": str(tiny_data.folder)}))
    run = read_run(folder)
    keras.utils.set_random_seed(8)
    inputs = keras_inputs(run.graphs[0], run.preprocessing.size)
    x = keras.layers.Conv2D(6, 3, strides=2, activation="relu")(keras.layers.Rescaling(1 / 255)(inputs["rgb"]))
    x = join_skin_type(keras.layers.GlobalAveragePooling2D()(x), inputs, 4)
    keras.Model(list(inputs.values()), keras.layers.Dense(len(run.graphs[0].labels))(x)).save(run.model_path("root"))
    return run


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_a_run_that_takes_the_skin_type_becomes_a_bundle_that_takes_it(typed_run, tiny_data, tmp_path, precision):
    out = tmp_path / "typed.derm"
    report = convert_run(typed_run.folder, out, precision, ABOUT, limits=ANY, console=Console(file=io.StringIO()))
    bundle = read_bundle(out)
    assert bundle.takes_skin_type
    assert {tensor.kind: tensor.shape for tensor in bundle.graphs[0].inputs} == {
        "rgb": (1, 16, 16, 3), "skin_type": (1, 7)
    }  # fmt: skip
    assert report["overall"]["n"] == 10

    photos, cache = tiny_data.photos[:21], typed_run.exact_cache(tiny_data)
    for told in (lambda photo: photo.fitzpatrick, lambda photo: None):
        exact = predict_models({"root": typed_run.load_model("root")}, photos, cache, skin_type=told)["root"]
        found = predict_bundle(bundle, photos, cache, skin_type=told)["root"]
        assert np.abs(found - exact).max() < {"int8": 0.05, "float32": 1e-5}[precision] * np.ptp(exact)
    with Classifier(bundle) as classifier:
        picture = np.full((20, 20, 3), 120, np.uint8)
        answers = {classifier.classify(picture, fitzpatrick=told).category.probability for told in (None, 1, 6)}
    assert len(answers) == 3


def test_a_network_that_takes_other_inputs_than_the_run_says_is_refused(typed_run, tmp_path):
    folder = Path(shutil.copytree(typed_run.folder, tmp_path / "run"))
    table = json.loads((folder / "model" / "graphs.json").read_text())
    table["graphs"][0]["inputs"] = ["rgb"]
    (folder / "model" / "graphs.json").write_text(json.dumps(table))
    with pytest.raises(RunError, match="are not those that graphs"):
        read_run(folder).load_model("root")
