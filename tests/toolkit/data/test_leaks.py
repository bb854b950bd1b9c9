"""Sides that are given: by source, skin type or a published list; what leaks there, and what hands a split out."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from derm_sdk.errors import FileError, OptionError
from derm_toolkit.cli import main
from derm_toolkit.data.duplicates import Clusters, find_clusters
from derm_toolkit.data.folders import export_folders
from derm_toolkit.data.holdout import parse_criterion, sides_by_criteria, split_by_sides
from derm_toolkit.data.importers import import_table
from derm_toolkit.data.leaks import find_leaks, leak_sentence
from derm_toolkit.data.lists import read_atlases, read_split_list
from derm_toolkit.data.manifest import SPLITS, UNUSED, Dataset, Split, read_split, verify, write_split
from derm_toolkit.data.split import RATIOS, make_split
from derm_toolkit.data.stats import data_stats
from derm_toolkit.data.verify import verify_split
from derm_toolkit.errors import DataError

from .conftest import imagined
from .test_split import ROWS, clusters_of

SIDES = st.sampled_from([*SPLITS, UNUSED])


def call(*words: object) -> tuple[int, str]:
    run = CliRunner().invoke(main, ["data", *map(str, words)])
    if run.exception is not None and not isinstance(run.exception, SystemExit):
        raise run.exception
    return run.exit_code, run.output


def plain(dataset: Dataset) -> Clusters:
    return clusters_of(dataset, [""] * len(dataset.photos))


# --- Given sides ------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ROWS, min_size=4, max_size=50), data=st.data())
def test_given_sides_never_leak_and_every_test_photo_stays(rows: list, data: st.DataObject) -> None:
    dataset = imagined(rows)
    sides = data.draw(st.lists(SIDES, min_size=len(rows), max_size=len(rows)))
    wanted = dict(zip((photo.digest for photo in dataset.photos), sides, strict=True))
    clusters = clusters_of(dataset, [row[1] for row in rows])
    try:
        split = split_by_sides(dataset, clusters, wanted, RATIOS).split
    except DataError as error:
        assert "No photo is left" in str(error)  # noqa: PT017 -- random sides may be empty
        return
    verify(split, dataset)
    for digest, side in wanted.items():
        assert side != "test" or split.assignments[digest] == "test"
        assert side != UNUSED or split.assignments[digest] == UNUSED


def test_skin_types_that_are_trained_on_are_not_tested_on() -> None:
    dataset = imagined([("nevus", "", "", "", skin) for skin in (1, 2, 3, 4, 5, 6, None) for _ in range(20)])
    sides = sides_by_criteria(dataset, parse_criterion("fitzpatrick=I,2"), None)
    result = split_by_sides(dataset, plain(dataset), sides, RATIOS)
    found = {side: {p.fitzpatrick for p in result.split.photos(dataset, side)} for side in (*SPLITS, UNUSED)}
    assert found["train"] == found["validation"] == found["calibration"] == {1, 2}
    assert found["test"] == {3, 4, 5, 6}
    assert found[UNUSED] == {None}
    assert len(result.split.photos(dataset, "train")) == 30  # 60 of the 80 % that train, validation and calibration share
    only = sides_by_criteria(dataset, parse_criterion("fitzpatrick=1"), parse_criterion("fitzpatrick=6"))
    assert sorted(set(only.values())) == ["test", "train", UNUSED]


@pytest.mark.parametrize(
    ("train", "test", "sentence"),
    [
        ("skin=1", None, "Photos are chosen by fitzpatrick, source, atlas; got 'skin'"),
        ("fitzpatrick", None, "FIELD=VALUE"),
        ("fitzpatrick=7", None, "A skin type is 1 to 6"),
        ("fitzpatrick=1,2", "fitzpatrick=2", "'2' cannot be trained on and tested on"),
        ("fitzpatrick=1", "source=a", "by the same field"),
        ("source=clinic", None, "No photo is of the source 'clinic'"),
        ("fitzpatrick=1,2,3", None, "nothing is left for the other side"),
        ("atlas=x", None, "name a table with --urls"),
    ],
)
def test_sides_that_cannot_be_chosen_get_one_sentence(train: str, test: str | None, sentence: str) -> None:
    dataset = imagined([("nevus", "", "", "", skin) for skin in (1, 2, 3)])
    with pytest.raises(OptionError, match=sentence):
        sides_by_criteria(dataset, parse_criterion(train), None if test is None else parse_criterion(test))


def test_the_url_tells_the_atlas(dataset: Dataset, tmp_path: Path) -> None:
    """Photos are known by the MD5 of their bytes where their names are something else."""
    urls = ["https://www.one.com/a/b.jpg", "http://two.com.br/img?imageId=1", "", "http://[broken"]
    rows = [
        (hashlib.md5(dataset.path(photo).read_bytes()).hexdigest(), urls[place % 4])
        for place, photo in enumerate(dataset.photos)
    ]
    write(tmp_path / "urls.csv", ("md5hash", "url"), [*rows, ("0" * 32, urls[0])])
    atlases = read_atlases(tmp_path / "urls.csv", dataset)
    assert [atlases.get(photo.digest) for photo in dataset.photos[:5]] == ["one.com", "two.com.br", None, None, "one.com"]
    sides = sides_by_criteria(dataset, None, parse_criterion("atlas=two"), atlases)
    assert [sides[photo.digest] for photo in dataset.photos[:3]] == ["train", "test", UNUSED]


# --- Published lists --------------------------------------------------------------------------------------------------


def write(path: Path, header: tuple[str, ...], rows: list) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_a_published_list_is_taken_as_it_is_and_its_leaks_are_named(drawn: Path, tmp_path: Path) -> None:
    dataset, _ = import_table(drawn, drawn.parent / "photos", tmp_path / "data")
    stem = [Path(photo.file).stem for photo in dataset.photos]
    rows = [(name, ("train", "valid", "Test")[place % 3]) for place, name in enumerate(stem[:80])]
    listed = write(tmp_path / "list.csv", ("filename", "partition"), [*rows, ("absent", "train")])
    words = ("split", tmp_path / "data", "--duplicates", "hash", "--from-list", listed)
    code, output = call(*words)
    assert code == 0
    assert "80 of 81 rows are about photos of the data set, 1 are not, such as 'absent'; 10 photos are not listed" in output
    assert "Warning: the list leaks:" in output
    path = tmp_path / "data" / "splits.csv"
    with pytest.raises(DataError, match=r"must be on one side, but .* --allow-leaks"):
        read_split(path, dataset)
    split = read_split(path, dataset, allow_leaks=True)
    assert {split.assignments[photo.digest] for photo in dataset.photos[:80:3]} == {"train"}
    assert {split.assignments[photo.digest] for photo in dataset.photos[1:80:3]} == {"validation", "calibration"}
    assert {split.assignments[photo.digest] for photo in dataset.photos[80:]} == {UNUSED}
    assert split.details["leaks"] == [leak.to_dict() for leak in find_leaks(split, dataset)]

    code, told = call("verify", tmp_path / "data", "--duplicates", "hash", "--json")
    assert code == 1
    assert json.loads(told)["checks"]["patients"]["straddle"] > 0

    assert call(*words, "--leave-out-leaks")[0] == 0
    clean = read_split(path, dataset)
    assert clean.photos(dataset, "test") == split.photos(dataset, "test")
    assert call("verify", tmp_path / "data", "--duplicates", "hash")[0] == 0


@pytest.mark.parametrize(
    ("header", "rows", "sentence"),
    [
        (("md5hash", "label"), [("a", "nevus")], "a column that names the side, one of split, partition"),
        (("name", "split"), [("a", "train")], "a column that names the photo, one of md5hash"),
        (("file", "split"), [("nowhere.png", "train")], "names no photo of the data set"),
        (("file", "split"), [("0.png", "tets")], "Row 2 of list.csv: unknown side 'tets'.*'test'"),
        (("file", "split"), [("0.png", "train"), ("0.png", "test")], "Row 3 of list.csv puts a photo into 'test'"),
        (("file", "split"), [("same.png", "train")], "Row 2 of list.csv could mean 2 photos"),
    ],
)
def test_a_list_that_is_none_gets_one_sentence(tmp_path: Path, header, rows, sentence: str) -> None:
    dataset = imagined([("nevus", "", "", "", 1)] * 3)
    files = ("0.png", "a/same.png", "b/same.png")
    renamed = [dataclasses.replace(photo, file=file) for photo, file in zip(dataset.photos, files, strict=True)]
    dataset = dataclasses.replace(dataset, photos=tuple(renamed))
    with pytest.raises(DataError, match=sentence):
        read_split_list(write(tmp_path / "list.csv", header, rows), dataset)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--folds", "3", "--train-on", "fitzpatrick=1"), "two ways to choose the sides"),
        (("--leave-out-leaks",), "--leave-out-leaks is for --from-list"),
        (("--urls", __file__), "--urls tells which atlas"),
        (("--folds", "3", "--export-folders", "x"), "makes one tree"),
    ],
)
def test_options_that_contradict_each_other_are_refused(drawn: Path, tmp_path: Path, words, sentence: str) -> None:
    import_table(drawn, drawn.parent / "photos", tmp_path)
    code, output = call("split", tmp_path, *words)
    assert code == 1
    assert sentence in output


# --- Verifying --------------------------------------------------------------------------------------------------------


def test_the_verifier_does_not_believe_the_clusters_of_the_split(dataset: Dataset) -> None:
    alone = {photo.digest: photo.digest for photo in dataset.photos}
    first, second = dataset.photos[:2]
    sides = dict.fromkeys(alone, "train") | {second.digest: "test"}
    no_ids = dataclasses.replace(
        dataset, photos=tuple(dataclasses.replace(p, patient_id="", lesion_id="") for p in dataset.photos)
    )
    twins = Clusters("embedding", alone | {second.digest: first.digest})
    split = Split(sides, alone)
    verify(split, no_ids)  # nothing is recorded
    found = verify_split(split, no_ids, twins)
    assert not found["clean"]
    assert found["checks"]["near duplicates"] == {
        "groups": 1, "straddle": 1, "test_photos": 1, "examples": found["checks"]["near duplicates"]["examples"],
    }  # fmt: skip
    assert first.file in found["checks"]["near duplicates"]["examples"][0]
    assert verify_split(split, no_ids, Clusters("none", alone))["clean"]


def test_leaks_are_counted_by_kind_and_unused_photos_leak_nothing() -> None:
    dataset = imagined([("nevus", "", patient, "", 1) for patient in ("p", "p", "p", "q", "q", "")])
    digests = [photo.digest for photo in dataset.photos]
    split = Split(dict(zip(digests, ("train", "test", "test", UNUSED, "test", "test"), strict=True)), {})
    (leak,) = find_leaks(split, dataset)
    assert (leak.kind, leak.names, leak.test_photos) == ("patient", 1, 2)
    assert leak_sentence([leak.to_dict()]).startswith("The split leaks (1 patient is on two sides, with 2 test photos)")


@pytest.mark.parametrize("recorded", [None, [], {}, "leaks", [1, None], 7])
def test_a_record_without_leaks_says_nothing(recorded: object) -> None:
    assert leak_sentence(recorded) == ""


# --- Folders and counts -----------------------------------------------------------------------------------------------


@pytest.fixture
def split(dataset: Dataset) -> Split:
    return make_split(dataset, find_clusters(dataset, "none"), (0.6, 0.2, 0, 0.2)).split


@pytest.mark.parametrize("copy", [False, True])
def test_a_tree_of_folders_holds_every_photo_once_under_its_label(
    dataset: Dataset, split: Split, tmp_path: Path, *, copy: bool
) -> None:
    counts = export_folders(split, dataset, tmp_path / "tree", copy=copy)
    assert list(counts) == ["train", "validation", "test"]
    files = [path for path in (tmp_path / "tree").rglob("*") if path.is_file()]
    digests = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in files}
    assert len(files) == len(digests) == len(dataset.photos)
    for photo in dataset.photos:
        side, category, condition, _ = digests[photo.digest].relative_to(tmp_path / "tree").parts
        assert side == split.assignments[photo.digest]
        assert (category, condition) == (dataset.taxonomy.ancestor(photo.leaf, "category"), photo.leaf)
        assert digests[photo.digest].is_symlink() is not copy


def test_photos_of_one_name_do_not_overwrite_each_other(dataset: Dataset, split: Split, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    photos = []
    for place, photo in enumerate(dataset.photos[:4]):
        name = f"{place}/{'A.png' if place % 2 else 'a.png'}"
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(dataset.path(photo).read_bytes())
        photos.append(dataclasses.replace(photo, file=name, leaf=dataset.photos[0].leaf))
    same = dataclasses.replace(dataset, photo_folder=folder, photos=tuple(photos))
    one_side = Split(dict.fromkeys((photo.digest for photo in photos), "train"), {})
    export_folders(one_side, same, tmp_path / "tree", copy=True)
    assert len([path for path in (tmp_path / "tree").rglob("*") if path.is_file()]) == 4


def test_a_tree_is_made_as_a_whole_or_not_at_all(dataset: Dataset, split: Split, tmp_path: Path) -> None:
    gone = dataclasses.replace(dataset.photos[-1], file="gone.png")
    broken = dataclasses.replace(dataset, photos=(*dataset.photos[:-1], gone))
    for copy in (False, True):
        with pytest.raises(DataError, match=r"gone\.png' is gone"):
            export_folders(split, broken, tmp_path / "tree", copy=copy)
    changed = dataclasses.replace(dataset.photos[0], file=dataset.photos[1].file)
    with pytest.raises(DataError, match="has changed since the import"):
        export_folders(split, dataclasses.replace(dataset, photos=(changed,)), tmp_path / "tree", copy=True)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note").touch()
    with pytest.raises(DataError, match="is there already"):
        export_folders(split, dataset, tmp_path / "mine")
    with pytest.raises(FileError, match="Cannot write the tree"):
        export_folders(split, dataset, tmp_path / "mine" / "note" / "tree")
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "note"]


def test_counts_add_up_on_every_level_side_and_skin_type(dataset: Dataset, split: Split) -> None:
    found = data_stats(dataset, split, small=3)
    for level in dataset.taxonomy.levels:
        rows = [row for row in found["rows"] if row["level"] == level]
        assert sum(row["total"] for row in rows) == len(dataset.photos)
        for side in found["sides"]:
            assert sum(sum(row["photos"][side].values()) for row in rows) == len(split.photos(dataset, side))
    fourth = [photo for photo in split.photos(dataset, "test") if photo.fitzpatrick == 4]
    tops = [row for row in found["rows"] if row["level"] == "category"]
    assert sum(row["photos"]["test"]["4"] for row in tops) == len(fourth)
    cells = [row["photos"]["test"][skin] for row in found["rows"] if row["level"] == "condition" for skin in "123456"]
    told = found["cells"]["condition"]["test"]
    assert (told["cells"], told["empty"], told["small"]) == (len(cells), cells.count(0), sum(0 < n < 3 for n in cells))


def test_the_commands_count_and_hand_out(drawn: Path, tmp_path: Path) -> None:
    data, _ = import_table(drawn, drawn.parent / "photos", tmp_path / "data")
    assert "In brackets: fewer than 5 photos" in call("stats", tmp_path / "data")[1]
    tree = tmp_path / "tree"
    assert call("split", tmp_path / "data", "--duplicates", "none", "--export-folders", tree)[0] == 0
    assert sorted(path.name for path in tree.iterdir()) == sorted(SPLITS)
    assert json.loads(call("stats", tmp_path / "data", "--json")[1])["photos"] == len(data.photos)
    code, output = call("stats", tmp_path / "data", "--by-side")
    assert code == 0
    assert "condition, calibration" in output
    assert call("export", tmp_path / "data", tmp_path / "again", "--copy")[0] == 0


def test_a_split_with_unused_photos_is_not_extended(dataset: Dataset, split: Split) -> None:
    kept = Split({**split.assignments, dataset.photos[0].digest: UNUSED}, split.clusters)
    with pytest.raises(DataError, match="1 of the kept one's are unused"):
        make_split(dataset, plain(dataset), kept=kept)


def test_an_unused_photo_is_read_back_and_written(dataset: Dataset, split: Split, tmp_path: Path) -> None:
    left_out = dataset.photos[0].digest
    write_split(tmp_path / "s.csv", Split({**split.assignments, left_out: UNUSED}, {}), dataset, allow_leaks=True)
    again = read_split(tmp_path / "s.csv", dataset, allow_leaks=True)
    assert [photo.digest for photo in again.photos(dataset, UNUSED)] == [left_out]
