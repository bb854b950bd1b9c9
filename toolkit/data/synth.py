"""Drawn lesions: photos for tests, demos and dry runs that are nobody's skin.

Nine invented conditions in five groups and three categories, each with a rule of shape, border, count and texture that a
small network can learn, on skin of six tones, under hairs, noise and changing light. They are cartoons, and are meant to
look like it: nothing learned from them says anything about skin.

Some patients have several photos, some photos are near duplicates of others without saying so, some are stored turned
with an EXIF orientation, some have no skin type: what real collections do to a pipeline.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derm_sdk.errors import FileError, OptionError

from ..errors import DataError
from .table import table_bytes

COLUMNS = (
    *("file", "condition", "group", "category", "fitzpatrick", "source", "patient_id", "lesion_id"),
    *("original_width", "original_height", "original_md5"),
)
# Fitzpatrick type -> base tone, RGB.
TONES = ((244, 219, 202), (236, 203, 177), (219, 176, 142), (188, 138, 101), (140, 94, 64), (92, 61, 44))
_SKIN_SHARES = (0.18, 0.28, 0.20, 0.17, 0.10, 0.07)
_ASPECTS = ((4, 3), (4, 3), (3, 4), (3, 2), (1, 1))
_SHIFT = 4  # drawing coordinates have 4 fractional bits

Canvas = NDArray[np.uint8]
Colour = tuple[int, int, int]
Random = np.random.Generator


@dataclass(frozen=True)
class Drawing:
    """A condition: its place in the tree, its share of the photos, and how it is drawn."""

    name: str
    group: str
    category: str
    share: float
    draw: Callable[[Pen, Random], None]


class Pen:
    """Draws in units of the photo's shorter side, around a lesion's centre.

    Attributes:
        canvas: uint8 [height, width, 3], drawn upon.
        tone: the skin under the lesion.
    """

    def __init__(self, canvas: Canvas, tone: Colour, centre: tuple[float, float], angle: float, zoom: float) -> None:
        self.canvas, self.tone = canvas, tone
        self.unit = min(canvas.shape[:2]) * zoom
        self.centre, self.angle = np.array(centre) * (canvas.shape[1], canvas.shape[0]), angle

    def mix(self, colour: Colour, share: float) -> Colour:
        """The skin's tone with a share of another colour."""
        return _mix(self.tone, colour, share)

    def points(self, xy: NDArray[np.float64]) -> NDArray[np.int32]:
        """From lesion units to fixed-point pixels."""
        turn = np.array([[np.cos(self.angle), -np.sin(self.angle)], [np.sin(self.angle), np.cos(self.angle)]])
        return np.round((xy @ turn.T * self.unit + self.centre) * (1 << _SHIFT)).astype(np.int32)

    def blob(
        self, xy: NDArray[np.float64], fill: Colour | None, outline: Colour | None = None, width: float = 0.008
    ) -> None:
        """A closed shape, filled, outlined, or both."""
        points = self.points(xy)
        if fill is not None:
            cv2.fillPoly(self.canvas, [points], fill, cv2.LINE_AA, _SHIFT)
        if outline is not None:
            cv2.polylines(self.canvas, [points], True, outline, self._pixels(width), cv2.LINE_AA, _SHIFT)

    def stroke(self, xy: NDArray[np.float64], colour: Colour, width: float = 0.008) -> None:
        """An open line."""
        cv2.polylines(self.canvas, [self.points(xy)], False, colour, self._pixels(width), cv2.LINE_AA, _SHIFT)

    def _pixels(self, width: float) -> int:
        return max(1, round(float(width * self.unit)))


def outline(
    random: Random, radius: float, rough: float = 0.0, stretch: float = 1.0, at: tuple[float, float] = (0, 0), waves: int = 9
) -> NDArray[np.float64]:
    """Points of a closed curve around `at`: a circle, stretched along x, with `rough` waves on its border; [72, 2]."""
    turn = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    size = np.ones_like(turn)
    for wave in range(2, waves):
        size += rough * random.normal() / wave**0.5 * np.cos(wave * turn + random.uniform(0, 2 * np.pi))
    size = np.clip(size, 0.45, 1.6) * radius
    return np.stack([size * np.cos(turn) * stretch + at[0], size * np.sin(turn) / stretch + at[1]], axis=1)


def scatter(random: Random, count: int, reach: float) -> NDArray[np.float64]:
    """Points spread over a disc of radius `reach`; [count, 2]."""
    turn, far = random.uniform(0, 2 * np.pi, count), reach * np.sqrt(random.uniform(0, 1, count))
    return np.stack([far * np.cos(turn), far * np.sin(turn)], axis=1)


# --- The conditions ---------------------------------------------------------------------------------------------------


def _dot_mole(pen: Pen, random: Random) -> None:
    """One small, round, even spot."""
    dark = pen.mix((64, 34, 20), 0.8)
    pen.blob(outline(random, random.uniform(0.07, 0.11), 0.01), dark, _mix(dark, (0, 0, 0), 0.4), 0.012)


def _oval_patch(pen: Pen, random: Random) -> None:
    """One large oval, tan, full of short cracks and pits."""
    radius, stretch = random.uniform(0.18, 0.24), random.uniform(1.2, 1.4)
    tan = pen.mix((124, 88, 52), 0.65)
    pen.blob(outline(random, radius, 0.02, stretch), tan, _mix(tan, (0, 0, 0), 0.45), 0.012)
    crack = _mix(tan, (20, 10, 0), 0.55)
    for x, y in scatter(random, 34, radius * 0.82):
        turn, half = random.uniform(0, np.pi), random.uniform(0.008, 0.022)
        step = np.array([np.cos(turn), np.sin(turn)]) * half
        middle = np.array([x * stretch, y / stretch])
        pen.stroke(np.stack([middle - step, middle + step]), crack, 0.009)


def _dome_bump(pen: Pen, random: Random) -> None:
    """A smooth, shaded dome with a bright highlight."""
    radius = random.uniform(0.12, 0.17)
    base = pen.mix((206, 110, 104), 0.45)
    pen.blob(outline(random, radius, 0.01), _mix(base, (40, 10, 10), 0.35), _mix(base, (0, 0, 0), 0.55), 0.012)
    for step in range(1, 6):
        inner = radius * (1 - 0.16 * step)
        at = (-0.05 * radius * step, -0.07 * radius * step)
        pen.blob(outline(random, inner, 0.0, at=at), _mix(base, (255, 244, 236), 0.13 * step))
    pen.blob(outline(random, radius * 0.13, 0.0, at=(-0.36 * radius, -0.45 * radius)), (255, 255, 252))


def _ragged_blot(pen: Pen, random: Random) -> None:
    """One dark, lopsided blot with a jagged border and several colours."""
    radius = random.uniform(0.17, 0.24)
    ink = pen.mix((34, 22, 24), 0.88)
    pen.blob(outline(random, radius, 0.16, random.uniform(1.0, 1.25), waves=14), ink)
    for colour in ((70, 74, 104), (120, 66, 40), (18, 12, 14), (150, 58, 58))[: int(random.integers(2, 5))]:
        at = random.uniform(-0.5, 0.5, 2) * radius
        pen.blob(outline(random, radius * random.uniform(0.22, 0.4), 0.14, at=(at[0], at[1])), _mix(ink, colour, 0.75))
    for x, y in scatter(random, int(random.integers(2, 6)), radius * 1.5):
        pen.blob(outline(random, 0.014, 0.1, at=(x, y)), ink)


def _pearly_ring(pen: Pen, random: Random) -> None:
    """A wreath of pale beads around a red hollow."""
    radius = random.uniform(0.13, 0.18)
    hollow = pen.mix((150, 44, 40), 0.7)
    pen.blob(outline(random, radius, 0.03), hollow)
    pearl, rim = pen.mix((255, 246, 240), 0.75), pen.mix((120, 70, 66), 0.7)
    count = int(random.integers(11, 15))
    for turn in np.linspace(0, 2 * np.pi, count, endpoint=False):
        at = (radius * np.cos(turn), radius * np.sin(turn))
        pen.blob(outline(random, radius * 2.6 / count, 0.02, at=at), pearl, rim, 0.008)


def _crusted_crater(pen: Pen, random: Random) -> None:
    """A red, uneven wall around a dark floor, with slabs of yellow crust."""
    radius = random.uniform(0.16, 0.22)
    wall = pen.mix((186, 62, 58), 0.7)
    pen.blob(outline(random, radius, 0.06), wall, _mix(wall, (40, 0, 0), 0.5), 0.014)
    pen.blob(outline(random, radius * 0.62, 0.08), pen.mix((70, 22, 20), 0.85))
    for x, y in scatter(random, int(random.integers(6, 10)), radius * 0.6):
        slab = outline(random, radius * random.uniform(0.12, 0.24), 0.2, at=(x, y))[::9]  # few points: angular
        pen.blob(slab, (226, 188, 92), (150, 108, 40), 0.008)


def _scaly_plaques(pen: Pen, random: Random) -> None:
    """Several red patches with white scales across."""
    red = pen.mix((196, 62, 62), 0.55)
    for x, y in scatter(random, int(random.integers(3, 6)), 0.36):
        radius, slant = random.uniform(0.09, 0.15), random.uniform(-0.3, 0.3)
        pen.blob(outline(random, radius, 0.06, 1.15, at=(x, y)), red, _mix(red, (60, 0, 0), 0.4), 0.008)
        for offset in np.linspace(-0.6, 0.6, 6):
            half = radius * np.sqrt(1 - offset**2) * random.uniform(0.5, 0.8)
            ends = np.array([[x - half, y + offset * radius - slant * half], [x + half, y + offset * radius + slant * half]])
            pen.stroke(ends, (246, 240, 236), 0.013)


def _red_dots(pen: Pen, random: Random) -> None:
    """A field of many small red dots with pale tips."""
    red = pen.mix((200, 48, 52), 0.65)
    for x, y in scatter(random, int(random.integers(22, 46)), 0.44):
        radius = random.uniform(0.014, 0.026)
        pen.blob(outline(random, radius, 0.03, at=(x, y)), red, _mix(red, (50, 0, 0), 0.4), 0.006)
        pen.blob(outline(random, radius * 0.4, 0.0, at=(x, y)), (252, 236, 190))


def _ring_rash(pen: Pen, random: Random) -> None:
    """Thin red rings around plain skin."""
    red = pen.mix((192, 60, 60), 0.65)
    for x, y in scatter(random, int(random.integers(2, 5)), 0.32):
        ring = outline(random, random.uniform(0.11, 0.19), 0.03, at=(x, y))
        pen.blob(ring, None, pen.mix((200, 90, 84), 0.35), 0.05)
        pen.blob(ring, None, red, 0.024)


DRAWINGS = (
    Drawing("dot mole", "benign spots", "benign", 0.12, _dot_mole),
    Drawing("oval patch", "benign spots", "benign", 0.10, _oval_patch),
    Drawing("dome bump", "benign bumps", "benign", 0.08, _dome_bump),
    Drawing("ragged blot", "malignant blots", "malignant", 0.12, _ragged_blot),
    Drawing("pearly ring", "malignant ulcers", "malignant", 0.10, _pearly_ring),
    Drawing("crusted crater", "malignant ulcers", "malignant", 0.08, _crusted_crater),
    Drawing("scaly plaques", "rashes", "non-neoplastic", 0.15, _scaly_plaques),
    Drawing("red dots", "rashes", "non-neoplastic", 0.14, _red_dots),
    Drawing("ring rash", "rashes", "non-neoplastic", 0.11, _ring_rash),
)


# --- The collection ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Shot:
    """One photo to be taken: of which lesion, and how. A lesion's number decides everything about it."""

    lesion: int
    drawing: Drawing
    skin: int
    patient_id: str
    lesion_id: str
    copy_of: int | None = None


def make_photos(
    folder: str | os.PathLike[str],
    photos: int = 600,
    seed: int = 0,
    size: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Draws a collection: `folder`/photos and `folder`/photos.csv, which `data import` reads.

    Args:
        folder: new or empty; it appears when everything is drawn.
        photos: how many, 1 to 1,000,000.
        seed: the same seed, the same bytes, on the same machine with the same libraries.
        size: about the longer side in pixels, 64 to 4,096; it varies.
        progress: called with (photos drawn, photos in all).
    Returns:
        The path of photos.csv.
    Raises:
        OptionError: a number out of range.
        DataError: `folder` is not empty.
        FileError: the photos cannot be written.
    """
    for name, value, low, high in (("photos", photos, 1, 1_000_000), ("size", size, 64, 4096), ("seed", seed, 0, 2**63 - 1)):
        if not low <= value <= high:
            raise OptionError(f"{name} must be {low} to {high}; got {value}.")
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(f"{str(target)!r} must be new or an empty folder, so that nothing is overwritten.")
    temporary = ""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.mkdtemp(prefix=f".{target.name[:100]}.", suffix=".tmp", dir=target.parent)
        _write_all(Path(temporary), photos, seed, size, progress)
        os.chmod(temporary, 0o755)
        if target.exists():
            target.rmdir()
        os.replace(temporary, target)
        temporary = ""
    except OSError as error:
        raise FileError(f"Cannot write {str(target)!r}: {error.strerror or error}.") from error
    finally:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)
    return target / "photos.csv"


def _write_all(folder: Path, photos: int, seed: int, size: int, progress: Callable[[int, int], None] | None) -> None:
    (folder / "photos").mkdir()
    rows = []
    shots = _plan(photos, seed)
    for number, shot in enumerate(shots):
        canvas = take(shot.drawing, shot.skin, shot.lesion, number if shot.copy_of is None else shot.copy_of, seed, size)
        random = np.random.default_rng((seed, 2, number))
        if shot.copy_of is not None:
            canvas = _copy(canvas, random)
        data, suffix = _encode(canvas, random)
        name = f"drawn-{number:05d}.{suffix}"
        (folder / "photos" / name).write_bytes(data)
        known = shot.skin + 1 if random.uniform() > 0.05 else -1
        labels = (shot.drawing.name, shot.drawing.group, shot.drawing.category)
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        rows.append((name, *labels, known, "drawn", shot.patient_id, shot.lesion_id, canvas.shape[1], canvas.shape[0], md5))
        if progress is not None:
            progress(number + 1, photos)
    (folder / "photos.csv").write_bytes(table_bytes(COLUMNS, rows))


def _plan(photos: int, seed: int) -> list[_Shot]:
    """Who is photographed how often. One in ten lesions has a patient with 2 to 4 photos; one in thirty photos is a copy."""
    random = np.random.default_rng((seed, 0))
    shares = np.array([drawing.share for drawing in DRAWINGS])
    shots: list[_Shot] = []
    lesion = 0
    while len(shots) < photos:
        # The first photos go round the conditions, so that small collections have them all.
        kind = (
            lesion % len(DRAWINGS)
            if lesion < 8 * len(DRAWINGS)
            else int(random.choice(len(DRAWINGS), p=shares / shares.sum()))
        )
        skin = int(random.choice(len(TONES), p=_SKIN_SHARES))
        chance = random.uniform()
        if chance < 0.10:
            patient, views = f"patient-{lesion:05d}", int(random.integers(2, 5))
            shots += [_Shot(lesion, DRAWINGS[kind], skin, patient, f"lesion-{lesion:05d}")] * views
        else:
            shots.append(_Shot(lesion, DRAWINGS[kind], skin, "", ""))
            if chance > 0.965:
                shots.append(_Shot(lesion, DRAWINGS[kind], skin, "", "", copy_of=len(shots) - 1))
        lesion += 1
    return shots[:photos]


def take(drawing: Drawing, skin: int, lesion: int, view: int, seed: int, size: int) -> Canvas:
    """Draws one photo.

    Args:
        drawing: the condition.
        skin: index into TONES.
        lesion: its number; the same lesion has the same shape in every view.
        view: number of the photo: decides format, position, light, hairs and noise.
        seed: of the collection.
        size: the longer side is this, or up to a quarter more.
    Returns:
        uint8 RGB [height, width, 3].
    """
    random = np.random.default_rng((seed, 1, view))
    across, down = _ASPECTS[int(random.integers(len(_ASPECTS)))]
    longer = int(size * random.uniform(1.0, 1.25))
    width, height = longer * across // max(across, down), longer * down // max(across, down)
    tone = _mix(TONES[skin], (210, 120, 110), random.uniform(0.0, 0.12))
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = tone
    _creases(canvas, tone, random)
    centre = (random.uniform(0.38, 0.62), random.uniform(0.38, 0.62))
    pen = Pen(canvas, tone, centre, random.uniform(0, 2 * np.pi), random.uniform(0.85, 1.25))
    drawing.draw(pen, np.random.default_rng((seed, 3, lesion)))
    _hairs(canvas, tone, random)
    return _light(canvas, random)


def _creases(canvas: Canvas, tone: Colour, random: Random) -> None:
    """A few faint curved lines, as a cartoonist hints at skin."""
    height, width = canvas.shape[:2]
    for _ in range(int(random.integers(4, 9))):
        x, y = random.uniform(0, width), random.uniform(0, height)
        bend, length = random.uniform(-0.1, 0.1), random.uniform(0.1, 0.3) * width
        steps = np.linspace(-0.5, 0.5, 9)
        line = np.stack([x + steps * length, y + bend * length * np.cos(np.pi * steps)], axis=1)
        cv2.polylines(canvas, [_fixed(line)], False, _mix(tone, (60, 20, 10), 0.13), 1, cv2.LINE_AA, _SHIFT)


def _hairs(canvas: Canvas, tone: Colour, random: Random) -> None:
    """On every second photo, up to a dozen dark strands."""
    height, width = canvas.shape[:2]
    for _ in range(int(random.integers(1, 13)) if random.uniform() < 0.5 else 0):
        start, turn = random.uniform(0, 1, 2) * (width, height), random.uniform(0, 2 * np.pi)
        length, bend = random.uniform(0.1, 0.35) * min(width, height), random.uniform(-1.2, 1.2)
        steps = np.linspace(0, 1, 10)
        line = start + length * np.stack([steps * np.cos(turn + bend * steps), steps * np.sin(turn + bend * steps)], axis=1)
        cv2.polylines(canvas, [_fixed(line)], False, _mix(tone, (24, 14, 10), 0.8), 1, cv2.LINE_AA, _SHIFT)


def _light(canvas: Canvas, random: Random) -> Canvas:
    """Lamp from one side, a colour cast, soft mottling, sensor noise."""
    height, width = canvas.shape[:2]
    x, y = np.linspace(-0.5, 0.5, width, dtype=np.float32), np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None]
    turn = random.uniform(0, 2 * np.pi)
    lamp = random.uniform(0.82, 1.1) + random.uniform(0, 0.3) * (np.cos(turn) * x + np.sin(turn) * y)
    mottling = cv2.resize(random.normal(0, 4, (9, 9)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    cast = random.uniform(0.96, 1.04, 3)
    noise = random.normal(0, random.uniform(2, 5), (height, width, 1)).astype(np.float32)
    lit = canvas * lamp[..., None].astype(np.float32) * cast.astype(np.float32) + mottling[..., None] + noise
    return np.clip(np.rint(lit), 0, 255).astype(np.uint8)


def _copy(canvas: Canvas, random: Random) -> Canvas:
    """A near duplicate: cut at the border, scaled, sometimes mirrored, a little darker."""
    cut = [int(random.uniform(0, 0.04) * side) for side in (*canvas.shape[:2], *canvas.shape[:2])]
    part = canvas[cut[0] : canvas.shape[0] - cut[2], cut[1] : canvas.shape[1] - cut[3]]
    scale = random.uniform(0.7, 0.95)
    small = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    if random.uniform() < 0.5:
        small = small[:, ::-1]
    return (small.astype(np.uint16) * int(random.integers(240, 257)) >> 8).astype(np.uint8)


def _encode(canvas: Canvas, random: Random) -> tuple[bytes, str]:
    """One in seven as PNG, else JPEG; one JPEG in eight is stored turned, with the orientation that turns it back."""
    file = io.BytesIO()
    if random.uniform() < 0.14:
        Image.fromarray(np.ascontiguousarray(canvas)).save(file, "PNG")
        return file.getvalue(), "png"
    exif = Image.Exif()
    if random.uniform() < 0.125:
        orientation, quarters = ((3, 2), (6, 1), (8, 3))[int(random.integers(3))]
        exif[274] = orientation
        canvas = np.rot90(canvas, quarters)  # 6: the viewer turns clockwise, so the file is turned counter-clockwise
    Image.fromarray(np.ascontiguousarray(canvas)).save(file, "JPEG", quality=int(random.integers(82, 96)), exif=exif)
    return file.getvalue(), "jpg"


def _fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.round(points * (1 << _SHIFT)).astype(np.int32)


def _mix(colour: Colour, other: Colour, share: float) -> Colour:
    return tuple(round(a * (1 - share) + b * share) for a, b in zip(colour, other, strict=True))  # type: ignore[return-value]
