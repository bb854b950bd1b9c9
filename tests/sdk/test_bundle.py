import dataclasses
import hashlib
import io
import json
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from derm_sdk import BundleError, Classifier, DermError, FileError, OptionError, read_bundle, write_bundle
from derm_sdk.archive import ALIGNMENT, pack, unpack
from derm_sdk.bundle import pack_bundle

from .. import models
from ..vectors import bundles
from ..vectors.bundles import SKIN_TYPE, small_bundle, small_parts


def test_the_same_content_gives_the_same_bytes():
    data = small_bundle()
    assert data == small_bundle()
    # Frozen: a change here is a change of the format.
    assert hashlib.sha256(data).hexdigest() == GOLDEN


GOLDEN = "cd0a5483319a7cc0d96718b9bd8f63b9a00dd1aaf87f947b6b260bf7428dff33"


def test_what_was_written_is_read_back(tmp_path):
    fields, data = small_parts()
    path = tmp_path / "new" / "small.derm"
    digest = write_bundle(path, fields, models.TAXONOMY, models.CALIBRATION, data, "# Card\n", "licence\n")
    bundle = read_bundle(path)
    assert bundle.digest == digest
    assert bundle.taxonomy == models.TAXONOMY
    assert bundle.calibration == models.CALIBRATION
    assert bundle.graph_data == data
    assert (bundle.card, bundle.licence) == ("# Card\n", "licence\n")
    assert bundle.size_bytes == path.stat().st_size


def test_a_bundle_knows_whether_a_graph_takes_the_skin_type():
    assert not read_bundle(small_bundle()).takes_skin_type
    assert read_bundle(small_bundle(lambda m: m["graphs"][1]["inputs"].append(SKIN_TYPE))).takes_skin_type


def test_any_unzip_opens_it_and_every_entry_is_stored_and_aligned():
    data = small_bundle()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert archive.namelist()[0] == "manifest.json"
        for info in archive.infolist():
            name_length, extra_length = struct.unpack_from("<HH", data, info.header_offset + 26)
            assert (info.header_offset + 30 + name_length + extra_length) % ALIGNMENT == 0
            assert info.compress_type == zipfile.ZIP_STORED


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,8}(/[a-z]{1,5})?", fullmatch=True), st.binary(max_size=300),
                       min_size=1, max_size=8))  # fmt: skip
def test_the_container_gives_back_any_entries_in_order(entries):
    found = unpack(memoryview(pack(entries)))
    assert {name: bytes(view) for name, view in found.items()} == entries
    assert list(found) == list(entries)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_single_changed_byte_is_noticed(data):
    whole = bytearray(small_bundle())
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BundleError):
        read_bundle(bytes(whole))


def test_every_byte_of_the_container_counts():
    whole = pack({"manifest.json": b"{}", "graphs/a.tflite": b"graph", "empty": b""})
    for place in range(len(whole)):
        for value in {whole[place] ^ 1, whole[place] ^ 128, 255 - whole[place], whole[place] ^ 64}:
            with pytest.raises(BundleError):
                unpack(memoryview(whole[:place] + bytes([value]) + whole[place + 1 :]))


def test_an_extra_field_other_than_our_padding_is_refused():
    whole = pack({"a": b"x"})
    assert struct.unpack_from("<HHH", whole, 31) == (0xD935, 2 + 27, 64)
    for changed in (struct.pack("<HHH", 0x7075, 29, 64), struct.pack("<HHH", 0xD935, 29, 4)):
        with pytest.raises(BundleError, match="packed by another tool"):
            unpack(memoryview(whole[:31] + changed + whole[37:]))
    with pytest.raises(BundleError, match="packed by another tool"):
        unpack(memoryview(whole.replace(bytes(27), bytes(26) + b"!")))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 5000))
def test_any_truncation_is_refused(length):
    whole = small_bundle()
    with pytest.raises(BundleError):
        read_bundle(whole[: min(length, len(whole) - 1)])


@pytest.mark.parametrize(("data", "message"), bundles.BAD)
def test_bad_bundles_are_refused_with_the_reason(data, message):
    with pytest.raises(BundleError, match=message):
        read_bundle(data)


@pytest.mark.parametrize("name", ["../x", "/etc", "a\\b", "a/../b", "A", "", "x" * 300, "a/b/c", "a//b", "."])
def test_names_that_could_leave_the_folder_are_refused(name):
    with pytest.raises(BundleError, match="no name for an entry"):
        pack({name: b""})
    if name and len(name) < 200:
        bad = pack({"a" * len(name): b""}).replace(b"a" * len(name), name.encode())
        with pytest.raises(BundleError):
            unpack(memoryview(bad))


def test_duplicate_overlapping_and_encrypted_entries_are_refused():
    twice = pack({"aa": b"1", "ab": b"2"}).replace(b"ab", b"aa")
    with pytest.raises(BundleError, match="twice"):
        unpack(memoryview(twice))
    data = bytearray(pack({"aa": b"1", "ab": b"2"}))
    second = data.index(b"PK\1\2", data.index(b"PK\1\2") + 4)
    struct.pack_into("<I", data, second + 42, 0)
    with pytest.raises(BundleError, match="overlaps"):
        unpack(memoryview(bytes(data)))
    data = bytearray(pack({"aa": b"1"}))
    data[data.index(b"PK\1\2") + 8] |= 1
    with pytest.raises(BundleError, match="encrypted"):
        unpack(memoryview(bytes(data)))


def test_a_changed_graph_is_named():
    data = bytearray(small_bundle())
    place = data.index(b"graph expert-benign")
    data[place] ^= 1
    with pytest.raises(BundleError, match=r"graphs/expert-benign\.tflite.*(damaged|changed)"):
        read_bundle(bytes(data))


def test_a_graph_whose_tensors_are_not_those_of_the_manifest_is_refused():
    fields, data = models.parts()
    fields = json.loads(json.dumps(fields))
    fields["graphs"][0]["outputs"][0]["zero_point"] ^= 1
    with pytest.raises(BundleError, match="its description says"):
        Classifier(pack_bundle(fields, models.TAXONOMY, models.CALIBRATION, data, "", ""))
    fields, data = models.parts()
    swapped = {**data, "expert-benign": data["expert-malignant"], "expert-malignant": data["expert-benign"]}
    swapped["root"] = data["expert-benign"]
    with pytest.raises(BundleError, match="not those of its description"):
        Classifier(pack_bundle(fields, models.TAXONOMY, models.CALIBRATION, swapped, "", ""))


def test_a_graph_that_is_no_graph_is_one_sentence():
    fields, data = models.parts()
    broken = {**data, "root": b"TFL3" + bytes(np.random.default_rng(0).integers(0, 256, 400, np.uint8))}
    with pytest.raises(DermError, match="cannot load the graph 'root'"):
        Classifier(pack_bundle(fields, models.TAXONOMY, models.CALIBRATION, broken, "", ""))


def test_a_missing_file_and_a_folder_are_one_sentence(tmp_path):
    with pytest.raises(FileError, match="Cannot read"):
        read_bundle(tmp_path / "none.derm")
    with pytest.raises(FileError, match="Cannot read"):
        read_bundle(tmp_path)
    (tmp_path / "empty.derm").write_bytes(b"")
    with pytest.raises(BundleError, match="is empty"):
        read_bundle(tmp_path / "empty.derm")


@pytest.mark.parametrize("kind", [bytearray, memoryview, lambda data: memoryview(data[::-1])[::-1]])
def test_bytes_of_every_kind_are_read(kind):
    data = small_bundle()
    assert read_bundle(kind(data)).digest == read_bundle(data).digest


@pytest.mark.parametrize("wrong", [None, 5, 1.5, ["a"], io.BytesIO()])
def test_what_is_neither_a_path_nor_bytes_is_refused(wrong):
    with pytest.raises(OptionError, match="must be given as a path or as bytes"):
        read_bundle(wrong)
    if wrong is not None:
        with pytest.raises(OptionError, match="must be given as a path or as bytes"):
            Classifier(wrong)


def test_a_null_character_in_a_path_is_one_sentence():
    with pytest.raises(FileError, match=r"Cannot read 'a\\x00b'"):
        read_bundle("a\0b")


def test_the_path_is_named_once_whatever_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for data in (b"", b"no bundle", small_bundle()[:-30]):
        (tmp_path / "a").write_bytes(data)
        with pytest.raises(BundleError) as raised:
            read_bundle("a")
        assert str(raised.value).startswith("'a': The" if data != b"no bundle" else "'a': This")
        assert str(raised.value).count("'a'") == 1


def test_a_graph_that_answers_with_what_is_no_number_is_one_sentence():
    from derm_converters.graphs import convert_graph
    from derm_converters.recipe import Recipe

    fields, data = models.parts("float32")
    network = models.network(("rgb",), 3, seed=0)
    kernel, bias = network.get_layer("logits").get_weights()
    network.get_layer("logits").set_weights([kernel, np.full_like(bias, np.nan)])
    damaged = {**data, "root": convert_graph(network, Recipe("float32", explain=False), list, list)}
    with (
        Classifier(pack_bundle(fields, models.TAXONOMY, models.CALIBRATION, damaged, "", "")) as opened,
        pytest.raises(DermError, match="'root' answered with a logit that is not finite"),
    ):
        opened.classify(np.zeros((40, 40, 3), np.uint8))


def test_what_a_reader_would_refuse_is_not_written(tmp_path):
    fields, data = small_parts()
    fields["kind"] = "nonsense"
    with pytest.raises(BundleError):
        write_bundle(tmp_path / "x.derm", fields, models.TAXONOMY, models.CALIBRATION, data, "", "")
    assert not list(tmp_path.iterdir())


def test_offsets_are_kept_and_files_without_them_read_as_before():
    data = small_bundle()
    assert b'"offsets"' not in data and read_bundle(data).calibration.offsets == {}
    given = dataclasses.replace(models.CALIBRATION, offsets={"root": (0.5, -0.25, 0.0)})
    assert read_bundle(small_bundle(calibration=given)).calibration == given
