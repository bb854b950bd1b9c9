"""A run folder to a .derm file, with a network that takes the skin type."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from derm_converters.cli import main
from derm_converters.convert import convert_run
from derm_converters.errors import ConversionError
from derm_converters.manifest import About
from derm_converters.recipe import Recipe
from derm_converters.ways import device_way
from derm_sdk import Classifier, read_bundle
from derm_sdk.cli import main as device
from derm_toolkit.data.manifest import Dataset
from derm_toolkit.errors import RunError
from derm_toolkit.evaluation.predict import predict_bundle, predict_models
from derm_toolkit.models.inputs import join_skin_type, keras_inputs
from derm_toolkit.training.run import Run, read_run

ANY = {
    "top_agreement": 0,
    "leaf_agreement": 0,
    "divergence": 99,
    "refer": 0,
    "sensitivity_loss": 1,
}  # random weights: whether they answer alike is what the test itself looks at
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
    report = convert_run(typed_run.folder, out, Recipe(precision), ABOUT, limits=ANY, console=Console(file=io.StringIO()))
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


def test_every_step_is_compared_and_the_bundle_holds_all_of_it(typed_run, tmp_path):
    out = tmp_path / "typed.derm"
    report = convert_run(typed_run.folder, out, Recipe("int8"), ABOUT, limits=ANY, console=Console(file=io.StringIO()))
    assert [way["name"] for way in report["ways"]] == [
        "trained",
        "float32 graph",
        "int8 graph",
        "calibrated again",
        "device",
    ]
    exact, device = (report["overall"]["ways"][name] for name in ("calibrated again", "device"))
    assert device["referred"] == exact["referred"]
    assert device["levels"]["condition"]["log_loss"] == pytest.approx(exact["levels"]["condition"]["log_loss"], abs=1e-6)
    assert sum(level["changes"]["the device"] for level in report["overall"]["levels"].values()) == 0
    bundle = read_bundle(out)
    assert json.loads(bundle.attachments["parity.json"]) == report
    assert "ways" not in bundle.manifest["parity"]["overall"] and not bundle.warnings
    with Classifier(bundle) as classifier:
        assert classifier.selftest().identical


def test_a_broken_limit_writes_nothing_and_force_marks_every_result(typed_run, tmp_path):
    out, page = tmp_path / "typed.derm", tmp_path / "parity.html"
    strict = {**ANY, "divergence": 0.0}
    with pytest.raises(ConversionError, match=r"nothing was written .*divergence 0\.\d+, at most 0\.0 wanted"):
        convert_run(typed_run.folder, out, Recipe("int8"), ABOUT, limits=strict, console=Console(file=io.StringIO()))
    assert not out.exists()
    words = ["--int8", str(typed_run.folder), "-o", str(out), "--min-agreement", "0", "--max-divergence", "0"]
    done = CliRunner().invoke(main, [*words, "--force", "--report", str(page)])
    assert done.exit_code == 0, done.output
    assert "breaks its limits and is marked" in page.read_text("utf-8")
    with Classifier(out) as classifier:
        result = classifier.classify(np.full((20, 20, 3), 120, np.uint8))
    assert len(result.warnings) == 1 and "at most 0.0 wanted" in result.warnings[0]
    assert result.to_dict()["warnings"] == list(result.warnings) and "WARNING: the converted model" in str(result)
    shown = CliRunner().invoke(device, ["inspect", str(out)]).output
    assert "WARNING: the converted model does not answer as the trained one" in shown


def test_without_the_photo_files_there_is_no_way_of_the_device(typed_run, tiny_data, tmp_path):
    photos = tiny_data.photos[:3]
    out = tmp_path / "typed.derm"
    convert_run(typed_run.folder, out, Recipe("float32"), ABOUT, limits=ANY, console=Console(file=io.StringIO()))
    found = device_way(out.read_bytes(), [str(tiny_data.path(photo)) for photo in photos], photos)
    assert found.nodes.shape == (3, len(tiny_data.taxonomy.nodes))
    assert device_way(out.read_bytes(), [str(tmp_path / "gone.jpg")] * 3, photos) is None
