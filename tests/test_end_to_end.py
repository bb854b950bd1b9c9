"""The whole way from the command line: photos -> data set -> split -> training -> int8 -> answers."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import derm_sdk

REAL = Path(__file__).resolve().parents[2] / "shared" / "data"
SMALL = [
    "preprocessing.size=48", "training.epochs=3", "training.expert_epochs=2", "training.batch_size=16",
    "model.root.widths=[12,16]", "model.root.blocks=[1,1]", "model.root.stem=8",
    "model.expert.widths=[12,16]", "model.expert.blocks=[1,1]", "model.expert.stem=6",
]  # fmt: skip


def run(module: str, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Runs a console script's function in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", f"from {module}.cli import main; main()", *map(str, arguments)],
        capture_output=True, text=True, check=False, env={**os.environ, "KERAS_BACKEND": "tensorflow"},
    )  # fmt: skip
    assert done.returncode == code, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    return done


def settings() -> list[str]:
    return [word for setting in SMALL for word in ("--set", setting)]


@pytest.fixture(scope="module")
def way(tmp_path_factory) -> Path:
    """A folder with a drawn data set, a short run and its int8 bundle."""
    folder = tmp_path_factory.mktemp("way")
    run("derm_toolkit", "data", "synth", folder / "drawn", "--photos", 240, "--seed", 3, "--size", 96)
    table, photos = folder / "drawn" / "photos.csv", folder / "drawn" / "photos"
    run("derm_toolkit", "data", "import", table, "--photos", photos, "-o", folder / "data")
    run("derm_toolkit", "data", "split", folder / "data", "--duplicates", "hash")
    run("derm_toolkit", "train", "two_step_demo", "--data", folder / "data", "--out", folder / "run", *settings())
    return folder


@pytest.fixture(scope="module")
def bundle(way) -> Path:
    # Networks trained for seconds sit on the fence, so a level or two of rounding may turn some answers.
    loose = ["--min-agreement", "0.7", "--max-divergence", "0.2"]
    done = run("derm_converters", way / "run", "--int8", "-o", way / "demo.derm", *loose)
    assert "converted beside trained" in done.stderr
    return way / "demo.derm"


def unseen(way: Path) -> list[str]:
    with (way / "data" / "splits.csv").open() as file:
        return [str(way / "drawn" / "photos" / row["file"]) for row in csv.DictReader(file) if row["split"] == "test"]


def test_an_unseen_photo_is_classified_from_python_and_from_the_command_line(way, bundle):
    photo = unseen(way)[0]
    with derm_sdk.Classifier(bundle) as classifier:
        result = classifier.classify(photo, fitzpatrick="III")
    printed = json.loads(run("derm_sdk", "classify", photo, "--model", bundle, "--json", "--fitzpatrick", 3).stdout)
    assert printed["levels"]["condition"][0]["id"] == result.condition.id
    assert len(result["category"]) == 3


def test_the_bundle_says_what_it_was_made_of_and_how_it_compares(bundle):
    manifest = derm_sdk.read_bundle(bundle).manifest
    assert manifest["parity"]["overall"]["n"] > 10
    assert manifest["quantization"]["bias_correction"]
    assert sum(manifest["training"]["photos_by_condition"].values()) == manifest["training"]["photos"]
    assert "not a medical device" in derm_sdk.read_bundle(bundle).card


def test_run_and_float_bundle_are_evaluated_alike(way):
    run("derm_converters", way / "run", "--float32", "-o", way / "float.derm")
    figures = []
    for model, name in ((way / "run", "run.json"), (way / "float.derm", "bundle.json")):
        run("derm_toolkit", "evaluate", model, "--data", way / "data", "--split", "test", "--json", way / name)
        figures.append(json.loads((way / name).read_text())["all"]["levels"])
    for level in figures[0]:
        for name in ("accuracy", "macro_f1", "log_loss"):
            assert figures[0][level][name]["value"] == pytest.approx(figures[1][level][name]["value"], abs=1e-4)


def test_a_conversion_that_breaks_its_limits_writes_nothing(way):
    done = run(
        "derm_converters", way / "run", "--int8", "--no-bias-correction", "-o", way / "broken.derm",
        "--max-divergence", "0.0000001", code=1,
    )  # fmt: skip
    assert "nothing was written" in done.stderr
    assert "at most 1e-07 wanted" in done.stderr
    assert not (way / "broken.derm").exists()


def test_a_run_folder_without_a_graph_is_one_sentence(way, tmp_path):
    assert "There is no run folder" in run("derm_converters", tmp_path / "none", "-o", "x.derm", code=1).stderr


@pytest.mark.skipif(not REAL.is_dir(), reason="the research photos are not beside the project")
def test_real_photos_go_the_whole_way(tmp_path):
    with (REAL / "photos.csv").open() as file:
        rows = list(csv.DictReader(file))
    chosen, counts = [], {}
    for row in rows:
        if row["condition"] in {"melanoma", "kaposi sarcoma", "pyogenic granuloma", "dermatofibroma", "acne", "keloid"}:
            counts[row["condition"]] = counts.get(row["condition"], 0) + 1
            if counts[row["condition"]] <= 24:
                chosen.append(row)
    with (tmp_path / "photos.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(chosen)
    table, photos = tmp_path / "photos.csv", REAL / "photos"
    run("derm_toolkit", "data", "import", table, "--photos", photos, "-o", tmp_path / "data")
    run("derm_toolkit", "data", "split", tmp_path / "data", "--duplicates", "hash")
    run("derm_toolkit", "train", "two_step_demo", "--data", tmp_path / "data", "--out", tmp_path / "run", *settings())
    loose = ["--min-agreement", "0.5", "--max-divergence", "0.5"]
    run("derm_converters", tmp_path / "run", "--int8", "-o", tmp_path / "real.derm", *loose)
    for original in sorted((REAL / "originals").iterdir())[:6]:
        assert run("derm_sdk", "classify", original, "--model", tmp_path / "real.derm").stdout.count("answer:") == 1
