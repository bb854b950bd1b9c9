"""A split that leaks: refused by train and evaluate, or said in everything that follows; seen photos and their relatives."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from derm_sdk.bundle import write_bundle
from derm_toolkit.cli import main
from derm_toolkit.data.manifest import Dataset, Photo, Split, read_dataset, read_split, write_dataset, write_split
from derm_toolkit.errors import DataError
from derm_toolkit.evaluation.evaluate import select_photos
from derm_toolkit.evaluation.seen import Question
from derm_toolkit.evaluation.subject import bundle_subject, run_subject
from derm_toolkit.training.run import Run

from ... import models
from ..training.tiny import make_data


def call(*words: object) -> tuple[int, str]:
    run = CliRunner().invoke(main, [str(word) for word in words])
    if run.exception is not None and not isinstance(run.exception, SystemExit):
        raise run.exception
    return run.exit_code, " ".join(run.output.split())


def with_patient(data: Dataset, photos: list[Photo], folder: Path) -> Dataset:
    """The photos as a data set of their own, the first two of one patient."""
    joined = [dataclasses.replace(photo, patient_id="p" if place < 2 else "") for place, photo in enumerate(photos)]
    write_dataset(folder, data.photo_folder, data.taxonomy, joined)
    return read_dataset(folder)


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Path]:
    """Photos of which one patient is in train and in test, and their split."""
    folder = tmp_path_factory.mktemp("leaky")
    data = make_data(folder / "whole", per_condition=20)
    split = read_split(folder / "whole" / "splits.csv", data)
    first, second = split.photos(data, "train")[0], split.photos(data, "test")[0]
    rest = [photo for photo in data.photos if photo not in (first, second)]
    joined = with_patient(data, [first, second, *rest], folder / "data")
    write_split(folder / "data" / "splits.csv", split, joined, allow_leaks=True)
    return joined, folder


def test_a_leak_is_refused_or_said_in_everything_that_follows(leaky: tuple[Dataset, Path], tiny_config: Path) -> None:
    data, folder = leaky
    run = folder / "run"
    order = ("train", tiny_config, "--data", data.folder, "--set", "training.epochs=1", "--set", "training.expert_epochs=1")
    code, output = call(*order, "--out", run)
    assert code == 1
    assert "The patient 'p' must be on one side" in output
    assert "--allow-leaks" in output
    assert not run.exists()

    sentence = "The split leaks (1 patient is on two sides, with 1 test photos): the figures flatter the model."
    code, output = call(*order, "--out", run, "--allow-leaks")
    assert code == 0, output
    assert sentence in " ".join((run / "log.txt").read_text().split())
    assert json.loads((run / "dataset.json").read_text())["leaks"][0]["kind"] == "patient"
    assert call("train", "--out", run, "--resume")[0] == 0  # what was allowed once stays allowed

    code, output = call("evaluate", run)
    assert code == 1
    assert "The patient 'p' must be on one side" in output
    code, output = call("evaluate", run, "--allow-leaks")
    assert code == 0, output
    assert f"Caution: {sentence}" in output
    assert json.loads((run / "evaluation" / "test.json").read_text())["leaks"][0]["names"] == 1
    other = shutil.copy(run / "evaluation" / "test.npz", folder / "other.npz")
    assert f"Caution, other: {sentence}" in call("compare", run, other)[1]
    assert call("report", run)[0] == 0
    page = (run / "report.html").read_text()
    assert page.count("The split leaks (1 patient") >= 3  # above the figures, with the data, in the checklist


def test_a_report_is_reproduced_on_a_leaking_split_only_when_asked_to(leaky: tuple[Dataset, Path]) -> None:
    data, folder = leaky
    order = ("reproduce", "report-b", "--rows", "lenet_3", "--data", data.folder, "--out", folder / "rows")
    order += ("--set", "training.epochs=1", "--set", "preprocessing.size=80")
    code, output = call(*order)
    assert code == 1
    assert "The patient 'p' must be on one side" in output
    code, output = call(*order, "--allow-leaks")
    assert code == 0, output
    assert "The split leaks (1 patient is on two sides" in (folder / "rows" / "reproduction.md").read_text()


def test_relatives_of_seen_photos_in_other_data_are_refused_or_left_out(tiny_run: Run, tiny_data: Dataset, tmp_path: Path):
    split = read_split(tiny_data.folder / "splits.csv", tiny_data)
    seen, tested = split.photos(tiny_data, "train")[0], split.photos(tiny_data, "test")
    other = with_patient(tiny_data, [tested[0], seen, *tested[1:]], tmp_path / "other")
    subject = run_subject(tiny_run, 1)
    found = select_photos(subject, Question(other, None, "all"))
    assert set(found.photos) == {photo for photo in other.photos if photo.digest in {each.digest for each in tested[1:]}}
    assert found.about["left_out_seen"] == {"train": 1}
    assert found.about["left_out_related"] == 1
    assert "2 of 21 photos are left out: the model was made with them (1 train, 1 related)" in found.notes[0]

    sides = Split({photo.digest: "test" for photo in other.photos} | {seen.digest: "unused"}, {})
    with pytest.raises(DataError, match=r"1 of the 20 photos .* or related to them \(1 related\)"):
        select_photos(subject, Question(other, sides, "test"))
    allowed = select_photos(subject, Question(other, sides, "test", allow_leaks=True))
    assert len(allowed.photos) == 20
    assert allowed.about["allowed"] == allowed.about["related"] == 1
    by_cluster = Split(sides.assignments, {seen.digest: "c", tested[5].digest: "c"})
    with pytest.raises(DataError, match=r"2 of the 20 photos .*\(2 related\)"):
        select_photos(subject, Question(other, by_cluster, "test"))


def test_a_bundle_knows_what_it_has_seen_by_the_run_it_was_made_of(tiny_run: Run, tiny_data: Dataset, tmp_path: Path):
    fields, graphs = models.parts()
    training = {"dataset_sha256": tiny_data.digest, "split_sha256": tiny_run.data["split"]}
    path = tmp_path / "tiny.derm"
    write_bundle(path, {**fields, "training": training}, models.TAXONOMY, models.CALIBRATION, graphs, "#\n", "CC0\n")
    assert bundle_subject(path).sides is None
    assert bundle_subject(path, tiny_run.folder).sides == read_split(tiny_run.folder / "splits.csv", tiny_data).assignments
    write_bundle(path, fields, models.TAXONOMY, models.CALIBRATION, graphs, "#\n", "CC0\n")
    with pytest.raises(DataError, match="was not made of the run"):
        bundle_subject(path, tiny_run.folder)
