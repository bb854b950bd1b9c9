"""The report in a real headless Chromium: it opens quietly, asks nobody for anything, and fits a phone in both themes.

The browser's proxy is a server of this test, so that a request to any network arrives here.
"""

from __future__ import annotations

import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from derm_toolkit.reporting.page import report_page
from derm_toolkit.reporting.sources import read_sources

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path (Debian: apt install chromium)")

# A page of the test that holds the report in a frame as wide as a phone, and writes down what it measures.
MEASURE = """<!doctype html><link rel="icon" href="data:,"><iframe id="f" src="/report.html" width="390" height="844"></iframe><pre id="out"></pre><script>
const frame = document.getElementById("f");
const light = text => {
  const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b;
};
frame.onload = () => {
  const page = frame.contentDocument, style = page.defaultView.getComputedStyle;
  const ground = light(style(page.body).backgroundColor);
  const against = part => { const l = light(style(part).color); return (Math.max(l, ground) + .05) / (Math.min(l, ground) + .05); };
  const parts = [...page.querySelectorAll("p:not([class]), .fine, td.n small, figcaption, a:not(.skip), thead th")];
  document.getElementById("out").textContent = JSON.stringify({
    width: page.documentElement.scrollWidth, charts: page.querySelectorAll("svg[role=img]").length, ground,
    styled: style(page.querySelector(".card")).borderTopWidth, contrast: Math.min(...parts.map(against)),
  });
};
</script>"""  # noqa: E501


class Recorder(http.server.BaseHTTPRequestHandler):
    """Serves the two pages and writes down who asks for what."""

    pages: dict[str, str]
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        page = self.pages.get(self.path.removeprefix("http://report.test"))
        self.send_response(200 if page is not None else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write((page or "").encode())

    def do_CONNECT(self) -> None:
        self.asked.append(self.path)
        self.send_error(403)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[type[Recorder], int]]:
    handler = type("OneRecorder", (Recorder,), {"pages": {}, "asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield handler, found.server_port
        found.shutdown()


def of_the_page(asked: list[str]) -> list[str]:
    """What was asked for, without what Chromium itself asks its maker."""
    return [url for url in asked if "google.com" not in url and "googleapis.com" not in url]


def browse(port: int, path: str, profile: Path, *options: str) -> tuple[dict, str]:
    """Opens a page; gives what it wrote down, and what the browser complained about."""
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
        f"--user-data-dir={profile}", f"--proxy-server=127.0.0.1:{port}",
        "--enable-logging=stderr", "--virtual-time-budget=4000", *options, "--dump-dom", f"http://report.test{path}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    found = re.search(r'<pre id="out">(.*?)</pre>', done.stdout, re.S)
    assert found, done.stderr[-2000:]
    complaints = "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
    return json.loads(found.group(1) or "{}"), complaints


@pytest.mark.parametrize(("theme", "scheme"), [("light", "1"), ("dark", "0")])
def test_the_page_opens_quietly_fits_a_phone_and_reads_well(
    evaluated: Path, server, tmp_path: Path, theme: str, scheme: str
):
    handler, port = server
    handler.pages.update({"/report.html": report_page(read_sources(evaluated)), "/": MEASURE})
    found, complaints = browse(port, "/", tmp_path / "profile", f"--blink-settings=preferredColorScheme={scheme}")
    assert complaints == ""
    assert of_the_page(handler.asked) == ["http://report.test/", "http://report.test/report.html"]
    assert found["width"] <= 390
    assert found["charts"] > 8
    assert found["styled"] == "1px"  # the policy lets the page's own style in
    assert found["contrast"] >= 4.5  # WCAG 2.2, AA
    assert (found["ground"] > 0.5) == (theme == "light")


def test_the_pages_own_policy_stops_requests_and_scripts(evaluated: Path, server, tmp_path: Path):
    handler, port = server
    smuggled = "<img src='http://elsewhere.test/x.png'><script>document.body.id = 'ran'</script></main>"
    page = report_page(read_sources(evaluated)).replace("</main>", smuggled)
    handler.pages.update({"/report.html": page, "/": MEASURE})
    found, complaints = browse(port, "/", tmp_path / "profile")
    assert found["charts"] > 8
    assert of_the_page(handler.asked) == ["http://report.test/", "http://report.test/report.html"]
    assert complaints.count("Content Security Policy") == 2
