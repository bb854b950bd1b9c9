"""The page in Chromium: what a person sees and does, what it asks the network for, and without a network."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from derm_sdk import Classifier

from .conftest import ROOT, WEB, address, drawn, png, serve, served

AXE = WEB / "package" / "node_modules" / "axe-core" / "axe.min.js"
READY = "html[data-ready=yes]"
ANSWER = "#answer:not([hidden])"
STARTER = ROOT / "derm_sdk" / "models" / "starter.derm"


@pytest.fixture(scope="module")
def loaded(browser: Any, site: str) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    made = context.new_page()
    made.set_default_timeout(60_000)
    made.errors = []
    made.on("pageerror", lambda error: made.errors.append(str(error)))
    made.on("console", lambda message: made.errors.append(message.text) if message.type == "error" else None)
    made.goto(site)
    made.wait_for_selector(READY)
    yield made
    context.close()


@pytest.fixture
def page(loaded: Any) -> Any:
    """The page of these tests, without an answer."""
    loaded.errors.clear()
    loaded.evaluate("for (const id of ['answer', 'error']) document.getElementById(id).hidden = true")
    return loaded


def photo(name: str = "spot.png", **options: Any) -> dict[str, Any]:
    return {"name": name, "mimeType": "image/png", "buffer": png(drawn(**options))}


def says(page: Any, selector: str, words: str) -> None:
    """Waits until an element holds the words."""
    page.locator(selector, has_text=re.compile(words)).wait_for()


def drop(page: Any, content: str, name: str) -> None:
    page.evaluate("""([content, name]) => {
      const data = new DataTransfer();
      data.items.add(new File([Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0))], name));
      document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    }""", [content, name])  # fmt: skip


def test_a_photo_is_answered_and_nothing_is_asked_of_the_network(page, server):
    asked = []
    before = len(server.asked)
    page.context.on("request", lambda request: asked.append(request.url))
    page.select_option("#skin", "4")
    page.set_input_files("#file", photo())
    page.wait_for_selector(ANSWER)
    with Classifier(STARTER) as classifier:
        result = classifier.classify(drawn(), fitzpatrick=4)
        named = {node.id: node for level in result.levels.values() for node in level}
    shown = {button.get_attribute("data-node"): button for button in page.query_selector_all("#tree button")}
    assert set(shown) == set(named)
    for node, button in shown.items():
        share = button.evaluate("button => button.parentElement.querySelector('.share').textContent")
        assert share in (f"{100 * named[node].probability:.1f} %", "< 0.1 %")
    assert page.inner_text("#verdict").startswith(result.answer.name if result.answer else "Nothing is certain")
    assert ("See a dermatologist" in page.inner_text("#refer")) == result.refer
    members = {named[node].name for node in result.sets["condition"]}
    assert {item.inner_text() for item in page.query_selector_all("#set li")} == members
    assert asked == server.asked[before:] == [] and page.errors == []


def test_neither_the_page_nor_its_worker_could_ask_if_they_wanted_to(page, site):
    reach = "(to) => fetch(to, { method: 'POST', body: 'photo' }).then(() => 'sent', () => 'refused')"
    assert [page.evaluate(reach, to) for to in (site, "http://127.0.0.1:9/", "https://example.org/")] == ["refused"] * 3
    worker = next(worker for worker in page.workers if worker.url.endswith("/worker.js"))
    assert [worker.evaluate(reach, to) for to in (site, "http://127.0.0.1:9/")] == ["refused"] * 2


def test_the_page_opens_and_answers_without_a_network(browser, built):
    context = browser.new_context()
    page = context.new_page()
    with served(built) as server:
        page.goto(address(server))
        page.wait_for_selector(READY)
        assert "without a network" in page.inner_text("#status")
    # The server is gone.
    page.reload()
    page.wait_for_selector(READY)
    assert page.evaluate("crossOriginIsolated")  # its headers were kept with it
    page.set_input_files("#file", photo())
    page.wait_for_selector(ANSWER)
    context.close()


def test_the_page_answers_without_threads_too(browser, built):
    with served(built, isolated=False) as server:
        context = browser.new_context()
        page = context.new_page()
        page.goto(address(server))
        page.wait_for_selector(READY)
        page.set_input_files("#file", photo())
        page.wait_for_selector(ANSWER)
        assert not page.evaluate("crossOriginIsolated")
        context.close()


def test_what_is_no_photo_or_no_model_gets_one_sentence_and_the_page_goes_on(page, tmp_path):
    def sentence(field: str, file: Any) -> str:
        page.evaluate("document.querySelector('#error').hidden = true")
        page.set_input_files(field, file)
        page.wait_for_selector("#error:not([hidden])")
        return page.inner_text("#error")

    huge = tmp_path / "huge.jpg"
    with huge.open("wb") as file:
        file.write(b"\xff\xd8\xff\xe0")
        file.truncate(200_000_000)
    assert sentence("#file", str(huge)) == "The file 'huge.jpg' has 200 MB; a photo may have 100 MB."
    large = {"name": "large.derm", "mimeType": "", "buffer": b"\xff\xd8" * 1000}
    assert sentence("#bundle", large).startswith("This is no .derm file")
    letter = {"name": "letter.txt", "mimeType": "text/plain", "buffer": b"Dear all"}
    assert sentence("#file", letter).startswith("No photo in the file 'letter.txt'")
    cut = {"name": "cut.derm", "mimeType": "", "buffer": STARTER.read_bytes()[:100_000]}
    assert sentence("#bundle", cut).startswith("The .derm file is cut off")
    drop(page, "QUJD", "dropped.png")
    says(page, "#error", "'dropped.png'")
    page.set_input_files("#file", photo())
    page.wait_for_selector(ANSWER)
    assert page.is_hidden("#error") and page.errors == []


def test_another_model_can_be_opened_and_checked_on_this_device(page):
    page.evaluate("document.querySelector('footer details').open = true; document.querySelector('#model').replaceChildren()")
    page.set_input_files("#bundle", STARTER)
    page.wait_for_selector("#model dd")
    page.click("#selftest")
    says(page, "#selftest-text", ":")
    assert page.inner_text("#selftest-text").startswith("identical: ") and page.errors == []


def test_a_keyboard_reaches_everything_and_chooses_the_evidence(page):
    page.set_input_files("#file", photo())
    page.wait_for_selector(ANSWER)
    before = page.evaluate("document.querySelector('#heat').toDataURL()")
    pressed = page.get_attribute("#tree button[aria-pressed=true]", "data-node")
    others = {button.get_attribute("data-node") for button in page.query_selector_all("#tree .top button")} - {pressed}
    reached = []
    while len(reached) < 60 and not others & set(reached):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.dataset.node ?? document.activeElement.id"))
    assert {"camera", "file", "skin", "show-heat"} <= set(reached)
    page.keyboard.press("Enter")
    page.wait_for_selector(f"#tree button[data-node='{reached[-1]}'][aria-pressed=true]")
    assert page.evaluate("document.querySelector('#heat').toDataURL()") != before
    page.focus("#show-heat")
    page.keyboard.press("Space")
    assert page.is_hidden("#heat")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_before_and_after_a_photo(browser, site, scheme):
    if not AXE.is_file():
        pytest.skip("axe-core is not installed; 'make web' installs it")
    context = browser.new_context(color_scheme=scheme, bypass_csp=True, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(site)
    page.wait_for_selector(READY)
    page.add_script_tag(path=AXE)
    broken = "async () => (await axe.run()).violations.map((each) => [each.id, each.nodes.map((node) => node.html)])"
    assert page.evaluate(broken) == []
    page.set_input_files("#file", photo())
    page.wait_for_selector(ANSWER)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert page.evaluate(broken) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


def test_the_page_can_be_installed_and_names_only_its_own_files(built):
    manifest = json.loads((built / "derm.webmanifest").read_text("utf-8"))
    assert manifest["display"] == "standalone" and all((built / icon["src"]).is_file() for icon in manifest["icons"])
    kept = json.loads((built / "sw.js").read_text("utf-8").split("FILES = ")[1].split(";\n")[0])
    served_files = {path.relative_to(built).as_posix() for path in built.rglob("*") if path.is_file()}
    assert set(kept) == {name for name in served_files if name != "sw.js" and not name.endswith(".d.ts")}
    for name in ("index.html", "style.css", "app.js", "view.js", "heat.js", "sw.js"):
        assert "http" not in (built / name).read_text("utf-8").replace("httpEquiv", "")


def test_the_server_says_what_page_and_workers_may_do():
    assert "connect-src 'none'" in serve.policy("/derm-sdk-web/worker.js")
    assert "connect-src 'none'" in serve.policy("/derm-sdk-web/litert/litert_wasm_internal.js")
    assert "default-src 'none'" in serve.policy("/") and "unsafe-inline" not in serve.policy("/")


def test_the_server_explains_a_port_that_is_taken_or_cannot_be(built: Path) -> None:
    with served(built) as running:
        for port in (running.server_port, 99_999):
            command = [sys.executable, WEB / "serve.py", built, "--port", str(port)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 2 and done.stderr.startswith(f"Cannot listen on port {port}: "), done.stderr


def test_the_server_explains_a_missing_page(tmp_path: Path):
    done = subprocess.run([sys.executable, WEB / "serve.py", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "make web" in done.stderr and "Traceback" not in done.stderr
