"""Tables and folders as other sources publish them."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from derm_sdk.errors import OptionError
from derm_sdk.taxonomy import Taxonomy
from derm_toolkit.cli import main
from derm_toolkit.data.importers import ImportReport, import_table
from derm_toolkit.data.manifest import Dataset, read_dataset
from derm_toolkit.data.sources.known import SOURCES
from derm_toolkit.data.sources.mapping import FOLDER, MATCHES, plain, read_mapping, shipped, tree
from derm_toolkit.errors import DataError

from .conftest import REAL_PHOTOS, write_table


def columns(text: str) -> list[str]:
    return text.split(",")


# The tables' headers as they are published (the sources' docstrings say where).
PAD = columns(
    "patient_id,lesion_id,smoke,drink,background_father,background_mother,age,pesticide,gender,skin_cancer_history,"
    "cancer_history,has_piped_water,has_sewage_system,fitspatrick,region,diameter_1,diameter_2,diagnostic,itch,grew,hurt,"
    "changed,bleed,elevation,img_id,biopsed"
)
HAM = columns("lesion_id,image_id,dx,dx_type,age,sex,localization,dataset")
DDI = ["", "DDI_ID", "DDI_file", "skin_tone", "malignant", "disease"]
CASES = columns("case_id,source,release,fitzpatrick_skin_type,image_1_path,image_2_path,image_3_path,image_1_shot_type")
LABELS = columns(
    "case_id,dermatologist_skin_condition_on_label_name,weighted_skin_condition_label,"
    "dermatologist_fitzpatrick_skin_type_label_1,dermatologist_fitzpatrick_skin_type_label_2,"
    "dermatologist_fitzpatrick_skin_type_label_3,monk_skin_tone_label_india,monk_skin_tone_label_us"
)


def drawn(folder: Path, *files: str) -> Path:
    """Photos of noise, all different."""
    for number, file in enumerate(files):
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(abs(hash(file)) % 10**6 + number).integers(0, 256, (12, 16, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    return folder


def table(path: Path, header: list[str], *rows: dict[str, str]) -> Path:
    return write_table(path, [{**dict.fromkeys(header, ""), **row} for row in rows], tuple(header))


def found(data: Dataset) -> dict[str, tuple[str, int | None, str, str, str]]:
    """File -> condition, type, tone, patient, lesion."""
    return {p.file: (p.labels[-1], p.fitzpatrick, p.skin_tone, p.patient_id, p.lesion_id) for p in data.photos}


def names(report: ImportReport) -> dict[str, list[int]]:
    return {name: [row for row, _ in rows] for name, rows in report.findings.items() if rows}


def test_pad_ufes_20_brings_patients_and_lesions(tmp_path: Path) -> None:
    photos = drawn(
        tmp_path / "images", "imgs_part_1/PAT_1_2_3.png", "imgs_part_2/PAT_1_2_4.png", "imgs_part_3/PAT_9_8_7.png"
    )
    rows = [
        {"patient_id": "PAT_1", "lesion_id": "2", "fitspatrick": "3.0", "diagnostic": "ACK", "img_id": "PAT_1_2_3.png"},
        {"patient_id": "PAT_1", "lesion_id": "2.0", "diagnostic": "NEV", "img_id": "PAT_1_2_4.png"},
        {"patient_id": "PAT_9", "lesion_id": "8", "diagnostic": "XYZ", "img_id": "PAT_9_8_7.png"},
    ]
    data, report = import_table(table(tmp_path / "metadata.csv", PAD, *rows), photos, tmp_path / "data")
    assert found(data) == {
        "imgs_part_1/PAT_1_2_3.png": ("actinic keratosis", 3, "", "PAT_1", "PAD_2"),
        "imgs_part_2/PAT_1_2_4.png": ("nevocytic nevus", None, "", "PAT_1", "PAD_2"),
    }
    assert report.kind == "pad-ufes-20" and names(report) == {"unlisted": [4]}
    assert data.photos[0].labels == ("malignant", "malignant epidermal", "actinic keratosis")


def test_ham10000_brings_lesions_and_leaves_out_what_is_too_broad(tmp_path: Path) -> None:
    photos = drawn(tmp_path / "ham", *(f"HAM10000_images_part_{1 + n % 2}/ISIC_{n}.jpg" for n in range(5)))
    dx = ["mel", "mel", "bkl", "vasc", "nv"]
    rows = [{"lesion_id": f"HAM_{n // 2}", "image_id": f"ISIC_{n}", "dx": dx[n], "dataset": "rosendahl"} for n in range(5)]
    path = table(tmp_path / "HAM10000_metadata", HAM, *rows)
    data, report = import_table(path, photos, tmp_path / "data")
    assert [value[0] for value in found(data).values()] == ["melanoma", "melanoma", "nevocytic nevus"]
    assert len({photo.lesion_id for photo in data.photos[:2]}) == 1 and data.photos[0].lesion_id == "HAM_0"
    assert names(report) == {"broad": [4], "no_counterpart": [5]}
    data, _ = import_table(path, photos, tmp_path / "broad", broad=True)
    assert Counter(photo.labels[-1] for photo in data.photos)["seborrheic keratosis"] == 1


def test_ddi_pairs_of_skin_types_are_no_types(tmp_path: Path) -> None:
    photos = drawn(tmp_path / "images", *(f"00000{n}.png" for n in range(1, 5)))
    disease = ["melanoma-in-situ", "actinic-keratosis", "verruca-vulgaris", "nodular-melanoma-(nm)"]
    rows = [
        {"DDI_ID": str(n), "DDI_file": f"00000{n}.png", "skin_tone": tone, "malignant": ill, "disease": disease[n - 1]}
        for n, tone, ill in ((1, "12", "True"), (2, "34", "False"), (3, "56", "False"), (4, "56", "True"))
    ]
    data, report = import_table(table(tmp_path / "ddi_metadata.csv", DDI, *rows), photos, tmp_path / "data")
    assert [photo.fitzpatrick for photo in data.photos] == [None] * 3
    assert [photo.skin_tone for photo in data.photos] == ["fitzpatrick 1-2", "fitzpatrick 3-4", "fitzpatrick 5-6"]
    assert [photo.labels[-1] for photo in data.photos] == ["melanoma", "actinic keratosis", "melanoma"]
    assert names(report) == {"no_counterpart": [4], "category_differs": [3]}


@pytest.fixture
def scin(tmp_path: Path) -> Path:
    """A folder laid out as the bucket, with both tables."""
    place = tmp_path / "dataset"
    drawn(place / "images", *(f"-{n}.png" for n in range(1, 8)))
    cases = [
        {"case_id": "-10", "image_1_path": "dataset/images/-1.png", "image_2_path": "dataset/images/-2.png"},
        {"case_id": "11", "image_1_path": "dataset/images/-3.png", "fitzpatrick_skin_type": "FST5"},
        {"case_id": "12", "image_1_path": "dataset/images/-4.png"},
        {"case_id": "13", "image_1_path": "dataset/images/-5.png"},
        {"case_id": "14", "image_3_path": "dataset/images/-6.png"},
    ]
    kinds = [f"dermatologist_fitzpatrick_skin_type_label_{n}" for n in (1, 2, 3)]
    told = [
        {"case_id": "13", "weighted_skin_condition_label": "{'Tinea': 1.0}"},
        {"case_id": "-10", "weighted_skin_condition_label": "{'Psoriasis': 0.3, 'Eczema': 0.7}",
         "monk_skin_tone_label_us": "4.0", **dict(zip(kinds, ("FST2", "FST3", "FST2"), strict=True))},
        {"case_id": "11", "weighted_skin_condition_label": "{'SCC/SCCIS': 1}", "monk_skin_tone_label_india": "9",
         **dict(zip(kinds, ("FST2", "FST3", ""), strict=True))},
        {"case_id": "12", "weighted_skin_condition_label": "{'Acne': 0.5, 'Rosacea': 0.5}"},
    ]  # fmt: skip
    table(place / "scin_labels.csv", LABELS, *told)
    table(place / "scin_cases.csv", CASES, *cases)
    return place


@pytest.mark.parametrize("name", ["scin_cases.csv", "scin_labels.csv"])
def test_scin_keeps_the_monk_scale_apart_and_a_case_together(scin: Path, tmp_path: Path, name: str) -> None:
    data, report = import_table(scin / name, scin, tmp_path / "data")
    assert found(data) == {
        "images/-1.png": ("eczema", 2, "monk 4", "", "SCIN_-10"),
        "images/-2.png": ("eczema", 2, "monk 4", "", "SCIN_-10"),
        "images/-3.png": ("squamous cell carcinoma", None, "", "", "SCIN_11"),  # one says 2, one 3; India graded the tone
    }
    assert names(report) == {"undecided": [4], "no_counterpart": [5], "unlabelled": [6]}
    assert read_dataset(tmp_path / "data").photos == data.photos
    header = (tmp_path / "data/manifest.csv").read_text().splitlines()[0]
    assert header.endswith("width,height,skin_tone")


@pytest.mark.parametrize("label", ["{'a': [1]}", "[1]", "__import__('os').abort()", "(" * 5000, "{'a': 1" + "," * 30_000])
def test_a_label_of_scin_that_is_none_is_named(scin: Path, tmp_path: Path, label: str) -> None:
    table(scin / "scin_labels.csv", LABELS, {"case_id": "12", "weighted_skin_condition_label": label})
    with pytest.raises(DataError, match="row 4 must be"):
        import_table(scin / "scin_cases.csv", scin, tmp_path / "data")


def test_scin_needs_both_tables(scin: Path, tmp_path: Path) -> None:
    (scin / "scin_labels.csv").unlink()
    with pytest.raises(DataError, match=r"scin_cases\.csv lacks the other"):
        import_table(scin / "scin_cases.csv", scin, tmp_path / "data")


def test_folders_are_labels(tmp_path: Path) -> None:
    place = drawn(
        tmp_path / "atlas", "train/Benign tumours/halo_nevus/1.jpg", "test/Benign tumours/halo-nevus/2.jpg",
        "malignant/melanoma/a.png", "Acne and Rosacea Photos/acne-cystic-12.jpg", "Acne and Rosacea Photos/7.jpg",
        "stray.jpg",
    )  # fmt: skip
    command = ["data", "import", str(place), "-o", str(tmp_path / "data")]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    data = read_dataset(tmp_path / "data")
    assert {photo.labels for photo in data.photos} == {
        ("Benign tumours", "halo nevus"), ("malignant", "melanoma"), ("Acne and Rosacea", "acne cystic"),
        ("Acne and Rosacea", "Acne and Rosacea"),
    }  # fmt: skip
    assert len(data.photos) == 5 and {photo.source for photo in data.photos} == {"atlas"}


def test_folders_can_be_mapped_to_our_tree(tmp_path: Path) -> None:
    place = drawn(tmp_path / "a", "x/acne-cystic/1.jpg", "x/halo nevus/2.jpg", "x/warts/3.jpg", "x/what/4.jpg")
    data, report = import_table(place, None, tmp_path / "data", mapping="dermnet")
    assert sorted(photo.labels[-1] for photo in data.photos) == ["acne vulgaris", "halo nevus"]
    assert {name: len(rows) for name, rows in names(report).items()} == {"no_counterpart": 1, "unlisted": 1}


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no photos in folders named by their labels"):
        import_table(drawn(tmp_path / "a", "1.jpg"), None, tmp_path / "data")
    result = CliRunner().invoke(main, ["data", "import", str(write_table(tmp_path / "t.csv", [{"a": "1"}])), "-o", "x"])
    assert result.exit_code == 1 and "--photos must name the folder" in result.output


def test_a_table_of_our_own_labels_stays_one_whatever_else_it_says(tmp_path: Path) -> None:
    photos = drawn(tmp_path / "p", "a.png")
    own = {"file": "a.png", "condition": "wart", "category": "benign", "lesion_id": "7", "image_id": "x", "dx": "mel"}
    path = write_table(tmp_path / "photos.csv", [own])
    data, report = import_table(path, photos, tmp_path / "data")
    assert report.kind == "photos" and data.photos[0].labels == ("benign", "wart")
    with pytest.raises(OptionError, match="--broad needs a mapping"):
        import_table(path, photos, tmp_path / "data", broad=True)


def test_a_skin_tone_of_a_table_is_kept_as_it_is_and_checked(tmp_path: Path) -> None:
    photos = drawn(tmp_path / "p", "a.png")
    own = {"file": "a.png", "condition": "wart", "category": "benign", "fitzpatrick": "", "skin_tone": "monk 10"}
    data, _ = import_table(write_table(tmp_path / "a.csv", [own]), photos, tmp_path / "data")
    assert (data.photos[0].fitzpatrick, data.photos[0].skin_tone) == (None, "monk 10")
    with pytest.raises(DataError, match="skin_tone must be 'monk 1' to 'monk 10'"):
        import_table(write_table(tmp_path / "b.csv", [own | {"skin_tone": "monk 11"}]), photos, tmp_path / "data")


def test_a_tree_that_is_held_on_to_leaves_out_what_it_lacks(tmp_path: Path) -> None:
    photos = drawn(tmp_path / "p", "ISIC_0.jpg", "ISIC_1.jpg")
    rows = [{"lesion_id": "HAM_0", "image_id": f"ISIC_{n}", "dx": dx} for n, dx in enumerate(("mel", "df"))]
    only = Taxonomy.from_paths(("category", "group", "condition"), [tree()["melanoma"]])
    path = table(tmp_path / "HAM10000_metadata.csv", HAM, *rows)
    data, report = import_table(path, photos, tmp_path / "data", taxonomy=only)
    assert len(data.photos) == 1 and names(report) == {"no_counterpart": [3]}


# --- The mappings themselves ---


@pytest.mark.parametrize("name", shipped())
def test_shipped_mappings_are_sound(name: str) -> None:
    mapping = read_mapping(name)
    assert all((match.match == "none") == (not match.path) for match in mapping.values())
    assert set(map(plain, tree())) <= set(mapping)


def test_every_source_has_a_mapping_and_the_tree_is_the_official_one() -> None:
    assert {source.name for source in SOURCES} <= set(shipped())
    assert len(tree()) == 114 and len({path[1] for path in tree().values()}) == 9
    official = REAL_PHOTOS / "fitzpatrick17k.csv"
    if official.exists():
        rows = list(csv.DictReader(official.open()))
        names = ("three_partition_label", "nine_partition_label", "label")
        assert set(tree().values()) == {tuple(row[name] for name in names) for row in rows}


@pytest.mark.parametrize("name", shipped())
def test_the_page_says_of_each_mapping_what_it_holds(name: str) -> None:
    page = (Path(__file__).parents[3] / "docs/sources.md").read_text("utf-8")
    rows = list(csv.DictReader((FOLDER / f"{name}.csv").open()))
    counts = ", ".join(f"{sum(row['match'] == match for row in rows)} {match}" for match in MATCHES)
    assert f"`toolkit/data/mappings/{name}.csv`: {len(rows)} labels, {counts}." in page
    if len(rows) <= 20:
        assert all(f"| {' | '.join(row[c] for c in ('label', 'condition', 'match', 'note'))} |" in page for row in rows)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("x,melanomma,exact", "not in our tree"),
        ("x,melanoma,same", "unknown match 'same'"),
        ("x,melanoma,none", "belongs to every match but 'none'"),
        ("x,,exact", "belongs to every match but 'none'"),
        ("A-b,,none\na_B,,none", "one row of its own"),
    ],
)
def test_a_mapping_that_is_wrong_is_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "m.csv").write_text(f"label,condition,match\n{line}\n")
    with pytest.raises(DataError, match=message.replace(".", r"\.")):
        read_mapping(tmp_path / "m.csv")


def test_an_unknown_mapping_is_named() -> None:
    with pytest.raises(DataError, match="Did you mean 'ham10000'"):
        read_mapping("ham1000")


@pytest.mark.skipif(not (REAL_PHOTOS / "photos.csv").exists(), reason="needs the shared photos")
def test_real_photos_of_pad_ufes_20_come_out_as_the_shared_table_has_them(tmp_path: Path) -> None:
    own = {"actinic keratosis": "ACK", "basal cell carcinoma": "BCC", "melanoma": "MEL", "nevocytic nevus": "NEV",
           "squamous cell carcinoma": "SCC", "seborrheic keratosis": "SEK"}  # fmt: skip
    shared = [row for row in csv.DictReader((REAL_PHOTOS / "photos.csv").open()) if row["source"] == "pad-ufes-20"][:40]
    rows = [
        {"patient_id": row["patient_id"], "lesion_id": row["lesion_id"], "fitspatrick": row["fitzpatrick"].replace("-1", ""),
         "diagnostic": own[row["condition"]], "img_id": Path(row["file"]).stem + ".png"}
        for row in shared
    ]  # fmt: skip
    data, report = import_table(table(tmp_path / "metadata.csv", PAD, *rows), REAL_PHOTOS / "photos", tmp_path / "data")
    told = {p.file: (p.labels, p.fitzpatrick or -1, p.patient_id, p.lesion_id.removeprefix("PAD_")) for p in data.photos}
    assert told == {
        row["file"]: ((row["category"], row["group"], row["condition"]), int(row["fitzpatrick"]), row["patient_id"],
                      row["lesion_id"].removesuffix(".0"))
        for row in shared
    }  # fmt: skip
    assert names(report) == {}
