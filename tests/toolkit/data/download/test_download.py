"""Downloads from a real server that misbehaves."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from derm_toolkit.cli import main
from derm_toolkit.data.download import addresses
from derm_toolkit.data.download.bodies import judge
from derm_toolkit.data.download.plan import address, read_wanted
from derm_toolkit.data.download.reasons import PASSING, REASONS, SETTLED
from derm_toolkit.data.download.run import Outcome, Progress, download
from derm_toolkit.data.download.settings import Settings
from derm_toolkit.data.importers import import_table
from derm_toolkit.errors import RunError

from ..conftest import write_table
from .server import Host, serving

QUICK = Settings(delay=0, timeout=1, tries=3, per_host=8, max_bytes=200_000, allow_private=True)
LABELS = {
    "fitzpatrick_scale": "3",
    "label": "nevus",
    "nine_partition_label": "moles",
    "three_partition_label": "benign",
    "qc": "",
}


def photo(number: int) -> bytes:
    """A small drawn JPEG, another one for each number."""
    pixels = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((160, 120)).save(file, "JPEG", quality=90)
    return file.getvalue()


def row(url: str, body: bytes, **more: str) -> dict[str, str]:
    name = "".join(c for c in url if c.isalnum())
    md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
    return {"md5hash": md5, "url": url, "url_alphanum": name, **LABELS, **more}


def atlas(folder: Path, ways: dict[str, str], good: int = 0, robots: str | None = None) -> tuple[Host, Path]:
    """A host whose path /p/<way>.jpg misbehaves in that way, and /p/<number>.jpg does not; and the table of its rows."""
    names = [*ways, *map(str, range(good))]
    bodies = {f"/p/{name}.jpg": photo(number) for number, name in enumerate(names)} | {"/other": photo(10_000)}
    host = Host(bodies, {f"/p/{name}.jpg": way for name, way in ways.items()}, robots)
    host.bodies["/moved/p/to_photo.jpg"] = bodies.get("/p/to_photo.jpg", b"")
    rows = [row(f"http://atlas.example/p/{name}.jpg", bodies[f"/p/{name}.jpg"]) for name in names]
    return host, write_table(folder / "table.csv", rows)


def reasons(folder: Path) -> dict[str, str]:
    """The last part of each missing row's URL -> its reason."""
    with (folder / "missing.csv").open(newline="") as file:
        return {line["url"].rsplit("/", 1)[-1].removesuffix(".jpg"): line["reason"] for line in csv.DictReader(file)}


def whole(folder: Path) -> int:
    """How many photos are there, each checked to be what its name says."""
    files = list((folder / "photos").iterdir())
    assert all(hashlib.md5(file.read_bytes()).hexdigest() == file.stem for file in files)
    return len(files)


def fetch(host: Host, table: Path, folder: Path, settings: Settings = QUICK) -> Outcome:
    return download(table, folder, settings, mirror=host.url)


# One server, every way to misbehave, and what each must end as; None: the photo is had in the end.
EXPECTED = {
    "cut": None, "unsized": None, "busy": None, "broken": None, "to_photo": None,
    "always_cut": "cut_off", "dead": "cut_off", "wrong": "wrong_md5", "text": "not_an_image", "page": "wrong_content",
    "packed": "wrong_content", "stall": "timeout", "to_page": "redirected", "to_itself": "redirected",
    "to_file": "bad_url", "huge": "too_large", "endless": "too_large", "forbidden": "refused",
}  # fmt: skip


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> tuple[Host, Path, Path]:
    """A run over every way to misbehave, twelve good photos, two without a URL or an MD5, and one that is gone."""
    folder = tmp_path_factory.mktemp("atlas")
    host, table = atlas(folder, {way: way for way in EXPECTED}, good=12)
    del host.bodies["/p/3.jpg"]
    with table.open("a", newline="") as file:
        for line in (row("", b"x"), row("http://atlas.example/q.jpg", b"") | {"md5hash": "../../../tmp/x"}):
            csv.DictWriter(file, list(line)).writerow(line)
    host.bodies["/welcome.html"] = b""
    host.ways["/welcome.html"] = "page"
    with serving(host):
        outcome = fetch(host, table, folder / "out")
        assert outcome.rows == len(EXPECTED) + 14
        asked = len(host.asked)
        again = fetch(host, table, folder / "out")
        host.asked = host.asked[asked:]
        assert again.counts == outcome.counts and again.new == 0
    return host, table, folder / "out"


@pytest.mark.parametrize(("way", "reason"), EXPECTED.items())
def test_every_way_to_misbehave_ends_in_its_photo_or_its_reason(
    after: tuple[Host, Path, Path], way: str, reason: str
) -> None:
    assert reasons(after[2]).get(way) == reason


def test_every_other_row_has_its_photo_or_its_reason_too(after: tuple[Host, Path, Path]) -> None:
    _, table, folder = after
    found = reasons(folder)
    assert found["3"] == "not_found" and found[""] == "no_url" and found["q"] == "bad_row"
    assert whole(folder) + len(found) == len(EXPECTED) + 14
    assert set(found.values()) <= set(REASONS)
    with (folder / "missing.csv").open(newline="") as file:
        numbers = [int(line["row"]) for line in csv.DictReader(file)]
    assert numbers == sorted(numbers) and numbers[-1] == len(table.read_text().splitlines())


def test_a_second_run_asks_only_for_what_may_have_passed(after: tuple[Host, Path, Path]) -> None:
    passing = {"always_cut", "dead", "stall", "to_file"}  # the last: a host may mend its redirects
    assert {path[3:-4] for path in after[0].paths_asked()} == passing


def test_nothing_is_left_half_written(after: tuple[Host, Path, Path]) -> None:
    host, _, folder = after
    bodies = {hashlib.md5(body).hexdigest(): body for body in host.bodies.values()}
    for part in (folder / "partial").iterdir():
        assert bodies[part.name].startswith(part.read_bytes())
    assert {path.name for path in folder.iterdir()} <= {"photos", "partial", "download.jsonl", "missing.csv", ".lock"}


def test_what_a_cut_body_lacks_is_fetched_by_range(after: tuple[Host, Path, Path]) -> None:
    assert after[0].sent["/p/cut.jpg"] == len(after[0].bodies["/p/cut.jpg"])


def test_what_was_fetched_can_be_imported(after: tuple[Host, Path, Path], tmp_path: Path) -> None:
    _, table, folder = after
    data, report = import_table(table, folder / "photos", tmp_path / "data")
    assert len(data.photos) == whole(folder)
    assert not report.findings["re_encoded"] and not report.findings["unreadable"]


def test_killed_three_times_nothing_is_lost_and_nothing_here_is_asked_for_again(tmp_path: Path) -> None:
    host, table = atlas(tmp_path, {"wrong": "wrong"}, good=60)
    host.pause = 0.04
    del host.bodies["/p/7.jpg"]
    names = {hashlib.md5(body).hexdigest(): path for path, body in host.bodies.items()}
    arguments = ["data", "download", str(table), "-o", str(tmp_path / "out"), "--allow-private", "--delay", "0"]
    command = [sys.executable, "-c", "from derm_toolkit.cli import main; main()", *arguments, "--mirror"]
    kills = []
    with serving(host):
        for number in (1, 2, 3):
            run = subprocess.Popen([*command, host.url], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            while len(host.asked) < 16 * number and run.poll() is None:
                time.sleep(0.005)
            run.send_signal(signal.SIGKILL)
            run.communicate()
            whole(tmp_path / "out")
            kills.append((len(host.asked), {names[file.stem] for file in (tmp_path / "out/photos").iterdir()}))
        subprocess.run([*command, host.url], check=True, capture_output=True)
    for asked_before, here in kills:
        assert not here & {path for path, _ in host.asked[asked_before:]}
    assert reasons(tmp_path / "out") == {"wrong": "wrong_md5", "7": "not_found"}
    assert whole(tmp_path / "out") == 59
    assert list((tmp_path / "out/partial").iterdir()) == []
    assert sum(host.paths_asked().values()) <= 61 + 3 * 4  # four were under way at each kill


def test_a_host_without_ranges_sends_the_whole_body_again(tmp_path: Path) -> None:
    host, table = atlas(tmp_path, {"cut": "cut"})
    host.ranges = False
    with serving(host):
        assert fetch(host, table, tmp_path / "out").counts == {"ok": 1}


def test_a_part_that_is_already_whole_is_not_fetched(tmp_path: Path) -> None:
    host, table = atlas(tmp_path, {}, good=2)
    (tmp_path / "out/partial").mkdir(parents=True)
    body = host.bodies["/p/0.jpg"]
    (tmp_path / "out/partial" / hashlib.md5(body).hexdigest()).write_bytes(body)
    with serving(host):
        assert fetch(host, table, tmp_path / "out").here == 2
    assert set(host.paths_asked()) == {"/p/1.jpg"}


def test_a_part_of_another_photo_costs_one_fetch_and_no_photo(tmp_path: Path) -> None:
    host, table = atlas(tmp_path, {}, good=1)
    (tmp_path / "out/partial").mkdir(parents=True)
    (tmp_path / "out/partial" / hashlib.md5(host.bodies["/p/0.jpg"]).hexdigest()).write_bytes(b"another photo")
    with serving(host):
        assert fetch(host, table, tmp_path / "out").counts == {"ok": 1}
    assert [start for path, start in host.asked if path != "/robots.txt"] == [13, 0]


def test_a_torn_or_foreign_line_in_the_journal_costs_nothing(tmp_path: Path) -> None:
    host, table = atlas(tmp_path, {}, good=3)
    with serving(host):
        fetch(host, table, tmp_path / "out")
        journal = tmp_path / "out/download.jsonl"
        journal.write_bytes(b'[1]\n{"md5": 5}\n' + journal.read_bytes()[:-20])
        host.asked.clear()
        assert fetch(host, table, tmp_path / "out").counts == {"ok": 3}
        assert fetch(host, table, tmp_path / "out").new == 0
    assert not host.paths_asked()


def test_a_photo_that_vanished_or_changed_on_disk_is_fetched_again(tmp_path: Path) -> None:
    host, table = atlas(tmp_path, {}, good=3)
    with serving(host):
        fetch(host, table, tmp_path / "out")
        files = sorted((tmp_path / "out/photos").iterdir())
        files[0].unlink()
        files[1].write_bytes(b"cut")
        assert fetch(host, table, tmp_path / "out").new == 2
    assert whole(tmp_path / "out") == 3


def test_retry_failed_asks_again_for_what_was_refused(tmp_path: Path) -> None:
    host, table = atlas(tmp_path, {"wrong": "wrong"}, good=1)
    with serving(host):
        fetch(host, table, tmp_path / "out")
        host.ways.clear()
        assert fetch(host, table, tmp_path / "out").here == 1
        assert fetch(host, table, tmp_path / "out", Settings(**{**vars(QUICK), "retry_failed": True})).here == 2


def test_keep_changed_keeps_another_photo_but_nothing_else(tmp_path: Path) -> None:
    host, table = atlas(tmp_path, {"wrong": "wrong", "text": "text"})
    with serving(host):
        outcome = fetch(host, table, tmp_path / "out", Settings(**{**vars(QUICK), "keep_changed": True}))
    assert outcome.counts == {"changed": 1, "not_an_image": 1}
    _, report = import_table(table, tmp_path / "out/photos", tmp_path / "data")
    assert len(report.findings["re_encoded"]) == 1


def test_a_body_of_two_halves_of_different_photos_is_never_kept(tmp_path: Path) -> None:
    host, table = atlas(tmp_path, {}, good=1)
    (tmp_path / "out/partial").mkdir(parents=True)
    old = Image.new("RGB", (160, 120), "red")
    file = io.BytesIO()
    old.save(file, "BMP")  # decodes, whatever follows
    (tmp_path / "out/partial" / hashlib.md5(host.bodies["/p/0.jpg"]).hexdigest()).write_bytes(file.getvalue())
    host.bodies["/p/0.jpg"] += bytes(100_000)
    with serving(host):
        assert fetch(host, table, tmp_path / "out", Settings(**{**vars(QUICK), "keep_changed": True})).counts == {
            "changed": 1
        }
    assert next((tmp_path / "out/photos").iterdir()).read_bytes() == host.bodies["/p/0.jpg"]


def test_a_host_that_asks_to_wait_too_long_is_left_for_another_run(tmp_path: Path) -> None:
    host, table = atlas(tmp_path, {f"busy{n}": "busy_for_days" for n in range(30)})
    with serving(host):
        outcome = fetch(host, table, tmp_path / "out")
    assert outcome.counts == {"busy": 30}
    assert len(host.paths_asked()) <= QUICK.per_host


def test_connections_are_used_again_also_after_refusals(tmp_path: Path) -> None:
    ways = {f"{way}{n}": way for n in range(6) for way in ("to_page", "page", "forbidden", "text")}
    host, table = atlas(tmp_path, ways, good=6)
    host.ways["/welcome.html"] = "page"
    with serving(host):
        assert fetch(host, table, tmp_path / "out", Settings(**{**vars(QUICK), "per_host": 2})).here == 6
    assert len(host.asked) == 37 and host.connections == 2


def test_a_host_that_is_gone_is_given_up_and_the_others_go_on(tmp_path: Path) -> None:
    host, table = atlas(tmp_path, {}, good=8)
    rows = list(csv.DictReader(table.open()))
    heard: list[str] = []
    with serving(host):
        near = [line | {"url": line["url"].replace("http://atlas.example", host.url)} for line in rows]
        far = [row(f"http://127.0.0.1:9/{n}.jpg", photo(900 + n)) for n in range(200)]
        table = write_table(tmp_path / "two.csv", far + near)
        settings = Settings(**{**vars(QUICK), "tries": 1})
        outcome = download(table, tmp_path / "out", settings, progress=Progress(notify=heard.append))
    assert outcome.counts == {"ok": 8, "unreachable": 200}
    assert sum("given up" in text for text in heard) == 1


def test_manners_are_kept(tmp_path: Path) -> None:
    robots = "User-agent: *\nDisallow: /p/1\nAllow: /p/11\nDisallow: /*6.jpg$\nCrawl-delay: 0.05\n"
    host, table = atlas(tmp_path, {}, good=12, robots=robots)
    host.pause = 0.2
    with serving(host):
        start = time.monotonic()
        outcome = fetch(host, table, tmp_path / "out", Settings(**{**vars(QUICK), "per_host": 3}))
        took = time.monotonic() - start
    assert reasons(tmp_path / "out") == {"1": "robots", "10": "robots", "6": "robots"}
    assert outcome.here == 9
    assert host.most_at_once <= 3
    assert took >= 9 * 0.05
    assert sum(path == "/robots.txt" for path, _ in host.asked) == 1


@pytest.mark.parametrize(
    ("ip", "public"),
    [
        ("127.0.0.1", False), ("10.1.2.3", False), ("169.254.169.254", False), ("0.0.0.0", False), ("::1", False),
        ("fe80::1%eth0", False), ("::ffff:192.168.0.1", False), ("64:ff9b::10.0.0.1", False), ("2002:7f00:1::", False),
        ("224.0.0.1", False), ("100.64.0.1", False), ("93.184.216.34", True), ("2606:2800:220:1::1", True),
        ("64:ff9b::8.8.8.8", True),
    ],
)  # fmt: skip
def test_addresses_are_public_or_not(ip: str, public: bool) -> None:
    assert addresses.is_public(ip) is public


def test_private_addresses_are_refused_also_behind_a_redirect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host, table = atlas(tmp_path, {"to_private": "to_private"}, good=1)
    strict = Settings(**{**vars(QUICK), "allow_private": False})
    with serving(host):
        assert fetch(host, table, tmp_path / "a", strict).counts == {"private_address": 2}
        assert host.asked == []
        monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.1")  # our server, as if far away
        assert fetch(host, table, tmp_path / "b", strict).counts == {"ok": 1, "private_address": 1}


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://a/b.jpg", "http:///x.jpg", "http://u:p@h/x.jpg", "x", "http://a:x/"]
)
def test_only_plain_web_addresses_are_asked(tmp_path: Path, url: str) -> None:
    table = write_table(tmp_path / "t.csv", [row(url, b"x")])
    assert download(table, tmp_path / "out", QUICK).counts == {"bad_url": 1}


def test_a_mirror_may_order_its_files_in_its_own_way(tmp_path: Path) -> None:
    wanted = read_wanted(write_table(tmp_path / "t.csv", [row("http://a/img?id=7", b"x"), row("", b"y")]))
    assert address(wanted[0], "https://m/x/") == "https://m/x/img?id=7"
    assert address(wanted[0], "https://m/{md5}.jpg") == f"https://m/{wanted[0].md5}.jpg"
    assert address(wanted[0], "https://m/{name}/{path}") == "https://m/httpaimgid7/img?id=7"
    assert address(wanted[1], "https://m/") == "" and address(wanted[1], "https://m/{md5}") == f"https://m/{wanted[1].md5}"


def test_one_photo_for_two_rows_is_fetched_once_and_missed_twice(tmp_path: Path) -> None:
    host = Host({"/a": photo(1)})
    lines = [row("http://h/a", photo(1)), row("http://h/a", photo(1)), row("http://h/b", b"2"), row("http://h/b", b"2")]
    with serving(host):
        outcome = fetch(host, write_table(tmp_path / "t.csv", lines), tmp_path / "out")
    assert outcome.counts == {"ok": 2, "not_found": 2} and outcome.new == 1
    assert host.paths_asked() == {"/a": 1, "/b": 1}


def test_two_downloads_into_one_folder_do_not_run_at_once(tmp_path: Path) -> None:
    host, table = atlas(tmp_path, {}, good=4)
    host.pause = 0.5
    with serving(host):
        first = threading.Thread(target=fetch, args=(host, table, tmp_path / "out"))
        first.start()
        while not host.asked:
            time.sleep(0.01)
        with pytest.raises(RunError, match="Another download is at work"):
            fetch(host, table, tmp_path / "out")
        first.join()


def test_a_disk_that_refuses_ends_in_one_sentence(tmp_path: Path) -> None:
    host, table = atlas(tmp_path, {}, good=4)
    (tmp_path / "out/partial").mkdir(parents=True)
    for body in host.bodies.values():
        (tmp_path / "out/partial" / hashlib.md5(body).hexdigest()).mkdir()
    with serving(host):
        command = ["data", "download", str(table), "-o", str(tmp_path / "out"), "--mirror", host.url, "--allow-private"]
        result = CliRunner().invoke(main, command)
    assert result.exit_code == 1 and "Error: Cannot write" in result.output and "Traceback" not in result.output


def test_ctrl_c_keeps_what_is_here_and_says_how_to_go_on(tmp_path: Path) -> None:
    host, table = atlas(tmp_path, {}, good=40)
    host.pause = 0.1
    arguments = ["data", "download", str(table), "-o", str(tmp_path / "out"), "--allow-private", "--delay", "0"]
    with serving(host):
        command = [sys.executable, "-c", "from derm_toolkit.cli import main; main()", *arguments, "--mirror", host.url]
        # A test run in the background ignores the signal, and its children would, too.
        heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heard)
        while len(host.asked) < 10 and run.poll() is None:
            time.sleep(0.01)
        os.kill(run.pid, signal.SIGINT)
        _, errors = run.communicate(timeout=120)
    assert run.returncode == 130 and "goes on from here" in errors and "Traceback" not in errors
    assert errors.count("robots.txt is read") == 1  # the notice
    assert whole(tmp_path / "out") + list(reasons(tmp_path / "out").values()).count("not_tried") == 40


def test_the_command_names_the_next_one(tmp_path: Path) -> None:
    host, table = atlas(tmp_path, {}, good=3)
    with serving(host):
        command = ["data", "download", str(table), "-o", str(tmp_path / "out"), "--mirror", host.url, "--allow-private"]
        first, second = CliRunner().invoke(main, [*command, "--limit", "2"]), CliRunner().invoke(main, command)
    assert "2 of 2 rows have their photo" in first.output and "Before the first photo" in first.output
    assert "3 of 3 rows" in second.output and "1 of them new" in second.output and "Before" not in second.output
    following = second.output.split("Next: derm-toolkit ")[1].split()
    assert CliRunner().invoke(main, [*following[:-1], str(tmp_path / "data")]).exit_code == 0


def test_the_page_knows_every_reason_and_which_are_asked_again() -> None:
    page = (Path(__file__).parents[4] / "docs/download.md").read_text("utf-8")
    named = re.findall(r"^\| `(\w+)` \|.*\| ([^|]*)\|$", page, re.M)
    assert [name for name, _ in named] == list(REASONS)
    assert {name for name, again in named if "--retry-failed" in again} == set(SETTLED)
    assert {name for name, again in named if again.strip() == "yes"} >= set(PASSING)


def test_an_image_is_known_by_its_bytes() -> None:
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG")
    assert judge(file.getvalue(), hashlib.md5(file.getvalue()).hexdigest()) == (".png", True)
    assert judge(file.getvalue(), "0" * 32) == (".png", False)
