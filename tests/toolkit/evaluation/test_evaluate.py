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
from derm_sdk.calibration import quality_measures
from derm_sdk.taxonomy import Taxonomy
from derm_toolkit.data.cache import PhotoCache
from derm_toolkit.data.manifest import Dataset, Split, read_dataset, read_split, write_dataset, write_split
from derm_toolkit.errors import DataError
from derm_toolkit.evaluation.commands import evaluate
from derm_toolkit.evaluation.predict import measure_quality, predict_bundle, predict_models
from derm_toolkit.evaluation.subject import bundle_subject, is_other_split
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
    for words in ("accuracy", "majority baseline", "macro F1", "category (3)", "condition (5)", "malignant AUROC"):
        assert words in output
    found = json.loads((tiny_run.folder / "evaluation" / "test.json").read_text())
    assert found["side"] == "test"
    assert found["all"]["n"] == 20
    assert found["all"]["levels"]["category"]["accuracy"]["value"] > 0.8
    assert sum(group["n"] for group in found["skin_types"].values()) == 20


def test_figures_are_the_same_every_time(tiny_run: Run, tmp_path: Path):
    for name in ("a.json", "b.json"):
        assert call(tiny_run.folder, "--split", "validation", "--json", tmp_path / name)[0] == 0
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_other_data_need_no_split_when_all_photos_are_asked(tiny_run: Run, tiny_data: Dataset, tmp_path: Path):
    write_dataset(tmp_path / "other", tiny_data.photo_folder, tiny_data.taxonomy, tiny_data.photos[10:60])
    code, _ = call(tiny_run.folder, "--data", tmp_path / "other", "--split", "all")
    assert code == 0
    assert json.loads((tiny_run.folder / "evaluation" / "other-all.json").read_text())["all"]["n"] == 50


def test_a_condition_that_the_model_does_not_know_is_named(tiny_run: Run, tiny_data: Dataset, tmp_path: Path):
    tree = Taxonomy.from_paths(("category", "condition"), [("benign", "mole"), ("malignant", "melanoma")])
    mole = dataclasses.replace(tiny_data.photos[0], leaf="mole", labels=("benign", "mole"))
    write_dataset(tmp_path / "other", tiny_data.photo_folder, tree, [mole])
    with pytest.raises(DataError, match="The model does not know the condition 'mole'"):
        call(tiny_run.folder, "--data", tmp_path / "other", "--split", "all")


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
    with pytest.raises(DataError, match=r"photos of its side 'test' may have been trained on.*--allow-other-split"):
        call(tiny_run.folder, "--splits", splits)
    assert call(tiny_run.folder, "--splits", splits, "--allow-other-split", "--json", tmp_path / "x.json")[0] == 0
    found = json.loads((tmp_path / "x.json").read_text())
    assert found["other_split"] is True
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
        for photo in tiny_data.photos[5:60]
    ]
    write_dataset(tmp_path / "grouped", tiny_data.photo_folder, tree, photos)
    assert call(tiny_run.folder, "--data", tmp_path / "grouped", "--split", "all", "--json", tmp_path / "x.json")[0] == 0
    assert json.loads((tmp_path / "x.json").read_text())["all"]["n"] == 55


def test_no_photos_have_no_logits(tiny_run: Run, tiny_data: Dataset):
    networks = {spec.id: tiny_run.load_model(spec.id) for spec in tiny_run.graphs}
    logits = predict_models(networks, [], tiny_run.exact_cache(tiny_data))
    assert {graph: values.shape for graph, values in logits.items()} == {
        spec.id: (0, len(spec.labels)) for spec in tiny_run.graphs
    }
    assert predict_bundle(read_bundle(models.bundle_bytes()), [], tiny_run.exact_cache(tiny_data))["root"].shape == (0, 3)
