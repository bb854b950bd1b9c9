"""Faults are planted, one at a time, on the photo's way; the self-test must name the stage."""

import contextlib
import dataclasses
import functools
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from derm_converters.graphs import describe_graph
from derm_converters.selftest import drawn_files, record
from derm_sdk import BundleError, Classifier, OptionError, classifier, image, preprocess, probes, read_bundle, selftest
from derm_sdk.bundle import pack_bundle
from derm_sdk.cli import main

from .. import models


@functools.cache
def attachments(precision: str = "int8") -> dict[str, bytes]:
    return record(models.bundle_bytes(precision))


def run_test(change=None, *, graphs=None, calibration=models.CALIBRATION, extra=None, precision="int8"):
    """The self-test of the tiny bundle, its manifest changed in place or its parts replaced, every digest made right."""
    with Classifier(packed(change, graphs=graphs, calibration=calibration, extra=extra, precision=precision)) as opened:
        return opened.selftest()


def packed(change=None, *, graphs=None, calibration=models.CALIBRATION, extra=None, precision="int8") -> bytes:
    fields, data = models.parts(precision)
    fields = json.loads(json.dumps(fields))
    if change:
        change(fields)
    entries = {"parity.json": b"{}\n", **attachments(precision), **(extra or {})}
    return pack_bundle(fields, models.TAXONOMY, calibration, {**data, **(graphs or {})}, "# Tiny\n", "CC0\n", entries)


def edited(edit) -> dict[str, bytes]:
    """The record, changed in place."""
    content = json.loads(attachments()["selftest.json"])
    edit(content)
    return {"selftest.json": json.dumps(content).encode()}


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_the_device_that_made_the_bundle_is_identical(precision):
    found = run_test(precision=precision)
    assert found.identical and found.passed and found.first_difference is None
    assert [stage.identical for stage in found.stages] == [12, 48, 48, 12, 12]
    assert str(found).endswith("identical: this device answers as the maker of the bundle saw it.")
    assert found.to_dict()["stages"][0] == {
        "name": "decoded pixels", "identical": 12, "close": 0, "different": 0, "note": "",
    }  # fmt: skip


def test_the_pictures_are_of_every_kind_and_small():
    kinds = {name.rsplit(".", 1)[1] for name in drawn_files()}
    assert kinds == {"png", "jpg", "bmp", "webp"} and len(drawn_files()) == 12
    assert sum(map(len, attachments().values())) < 150_000
    assert {picture.fitzpatrick for picture in drawn_files().values()} == {None, 1, 2, 3, 4, 5, 6}


def test_a_drawing_is_what_the_formula_says_and_is_not_stored():
    width, height, number = 263, 233, 10
    for y, x in [(0, 0), (232, 262), (116, 131), (7, 200)]:
        across, down = 255 * x // width, 255 * y // height
        grain = (x * 7919 + y * 104729 + number * 1299709) % 251 // 16
        dark = (3 * across - 300 - 20 * (number % 5)) ** 2 + (4 * down - 420) ** 2 < (90 + 25 * number) ** 2
        rgb = [190 + across // 8 - grain, 120 + down // 6 - grain + 5 * (number % 4), 60 + across // 5 + down // 9]
        rgb = [rgb[0] - 110 + 3 * grain, rgb[1] - 70, rgb[2] - 20 + grain] if dark else rgb
        assert probes.drawn(width, height, number)[y, x].tolist() == [min(max(level, 0), 255) for level in rgb]
    drawings = [row["name"] for row in json.loads(attachments()["selftest.json"])["probes"] if "drawn" in row]
    assert drawings == ["odd.png", "tiny.bmp", "wide.png", "large.png"]
    assert not {f"probes/{name}.rgb" for name in drawings} & set(attachments())


def test_the_record_is_the_same_each_time():
    assert record(models.bundle_bytes()) == attachments()


# --- Planted faults ---------------------------------------------------------------------------------------------------


def assert_first(found, stage, words):
    first = found.first_difference
    assert not found.passed and first.name == stage and words in first.note, str(found)
    assert "DIFFERENT" in str(found)
    return first


def test_bgr_given_as_rgb(monkeypatch):
    def swapped(*args, **options):
        photo = image.decode(*args, **options)
        return dataclasses.replace(photo, pixels=photo.pixels[..., ::-1])

    for module in (selftest, classifier):
        monkeypatch.setattr(module, "decode", swapped)
    assert_first(run_test(), "decoded pixels", "red and blue are swapped")


def test_exif_that_is_not_applied(monkeypatch):
    monkeypatch.setattr(image, "_orientation", lambda picture: 1)
    first = assert_first(run_test(), "decoded pixels", "turned.jpg is 66 x 44 pixels here, 44 x 66 in the record")
    assert "EXIF orientation is not applied" in first.note and first.different == 2


def test_another_decoder_is_close_and_a_bad_one_is_not(monkeypatch):
    def off_by(levels):
        def read(source, **options):
            photo = image.decode(source, **options)
            lossless = source[:2] in (b"\x89P", b"BM")
            moved = np.clip(photo.pixels.astype(int) + levels, 0, 255).astype(np.uint8)
            return photo if lossless else dataclasses.replace(photo, pixels=moved)

        return read

    monkeypatch.setattr(selftest, "decode", off_by(1))
    found = run_test()
    assert found.passed and not found.identical and found.stages[0].close == 4
    assert "up to 1 levels" in found.stages[0].note and "close: decoded pixels" in str(found)
    monkeypatch.setattr(selftest, "decode", off_by(9))
    assert_first(run_test(), "decoded pixels", "up to 9 levels")


def test_a_picture_that_cannot_be_read_here(monkeypatch):
    monkeypatch.setattr(selftest, "decode", lambda *args, **options: image.decode(b"no picture"))
    assert_first(run_test(), "decoded pixels", "odd.png cannot be read here: No image")


def reducing() -> bytes:
    """The tiny bundle with decode = "reduced" and the self-test that belongs to it."""
    fields, data = models.parts()
    fields = {**fields, "preprocessing": {**fields["preprocessing"], "decode": "reduced"}}
    parts = (fields, models.TAXONOMY, models.CALIBRATION, data, "# Tiny\n", "CC0\n")
    return pack_bundle(*parts, record(pack_bundle(*parts, {"parity.json": b"{}\n"})) | {"parity.json": b"{}\n"})


def test_a_large_jpeg_that_is_not_reduced(monkeypatch):
    packed = reducing()
    assert "probes/reducible.jpg.rgb" in read_bundle(packed).attachments  # small, at the size of the tiny network
    with Classifier(packed) as opened:
        assert opened.selftest().identical
        for module in (selftest, classifier):
            monkeypatch.setattr(module, "least_side", lambda *args: None)
        first = assert_first(opened.selftest(), "decoded pixels", "large JPEGs are not decoded at a reduced size")
    assert "reducible.jpg is" in first.note and first.different == 1


def test_a_picture_too_large_to_keep_tests_the_decoder_and_the_whole_way(monkeypatch):
    monkeypatch.setattr("derm_converters.selftest.KEPT_BYTES", 5_000)
    packed = reducing()
    assert "probes/reducible.jpg.rgb" not in read_bundle(packed).attachments
    with Classifier(packed) as opened:
        found = opened.selftest()
        assert found.identical and found.stages[0].identical == found.stages[4].identical == 13
        right = image._to_rgb
        monkeypatch.setattr(image, "_to_rgb", lambda picture: right(picture)[..., ::-1])
        assert_first(opened.selftest(), "decoded pixels", "differs by up to")


def test_a_changed_resize(monkeypatch):
    def resize(pixels, size, fit):
        return cv2.resize(preprocess.resize(pixels, 4 * size, fit), (size, size), interpolation=cv2.INTER_LINEAR)

    for module in (probes, selftest, classifier):
        monkeypatch.setattr(module, "resize", resize)
    first = assert_first(run_test(), "prepared inputs", "'rgb' of odd.png differs at")
    assert "another resize than the definition" in first.note


def test_inputs_that_are_derived_otherwise(monkeypatch):
    def gray(rgb, out):
        out[..., 0] = rgb.max(axis=2)

    monkeypatch.setattr(preprocess, "native", None)
    monkeypatch.setattr(preprocess._Definition, "gray", staticmethod(gray))
    first = assert_first(run_test(), "prepared inputs", "'equalized' of odd.png differs at")
    assert "derived by other code" in first.note


@pytest.mark.parametrize("fit", ["pad", "stretch"])
def test_a_wrong_fit(fit):
    found = run_test(lambda manifest: manifest["preprocessing"].update(fit=fit))
    assert_first(found, "prepared inputs", f"the recorded bytes are those of 'crop', and {fit!r} was used")


def test_a_swapped_graph():
    _, data = models.parts()
    rows = {name: describe_graph(data[name]) for name in ("expert-benign", "expert-malignant")}

    def swap(manifest):
        for row in manifest["graphs"]:
            other = {"expert-benign": "expert-malignant", "expert-malignant": "expert-benign"}.get(row["id"])
            if other:
                row["inputs"], row["outputs"] = rows[other]

    graphs = {"expert-benign": data["expert-malignant"], "expert-malignant": data["expert-benign"]}
    first = assert_first(run_test(swap, graphs=graphs), "graph outputs", "'expert-benign' differs on odd.png by up to")
    assert "another graph than was recorded" in first.note


def test_a_corrupted_graph():
    """Weights overwritten, digests made right again: either the interpreter refuses it, or the self-test names it."""
    _, data = models.parts()
    graph = bytearray(data["root"])
    middle = len(graph) // 2
    graph[middle : middle + 200] = bytes(200)
    try:
        found = run_test(graphs={"root": bytes(graph)})
    except (BundleError, RuntimeError):
        return
    assert_first(found, "graph outputs", "'root' differs")


def test_another_zero_point_is_refused_at_opening():
    def change(manifest):
        manifest["graphs"][0]["outputs"][0]["zero_point"] ^= 1

    with pytest.raises(BundleError, match="its description says"):
        run_test(change)


def test_an_edited_temperature():
    changed = models.Calibration.from_dict(
        {**models.CALIBRATION.to_dict(), "temperatures": {"root": 0.51, "expert-benign": 0.4}}
    )
    first = assert_first(
        run_test(calibration=changed), "probabilities", "the calibration, the scale of an output or the tree"
    )
    assert first.different == 12


def test_other_kernels_are_close():
    def shift(content):
        for row in content["probes"]:
            row["outputs"]["root"][0] ^= 1

    found = run_test(extra=edited(shift))
    stage = found.stages[2]
    assert stage.close == 12 and not stage.different
    assert "by up to 1 steps" in stage.note and "Other kernels" in stage.note


# --- Records that are none --------------------------------------------------------------------------------------------


def test_a_bundle_without_a_self_test_says_so():
    with Classifier(models.bundle_bytes()) as opened, pytest.raises(BundleError, match="made without a self-test"):
        opened.selftest()


def test_a_closed_classifier_says_so():
    opened = Classifier(packed())
    opened.close()
    with pytest.raises(OptionError, match="was closed"):
        opened.selftest()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.update(version=2), "has version 2"),
        (lambda c: c.update(probes=[]), "holds no picture"),
        (lambda c: c["probes"][0].update(name="other.png"), "lacks a field"),
        (lambda c: c["probes"][0].update(width=7), "'odd.png' is drawing 0, but records other pixels"),
        (lambda c: c["probes"][0].update(drawn=1), "'odd.png' is drawing 1, but records other pixels"),
        (lambda c: c["probes"][0].update(drawn=100), "no drawing 100 of 97 x 61 pixels"),
        (lambda c: c["probes"][0].update(width=10**6, height=10**6), "no drawing 0 of 1000000 x 1000000 pixels"),
        (lambda c: c["probes"][0].pop("decoded"), "lacks a field"),
        (lambda c: c["probes"][1].update(width=7), "lacks a field"),
        (lambda c: c["probes"][0].update(fitzpatrick=9), "lacks a field"),
        (lambda c: c["probes"][0]["outputs"].update(root=[1]), "another number of nodes or labels"),
        (lambda c: c["probes"][0]["outputs"].update(root=[1, 2, 300]), "lacks a field"),
        (lambda c: c["probes"][0].update(probabilities=[0.5]), "another number of nodes or labels"),
        (lambda c: c["probes"][0]["inputs"]["rgb"].update(sample="xyz"), "lacks a field"),
        (lambda c: c["probes"][0]["inputs"].pop("rgb"), "lacks a field"),
        (lambda c: c["tolerances"]["outputs"].pop("root"), "lacks a field"),
    ],
)
def test_a_damaged_record_is_one_sentence(edit, message):
    with pytest.raises(BundleError, match=rf"^selftest\.json.*{message}"):
        run_test(extra=edited(edit))


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_no_damage_of_the_record_is_anything_but_a_bundle_error(data):
    """A value anywhere in the record is replaced by one of another kind."""
    content = json.loads(attachments()["selftest.json"])
    place = content
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(st.one_of(st.none(), st.integers(-(2**70), 2**70), st.text(max_size=3), st.just([]), st.just({})))
    bundle = read_bundle(packed(extra={"selftest.json": json.dumps(content).encode()}))
    with contextlib.suppress(BundleError):
        probes.read_probes(bundle)


# --- The command ------------------------------------------------------------------------------------------------------


def test_the_command_says_identical(tmp_path):
    (tmp_path / "tiny.derm").write_bytes(packed())
    command = [sys.executable, "-c", "from derm_sdk.cli import main; main()", "selftest", str(tmp_path / "tiny.derm")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.endswith("saw it.\n") and not done.stderr


def test_the_command_fails_on_a_difference_and_prints_json(tmp_path):
    (tmp_path / "tiny.derm").write_bytes(packed(lambda manifest: manifest["preprocessing"].update(fit="pad")))
    done = CliRunner().invoke(main, ["selftest", str(tmp_path / "tiny.derm"), "--json"])
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert not found["passed"] and found["stages"][1]["different"] and found["here"]["derm_sdk"]


def test_the_command_without_a_record_is_one_sentence(bundle_path):
    done = CliRunner().invoke(main, ["selftest", str(bundle_path)])
    assert done.exit_code == 1 and done.stderr.startswith("Error: The bundle was made without a self-test")
