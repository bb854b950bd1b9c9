"""The page that `make web` built, on a real server, in a real headless Chromium that Playwright drives."""

from __future__ import annotations

import base64
import importlib.util
import io
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "examples" / "web"
BUILT = ROOT / "build" / "web"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SOURCES = [
    *WEB.glob("*.mjs"), *(WEB / "page").iterdir(), *(WEB / "core").iterdir(), *(WEB / "package" / "src").iterdir(),
    *(ROOT / "derm_sdk" / "native" / "src").iterdir(), ROOT / "derm_sdk" / "models" / "starter.derm",
]  # fmt: skip


def load_serve() -> Any:
    """examples/web/serve.py, which lies in no package."""
    spec = importlib.util.spec_from_file_location("derm_web_serve", WEB / "serve.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


serve = load_serve()


def bytes64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def drawn(width: int = 360, height: int = 300, seed: int = 4) -> np.ndarray:
    """A drawn photo: skin, and a dark spot with a ragged edge."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    skin = np.stack([222 - 30 * x / width, 176 - 20 * y / height, 150 + 6 * np.sin(x / 20)], -1)
    angle = np.arctan2(y - height / 2, x - width / 2)
    edge = min(width, height) / 5 * (1 + 0.2 * np.sin(3 * angle) + 0.1 * np.sin(7 * angle + seed))
    inside = np.hypot(x - width / 2, y - height / 2) < edge
    photo = np.where(inside[..., None], [96, 58, 46], skin) + random.normal(0, 6, (height, width, 3))
    return np.clip(photo, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def built() -> Path:
    if not (BUILT / "index.html").is_file():
        pytest.skip("there is no build/web; 'make web' makes it, with emscripten, cmake and npm")
    newest = max(path.stat().st_mtime for path in SOURCES if path.is_file())
    assert (BUILT / "sw.js").stat().st_mtime >= newest, "build/web is older than its sources; 'make web' renews it"
    return BUILT


def write_down(handler: Any, *_: Any) -> None:
    handler.server.asked.append(handler.path)


@contextmanager
def served(folder: Path, isolated: bool = True) -> Iterator[Any]:
    """The server, whose list `asked` holds the path of every request."""
    serve.Handler.log_request = write_down
    server = serve.server(folder, isolated=isolated)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def address(server: Any) -> str:
    return f"http://127.0.0.1:{server.server_port}/"


@pytest.fixture(scope="session")
def server(built: Path) -> Iterator[Any]:
    with served(built) as running:
        yield running


@pytest.fixture(scope="session")
def site(server: Any) -> str:
    return address(server)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (pip install playwright)")
    if CHROMIUM is None:
        pytest.skip("no Chromium on the path (Debian: apt install chromium)")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


# The package on an empty page: call(name, ...) of `derm` gives its value, or "STATUS: sentence".
SCRIPT = """async () => {
  const { open } = await import("/derm-sdk-web/index.js");
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const plain = (value) => value instanceof Uint8Array || value instanceof Float32Array ? [...value] : value;
  const told = (error) => `${error.status}: ${error.message}`;
  window.bytes = bytes;
  window.opened = async (text, options) => {
    window.derm?.close();
    try {
      window.derm = await open(text === null ? "/starter.derm" : bytes(text), options);
      return 0;
    } catch (error) { return told(error); }
  };
  window.call = async (name, photo, options) => {
    try {
      const source = photo === null ? undefined : typeof photo === "string" ? new Blob([bytes(photo)])
        : new ImageData(new Uint8ClampedArray(bytes(photo.rgba)), photo.width, photo.height);
      const value = await (source ? derm[name](source, options) : derm[name](options));
      return JSON.parse(JSON.stringify(value ?? null, (_, part) => plain(part)));
    } catch (error) { return told(error); }
  };
}"""


class Package:
    """derm-sdk-web, called from Python."""

    def __init__(self, browser: Any, site: str, script: str = "", isolated: bool = True) -> None:
        self.context = browser.new_context(service_workers="block")
        self.page = self.context.new_page()
        self.page.set_default_timeout(120_000)
        if script:
            self.page.add_init_script(script)
        headers = {**(serve.ISOLATION if isolated else {}), "Content-Security-Policy": serve.PAGE}
        empty = {"content_type": "text/html", "body": "<title>empty</title>", "headers": headers}
        self.page.route("**/empty", lambda route: route.fulfill(**empty))
        self.page.goto(site + "empty")
        self.page.evaluate(SCRIPT)

    def open(self, model: bytes | None = None, **options: Any) -> Any:
        """0, or what went wrong. Without a model: the starter."""
        given = None if model is None else bytes64(model)
        return self.page.evaluate("([model, options]) => opened(model, options)", [given, options])

    def call(self, name: str, photo: bytes | np.ndarray | None = None, **options: Any) -> Any:
        """A photo: the bytes of a file, or RGBA pixels."""
        given: Any = photo
        if isinstance(photo, bytes):
            given = bytes64(photo)
        elif photo is not None:
            given = {"rgba": bytes64(photo.tobytes()), "width": photo.shape[1], "height": photo.shape[0]}
        return self.page.evaluate("([name, photo, options]) => call(name, photo, options)", [name, given, options])


@pytest.fixture(scope="module")
def package(browser: Any, site: str) -> Iterator[Package]:
    made = Package(browser, site)
    assert made.open() == 0
    yield made
    made.context.close()
