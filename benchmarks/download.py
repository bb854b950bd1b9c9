"""The whole official table through `derm-toolkit data download`, against a server on this machine that misbehaves.

    python benchmarks/download.py fitzpatrick17k.csv PHOTOS [--rows N]

PHOTOS is a folder with some of the photos, as <md5hash>.jpg; rows without one get a drawn JPEG of their own. Neither are the
original bytes, so the column md5hash is replaced by the MD5 of what the server holds for the row; URLs, rows, order and gaps
are the official ones. Three parts, each in processes of its own:

    plainly     one connection, no check, no sync: the first 1,000 rows, what the machine and its server can do
    well        the command, against a server that behaves
    badly       the command, against one that does not, killed (SIGKILL) three times on the way and started again

After the last, missing.csv must name every row that has no photo, each with the right reason, every photo must be there, and
nothing that was there at a kill may have been asked for after it; else the script ends with an error.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import http.client
import io
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.toolkit.data.download.server import Host, serving

# Of 10,000 rows, how many meet which way to misbehave, and what they must end as (None: the photo is had in the end).
WAYS: dict[str, tuple[int, str | None]] = {
    "gone": (200, "not_found"),
    "forbidden": (50, "refused"),
    "wrong": (100, "wrong_md5"),
    "text": (50, "not_an_image"),
    "page": (100, "wrong_content"),
    "to_page": (100, "redirected"),
    "huge": (10, "too_large"),
    "always_cut": (10, "cut_off"),
    "stall": (10, "timeout"),
    "cut": (200, None),
    "unsized": (100, None),
    "broken": (100, None),
    "busy": (10, None),
}
KILLS = (0.2, 0.45, 0.7)
OPTIONS = ["--allow-private", "--delay", "0", "--per-host", "16", "--timeout", "5", "--tries", "3"]


class Bodies(dict[str, bytes]):
    """Path -> bytes: a file of the folder, or a drawn JPEG with the row's number behind its end, which decoders ignore."""

    def __init__(self, rows: list[dict[str, str]], folder: Path) -> None:
        super().__init__()
        self.drawn = [drawn(number) for number in range(40)]
        self.files = {place(row["url"]): folder / f"{row['md5hash']}.jpg" for row in rows if row["url"]}
        self.numbers = {path: number for number, path in enumerate(self.files)}
        self.real = sum(file.exists() for file in self.files.values())

    def get(self, path: str, default: bytes | None = None) -> bytes | None:  # type: ignore[override]
        if path not in self.files:
            return {"/other": self.drawn[0], "/welcome.html": b""}.get(path)
        try:
            return self.files[path].read_bytes()
        except FileNotFoundError:
            number = self.numbers[path]
            return self.drawn[number % 40] + number.to_bytes(4, "big")

    def __getitem__(self, path: str) -> bytes:
        return self.get(path) or b""


def drawn(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (12, 16, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((400, 300)).save(file, "JPEG", quality=88)
    return file.getvalue()


def place(url: str) -> str:
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("table", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rows", type=int)
    asked = parser.parse_args()
    rows = list(csv.DictReader(asked.table.open()))[: asked.rows]
    bodies = Bodies(rows, asked.photos)
    for row in rows:
        if row["url"]:
            row["md5hash"] = hashlib.md5(bodies[place(row["url"])]).hexdigest()
    print(f"{len(rows):,} rows, {bodies.real:,} with a photo of the folder, the others with a drawn one")
    with tempfile.TemporaryDirectory() as name:
        table = Path(name) / asked.table.name
        with table.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        plain = plainly(Host(bodies), rows[:1000], Path(name) / "plain")
        well = behaving(Host(bodies), table, Path(name) / "well", len(rows))
        print(f"well / plainly: {well / plain:.2f}")
        misbehaving(Host(bodies), table, Path(name) / "badly", rows)


def plainly(host: Host, rows: list[dict[str, str]], folder: Path) -> float:
    folder.mkdir()
    with serving(host):
        connection = http.client.HTTPConnection(urlsplit(host.url).netloc)
        start = time.perf_counter()
        for number, row in enumerate(rows):
            connection.request("GET", place(row["url"]))
            (folder / str(number)).write_bytes(connection.getresponse().read())
        rate = len(rows) / (time.perf_counter() - start)
    print(f"plainly: {rate:6.0f} rows/s")
    return rate


# The high-water mark of the process itself; getrusage counts what its parent held when it was forked.
PROGRAM = """
import atexit, pathlib, re, sys
from derm_toolkit.cli import main
mark = lambda: re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]
atexit.register(lambda: print("peak", mark(), file=sys.stderr))
main()
"""


def command(host: Host, table: Path, folder: Path) -> list[str]:
    return [sys.executable, "-c", PROGRAM, "data", "download", str(table), "-o", str(folder), "--mirror", host.url, *OPTIONS]


def peak(run: subprocess.CompletedProcess[str]) -> float:
    """Its peak memory in MB."""
    return float(run.stderr.rsplit("peak ", 1)[1]) / 1024


def behaving(host: Host, table: Path, folder: Path, rows: int) -> float:
    with serving(host):
        start = time.perf_counter()
        done = subprocess.run(command(host, table, folder), check=True, capture_output=True, text=True)
        rate = rows / (time.perf_counter() - start)
    print(f"well:    {rate:6.0f} rows/s, peak memory {peak(done):.0f} MB, at most {host.most_at_once} requests at once")
    return rate


def misbehaving(host: Host, table: Path, folder: Path, rows: list[dict[str, str]]) -> None:
    draw = random.Random(0)
    paths = [place(row["url"]) for row in rows if row["url"]]
    chances = [share for share, _ in WAYS.values()]
    plan = draw.choices([*WAYS, "well"], [*chances, 10_000 - sum(chances)], k=len(paths))
    host.ways = {path: way for path, way in zip(paths, plan, strict=True) if way not in ("well", "gone")}
    gone = {path for path, way in zip(paths, plan, strict=True) if way == "gone"}
    host.ways |= {"/welcome.html": "page"}
    host.missing = gone
    by_md5 = {row["md5hash"]: place(row["url"]) for row in rows}
    start, kills = time.perf_counter(), []
    with serving(host):
        for share in KILLS:
            run = subprocess.Popen(command(host, table, folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while len(host.sent) < share * len(paths) and run.poll() is None:
                time.sleep(0.01)
            os.kill(run.pid, signal.SIGKILL)
            run.wait()
            kills.append((len(host.asked), {by_md5[file.stem] for file in (folder / "photos").iterdir()}))
        done = subprocess.run(command(host, table, folder), check=True, capture_output=True, text=True)
    rate = len(rows) / (time.perf_counter() - start)
    print(f"badly:   {rate:6.0f} rows/s with {len(KILLS)} kills, peak memory {peak(done):.0f} MB\n{done.stdout}")
    wrong = compare(folder, rows, dict(zip(paths, plan, strict=True)))
    again = sum(len(here & {path for path, _ in host.asked[before:]}) for before, here in kills)
    print(f"rows whose end is not the right one: {wrong}; photos asked for although they were here at a kill: {again}")
    print(f"photos here at the kills: {', '.join(f'{len(here):,}' for _, here in kills)}")
    if wrong or again:
        raise SystemExit(1)


def compare(folder: Path, rows: list[dict[str, str]], plan: dict[str, str]) -> int:
    """How many rows ended otherwise than planned; every photo is read and its MD5 taken."""
    with (folder / "missing.csv").open() as file:
        told = {int(line["row"]): line["reason"] for line in csv.DictReader(file)}
    here = {file.stem for file in (folder / "photos").iterdir() if hashlib.md5(file.read_bytes()).hexdigest() == file.stem}
    wrong, ends = 0, Counter[str]()
    for number, row in enumerate(rows, start=2):
        way = plan[place(row["url"])] if row["url"] else "no URL"
        expected = "no_url" if way == "no URL" else WAYS.get(way, (0, None))[1]
        ends[f"{way} -> {expected or 'photo'}"] += 1
        wrong += (told.get(number) != expected) or ((expected is None) != (row["md5hash"] in here))
    for end, count in ends.most_common():
        print(f"{count:7,}  {end}")
    return wrong + len(list((folder / "photos").iterdir())) - len(here)


if __name__ == "__main__":
    main()
