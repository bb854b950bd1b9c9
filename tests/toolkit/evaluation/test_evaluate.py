"""`derm-toolkit evaluate` on a run: the table, the file, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import derm_sdk
from derm_sdk.bundle import read_bundle, write_bundle
from derm_sdk.calibration import Calibration, quality_measures
from derm_sdk.taxonomy import Taxonomy
from derm_toolkit.data.cache import PhotoCache
from derm_toolkit.data.manifest import Dataset, Photo, Split, read_dataset, read_split, write_dataset, write_split
from derm_toolkit.errors import DataError
from derm_toolkit.evaluation.commands import evaluate
from derm_toolkit.evaluation.evaluate import Question, select_photos
from derm_toolkit.evaluation.figures import all_figures
from derm_toolkit.evaluation.predict import measure_quality, predict_bundle, predict_models
from derm_toolkit.evaluation.predictions import read_predictions
from derm_toolkit.evaluation.subject import bundle_subject, is_other_split, run_subject
from derm_toolkit.evaluation.synonyms import read_synonyms
from derm_toolkit.training.run import Run, read_run

from ... import models


def call(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(evaluate, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_a_run_knows_its_data_and_keeps_its_figures(tiny_run: Run):
    code, output = call(tiny_run.folder)
    assert code == 0
    for words in ("accuracy", "a constant answer", "macro F1", "category (3)", "condition (5)", "AUROC", "not an input"):
        assert words in output
    table = CliRunner().invoke(evaluate, [str(tiny_run.folder), "--full"]).stdout
    assert max(map(len, table.splitlines())) <= 100
    found = json.loads((tiny_run.folder / "evaluation" / "test.json").read_text())
    assert found["side"] == "test"
    assert found["all"]["n"] == 20
    assert found["all"]["levels"]["category"]["accuracy"]["value"] > 0.8
    assert sum(group["n"] for group in found["skin_types"].values()) == 20
    assert found["all"]["refer"]["sensitivity"] == {"n": 8}
    assert found["seen"] == {}
    assert "Eodd" in table
    assert "Eodd" not in output


def test_what_the_model_said_is_kept_beside_the_figures(tiny_run: Run, tiny_data: Dataset):
    assert call(tiny_run.folder)[0] == 0
    said = read_predictions(tiny_run.folder / "evaluation" / "test.npz")
    photos = tiny_run.split(tiny_data).photos(tiny_data, "test")
    assert said.digest.tolist() == [photo.digest for photo in photos]
    assert said.leaf.tolist() == [photo.leaf for photo in photos]
    assert said.skin_type.tolist() == [photo.fitzpatrick or 0 for photo in photos]
    logits = predict_models(
        {spec.id: tiny_run.load_model(spec.id) for spec in tiny_run.graphs}, photos, tiny_run.exact_cache(tiny_data)
    )
    calibration = tiny_run.calibration()
    nodes = calibration.nodes(tiny_run.composition, logits)
    assert np.allclose(said.probabilities, nodes, atol=1e-5)
    assert np.allclose(said.uncalibrated, Calibration().nodes(tiny_run.composition, logits), atol=1e-5)
    assert said.answer.tolist() == [answer or "" for answer in calibration.answers(tiny_run.composition, nodes)]
    assert said.refer.tolist() == calibration.refers(tiny_run.composition, nodes).tolist()
    assert said.meta["model_sha256"] == tiny_run.model_digest
    figures = json.loads((tiny_run.folder / "evaluation" / "test.json").read_text())
    again = all_figures(said, read_synonyms())
    assert again["all"] == figures["all"]


def test_figures_are_the_same_every_time(tiny_run: Run, tmp_path: Path):
    for name in ("a.json", "b.json"):
        assert call(tiny_run.folder, "--split", "validation", "--json", tmp_path / name)[0] == 0
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def of_side(data: Dataset, *sides: str) -> list[Photo]:
    split = read_split(data.folder / "splits.csv", data)
    return [photo for side in sides for photo in split.photos(data, side)]


def test_photos_of_the_training_are_left_out_of_all_photos_of_other_data(tiny_run: Run, tiny_data: Dataset, tmp_path: Path):
    photos = of_side(tiny_data, "test", "train")[:50]
    write_dataset(tmp_path / "other", tiny_data.photo_folder, tiny_data.taxonomy, photos)
    code, output = call(tiny_run.folder, "--data", tmp_path / "other", "--split", "all")
    assert code == 0
    assert "30 of 50 photos are left out: the model was made with them (30 train)" in " ".join(output.split())
    found = json.loads((tiny_run.folder / "evaluation" / "other-all.json").read_text())
    assert found["all"]["n"] == 20
    assert found["left_out_seen"] == {"train": 30}


def test_photos_of_the_training_in_a_split_of_other_data_are_refused(tiny_run: Run, tiny_data: Dataset, tmp_path: Path):
    photos = of_side(tiny_data, "test", "validation", "calibration")
    write_dataset(tmp_path / "other", tiny_data.photo_folder, tiny_data.taxonomy, photos)
    other = read_dataset(tmp_path / "other")
    write_split(tmp_path / "other" / "splits.csv", Split(dict.fromkeys((p.digest for p in photos), "test"), {}), other)
    words = (tiny_run.folder, "--data", tmp_path / "other")
    with pytest.raises(
        DataError, match=r"20 of the 40 photos on the side 'test', such as .* \(10 validation, 10 calibration\)"
    ):
        call(*words)
    assert call(*words, "--allow-other-split", "--json", tmp_path / "x.json")[0] == 0
    assert json.loads((tmp_path / "x.json").read_text())["seen"] == {"validation": 10, "calibration": 10}
    write_dataset(tmp_path / "seen", tiny_data.photo_folder, tiny_data.taxonomy, photos[20:])
    with pytest.raises(DataError, match="The model was made with all 20 photos"):
        call(tiny_run.folder, "--data", tmp_path / "seen", "--split", "all")


def test_conditions_that_the_model_does_not_know_are_judged_on_the_levels_that_it_does(
    tiny_run: Run, tiny_data: Dataset, tmp_path: Path
):
    tree = Taxonomy.from_paths(("category", "condition"), [("malignant", "sarcoma"), ("malignant", "melanoma"), ("x", "y")])
    names = {"melanoma": ("malignant", "melanoma"), "carcinoma": ("malignant", "sarcoma"), "acne": ("x", "y")}
    photos = [
        dataclasses.replace(photo, labels=names[photo.leaf], leaf=names[photo.leaf][1], digest=f"{n:064x}", source="phone")
        for n, photo in enumerate(tiny_data.photos)
        if photo.leaf in names
    ]
    write_dataset(tmp_path / "phone", tiny_data.photo_folder, tree, photos)
    found = select_photos(run_subject(tiny_run, 1), Question(read_dataset(tmp_path / "phone"), None, "all", source="phone"))
    assert len(found.photos) == 40
    assert found.about["unknown"] == {"category": {"x": 20}, "condition": {"sarcoma": 20, "y": 20}}
    assert found.about["left_out_unknown"] == 20
    assert "judged without 40 of 60 photos" in found.notes[-1]


def test_photos_without_any_label_that_the_model_knows_are_refused(tiny_run: Run, tiny_data: Dataset, tmp_path: Path):
    tree = Taxonomy.from_paths(("category", "condition"), [("x", "y")])
    photo = dataclasses.replace(of_side(tiny_data, "test")[0], leaf="y", labels=("x", "y"))
    write_dataset(tmp_path / "other", tiny_data.photo_folder, tree, [photo])
    with pytest.raises(DataError, match=r"The model knows no label of the 1 photos asked about, such as \('x', 'y'\)"):
        call(tiny_run.folder, "--data", tmp_path / "other", "--split", "all")


def test_only_photos_of_a_source(tiny_run: Run, tiny_data: Dataset, tmp_path: Path):
    photos = of_side(tiny_data, "test")
    phone = [dataclasses.replace(photo, source="a phone" if n % 2 else "atlas") for n, photo in enumerate(photos)]
    write_dataset(tmp_path / "two", tiny_data.photo_folder, tiny_data.taxonomy, phone)
    words = (tiny_run.folder, "--data", tmp_path / "two", "--split", "all", "--source")
    assert call(*words, "a phone")[0] == 0
    found = json.loads((tiny_run.folder / "evaluation" / "two-all-a-phone.json").read_text())
    assert found["all"] == {"n": 10}
    assert found["source"] == "a phone"
    with pytest.raises(DataError, match=r"is of the source 'phone'.*Did you mean 'a phone'"):
        call(*words, "phone")


def test_a_prior_moves_every_probability_as_it_does_on_the_device(tiny_run: Run, tmp_path: Path):
    assert call(tiny_run.folder, "--out", tmp_path / "as-trained.json")[0] == 0
    assert call(tiny_run.folder, "--prior", "malignant=0.01", "--out", tmp_path / "rare.json")[0] == 0
    before, after = (read_predictions(tmp_path / name) for name in ("as-trained.npz", "rare.npz"))
    malignant = list(before.nodes).index("malignant")
    odds = [p / (1 - p) for p in (before.probabilities[:, malignant], after.probabilities[:, malignant])]
    share = 24 / 60  # of the tiny training photos
    np.testing.assert_allclose(odds[1], odds[0] * (0.01 / 0.99) * ((1 - share) / share), rtol=1e-3)
    assert json.loads((tmp_path / "rare.json").read_text())["prior"] == {"malignant": 0.01}
    with pytest.raises(derm_sdk.DermError, match="malignnt"):
        call(tiny_run.folder, "--prior", "malignnt=0.01")


def test_a_bundle_needs_to_be_told_its_data(tmp_path: Path):
    (tmp_path / "skin.derm").touch()
    code, output = call(tmp_path / "skin.derm")
    assert code == 2
    assert "name them with --data" in output


def test_logits_come_from_the_bytes_of_the_device_in_the_order_of_the_photos(tiny_run: Run, tiny_data: Dataset):
    photos, models = tiny_data.photos[5:16], {spec.id: tiny_run.load_model(spec.id) for spec in tiny_run.graphs}
    cache = tiny_run.exact_cache(tiny_data)
    logits = predict_models(models, photos, cache, batch_size=4)
    for row, photo in enumerate(photos):
        for spec in tiny_run.graphs:
            prepared = derm_sdk.prepare(tiny_data.path(photo), 16, "crop", spec.inputs)
            alone = models[spec.id].predict_on_batch([prepared[name][None] for name in spec.inputs])
            assert np.allclose(alone[0], logits[spec.id][row], atol=1e-4)
    measures = measure_quality(photos, cache, logits["root"])
    assert measures["sharpness"][3] == quality_measures(cache.read(photos[3]), logits["root"][3])["sharpness"]


def test_a_moved_data_set_is_found_with_data(tiny_run: Run, tiny_data: Dataset, tmp_path: Path):
    shutil.copytree(tiny_data.folder, tmp_path / "moved")
    assert read_dataset(tmp_path / "moved").digest == tiny_data.digest
    run = Path(shutil.copytree(tiny_run.folder, tmp_path / "elsewhere" / "run"))
    assert call(run, "--data", tmp_path / "moved")[0] == 0
    assert (run / "evaluation" / "test.json").is_file()


def test_photos_that_are_cached_are_not_needed(tiny_run: Run, tiny_data: Dataset, tmp_path: Path):
    cache = PhotoCache(tiny_data, 16, "crop", root=tmp_path)
    cache.fill(tiny_data.photos)
    assert call(tiny_run.folder, "--cache", tmp_path, "--json", tmp_path / "x.json")[0] == 0


def other_split(data: Dataset, path: Path) -> Path:
    """A split of the same photos in which a photo of the training is a test photo."""
    split = read_split(data.folder / "splits.csv", data)
    moved = split.photos(data, "train")[0].digest
    write_split(path, Split({**split.assignments, moved: "test"}, split.clusters), data)
    return path


def test_another_split_of_the_trainings_photos_is_refused_unless_allowed(tiny_run: Run, tiny_data: Dataset, tmp_path: Path):
    before = {path: path.read_bytes() for path in (tiny_run.folder / "evaluation").glob("*")}
    splits = other_split(tiny_data, tmp_path / "other.csv")
    with pytest.raises(DataError, match=r"photos of its side 'test' may have been trained on.*--allow-leaks"):
        call(tiny_run.folder, "--splits", splits)
    assert call(tiny_run.folder, "--splits", splits, "--allow-other-split", "--json", tmp_path / "x.json")[0] == 0
    found = json.loads((tmp_path / "x.json").read_text())
    assert found["other_split"] is True
    assert found["seen"] == {"train": 1}
    assert found["all"]["n"] == 21
    own = (tiny_run.folder / "splits.csv", "--json", tmp_path / "own.json")
    assert call(tiny_run.folder, "--splits", *own)[0] == 0
    assert "other_split" not in json.loads((tmp_path / "own.json").read_text())
    assert call(tiny_run.folder, "--splits", splits, "--allow-other-split")[0] == 0
    assert {path: path.read_bytes() for path in (tiny_run.folder / "evaluation").glob("*")} == before


def test_a_bundle_is_held_to_the_split_it_was_trained_with(tiny_data: Dataset, tmp_path: Path):
    fields, graphs = models.parts()
    split = read_split(tiny_data.folder / "splits.csv", tiny_data)
    training = {"dataset_sha256": tiny_data.digest, "split_sha256": split.digest}
    path = tmp_path / "tiny.derm"
    write_bundle(path, {**fields, "training": training}, models.TAXONOMY, models.CALIBRATION, graphs, "#\n", "CC0\n")
    subject = bundle_subject(path)
    assert subject.digest == read_bundle(path).digest
    assert not is_other_split(subject, tiny_data, split)
    other = read_split(other_split(tiny_data, tmp_path / "other.csv"), tiny_data)
    assert is_other_split(subject, tiny_data, other)
    assert not is_other_split(subject, dataclasses.replace(tiny_data, photos=tiny_data.photos[1:]), other)


def test_figures_say_which_weights_they_are_about(tiny_run: Run, tmp_path: Path):
    assert call(tiny_run.folder, "--json", tmp_path / "x.json")[0] == 0
    assert json.loads((tmp_path / "x.json").read_text())["model_sha256"] == tiny_run.model_digest
    copy = read_run(shutil.copytree(tiny_run.folder, tmp_path / "run"))
    assert copy.model_digest == tiny_run.model_digest
    path = copy.model_path("root")
    path.write_bytes(path.read_bytes() + b"x")
    assert copy.model_digest != tiny_run.model_digest


def test_levels_that_the_model_lacks_are_not_compared(tiny_run: Run, tiny_data: Dataset, tmp_path: Path):
    paths = {leaf: tiny_data.taxonomy.node(leaf).name for leaf in tiny_data.taxonomy.leaves}
    parent = {photo.leaf: photo.labels[0] for photo in tiny_data.photos}
    tree = Taxonomy.from_paths(
        ("category", "group", "condition"), [(parent[leaf], f"{name} kinds", name) for leaf, name in paths.items()]
    )
    photos = [
        dataclasses.replace(photo, labels=(photo.labels[0], f"{photo.labels[1]} kinds", photo.labels[1]))
        for photo in of_side(tiny_data, "test")
    ]
    write_dataset(tmp_path / "grouped", tiny_data.photo_folder, tree, photos)
    assert call(tiny_run.folder, "--data", tmp_path / "grouped", "--split", "all", "--json", tmp_path / "x.json")[0] == 0
    found = json.loads((tmp_path / "x.json").read_text())
    assert found["all"]["levels"]["condition"]["n"] == 20
    assert found["unknown"] == {}


def test_no_photos_have_no_logits(tiny_run: Run, tiny_data: Dataset):
    networks = {spec.id: tiny_run.load_model(spec.id) for spec in tiny_run.graphs}
    logits = predict_models(networks, [], tiny_run.exact_cache(tiny_data))
    assert {graph: values.shape for graph, values in logits.items()} == {
        spec.id: (0, len(spec.labels)) for spec in tiny_run.graphs
    }
    assert predict_bundle(read_bundle(models.bundle_bytes()), [], tiny_run.exact_cache(tiny_data))["root"].shape == (0, 3)
