"""What the pages say is compared with the code, so that they cannot drift apart."""

import copy
import dataclasses
import importlib
import json
import re
import struct
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import derm_sdk
from derm_sdk import (
    BundleError,
    Classifier,
    DermError,
    Prediction,
    Result,
    archive,
    bundle,
    calibration,
    errors,
    inputs,
    preprocess,
    read_bundle,
    routing,
    taxonomy,
)
from derm_sdk.archive import pack, unpack
from derm_sdk.calibration import QUALITY_MESSAGES, Calibration

from .. import models
from .test_bundle import small_bundle
from .test_selftest import packed as with_selftest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
EXAMPLES = [page for page in (ROOT / "examples").rglob("*.md") if "node_modules" not in page.parts]
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *EXAMPLES, *(ROOT / "benchmarks").glob("*.md")])
BUNDLE, RESULT, INSTALL, HOUSE = (
    (DOCS / f"{name}.md").read_text("utf-8") for name in ("bundle", "result", "install", "architecture")
)


def section(text: str, heading: str) -> str:
    """The part of a page between a heading and the next one of its level or above."""
    level, start = re.search(rf"^(#+) {re.escape(heading)}\n", text, re.M).group(1), text.index(f"# {heading}\n")
    rest = text[start + len(heading) + 3 :]
    end = re.search(rf"^#{{1,{len(level)}}} ", rest, re.M)
    return rest[: end.start()] if end else rest


def rows(text: str) -> list[list[str]]:
    """The cells of every table row in a text, headings and rules left out."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    heads = {i - 1 for i, line in enumerate(lines) if set(line) <= set("|-")}
    found = [line for i, line in enumerate(lines) if i not in heads and not set(line) <= set("|-")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def names(text: str) -> list[str]:
    """What the first column of a section's tables names."""
    return [name for row in rows(text) for name in code(row[0])]


# --- bundle.md ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def packed() -> bytes:
    return small_bundle()


@pytest.mark.parametrize(
    ("title", "layout", "place"),
    [
        ("Local header", archive._LOCAL, "start"),
        ("Central header", archive._CENTRAL, "table"),
        ("End record", archive._END, "end"),
    ],
)
def test_the_byte_tables_are_what_is_written(packed, title, layout, place):
    size = int(re.search(rf"\*\*{title}\*\*.*?(\d+) bytes", BUNDLE).group(1))
    assert size == layout.size
    table = rows(BUNDLE[BUNDLE.index(f"**{title}**") :].split("\n\n")[1])
    table_start = struct.unpack_from("<I", packed, len(packed) - 6)[0]
    start = {"start": 0, "table": table_start, "end": len(packed) - layout.size}[place]
    expected = 0
    for at, length, _, value in table:
        assert int(at) == expected
        expected += int(length)
        stored = packed[start + int(at) : start + int(at) + int(length)]
        for text in code(value):
            assert stored == bytes.fromhex(text) if " " in text else int.from_bytes(stored, "little") == int(text)
    assert expected == size


def test_entries_come_in_the_order_of_the_table():
    wanted = [name.split("<")[0] for name in names(section(BUNDLE, "Entries, in this order"))]
    found = [next(start for start in wanted if name.startswith(start)) for name in unpack(memoryview(with_selftest()))]
    assert list(dict.fromkeys(found)) == wanted


def test_the_padding_field_and_the_name_rule_are_the_codes():
    assert f"0x{archive._PADDING_ID:04X}" in BUNDLE
    assert f"`{archive._NAME.pattern}`" in BUNDLE


def test_limits_are_the_codes():
    constants = {
        name.strip("_"): value for module in (archive, bundle, taxonomy, preprocess) for name, value in vars(module).items()
    }
    stated = {code(row[0])[0]: int(row[1].replace(",", "")) for row in rows(section(BUNDLE, "Limits"))}
    assert {"ALIGNMENT", "MAX_ENTRIES", "MAX_JSON_BYTES"} <= set(stated)
    assert stated == {name: constants[name] for name in stated}


def manifest_fields() -> dict[str, bool]:
    return {code(row[0])[0]: row[1] == "yes" for row in rows(section(BUNDLE, "`manifest.json`"))}


def without(manifest: dict, field: str) -> dict:
    """A copy of a manifest without a field such as graphs[].inputs[].name, taken from the first graph and tensor."""
    manifest = copy.deepcopy(manifest)
    *way, last = field.split(".")
    place = manifest
    for step in way:
        place = place[step.removesuffix("[]")]
        place = place[0] if step.endswith("[]") else place
    place.pop(last, None)
    return manifest


@pytest.mark.parametrize("field", manifest_fields())
def test_a_reader_needs_the_fields_that_the_table_says(packed, field):
    entries = {name: bytes(data) for name, data in unpack(memoryview(packed)).items()}
    changed = without(json.loads(entries["manifest.json"]), field)
    data = pack({**entries, "manifest.json": json.dumps(changed).encode()})
    if manifest_fields()[field]:
        with pytest.raises(BundleError):
            read_bundle(data)
    else:
        read_bundle(data)


def test_the_table_names_every_field_that_is_written(packed):
    def fields(data: dict, before: str = "") -> set[str]:
        found = set()
        for name, value in data.items():
            found.add(before + name)
            if name in ("preprocessing", "explain"):
                found |= fields(value, f"{before}{name}.")
            if name in ("graphs", "inputs", "outputs"):
                found |= {field for row in value for field in fields(row, f"{before}{name}[].")}
        return found - {"preprocessing"}

    written = fields(json.loads(bytes(unpack(memoryview(packed))["manifest.json"])))
    assert written | {"graphs[].outputs[].node"} == set(manifest_fields()) | {"graphs"}


def test_the_choices_of_the_manifest_are_the_codes():
    text = section(BUNDLE, "`manifest.json`")
    meaning = {code(row[0])[0]: code(row[2]) for row in rows(text)}
    assert tuple(meaning["kind"]) == bundle.KINDS
    assert tuple(meaning["graphs[].outputs[].dtype"]) == bundle.DTYPES
    assert tuple(meaning["preprocessing.fit"]) == preprocess.FITS
    assert tuple(meaning["graphs[].inputs[].kind"]) == inputs.INPUT_KINDS
    assert f"The `.derm` file, format {bundle.FORMAT}" in BUNDLE


def test_the_fields_of_taxonomy_and_calibration_are_those_written():
    data = models.TAXONOMY.to_dict()
    assert names(section(BUNDLE, "`taxonomy.json`")) == ["levels", *(f"nodes[].{name}" for name in data["nodes"][0])]
    data = Calibration(offsets={"root": (0.5,)}).to_dict()
    data |= {f"refer.{name}": 0 for name in data.pop("refer")}
    assert set(names(section(BUNDLE, "`calibration.json`"))) == set(data)


def test_every_refusal_has_the_words_of_the_table():
    source = "".join(path.read_text("utf-8") for path in (ROOT / "derm_sdk").glob("*.py"))
    refusals = [words for row in rows(section(BUNDLE, "What a reader must refuse, and why")) for words in code(row[2])]
    assert len(refusals) > 50
    assert [words for words in refusals if words not in source] == []


def test_every_sentence_of_the_container_is_in_the_table():
    refusals = [words for row in rows(section(BUNDLE, "What a reader must refuse, and why")) for words in code(row[2])]
    source = (ROOT / "derm_sdk" / "archive.py").read_text("utf-8")
    for raised in re.findall(r"raise BundleError\((.*?)\)\n", source, re.S):
        assert any(words in raised for words in refusals), raised


@pytest.mark.parametrize("page", [BUNDLE, RESULT])
def test_error_classes_named_in_the_pages_exist(page):
    for name in set(re.findall(r"`(\w+Error)`", page)):
        assert issubclass(getattr(errors, name), DermError)
        assert name in derm_sdk.__all__


# --- result.md ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def result(bundle_path) -> Result:
    with Classifier(bundle_path) as opened:
        return opened.classify(models.photos(4, seed=5)[3], fitzpatrick=4)


def test_the_schema_table_is_what_to_dict_gives(result):
    data = result.to_dict()
    table = rows(section(RESULT, "Schema version 1"))
    assert [code(row[0])[0] for row in table] == list(data)
    types = {
        "whole number": int, "whole number or null": (int, type(None)), "text": str, "text or null": (str, type(None)),
        "number": float, "object": dict, "object or null": (dict, type(None)), "true or false": bool, "list of text": list,
    }  # fmt: skip
    for row in table:
        assert isinstance(data[code(row[0])[0]], types[row[1]]), row
    assert f"Schema version {data['schema']}" in RESULT
    inner = {code(row[0])[0]: code(row[2]) for row in table}
    assert inner["model"] == list(data["model"])
    assert inner["quality"] == list(data["quality"])
    assert inner["levels"] == list(data["levels"]["category"][0])
    assert inner["routing"] == list(routing.ROUTINGS)


def test_the_json_example_has_the_shape_of_a_real_result(result):
    def shape(value: object) -> object:
        if isinstance(value, dict):
            return {name: shape(inner) for name, inner in value.items()}
        return type(value).__name__ if not isinstance(value, list) else {str(shape(inner)) for inner in value}

    example = json.loads(re.search(r"```json\n(.*?)```", RESULT, re.S).group(1))
    real = json.loads(result.to_json())
    for data in (example, real):  # what may be empty or null in one and not in the other
        for name in ("answer", "reasons", "skipped", "warnings"):
            data[name] = None
        data["quality"]["problems"] = None
    assert shape(example) == shape(real)
    for levels in example["levels"].values():
        assert sum(node["probability"] for node in levels) == pytest.approx(1, abs=1e-6)


def test_the_attribute_table_names_everything_public():
    table = {re.split(r"[(\[]", name)[0] for name in names(section(RESULT, "What is in it"))}
    public = {field.name for field in dataclasses.fields(Result)} | {n for n in vars(Result) if not n.startswith("_")}
    assert table == public | {"result"}  # result[level]
    for field in dataclasses.fields(Prediction):
        assert f"`{field.name}`" in section(RESULT, "What is in it")


def test_the_quality_table_is_the_codes():
    table = {code(row[0])[0]: (row[2], row[3].replace("nothing", "")) for row in rows(section(RESULT, "Quality"))}
    assert table == QUALITY_MESSAGES
    assert set(table) == set(calibration.quality_measures(np.zeros((8, 8, 3), np.uint8), np.zeros(3)))


# --- install.md, architecture.md, README -------------------------------------------------------------------------------


def test_doctor_prints_the_lines_of_the_table():
    printed = CliRunner().invoke(importlib.import_module("derm_sdk.cli").main, ["doctor"]).stdout
    assert [line[:15].strip() for line in printed.splitlines()] == names(section(INSTALL, "`derm doctor`"))


def test_packages_and_extras_are_those_of_the_setup():
    setup = (ROOT / "setup.cfg").read_text("utf-8")
    required = setup[setup.index("install_requires") : setup.index("[options.package_data]")]
    assert {line.split()[0] for line in required.splitlines()[1:] if line.strip()} == {
        *names(section(INSTALL, "What `pip install` brings")), "tflite-runtime"
    }  # fmt: skip
    extras = setup[setup.index("[options.extras_require]") : setup.index("[options.entry_points]")]
    assert re.findall(r"^(\w+) =", extras, re.M) == names(section(INSTALL, "Extras"))


def test_the_architecture_names_files_that_exist_and_every_module_of_the_device():
    named = {name for name in re.findall(r"`([\w./-]+)`", HOUSE) if "/" in name and not name.startswith("/")}
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "derm_sdk").glob("*.py")}
    assert modules - named == set()


def commands(group: click.Command, name: str) -> list[str]:
    if not isinstance(group, click.Group):
        return [name]
    context = click.Context(group)
    inner = [(child, group.get_command(context, child)) for child in group.list_commands(context)]
    return [found for child, command in inner for found in commands(command, f"{name} {child}")]


@pytest.mark.parametrize(
    ("program", "module"),
    [("derm", "derm_sdk.cli"), ("derm-toolkit", "derm_toolkit.cli"), ("derm-convert", "derm_converters.cli")],
)
def test_every_command_is_in_the_pages(program, module):
    pages = "\n".join(page.read_text("utf-8") for page in PAGES)
    found = commands(importlib.import_module(module).main, program)
    assert found
    assert [command for command in found if not re.search(rf"(?<![\w-]){re.escape(command)}(?![\w-])", pages)] == []


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_inside_the_repository_resolve(page):
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), link
        assert not anchor or anchor in anchors(file), link


def test_the_picture_is_sound_and_loads_nothing():
    text = (DOCS / "photo-way.svg").read_text("utf-8")
    ElementTree.fromstring(text)
    assert not re.search(r"https?:|@import|data:|<image", text.replace("http://www.w3.org/2000/svg", ""))


# --- The examples ------------------------------------------------------------------------------------------------------


def example(name: str, *arguments: object) -> str:
    script = ROOT / "examples" / "python" / name
    done = subprocess.run([sys.executable, str(script), *map(str, arguments)], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def photos(tmp_path) -> Path:
    lines = ["file,category"]
    for i, photo in enumerate(models.photos(24, seed=1)[2:]):
        photo[..., i % 2] //= 4  # two categories that a line can part
        Image.fromarray(photo).save(tmp_path / f"{i}.png")
        lines.append(f"{i}.png,{('cyan', 'magenta')[i % 2]}")
    (tmp_path / "photos.csv").write_text("\n".join(lines), "utf-8")
    return tmp_path


def test_the_classify_example_answers_and_goes_on_after_a_bad_photo(bundle_path, photos):
    printed = example("classify.py", photos / "0.png", photos / "none.png", photos / "1.png", "--model", bundle_path)
    assert printed.count("among:") == 2
    assert "Cannot read" in printed


def test_the_training_example_learns_from_prepared_bytes(photos):
    pytest.importorskip("sklearn")
    printed = example("train_elsewhere.py", photos / "photos.csv", photos)
    assert printed.startswith("uint8 (22, 32, 32, 3): accuracy 1.00")


def test_the_record_of_the_self_test_has_the_fields_of_the_page():
    page = (DOCS / "selftest.md").read_text("utf-8")
    record = json.loads(unpack(memoryview(with_selftest()))["selftest.json"].tobytes())
    top = {field.split("[")[0] for field in names(section(page, "The record"))}
    assert set(record) <= top | {"probes"}
    rows = set(re.findall(r"`(?:probes\[\]\.)?(\w+)`", section(page, "The record")))
    assert set(record["probes"][0]) <= rows and set(record["tolerances"]) <= rows
