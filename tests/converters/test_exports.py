"""What is written beside a bundle: a file for MediaPipe, and plain graphs for people with a runtime of their own."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from click.testing import CliRunner

from derm_converters.cli import main
from derm_converters.errors import ConversionError
from derm_converters.manifest import About
from derm_converters.mediapipe import mediapipe_model
from derm_converters.plain_graphs import write_plain_graphs
from derm_converters.recipe import Recipe
from derm_sdk import FileError, prepare, read_bundle
from derm_sdk.calibration import Calibration
from derm_sdk.fitzpatrick import skin_type_input
from derm_toolkit.data.manifest import Dataset
from derm_toolkit.training.run import Run

from .. import models

ABOUT = About("flat", "A flat model", "1", "CC0-1.0", "CC0\n")


def exported(run: Run, data: Dataset, precision: str) -> bytes:
    photos = data.photos[:20]
    cache = run.exact_cache(data)
    cache.fill(photos, 1, lambda done, total: None)
    return mediapipe_model(run, run.calibration(), Recipe(precision), cache, photos, photos, ABOUT)


def sdk_probabilities(run: Run, rgb: np.ndarray) -> np.ndarray:
    """What the SDK says of a photo whose skin type is unknown."""
    tensors = [rgb[None].astype(np.float32), skin_type_input(None)[None].astype(np.float32)]
    return run.calibration().probabilities("tree", np.asarray(run.load_model("tree")(tensors)))[0]


def run_file(file: bytes, rgb: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=file)
    interpreter.allocate_tensors()
    (given,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert given["shape"].tolist() == [1, 16, 16, 3] and given["dtype"] == np.uint8
    interpreter.set_tensor(given["index"], rgb[None])
    interpreter.invoke()
    stored = interpreter.get_tensor(found["index"])[0]
    scale, zero = found["quantization"]
    return (stored.astype(float) - zero) * scale if stored.dtype == np.uint8 else stored


@pytest.mark.parametrize(("precision", "apart"), [("float32", 1e-5), ("int8", 0.05)])
def test_the_scores_are_the_sdks_calibrated_probabilities_with_an_unknown_skin_type(flat_run, tiny_data, precision, apart):
    file = exported(flat_run, tiny_data, precision)
    pictures = [photo[:16, :16].copy() for photo in models.photos(8)]
    for rgb in pictures:
        np.testing.assert_allclose(run_file(file, rgb), sdk_probabilities(flat_run, rgb), atol=apart)
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        labels = archive.read("labels.txt").decode().splitlines()
    assert labels == [tiny_data.taxonomy.node(leaf).name for leaf in tiny_data.taxonomy.leaves]


def test_mediapipe_itself_opens_the_file_and_answers_alike(flat_run, tiny_data):
    vision = pytest.importorskip("mediapipe.tasks.python.vision")
    import mediapipe
    from mediapipe.tasks.python import BaseOptions

    options = vision.ImageClassifierOptions(BaseOptions(model_asset_buffer=exported(flat_run, tiny_data, "int8")))
    with vision.ImageClassifier.create_from_options(options) as classifier:
        for photo in models.photos(6):
            rgb = photo[:16, :16].copy()  # the network's own size, so that no resize comes between
            found = classifier.classify(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=rgb))
            scores = {each.category_name: each.score for each in found.classifications[0].categories}
            expected = dict(
                zip(
                    (tiny_data.taxonomy.node(leaf).name for leaf in flat_run.graphs[0].labels),
                    sdk_probabilities(flat_run, prepare(rgb, 16)["rgb"]),
                    strict=True,
                )
            )
            assert scores == pytest.approx(expected, abs=0.05)


def test_a_model_of_several_graphs_or_other_pictures_is_refused(tiny_run, tiny_data):
    with pytest.raises(ConversionError, match=r"runs one graph on the photo itself; this model has root \(rgb\); expert-"):
        exported(tiny_run, tiny_data, "int8")


def test_the_command_writes_all_three_and_nothing_when_one_cannot_be(flat_run, tiny_run, tiny_data, tmp_path):
    out, task, plain = tmp_path / "flat.derm", tmp_path / "task.tflite", tmp_path / "plain"
    loose = ["--min-agreement", "0", "--max-divergence", "9"]
    words = ["--float32", "-o", str(out), "--mediapipe", str(task), "--tflite", str(plain), *loose]
    done = CliRunner().invoke(main, [str(flat_run.folder), *words])
    assert done.exit_code == 0, done.output
    assert out.is_file() and task.is_file() and (plain / "tree.tflite").is_file()
    done = CliRunner().invoke(main, [str(flat_run.folder), "-o", str(tmp_path / "b.derm"), "--tflite", str(plain)])
    assert done.exit_code == 1 and "is not empty; name a new one" in done.output
    arguments = ["-o", str(tmp_path / "b.derm"), "--mediapipe", str(tmp_path / "b.tflite"), "--data", str(tiny_data.folder)]
    done = CliRunner().invoke(main, [str(tiny_run.folder), *arguments])
    assert done.exit_code == 1 and "runs one graph on the photo itself" in done.output
    assert not list(tmp_path.glob("b.*"))


def test_plain_graphs_come_with_all_that_is_needed_to_run_them(tmp_path):
    bundle = read_bundle(models.bundle_bytes())
    write_plain_graphs(bundle, tmp_path / "plain")
    sheet = (tmp_path / "plain" / "README.md").read_text("utf-8")
    for graph in bundle.graphs:
        assert (tmp_path / "plain" / f"{graph.id}.tflite").read_bytes() == bundle.graph_data[graph.id]
        labels = (tmp_path / "plain" / f"{graph.id}.labels.txt").read_text().splitlines()
        assert tuple(labels) == graph.labels
        assert f"## {graph.id}.tflite" in sheet and f"{graph.output.scale:g} | {graph.output.zero_point} |" in sheet
    assert "fit='crop'" in sheet and "size=32" in sheet and "temperature 0.5" in sheet and "P(label | benign)" in sheet
    written = json.loads((tmp_path / "plain" / "calibration.json").read_text())
    assert Calibration.from_dict(written) == bundle.calibration
    with pytest.raises(FileError, match="is not empty"):
        write_plain_graphs(bundle, tmp_path / "plain")
