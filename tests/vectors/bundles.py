"""Bundles that a reader must take or refuse: one list for every language.

Their graphs are placeholders; no reader runs them. `BAD` holds pairs of a bundle and words
of the sentence that Python refuses it with.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import zipfile
from collections.abc import Callable
from typing import Any

from derm_sdk.archive import pack, unpack
from derm_sdk.bundle import pack_bundle
from derm_sdk.calibration import Calibration

from .. import models


def small_parts() -> tuple[dict[str, Any], dict[str, bytes]]:
    """A bundle whose graphs are placeholders: the container and its checks do not look inside."""
    rows = []
    for name, (given_node, kinds) in models.HEADS.items():
        count = len(models.labels(given_node))
        channels = {"rgb": 3}
        inputs = [
            {"name": kind, "kind": kind, "shape": [1, models.SIZE, models.SIZE, channels.get(kind, 1)],
             "dtype": "uint8", "scale": 1.0, "zero_point": 0} for kind in kinds
        ]  # fmt: skip
        outputs = [{"name": "output_0", "shape": [1, count], "dtype": "uint8", "scale": 0.05, "zero_point": 128}]
        evidence = {"name": "evidence", "shape": [1, 4, 4, count], "dtype": "uint8", "scale": 0.1, "zero_point": 99}
        rows.append({**models.graph_row(name, inputs, outputs), "explain": evidence})
    return models.manifest(rows), {name: f"graph {name}".encode() for name in models.HEADS}


def small_bundle(
    change: Callable[[dict[str, Any]], object] | None = None, calibration: Calibration = models.CALIBRATION
) -> bytes:
    fields, data = small_parts()
    if change:
        change(fields)
    return pack_bundle(fields, models.TAXONOMY, calibration, data, "# Card\n", "licence\n")


def edited(name: str, edit: Callable[[bytes], bytes]) -> bytes:
    """The small bundle with one JSON entry rewritten and every digest made right again."""
    entries = {key: bytes(value) for key, value in unpack(memoryview(small_bundle())).items()}
    manifest = json.loads(entries["manifest.json"])
    if name == "manifest.json":
        entries[name] = edit(entries[name])
        return pack(entries)
    entries[name] = edit(entries[name])
    manifest["files"][name] = hashlib.sha256(entries[name]).hexdigest()
    entries["manifest.json"] = json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n"
    return pack(entries)


def with_offsets(text: bytes) -> Callable[[bytes], bytes]:
    """An edit that puts offsets in front of the other fields of calibration.json."""
    return lambda data: data.replace(b"{", b'{"offsets": {' + text + b"}, ", 1)


SKIN_TYPE = {"name": "skin", "kind": "skin_type", "shape": [1, 7], "dtype": "uint8", "scale": 1, "zero_point": 0}
HUGE = b"1" + b"0" * 400


def rezip(compression: int) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(small_bundle())) as source, zipfile.ZipFile(target, "w", compression) as copy:
        for name in source.namelist():
            copy.writestr(zipfile.ZipInfo(name), source.read(name), compression)
    return target.getvalue()


def broken(place: int, form: str, *values: int, of: bytes | None = None) -> bytes:
    """A container of two entries with numbers written over it; `place` counts from its end when it is negative."""
    data = bytearray(pack({"aa": b"1", "ab": b"2"}) if of is None else of)
    struct.pack_into(form, data, place % len(data), *values)
    return bytes(data)


def listed(entry: int, field: int) -> int:
    """Where a field of a central header of the container of `broken` lies."""
    data = pack({"aa": b"1", "ab": b"2"})
    return struct.unpack_from("<I", data, len(data) - 6)[0] + 48 * entry + field


PLAIN = pack({"aa": b"1", "ab": b"2"})
CONTAINERS = [
    (PLAIN, "The first entry of a .derm file must be"),
    (b"PK\3\4", "cut off"),
    (broken(-2, "<H", 1), "table of contents is damaged"),
    (broken(-14, "<HH", 0, 0), "table of contents is damaged"),
    (broken(-14, "<HH", 257, 257), "table of contents is damaged"),
    (broken(-14, "<HH", 3, 3), "table of contents is cut off"),
    (broken(-14, "<HH", 1, 1), "bytes that belong to no entry"),
    (broken(-6, "<I", 7), "is not where its end says it is"),
    (broken(listed(0, 30), "<H", 1), "was packed by another tool"),
    (broken(listed(0, 12), "<H", 1), "was packed by another tool"),
    (broken(listed(0, 0), "<H", 1), "was packed by another tool"),
    (broken(listed(1, 8), "<H", 1), "is encrypted"),
    (broken(listed(1, 8), "<H", 8), "that we do not write"),
    (broken(listed(1, 10), "<H", 8), "is compressed"),
    (broken(listed(1, 42), "<I", 0), "overlaps its neighbour"),
    (broken(listed(1, 46), "<2s", b"aa"), "is in the .derm file twice"),
    (broken(listed(1, 46), "<2s", b"A/"), "is no name for an entry"),
    (broken(listed(1, 46), "<2s", b".."), "is no name for an entry"),
    (broken(listed(1, 46), "<2s", b"ac"), "The two headers of"),
    (broken(14, "<I", 5), "The two headers of"),
    (broken(28, "<H", 33), "is not aligned to"),
    (broken(10, "<H", 1), "was packed by another tool"),
    (broken(64, "<B", 9), "its checksum is wrong"),
    (broken(22, "<I", 200, of=broken(18, "<I", 200, of=broken(listed(0, 20), "<II", 200, 200))), "reaches over its end"),
]  # fmt: skip


def replaced(name: str, old: bytes, new: bytes) -> bytes:
    """The small bundle with a piece of one entry replaced, the first time it occurs; digests made right again."""

    def edit(data: bytes) -> bytes:
        assert old in data, old
        return data.replace(old, new, 1)

    return edited(name, edit)


def changed_graph() -> bytes:
    entries = {key: bytes(value) for key, value in unpack(memoryview(small_bundle())).items()}
    return pack({**entries, "graphs/root.tflite": b"another"})


def another_entry() -> bytes:
    entries = {key: bytes(value) for key, value in unpack(memoryview(small_bundle())).items()}
    return pack({**entries, "more.txt": b""})


def graph(number: int, **fields: Any) -> bytes:
    return small_bundle(lambda m: m["graphs"][number].update(fields))


LEVELS = b'[\n  "category",\n  "group",\n  "condition"\n ]'
CONTENTS = [
    (changed_graph(), "was changed after the bundle was made"),
    (another_entry(), "must list every entry of the file with its digest"),
    (small_bundle(lambda m: m["graphs"][0].update(outputs=[])), "must have one output"),
    (graph(0, inputs=[]), "its output's shape is"),
    (graph(0, explain={"name": "e", "shape": [1, 4, 33, 3], "dtype": "uint8", "scale": 1, "zero_point": 0}), "evidence is"),
    (graph(0, labels="benign"), "has the wrong type"),
    (graph(0, labels=["benign", "malignant", "melanoma"]), "do not cover its part of the tree exactly once"),
    (graph(0, labels=["benign", "malignant", "nowhere"]), "which is not in the tree"),
    (graph(1, given="nowhere"), "No graph splits|splits a node that no other graph answers"),
    (graph(2, given="dermal"), "No graph splits|splits a node that no other graph answers"),
    (replaced("manifest.json", b'"file": "graphs/root.tflite"', b'"file": "card.md"'), "two digests"),
    (replaced("taxonomy.json", LEVELS, b'["category", "category"]'), "differently named levels"),
    (replaced("taxonomy.json", LEVELS, b"[]"), "differently named levels"),
    (
        replaced("taxonomy.json", LEVELS, b'["1"' + b"".join(b', "%d"' % n for n in range(2, 34)) + b"]"),
        "A tree has at most",
    ),
    (replaced("taxonomy.json", b'"level": "category"', b'"level": "kind"'), "which is none of"),
    (replaced("taxonomy.json", b'"id": "melanoma"', b'"id": "nevus"'), "each with an id of its own"),
    (replaced("taxonomy.json", b'"name": "benign"', b'"name": ""'), "must be non-empty text"),
    (replaced("taxonomy.json", b'"parent": "melanocyte"', b'"parent": "dermal"'), "yet it is not on the last level"),
    (edited("taxonomy.json", lambda b: b'{"levels": ["a"], "nodes": []}'), "A tree needs nodes"),
    (edited("taxonomy.json", lambda b: b"[" * 65 + b"]" * 65), "taxonomy.json is no JSON"),
    (edited("taxonomy.json", lambda b: b"[" * 64 + b"]" * 64), "must hold levels and nodes"),
    (edited("taxonomy.json", lambda b: b'"' + b"\\" + b'ud800"'), "taxonomy.json is no JSON"),
    (edited("taxonomy.json", lambda b: b'"' + b"\\" + b"ud83d" + b"\\" + b'ude00"'), "must hold levels and nodes"),
    (edited("taxonomy.json", lambda b: b"\xef\xbb\xbf[]"), "taxonomy.json is no JSON"),
    (edited("taxonomy.json", lambda b: b"01"), "taxonomy.json is no JSON"),
    (edited("taxonomy.json", lambda b: b"[1.]"), "taxonomy.json is no JSON"),
    (edited("taxonomy.json", lambda b: b"[1,]"), "taxonomy.json is no JSON"),
    (edited("taxonomy.json", lambda b: b'"a\tb"'), "taxonomy.json is no JSON"),
    (edited("taxonomy.json", lambda b: b"[-Infinity]"), "must be finite"),
    (edited("taxonomy.json", lambda b: b"\xc0\x80"), "is not UTF-8"),
    (edited("taxonomy.json", lambda b: b'"\xed\xa0\x80"'), "is not UTF-8"),
    (edited("calibration.json", lambda b: b.replace(b"20.0", b"300.0", 1)), "must be two ordered numbers"),
    (edited("calibration.json", lambda b: b.replace(b'"sets": {', b'"sets": [], "was": {', 1)), "lacks or misspells"),
    (edited("calibration.json", lambda b: b.replace(b'"category"', b'"kategory"', 1)), "which the model does not have"),
]


BAD = [
    (b"", "does not begin"),
    (b"not a bundle at all, just text", "does not begin"),
    (small_bundle() + b"x", "behind its end"),
    (small_bundle()[:-30], "cut off"),
    (rezip(zipfile.ZIP_DEFLATED), "compressed"),
    (rezip(zipfile.ZIP_STORED), "zipped again|by another tool|flags"),
    (small_bundle(lambda m: m.update(format=2)), "newer: update derm-sdk"),
    (small_bundle(lambda m: m.update(format="1")), "must say its format"),
    (small_bundle(lambda m: m.update(kind="three_step")), "three_step"),
    (small_bundle(lambda m: m.pop("preprocessing")), "lacks a field"),
    (small_bundle(lambda m: m["preprocessing"].update(version=9)), "preprocessing version 9"),
    (small_bundle(lambda m: m["preprocessing"].update(decode="half")), "Unknown way of decoding 'half'"),
    (small_bundle(lambda m: m["preprocessing"].update(fit="squeeze")), "Unknown fit 'squeeze'"),
    (small_bundle(lambda m: m["graphs"][0].update(labels=["benign", "malignant"])), "2 labels"),
    (small_bundle(lambda m: m["graphs"][0]["inputs"][0].update(kind="depth")), "unknown input 'depth'"),
    (small_bundle(lambda m: m["graphs"][0]["inputs"][0].update(zero_point=3)), "scale 1, zero point 0"),
    (small_bundle(lambda m: m["graphs"][0]["inputs"][0].update(shape=[1, 8, 8, 3])), "has the shape"),
    (small_bundle(lambda m: m["graphs"][0]["inputs"][0].update(kind="skin_type")), "has the shape"),
    (small_bundle(lambda m: m["graphs"][0]["inputs"].append({**SKIN_TYPE, "shape": [1, 6]})), "has the shape"),
    (small_bundle(lambda m: m["graphs"][0]["inputs"].append({**SKIN_TYPE, "dtype": "float32"})), "must be uint8 with"),
    (small_bundle(lambda m: m["graphs"][0]["inputs"].append({**SKIN_TYPE, "scale": 1 / 255})), "must be uint8 with"),
    (small_bundle(lambda m: m["graphs"][0]["inputs"].extend([SKIN_TYPE] * 2)), "takes an input twice"),
    (small_bundle(lambda m: m["graphs"][0]["inputs"][0].update(shape=[1.0, 32, 32, 3])), "must be uint8"),
    (small_bundle(lambda m: m["graphs"][0]["outputs"][0].update(scale=True)), "must be uint8"),
    (small_bundle(lambda m: m["graphs"][0]["outputs"][0].update(zero_point=128.5)), "must be uint8"),
    (small_bundle(lambda m: m["graphs"][0]["outputs"][0].update(name=7)), "must be uint8"),
    (small_bundle(lambda m: m["graphs"][0]["outputs"][0].update(dtype="float32", zero_point=3)), "float32 with scale 1"),
    (small_bundle(lambda m: m["graphs"][0].update(inputs=m["graphs"][0]["inputs"] * 2)), "takes an input twice"),
    (small_bundle(lambda m: m["preprocessing"].update(version=True)), "preprocessing version True"),
    (edited("manifest.json", lambda b: re.sub(b'"sha256": "[0-9a-f]', b'"sha256": "x', b, count=1)), "two digests"),
    (edited("manifest.json", lambda b: b.decode().encode("utf-16")), "not UTF-8"),
    (edited("calibration.json", lambda b: b.replace(b'"malignant"', b'["malignant"]')), "an id or nothing"),
    (edited("calibration.json", lambda b: b.replace(b'"sharpness"', b'"sharpnes"')), "Did you mean 'sharpness'"),
    (small_bundle(lambda m: m["graphs"].pop()), "not the graphs|No graph splits"),
    (edited("manifest.json", lambda b: b[:-2]), "no JSON"),
    (edited("manifest.json", lambda b: b.replace(b"0.05", b"NaN", 1)), "NaN; every number must be finite"),
    (edited("manifest.json", lambda b: b.replace(b"0.05", b"1e999", 1)), "must be finite"),
    (edited("manifest.json", lambda b: b.replace(b'"id"', b'"id": 1, "id"', 1)), "names a field twice"),
    (edited("manifest.json", lambda b: b"[]"), "must be an object"),
    (edited("card.md", lambda b: b + b"\xff"), "card.md is not UTF-8"),
    (edited("taxonomy.json", lambda b: b.replace(b'"benign"', b'"nowhere"', 1)), "needs a parent"),
    (edited("calibration.json", lambda b: b.replace(b'"root": 0.5', b'"root": -1')), "must be from 0"),
    (edited("calibration.json", lambda b: b.replace(b'"root": 0.5', b'"root": 5e-309')), "must be from 0"),
    (edited("calibration.json", lambda b: b.replace(b'"root": 0.5', b'"root": ' + HUGE)), "calibration.json holds 1000"),
    (edited("calibration.json", lambda b: b.replace(b'"root": 0.5', b'"root": 1' + b"0" * 9999)), "must be finite"),
    (edited("calibration.json", lambda b: b.replace(b"0.35", b"-" + HUGE)), "must be finite"),
    (edited("calibration.json", lambda b: b"[]"), "^calibration.json lacks"),
    (edited("taxonomy.json", lambda b: b"[]"), "^taxonomy.json must hold"),
    (edited("taxonomy.json", lambda b: b.replace(b'"parent": "benign"', b'"parent": ["benign"]', 1)), "id or null"),
    (edited("taxonomy.json", lambda b: b.replace(b'"benign"', b'[[]]', 1)), "taxonomy.json must be"),
    (edited("taxonomy.json", lambda b: b'{"levels": [' + b"[" * 90000), "^taxonomy.json is no JSON"),
    (edited("manifest.json", lambda b: b.replace(b'"format": 1', b'"format": ' + HUGE)), "manifest.json holds 1000"),
    (edited("manifest.json", lambda b: b.replace(b"0.05", HUGE, 1)), "must be finite"),
    (edited("manifest.json", lambda b: b.replace(b'"size": 32', b'"size": ' + HUGE)), "must be finite"),
    (small_bundle(lambda m: m["graphs"][0]["outputs"][0].update(scale=1e39)), "a normal float32"),
    (small_bundle(lambda m: m["graphs"][0]["outputs"][0].update(scale=1e-40)), "a normal float32"),
    (small_bundle(lambda m: m["graphs"][0]["outputs"][0].update(scale="1")), "a normal float32"),
    (small_bundle(lambda m: m["graphs"][0]["outputs"][0].update(scale=[1])), "a normal float32"),
    (small_bundle(lambda m: m["graphs"].append(m["graphs"][0])), "at most one for each node"),
    (small_bundle(lambda m: m["graphs"].append({**m["graphs"][0], "given": "melanoma-group"})), "have the same id"),
    (small_bundle(lambda m: m["graphs"][0].update(labels=[["benign"], [], {}])), "manifest.json lacks"),
    (small_bundle(lambda m: m["graphs"][1].update(
        labels=[m["graphs"][1]["given"]], explain=None,
            outputs=[{**m["graphs"][1]["outputs"][0], "shape": [1, 1]}])), "not below it"),
    (edited("calibration.json", lambda b: b.replace(b'"root"', b'"roof"')), "'roof', which the model does not have"),
    (edited("calibration.json", lambda b: b.replace(b'"malignant"', b'"malign"')), "not in the tree"),
    (edited("calibration.json", lambda b: b.replace(b"0.35", b"35")), "probability from 0 to 1"),
    (edited("calibration.json", with_offsets(b'"roof": []')), "'roof', which the model does not have"),
    (edited("calibration.json", with_offsets(b'"root": [0, 1]')), "2 offsets; it has 3 labels"),
    (edited("calibration.json", with_offsets(b'"root": [0, 1, 101]')), "must be numbers from -100 to 100"),
    (edited("calibration.json", with_offsets(b'"root": [0, 1, "2"]')), "must be numbers from -100 to 100"),
    (edited("calibration.json", with_offsets(b'"root": 7')), "^calibration.json lacks"),
    *CONTAINERS,
    *CONTENTS,
]  # fmt: skip

GOOD = [
    small_bundle(),
    small_bundle(lambda m: m["graphs"][1]["inputs"].append(SKIN_TYPE)),
    small_bundle(
        lambda m: m.update(parity={"broken": ["agreement is 91 %", 7, "too far"]}, other=[None, True, -0.0, 1e-400])
    ),
    graph(0, explain=None),
    edited("calibration.json", with_offsets(b'"root": [0, -1.5, 100]')),
    edited("calibration.json", lambda b: b.replace(b'"coverage": 0.9', b'"coverage": 1', 1)),
    edited("taxonomy.json", lambda b: b.replace(b'"name": "acne"', b'"name": "\\u00e4\\ud83d\\ude00 \\/\\u0001\\""', 1)),
]
