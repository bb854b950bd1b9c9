"""`derm-toolkit report`: one file that says what the run's files say, and nothing that a label says for itself."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from derm_toolkit.errors import RunError
from derm_toolkit.evaluation.predictions import read_predictions
from derm_toolkit.reporting.commands import report
from derm_toolkit.reporting.page import NOT_A_DEVICE, report_page
from derm_toolkit.reporting.sources import read_sources

from .pages import Page

HOSTILE = (
    "</style><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a\x00b\ud800 & <b>c</b>",
    "eczema",
    "wart",
)


def call(*words: object) -> str:
    result = CliRunner().invoke(report, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_the_report_of_a_run_holds_its_figures_its_config_and_the_sentence(evaluated: Path):
    assert f"The report is in {evaluated / 'report.html'}." in call(evaluated)
    page = Page((evaluated / "report.html").read_text("utf-8"))
    figures = json.loads((evaluated / "evaluation" / "test.json").read_text())
    accuracy = figures["all"]["levels"]["category"]["accuracy"]
    assert f"{accuracy['low']:.3f}–{accuracy['high']:.3f}" in page.text
    assert NOT_A_DEVICE in page.text
    assert "class_weight_power" in page.text
    assert "learning_rate" in page.text
    for anchor in ("levels", "confusion", "skin", "referral", "calibration", "answering", "sets", "training", "checklist"):
        assert {"href": f"#{anchor}"} in page.named("a")
        assert [each for each in page.named("section") if each.get("id") == anchor]


def test_the_same_run_gives_the_same_bytes(evaluated: Path, tmp_path: Path):
    for name in ("a.html", "b.html"):
        call(evaluated, "-o", tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_the_confusion_matrix_counts_every_photo_where_it_belongs(evaluated: Path):
    page = Page(report_page(read_sources(evaluated)))
    said = read_predictions(evaluated / "evaluation" / "test.npz")
    head, *rows = page.tables["Confusion matrix, category: photos, and their share of the row"]
    names = [cell.strip() for cell in head[1:-1]]
    ids = {node.name: node.id for node in said.taxonomy.at("category")}
    answers = said.columns("category")[said.probabilities[:, said.columns("category")].argmax(axis=1)]
    for row in rows:
        for name, cell in zip(names, row[1:-1], strict=True):
            expected = (said.truth[:, 0] == ids[row[0].strip()]) & (said.nodes[answers] == ids[name])
            assert int(cell.split()[0]) == expected.sum()
    assert sum(int(row[-1]) for row in rows) == len(said)


def test_a_class_of_fewer_than_twenty_photos_shows_its_n_and_no_figure(evaluated: Path):
    page = Page(report_page(read_sources(evaluated)))
    rows = page.tables["Precision, recall and F1 of every condition"]
    melanoma = next(row for row in rows if row[0].strip() == "melanoma")
    assert [cell.strip() for cell in (melanoma[1], melanoma[3])] == ["4", "n = 4, too few for figures"]


def test_labels_are_text_whatever_they_hold(evaluated: Path):
    sources = read_sources(evaluated)
    tree = sources.predictions.taxonomy.to_dict()
    for node, name in zip(reversed(tree["nodes"]), HOSTILE, strict=False):
        node["name"] = name
    meta = {**sources.predictions.meta, "taxonomy": tree}
    predictions = dataclasses.replace(sources.predictions, meta=meta)
    config = {**sources.config, HOSTILE[1]: {HOSTILE[0]: HOSTILE[2]}}
    text = report_page(dataclasses.replace(sources, predictions=predictions, config=config))
    page = Page(text)
    text.encode("utf-8")
    assert not page.named("script") and not page.named("img")
    assert HOSTILE[0] in page.text
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on") or name == "style"]


def test_the_page_asks_nothing_of_a_network_and_forbids_it(evaluated: Path):
    page = Page(report_page(read_sources(evaluated)))
    links = [value for _, attributes in page.elements for name, value in attributes.items() if name in ("src", "href")]
    assert {value[:5] for value in links if not value.startswith("#")} == {"data:"}
    policy = next(each["content"] for each in page.named("meta") if each.get("http-equiv"))
    assert policy.startswith("default-src 'none'; style-src 'sha256-")


def test_what_is_not_evaluated_says_which_command_does_it(run_folder: Path):
    for path in (run_folder / "evaluation").iterdir():
        path.unlink()
    assert f"make them with: derm-toolkit evaluate {run_folder}" in call(run_folder)
    page = Page((run_folder / "report.html").read_text("utf-8"))
    assert f"derm-toolkit evaluate {run_folder}" in page.text
    assert "Loss of root over 6 epochs" in (run_folder / "report.html").read_text("utf-8")


@pytest.mark.parametrize(
    "name",
    ["history.csv", "environment.json", "calibration.json", "taxonomy.json", "splits.csv", "splits.json", "dataset.json"],
)
def test_a_missing_file_costs_its_section_only(run_folder: Path, name: str):
    (run_folder / name).unlink()
    call(run_folder)
    assert "Confusion matrix, category" in (run_folder / "report.html").read_text("utf-8")


@pytest.mark.parametrize("name", ["evaluation/test.json", "calibration.json", "config.toml", "evaluation/test.npz"])
def test_a_damaged_file_is_named_and_nothing_is_written(run_folder: Path, name: str):
    (run_folder / name).write_bytes((run_folder / name).read_bytes()[:-40] + b"\xff")
    with pytest.raises(ValueError, match=Path(name).name):
        call(run_folder)
    assert not (run_folder / "report.html").exists()


def test_figures_of_other_weights_are_called_so(run_folder: Path):
    path = run_folder / "calibration.json"
    path.write_text(json.dumps(json.loads(path.read_text())))
    assert "The figures are of other weights than the run has now" in call(run_folder)
    assert "of other weights" in Page((run_folder / "report.html").read_text("utf-8")).text


def test_the_checklist_says_what_is_not_done_and_what_has_been_done_since(run_folder: Path):
    def told(item: str) -> str:
        rows = Page(report_page(read_sources(run_folder))).tables["Checklist after TRIPOD+AI and CLAIM"]
        return next(row[1] for row in rows if item in row[0]).strip("✓◐✗✎ ")

    assert told("External validation") == "not done"
    assert told("Test photos kept out") == "partly"
    figures = json.loads((run_folder / "evaluation" / "test.json").read_text())
    (run_folder / "evaluation" / "phone-all.json").write_text(json.dumps({**figures, "dataset": "0" * 64}))
    assert told("External validation") == "done"
    rows = (run_folder / "splits.csv").read_text().splitlines()
    (run_folder / "splits.csv").write_text("\n".join([rows[0], *(f"{row.rsplit(',', 1)[0]},one" for row in rows[1:])]))
    assert told("Split without leaks") == "not done"


def test_photos_are_shown_only_when_asked_for(evaluated: Path, tmp_path: Path):
    sources = read_sources(evaluated)
    turned = np.roll(sources.predictions.probabilities, 1, axis=1)  # so that there are errors to show
    sources = dataclasses.replace(sources, predictions=dataclasses.replace(sources.predictions, probabilities=turned))
    assert not Page(report_page(sources)).named("img")
    shown = Page(report_page(sources, with_photos=True)).named("img")
    assert shown
    assert all(each["src"].startswith("data:image/jpeg;base64,") and each["alt"] for each in shown)


def test_photos_that_are_gone_are_asked_for(run_folder: Path):
    with pytest.raises(RunError, match="name the data set with --data"):
        call(run_folder, "--with-photos")


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path):
    with pytest.raises(RunError, match=r"no run folder: it has no config\.toml"):
        call(tmp_path)
