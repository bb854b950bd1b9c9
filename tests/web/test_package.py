"""derm-sdk-web in Chromium: the vectors, and answers beside Python's."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess

import numpy as np
import pytest
from PIL import Image

from derm_sdk import Classifier
from derm_sdk.runtime import real_values

from .. import models
from ..vectors import write_native
from .conftest import ROOT, WEB, Package, address, drawn, png, served

STARTER = ROOT / "derm_sdk" / "models" / "starter.derm"
SOURCE = WEB / "package" / "src"

# The generator of preprocessing.json, written from its own description; the inputs' digests.
PREPARED = """async ({ pattern, seed, width, height, size, fit }) => {
  const byte = (seed, k) => {
    let x = (seed + k) >>> 0;
    x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
    x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
    return (x ^ (x >>> 16)) & 255;
  };
  const value = {
    noise: (y, x, c) => byte(seed, (y * width + x) * 3 + c),
    blocks: (y, x, c) =>
      (3 * byte(seed, ((y >> 4) * width + (x >> 4)) * 3 + c) + byte(seed + 1, (y * width + x) * 3 + c)) >> 2,
    ramp: (y, x) => Math.floor((x * 255) / Math.max(width - 1, 1)),
    flat: (y, x, c) => byte(seed, c),
  }[pattern];
  const data = new Uint8ClampedArray(width * height * 4).fill(255);
  for (let y = 0, at = 0; y < height; ++y) {
    for (let x = 0; x < width; ++x, at += 4) for (let c = 0; c < 3; ++c) data[at + c] = value(y, x, c);
  }
  const inputs = ["rgb", "gray", "equalized", "otsu", "stretched"];
  const found = await derm.prepare({ data, width, height }, { size, fit, inputs });
  const hex = (buffer) => [...new Uint8Array(buffer)].map((each) => each.toString(16).padStart(2, "0")).join("");
  const digests = {};
  for (const kind of inputs) digests[kind] = hex(await crypto.subtle.digest("SHA-256", found[kind]));
  return digests;
}"""


def vectors(name: str) -> dict:
    return json.loads((write_native.FOLDER / f"{name}.json").read_text("utf-8"))


def put_together(pieces: list, base: bytes) -> bytes:
    return b"".join(bytes.fromhex(each) if isinstance(each, str) else base[each[0] : each[0] + each[1]] for each in pieces)


def rgba(pixels: np.ndarray, alpha: np.ndarray | int = 255) -> np.ndarray:
    return np.dstack([pixels, np.broadcast_to(np.uint8(alpha), pixels.shape[:2])]).copy()


def told(classifier: Classifier, pixels: np.ndarray, found: dict, **options: object) -> None:
    """A photo's answer, the raw outputs behind it and the heat map are Python's."""
    result = classifier.classify(pixels, **options)
    assert found["json"] == result.to_json()
    _, rgb = classifier._seen(pixels)
    logits = classifier.logits(rgb, fitzpatrick=options.get("fitzpatrick"))
    specs = {graph.id: graph for graph in classifier.bundle.graphs}
    assert set(specs) == {*found["outputs"], *result.skipped}
    for graph, stored in found["outputs"].items():
        tensor = specs[graph].output
        assert np.array_equal(real_values(tensor, np.array(stored, tensor.dtype)), logits[graph])


def test_every_vector_of_the_preprocessing_gives_the_same_bytes(package):
    cases = vectors("preprocessing")["cases"]
    differ = [case for case in cases if package.page.evaluate(PREPARED, case) != case["sha256"]]
    assert differ == []


def test_the_core_as_webassembly_agrees_with_every_vector(built):
    done = subprocess.run(
        ["ctest", "--test-dir", built.parent / "wasm", "--output-on-failure"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "100% tests passed" in done.stdout, done.stdout[-4000:]


def test_every_bundle_is_taken_or_refused_with_the_number_of_the_vectors(package):
    listed = vectors("bundles")
    base = base64.b64decode(listed["base"])
    try:
        for case in listed["cases"]:
            found = package.open(put_together(case["file"], base), threads=1)
            number = 0 if found == 0 else int(found.split(":")[0])
            # The graphs of the good ones are no graphs: the core takes the file, and LiteRT.js refuses what is in it.
            assert number == (case["status"] or 503), f"{case['name']}: {found}"
            assert number == 0 or found.count("\n") == 0
    finally:
        assert package.open() == 0


def test_photos_are_answered_and_explained_as_in_python_byte_for_byte(package):
    with Classifier(STARTER) as classifier:
        for number, size in enumerate([(360, 300), (91, 160), (50, 50), (1500, 1100)]):
            pixels, skin_type = drawn(*size, seed=number), (number * 3) % 7
            given = png(pixels) if number % 2 else rgba(pixels)
            found = package.call("classify", given, skinType=skin_type, outputs=True, explain=True)
            told(classifier, pixels, found, fitzpatrick=skin_type or None)
            wanted = classifier.explain(pixels, fitzpatrick=skin_type or None)
            here = found["explanation"]
            assert (here["node"], here["graph"], here["probability"]) == (wanted.node, wanted.graph, wanted.probability)
            assert np.array_equal(np.float32(here["heat"]).reshape(here["rows"], here["columns"]), wanted.heat)
            assert (here["peak"], here["box"]) == (list(wanted.peak), list(wanted.box))


def test_a_prior_gives_the_answers_of_python_and_bad_ones_leave_the_last(package, browser, site):
    pixels = drawn()
    first = {"malignant": 0.02, "benign": 0.48, "non-neoplastic": 0.5}
    with Classifier(STARTER) as classifier:
        assert package.call("setPrior", **first) is None
        assert (
            package.call("classify", rgba(pixels), routing="lazy")["json"]
            == classifier.classify(pixels, prior=first).to_json()
        )
        bad = [({"freckle": 0.1}, 105), ({}, 114), ({"malignant": 0.0}, 116), ({"malignant": 0.1, "melanoma": 0.1}, 117),
               ({**first, "benign": 0.4}, 118), ({"malignant": 1.0}, 119), ({"malignant": "much"}, 114)]  # fmt: skip
        for prior, number in bad:
            assert str(package.call("setPrior", **prior)).startswith(f"{number}: "), prior
        assert package.call("classify", rgba(pixels), routing="top").startswith("122: ")
        assert package.call("classify", rgba(pixels))["json"] == classifier.classify(pixels, prior=first).to_json()
        assert package.page.evaluate("derm.setPrior(null)") is None
        assert package.call("classify", rgba(pixels))["json"] == classifier.classify(pixels).to_json()
        at_opening = Package(browser, site)
        assert at_opening.open(prior=[["malignant", 0.02]]) == 0
        assert (
            at_opening.call("classify", rgba(pixels))["json"]
            == classifier.classify(pixels, prior={"malignant": 0.02}).to_json()
        )
        assert at_opening.open(prior={"malignant": 2}).startswith("116: ")
        at_opening.context.close()


def test_a_file_is_decoded_upright_and_laid_over_white_as_in_python(package):
    pixels = drawn(200, 120)
    turned, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(turned, "JPEG", quality=90, exif=exif, subsampling=2)
    seen_through = rgba(pixels, np.linspace(0, 255, 200).astype(np.uint8)[None])
    with Classifier(STARTER) as classifier:
        assert package.call("classify", turned.getvalue())["json"] == classifier.classify(turned.getvalue()).to_json()
        assert package.call("classify", seen_through)["json"] == classifier.classify(seen_through).to_json()


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_a_model_of_several_graphs_is_routed_as_in_python(browser, site, tmp_path, precision):
    model = tmp_path / "tiny.derm"
    model.write_bytes(models.bundle_bytes(precision))
    package = Package(browser, site)
    assert package.open(model.read_bytes(), threads=2) == 0
    skipped = 0
    with Classifier(model) as classifier:
        for number, pixels in enumerate(models.photos(6, seed=1)):
            routing = ("lazy", "top", "all")[number % 3]
            found = package.call("classify", rgba(pixels), routing=routing, outputs=True)
            if precision == "int8":
                told(classifier, pixels, found, routing=routing)
                skipped += len(found["result"]["skipped"])
                continue
            wanted = classifier.classify(pixels, routing=routing)  # float graphs: the last bits are the kernels'
            shares = {node["id"]: node["probability"] for node in found["result"]["levels"]["condition"]}
            assert shares == pytest.approx({node.id: node.probability for node in wanted["condition"]}, abs=1e-5)
    assert skipped > 0 or precision == "float32"
    package.context.close()


def test_the_self_test_of_the_bundle_finds_everything_identical(package):
    found = package.call("selftest")
    stages = [found[stage] for stage in ("inputs", "outputs", "probabilities", "whole_way")]
    assert found["note"] == "" and all(stage["close"] == stage["different"] == 0 < stage["identical"] for stage in stages)


@pytest.mark.parametrize(("isolated", "script", "build"), [
    (True, "", "litert_wasm_threaded_internal"), (False, "", "litert_wasm_internal"),
    (False, "WebAssembly.validate = () => false", "litert_wasm_compat_internal"),
])  # fmt: skip
def test_every_build_of_the_runtime_gives_the_same_answer(browser, built, isolated, script, build):
    pixels = drawn()
    with served(built, isolated) as server, Classifier(STARTER) as classifier:
        package = Package(browser, address(server), script, isolated)
        assert package.open(threads=2) == 0
        assert package.page.evaluate("derm.description.runtime") == build
        assert package.call("classify", rgba(pixels))["json"] == classifier.classify(pixels).to_json()
        package.context.close()


@pytest.mark.parametrize(("photo", "words"), [
    (b"", "200: No photo in the file"), (b"GIF89a", "200: No photo in the file"),
    (png(drawn(40, 30))[:300], "200: The photo cannot be decoded"),
    (b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + b"\0\1\0\0" * 2 + bytes(40), "202: A photo has 1 to 65535 pixels"),
    (np.zeros((3, 0, 4), np.uint8), "200: A photo must be"),
])  # fmt: skip
def test_what_is_no_photo_is_refused_in_one_sentence(package, photo, words):
    found = package.call("classify", photo) if not isinstance(photo, np.ndarray) else package.page.evaluate(
        "async () => { try { await derm.classify({}); } catch (error) { return `${error.status}: ${error.message}`; } }"
    )  # fmt: skip
    assert found.startswith(words) and found.count(". ") == 0


@pytest.mark.parametrize(("options", "number"), [
    ({"skinType": 7}, 102), ({"routing": "some"}, 104), ({"explain": "freckle"}, 105),
])  # fmt: skip
def test_options_that_cannot_be_have_the_numbers_of_the_header(package, options, number):
    assert package.call("classify", rgba(drawn(20, 20)), **options).startswith(f"{number}: ")


def test_a_closed_classifier_and_a_missing_file_say_so(package):
    assert package.page.evaluate("""async () => {
      const { open } = await import("/derm-sdk-web/index.js");
      const tell = (error) => error.status;
      const once = await open("/starter.derm", { threads: 1 });
      const pending = once.selftest().catch(tell);
      once.close();
      const afterwards = [once.selftest(), open("/no.derm"), open("/starter.derm", { threads: 0 })];
      return [await pending, ...(await Promise.all(afterwards.map((each) => each.catch(tell))))];
    }""") == [112, 112, 300, 103]  # fmt: skip


def test_the_core_imports_the_rows_of_photos_and_nothing_that_reaches_out(package):
    names = package.page.evaluate("""async () => {
      const binary = await (await fetch("/derm-sdk-web/derm.wasm")).arrayBuffer();
      return WebAssembly.Module.imports(await WebAssembly.compile(binary)).map((each) => each.name);
    }""")
    assert sorted(names) == ["derm_web_rows", "emscripten_notify_memory_growth", "proc_exit"]


def declared(name: str) -> set[str]:
    """The names inside a class or an interface of index.d.ts, but for those nested deeper."""
    text = re.sub(r"/\*\*.*?\*/", "", (SOURCE / "index.d.ts").read_text("utf-8"), flags=re.S)
    body = re.search(rf"^export (?:class|interface) {name} \{{(.*?)\}}$", text, re.M | re.S).group(1)
    while (flat := re.sub(r"\{[^{}]*\}|\([^()]*\)", "", body)) != body:
        body = flat
    return set(re.findall(r"(?:^|[;\s])(?:readonly )?(\w+)\??(?=:)", body))


def test_the_types_name_what_is_there(package):
    module = package.page.evaluate("import('/derm-sdk-web/index.js').then((found) => Object.keys(found))")
    types = (SOURCE / "index.d.ts").read_text("utf-8")
    assert set(module) == set(re.findall(r"^export (?:class|function) (\w+)", types, re.M))
    own = package.page.evaluate("[...Object.getOwnPropertyNames(derm.constructor.prototype), ...Object.keys(derm)]")
    assert set(own) - {"constructor"} == declared("Classifier")
    assert set(package.page.evaluate("Object.keys(derm.description)")) == declared("Description")
    found = package.call("classify", rgba(drawn(30, 30)), explain=True, outputs=True, picture=10)
    for value, name in ((found, "Answer"), (found["explanation"], "Explanation"), (found["result"], "Result")):
        assert set(value) == declared(name)
    assert set(package.call("selftest")) == declared("SelfTest")


def test_the_lock_file_pins_every_package_and_names_no_host():
    lock = json.loads((WEB / "package" / "package-lock.json").read_text("utf-8"))
    packages = [package for name, package in lock["packages"].items() if name]
    assert all("integrity" in package and "resolved" not in package for package in packages)
    wanted = json.loads((WEB / "package" / "package.json").read_text("utf-8"))["devDependencies"]
    assert all(version[0].isdigit() for version in wanted.values())
    assert f"@litertjs/core) {wanted['@litertjs/core']}" in (ROOT / "docs" / "web.md").read_text("utf-8")
