"""Does the browser say what Python says, and in what time? Photos through the page's package in headless Chromium.

    make web
    python benchmarks/web.py MODEL PHOTOS [--limit N]

PHOTOS is a data set. Every photo goes in twice: as the pixels that Python decoded (a PNG), for which prepared bytes, raw
outputs and JSON must be equal; and as the file itself, which the browser decodes. Then the page: its weight, from opening
it to ready, the time of each step of a photo, and the longest task of the main thread.
"""

from __future__ import annotations

import argparse
import base64
import csv
import gzip
import hashlib
import importlib.util
import io
import json
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

from derm_sdk import Classifier
from derm_sdk.image import read_image
from derm_sdk.runtime import real_values

ROOT = Path(__file__).resolve().parents[1]
BUILT = ROOT / "build" / "web"
TIMED = 30
LOADS = 5

OPEN = """async (model) => {
  const { open } = await import("/derm-sdk-web/index.js");
  window.bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  window.hex = async (data) => {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
    return [...digest].map((each) => each.toString(16).padStart(2, "0")).join("");
  };
  window.derm = await open(bytes(model));
}"""
ANSWER = """async ([file, skinType]) => {
  const blob = new Blob([bytes(file)]);
  try {
    const { json, outputs } = await derm.classify(blob, { skinType, outputs: true });
    const { rgb } = await derm.prepare(blob);
    const plain = Object.entries(outputs).map(([name, stored]) => [name, [...stored]]);
    return { json, rgb: await hex(rgb), outputs: Object.fromEntries(plain) };
  } catch (error) { return { json: error.message, rgb: "", outputs: {} }; }
}"""
PIXELS = """async (file) => {
  const options = { imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "none" };
  const bitmap = await createImageBitmap(new Blob([bytes(file)]), options);
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return hex(context.getImageData(0, 0, bitmap.width, bitmap.height).data);
}"""
TABLE = "[...document.querySelectorAll('#times tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--limit", type=int, default=500)
    given = parser.parse_args()
    spec = importlib.util.spec_from_file_location("serve", ROOT / "examples" / "web" / "serve.py")
    serve = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(serve)
    running = serve.server(BUILT)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{running.server_port}/"
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as playwright, Classifier(given.model) as classifier:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        compare(browser, address, classifier, given)
        weigh()
        measure(browser, address, [path for path, _ in listed(given.photos, TIMED)])
        browser.close()
    running.shutdown()


def listed(folder: Path, limit: int) -> Iterator[tuple[Path, int | None]]:
    """Photos spread over a data set, with their skin types."""
    record = json.loads((folder / "dataset.json").read_text("utf-8"))
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows[:: max(1, len(rows) // limit)][:limit]:
        yield folder / record["photo_folder"] / row["file"], int(row["fitzpatrick"]) if row["fitzpatrick"] else None


def text_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def compare(browser: Any, address: str, classifier: Classifier, given: argparse.Namespace) -> None:
    page = browser.new_context(service_workers="block").new_page()
    page.set_default_timeout(120_000)
    isolation = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
    empty = {"content_type": "text/html", "body": "<title>empty</title>", "headers": isolation}
    page.route("**/empty", lambda route: route.fulfill(**empty))
    page.goto(address + "empty")
    page.evaluate(OPEN, text_of(given.model.read_bytes()))
    specs = {graph.id: graph.output for graph in classifier.bundle.graphs}
    count = dict.fromkeys(("photos", "prepared", "outputs", "answers", "decoded", "answers of files"), 0)
    for path, skin_type in listed(given.photos, given.limit):
        pixels = read_image(path)
        wanted = classifier.classify(pixels, fitzpatrick=skin_type).to_json()
        _, rgb = classifier._seen(pixels)
        logits = classifier.logits(rgb, fitzpatrick=skin_type)
        lossless = io.BytesIO()
        Image.fromarray(pixels).save(lossless, "PNG", compress_level=1)
        found = page.evaluate(ANSWER, [text_of(lossless.getvalue()), skin_type or 0])
        file = text_of(path.read_bytes())
        from_file = page.evaluate(ANSWER, [file, skin_type or 0])
        opaque = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
        count["photos"] += 1
        count["prepared"] += found["rgb"] == hashlib.sha256(rgb.tobytes()).hexdigest()
        count["outputs"] += bool(found["outputs"]) and all(
            np.array_equal(real_values(specs[graph], np.array(stored, specs[graph].dtype)), logits[graph])
            for graph, stored in found["outputs"].items()
        )
        count["answers"] += found["json"] == wanted
        count["decoded"] += page.evaluate(PIXELS, file) == hashlib.sha256(opaque.tobytes()).hexdigest()
        count["answers of files"] += from_file["json"] == wanted
    print("identical to Python's: " + ", ".join(f"{name} {number}" for name, number in count.items()), flush=True)
    page.context.close()


def weigh() -> None:
    """What a visit loads: one build of LiteRT out of three."""
    files = [path for path in BUILT.rglob("*") if path.is_file() and path.suffix != ".ts"]
    files = [path for path in files if path.parent.name != "litert" or "threaded" in path.name]
    parts = {"LiteRT.js": "litert/", "model": "starter.derm", "core": "derm.wasm"}
    sums: dict[str, list[float]] = {name: [0.0, 0.0] for name in (*parts, "page")}
    for path in files:
        name = next((name for name, part in parts.items() if part in path.as_posix()), "page")
        data = path.read_bytes()
        sums[name][0] += len(data) / 1000
        sums[name][1] += len(gzip.compress(data, 9)) / 1000
    for name, (raw, packed) in {**sums, "all": list(map(sum, zip(*sums.values(), strict=True)))}.items():
        print(f"weight of {name}: {raw:.0f} kB, {packed:.0f} kB gzip")


def measure(browser: Any, address: str, photos: list[Path]) -> None:
    first, again = [], []
    stages: dict[str, list[float]] = {}
    longest = (0.0, 0.0)
    for turn in range(LOADS):
        context = browser.new_context()
        page = context.new_page()
        with tempfile.TemporaryDirectory() as folder:
            trace = Path(folder) / "trace.json"
            browser.start_tracing(path=trace, categories=["toplevel"])
            for times in (first, again):
                start = time.perf_counter()
                page.goto(address)
                page.wait_for_selector("html[data-ready=yes]", timeout=120_000)
                times.append(time.perf_counter() - start)
            for path in photos if turn == 0 else photos[:1]:
                page.evaluate("document.getElementById('answer').hidden = true")
                page.set_input_files("#file", path)
                page.wait_for_selector("#answer:not([hidden])", timeout=120_000)
                for name, taken in page.evaluate(TABLE) if turn == 0 else ():
                    stages.setdefault(name, []).append(float(taken))
            browser.stop_tracing()
            longest = tuple(map(max, longest, longest_task(json.loads(trace.read_text("utf-8"))["traceEvents"])))
        context.close()
    opened, kept = statistics.median(first), statistics.median(again)
    print(f"opening to ready: {opened:.2f} s; again, kept: {kept:.2f} s (median of {LOADS})")
    print("a photo, p50: " + ", ".join(f"{name} {statistics.median(times):.1f} ms" for name, times in stages.items()))
    print(f"the longest task of the main thread: {longest[0]:.0f} ms of the processor, {longest[1]:.0f} ms by the clock")


def longest_task(events: list[dict[str, Any]]) -> tuple[float, float]:
    """Milliseconds of the longest task on a page's main thread: of the processor, and by the clock.

    By the clock a task also waits for whatever else the machine does; on a busy one that is most of it.
    """
    main = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name" and e["args"]["name"] == "CrRendererMain"}
    tasks = [e for e in events if (e["pid"], e["tid"]) in main and e["name"].endswith("RunTask") and "dur" in e]
    return max(e.get("tdur", 0) for e in tasks) / 1000, max(e["dur"] for e in tasks) / 1000


if __name__ == "__main__":
    main()
