"""Recipes one after the other, and the enemies of a conversion: no photo, one photo, no room."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from derm_converters import auto
from derm_converters.auto import ladder
from derm_converters.cli import main
from derm_converters.recipe import Recipe
from derm_sdk import Classifier, read_bundle
from derm_toolkit.data.manifest import Dataset, Split, read_split, write_split
from derm_toolkit.training.run import Run

LOOSE = ["--min-agreement", "0", "--max-divergence", "9"]


def convert(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, " ".join(done.output.split())


def with_sides(run: Run, data: Dataset, folder: Path, sides: Mapping[str, int]) -> Path:
    """A copy of a run whose split has so many photos on the sides named; the others become test photos."""
    shutil.copytree(run.folder, folder)
    split = read_split(run.folder / "splits.csv", data)
    left, assignments = dict(sides), {}
    for digest, side in split.assignments.items():
        assignments[digest] = side if left.get(side, 1) > 0 else "test"
        left[side] = left.get(side, 1_000) - 1
    changed = Split(assignments, split.clusters)
    write_split(folder / "splits.csv", changed, data)
    record = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**record, "split": changed.digest}))
    return folder


def test_each_recipe_costs_more_than_the_one_before_and_none_is_there_twice():
    recipes = ladder(Recipe("int8", 200, explain=False), photos=1000)
    assert next(iter(recipes)) == "measured ranges" and list(recipes)[5] == "+ learned rounding"
    assert len(set(recipes.values())) == len(recipes) and not any(recipe.explain for recipe in recipes.values())
    assert recipes["+ learned rounding"] == Recipe(
        "int8", 200, explain=False
    )  # what a conversion does unless told otherwise
    epochs = [recipe.qat_epochs for recipe in recipes.values()]
    assert epochs.index(max(epochs)) > list(recipes).index("new statistics")
    assert "400 photos" in recipes and "400 photos" not in ladder(Recipe("int8", 200), photos=150)


def test_the_first_recipe_that_keeps_the_limits_is_taken_and_the_bundle_tells_of_it(flat_run, tmp_path):
    out, page = tmp_path / "flat.derm", tmp_path / "page.html"
    code, said = convert(flat_run.folder, "-o", out, "--auto", "--report", page, *LOOSE)
    assert code == 0, said
    assert "Chosen: measured ranges." in said
    bundle = read_bundle(out)
    report = json.loads(bundle.attachments["parity.json"])
    (row,) = report["trials"]["rows"]
    assert report["split"] == "validation" and report["trials"]["split"] == "calibration"
    assert row["recipe"] == "measured ranges" and row["settings"] == bundle.manifest["quantization"]
    assert row["broken"] == [] and 0 < row["agreement"]["condition"] <= 1 and row["divergence"] > 0
    assert "Recipes tried" in page.read_text("utf-8") and "no part in the choice" in page.read_text("utf-8")


def test_when_no_recipe_keeps_them_nothing_is_written_and_force_marks_the_best(flat_run, tmp_path, monkeypatch):
    some = ("measured ranges", "1 float layer")
    monkeypatch.setattr(auto, "ladder", lambda base, photos: {name: ladder(base, photos)[name] for name in some})
    out = tmp_path / "flat.derm"
    words = [flat_run.folder, "-o", out, "--auto", "--min-agreement", "0", "--max-divergence", "0"]
    code, said = convert(*words)
    assert code == 1 and "None of 2 recipes keeps the limits" in said and not os.listdir(tmp_path), said
    code, said = convert(*words, "--force")
    assert code == 0, said
    trials = json.loads(read_bundle(out).attachments["parity.json"])["trials"]
    least = min(trials["rows"], key=lambda row: row["divergence"])
    assert [row["recipe"] for row in trials["rows"]] == list(some) and trials["chosen"] == least["recipe"]
    with Classifier(out) as classifier:
        (warning,) = classifier.classify(np.full((20, 20, 3), 120, np.uint8)).warnings
    assert "when it was chosen, all photos: divergence" in warning


def test_one_photo_is_enough_to_choose_by_and_is_told_and_none_is_refused(flat_run, tiny_data, tmp_path):
    out = tmp_path / "flat.derm"
    one = with_sides(flat_run, tiny_data, tmp_path / "one", {"calibration": 1, "validation": 1})
    code, said = convert(one, "-o", out, "--auto", *LOOSE)
    assert code == 0, said
    assert "recipes tried, 1 calibration photo " in said and "can hardly tell recipes apart" in said
    for side in ("calibration", "validation"):
        none = with_sides(flat_run, tiny_data, tmp_path / f"no-{side}", {side: 0})
        code, said = convert(none, "-o", tmp_path / "none.derm", "--auto", *LOOSE)
        assert code == 1 and f"There is no {side} photo" in said and not (tmp_path / "none.derm").exists()


def test_a_recipe_beside_auto_is_refused(flat_run, tmp_path):
    for word, value in (("--float16", ()), ("--ranges", ("mse",)), ("--qat", ("1",)), ("--no-equalisation", ())):
        code, said = convert(flat_run.folder, "-o", tmp_path / "x.derm", "--auto", word, *value)
        assert code == 2 and f"leave out {word}" in said


def test_a_disk_without_room_for_the_bundle_is_one_sentence_and_leaves_what_was_there(flat_run, tmp_path):
    out, page = tmp_path / "flat.derm", tmp_path / "page.html"
    code, said = convert(flat_run.folder, "-o", out, "--float32", *LOOSE)
    assert code == 0, said
    before, (soft, hard) = out.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) - 1, hard))
    try:
        code, said = convert(flat_run.folder, "-o", out, "--float32", "--report", page, *LOOSE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert code == 1 and "Cannot write" in said and "Traceback" not in said
    assert os.listdir(tmp_path) == ["flat.derm"] and out.read_bytes() == before
