from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from derm_sdk.errors import OptionError
from derm_toolkit.cli import main
from derm_toolkit.data.duplicates import Clusters, find_clusters
from derm_toolkit.data.importers import import_table
from derm_toolkit.data.manifest import SPLITS, Dataset, Split, read_split, verify, write_split
from derm_toolkit.data.split import check_ratios, group_photos, make_folds, make_split
from derm_toolkit.errors import DataError

from .conftest import imagined

NAMES = st.sampled_from(["", "", "", "p1", "p2", "p3", "p4"])
ROWS = st.tuples(
    st.sampled_from(["nevus", "wart", "melanoma"]), st.integers(0, 25).map(str), NAMES, NAMES, st.sampled_from([None, 1, 6])
)


def clusters_of(dataset: Dataset, names: list[str]) -> Clusters:
    return Clusters("hash", {photo.digest: name or photo.digest for photo, name in zip(dataset.photos, names, strict=True)})


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ROWS, min_size=1, max_size=60), seed=st.integers(0, 5))
def test_no_cluster_patient_or_lesion_is_ever_cut(rows: list, seed: int) -> None:
    dataset = imagined(rows)
    clusters = clusters_of(dataset, [row[1] for row in rows])
    for result in (make_split(dataset, clusters, seed=seed), *make_folds(dataset, clusters, 3, seed)):
        verify(result.split, dataset)
        assert set(result.split.assignments) == {photo.digest for photo in dataset.photos}


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(ROWS, min_size=1, max_size=60))
def test_a_condition_with_enough_groups_is_on_every_side(rows: list) -> None:
    """Of groups of one photo each, four are enough."""
    dataset = imagined([(name, "", "", "", skin) for name, _, _, _, skin in rows])
    result = make_split(dataset, clusters_of(dataset, [""] * len(rows)))
    for stratum in result.strata:
        if stratum.kind == "condition" and sum(stratum.counts) >= 4:
            assert all(stratum.counts), stratum


def test_sides_are_close_to_their_shares() -> None:
    rows = [(f"c{i % 7}", "", "", "", i % 6 + 1) for i in range(700)]
    dataset = imagined(rows)
    result = make_split(dataset, clusters_of(dataset, [str(i // 2) for i in range(700)]))
    counts = {stratum.name: stratum.counts for stratum in result.strata if stratum.kind == "all"}["photos"]
    assert counts == pytest.approx((420, 70, 70, 140), abs=2)
    assert result.worst("condition").deviation < 0.03
    assert result.worst("fitzpatrick").deviation < 0.03


def test_the_seed_decides_and_nothing_else() -> None:
    dataset = imagined([("nevus", "", "", "", 1 + i % 6) for i in range(80)])
    alone = clusters_of(dataset, [""] * 80)
    first, again, other = (make_split(dataset, alone, seed=seed).split for seed in (3, 3, 4))
    assert first.assignments == again.assignments
    assert first.digest == again.digest != other.digest


def test_a_side_may_be_empty_when_its_ratio_is_zero() -> None:
    dataset = imagined([("nevus", "", "", "", 1)] * 50)
    result = make_split(dataset, clusters_of(dataset, [""] * 50), (0.6, 0.2, 0, 0.2))
    assert [len(result.split.photos(dataset, side)) for side in SPLITS] == [30, 10, 0, 10]
    assert result.warnings == ()


def test_folds_test_every_photo_once() -> None:
    dataset = imagined([("nevus", "", "", "", 1)] * 60)
    folds = make_folds(dataset, clusters_of(dataset, [str(i // 3) for i in range(60)]), 5)
    tested = [photo.digest for fold in folds for photo in fold.split.photos(dataset, "test")]
    assert sorted(tested) == sorted(photo.digest for photo in dataset.photos)
    assert [len(folds[0].split.photos(dataset, side)) for side in SPLITS] == [36, 6, 6, 12]
    with pytest.raises(OptionError, match="folds must be 3 to 20; got 2"):
        make_folds(dataset, clusters_of(dataset, [""] * 60), 2)


def test_conditions_with_too_few_groups_and_giant_patients_are_named() -> None:
    rows = [("nevus", "", "", "", 1)] * 70 + [("wart", "", "unknown", "", 1)] * 30
    dataset = imagined(rows)
    result = make_split(dataset, clusters_of(dataset, [""] * 100))
    assert any(warning.startswith("wart: 30 photos in 1 group; none in ") for warning in result.warnings)
    assert any("One group holds 30 of 100 photos (patient 'unknown')" in warning for warning in result.warnings)


def test_groups_are_joined_across_clusters_patients_and_lesions() -> None:
    dataset = imagined([("nevus", "", *ids, 1) for ids in (("p", ""), ("p", "l"), ("", "l"), ("", ""))])
    assert group_photos(dataset.photos, clusters_of(dataset, ["", "", "a", "a"])) == [0, 0, 0, 0]
    assert group_photos(dataset.photos, clusters_of(dataset, ["", "", "", ""])) == [0, 0, 0, 3]


@pytest.mark.parametrize(
    ("ratios", "sentence"),
    [
        ((0.6, 0.1, 0.1, 0.1), r"ratios must sum to 1; 0.6, 0.1, 0.1, 0.1 sum to 0.9"),
        ((1.2, -0.2, 0, 0), "four numbers from 0 to 1"),
        ((0.8, 0.2), "four numbers from 0 to 1"),
        ((float("nan"), 0, 0, 1), "four numbers from 0 to 1"),
        ((0, 0.5, 0, 0.5), "train, must be above 0"),
    ],
)
def test_ratios_that_are_no_shares_get_one_sentence(ratios: tuple[float, ...], sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence):
        check_ratios(ratios)


@pytest.fixture
def written(dataset: Dataset, tmp_path: Path) -> Path:
    result = make_split(dataset, find_clusters(dataset, "hash"))
    write_split(tmp_path / "splits.csv", result.split, dataset)
    return tmp_path / "splits.csv"


def test_a_split_reads_back_with_how_it_was_made(dataset: Dataset, written: Path) -> None:
    split = read_split(written, dataset)
    assert split.details["duplicates"]["method"] == "hash"
    assert split.details["dataset"] == dataset.digest
    sides = [split.photos(dataset, side) for side in SPLITS]
    assert sum(map(len, sides)) == len(dataset.photos)
    with pytest.raises(DataError, match=r"Unknown split 'tset'.*Did you mean 'test'"):
        split.photos(dataset, "tset")
    written.with_suffix(".json").unlink()
    assert read_split(written, dataset).assignments == split.assignments


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda lines: lines[:-1], "lacks 1 of the data set's 90 photos"),
        (lambda lines: [*lines, lines[-1]], "Row 92 of splits.csv: the photo .* is listed twice"),
        (
            lambda lines: [*lines, "0" * 64 + ",x.jpg,test,c\n"],
            "Row 92 of splits.csv: the photo 'x.jpg' is not in the data set",
        ),
        (lambda lines: [*lines[:-1], lines[-1].replace(lines[-1].split(",")[2], "tset")], "Row 91 .* unknown split 'tset'"),
        (lambda lines: [line.replace("cluster", "clutser") for line in lines], "needs a column 'cluster'"),
    ],
)
def test_a_split_that_does_not_fit_is_refused(dataset: Dataset, written: Path, edit, sentence: str) -> None:
    written.write_text("".join(edit(written.read_text().splitlines(keepends=True))))
    with pytest.raises(DataError, match=sentence):
        read_split(written, dataset)


def test_a_leak_is_refused_unless_asked_for(dataset: Dataset, written: Path) -> None:
    split = read_split(written, dataset)
    patient = next(photo for photo in dataset.photos if photo.patient_id)
    other = next(side for side in SPLITS if side != split.assignments[patient.digest])
    leaking = dataclasses.replace(split, assignments={**split.assignments, patient.digest: other})
    with pytest.raises(DataError, match="must be on one side, but"):
        write_split(written, leaking, dataset)
    write_split(written, leaking, dataset, allow_leaks=True)
    with pytest.raises(DataError, match="must be on one side, but"):
        read_split(written, dataset)
    assert read_split(written, dataset, allow_leaks=True).assignments == leaking.assignments


def test_a_cluster_on_two_sides_is_named(dataset: Dataset) -> None:
    first, second = dataset.photos[:2]
    split = Split({first.digest: "train", second.digest: "test"}, {first.digest: "c1", second.digest: "c1"})
    with pytest.raises(DataError, match=r"The cluster 'c1' must be on one side, but .* is in train and .* in test"):
        verify(split, dataset)


def test_the_command_writes_splits_and_says_how_good_they_are(drawn: Path, tmp_path: Path) -> None:
    data, _ = import_table(drawn, drawn.parent / "photos", tmp_path)
    run = CliRunner().invoke(main, ["data", "split", str(tmp_path), "--duplicates", "hash", "--seed", "2"])
    assert run.exit_code == 0, run.output
    assert "Near duplicates (hash)" in run.output
    assert "Furthest from its shares: condition" in run.output
    assert len(read_split(tmp_path / "splits.csv", data).assignments) == 90
    assert json.loads((tmp_path / "splits.json").read_text())["seed"] == 2
    folds = CliRunner().invoke(main, ["data", "split", str(tmp_path), "--duplicates", "none", "--folds", "3"])
    assert folds.exit_code == 0, folds.output
    assert read_split(tmp_path / "splits-fold3.csv", data).details["fold"] == 3
    wrong = CliRunner().invoke(main, ["data", "split", str(tmp_path), "--ratios", "half"])
    assert wrong.exit_code == 1
    assert wrong.output.startswith("Error: ratios must be four numbers")


@pytest.mark.parametrize(
    "name",
    ["dataset.csv", "manifest.csv", "taxonomy.csv", "import.csv", "Dataset.csv", "photos.csv", "notes.csv", "graphs.csv"],
)
def test_a_split_overwrites_nothing_but_a_split(drawn: Path, tmp_path: Path, name: str) -> None:
    import_table(drawn, drawn.parent / "photos", tmp_path)
    (tmp_path / "notes.csv").write_text("who,what\nme,this\n")
    (tmp_path / "graphs.json").write_text("{}")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    arguments = ["data", "split", str(tmp_path), "--duplicates", "none", "-o"]
    run = CliRunner().invoke(main, [*arguments, str(tmp_path / name)])
    assert run.exit_code == 1
    assert "choose another" in run.output
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    for _ in range(2):  # a split may take the place of a split
        assert CliRunner().invoke(main, [*arguments, str(tmp_path / "mine.csv")]).exit_code == 0
