"""Contact sheets: what a network is shown of some photos, drawn by the functions that the training itself calls."""

from __future__ import annotations

import dataclasses
import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from derm_sdk.errors import OptionError
from derm_sdk.files import write_bytes
from derm_sdk.image import Pixels
from derm_sdk.preprocess import INPUT_CHANNELS, derive_inputs

from ..errors import DataError
from .augment import Augmentation, augment, random_stream
from .cache import PhotoCache
from .manifest import Dataset, Photo

DERIVED = tuple(name for name in INPUT_CHANNELS if name != "rgb")
_PAPER, _INK, _FAINT, _RULE = "#ffffff", "#16191d", "#6a7178", "#d8dce0"
_LEAST_TILE, _MOST_TILE = 150, 224  # pixels on paper; smaller inputs are enlarged by a whole factor, larger ones shrunk
_MARGIN, _GAP, _GROUP_GAP, _CAPTION_WIDTH = 36, 8, 30, 168


@dataclass(frozen=True)
class Columns:
    """Columns that belong together: a heading over them, and a name over each."""

    heading: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """One photo or one view: a caption, faint details below it, and a picture per column."""

    caption: str
    details: tuple[str, ...]
    pictures: tuple[Pixels, ...]


def choose_photos(photos: Sequence[Photo], count: int, seed: int) -> list[Photo]:
    """Draws photos, each of another condition as long as there are any.

    Args:
        photos: to choose from.
        count: how many; fewer where there are fewer.
        seed: 0 or more; the same seed, the same photos.
    """
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(photos))
    seen: dict[str, int] = {}
    turns = []
    for place, index in enumerate(order):
        turn = seen[photos[index].leaf] = seen.get(photos[index].leaf, -1) + 1
        turns.append((turn, place, index))
    return [photos[index] for _, _, index in sorted(turns)[:count]]


def find_photo(dataset: Dataset, name: str) -> Photo:
    """The photo with this file name, or whose digest begins so. Raises DataError when none or several have."""
    found = [photo for photo in dataset.photos if photo.file == name]
    found = found or [photo for photo in dataset.photos if photo.file.rsplit("/", 1)[-1] == name]
    found = found or [photo for photo in dataset.photos if name and photo.digest.startswith(name.lower())]
    if len(found) != 1:
        raise DataError(
            f"--photo must name one photo as manifest.csv does, or begin its digest; {name!r} names {len(found) or 'none'}."
        )
    return found[0]


def sheet_caches(
    dataset: Dataset, size: int, fit: str, decode: str, settings: Augmentation, root: Path | None
) -> tuple[PhotoCache, PhotoCache]:
    """The exact cache and the canvas that a training with these settings reads."""
    exact = PhotoCache(dataset, size, fit, decode=decode, root=root)
    return exact, PhotoCache(dataset, size, fit, margin=settings.margin, decode=decode, root=root)


def check_picture_path(path: Path) -> None:
    """Raises OptionError unless the name ends as a PNG's does."""
    if path.suffix.lower() != ".png":
        raise OptionError(f"The picture is written as a PNG; --out must end in .png, not {path.name!r}.")


def save_sheet(sheet: Image.Image, path: Path) -> None:
    """Writes a PNG, whole or not at all. Raises FileError."""
    data = io.BytesIO()
    sheet.save(data, "PNG")
    write_bytes(path, data.getvalue())


def photo_sheet(
    photos: Sequence[Photo], exact: PhotoCache, canvas: PhotoCache, settings: Augmentation, views: int, seed: int, title: str
) -> Image.Image:
    """A row per photo: as the device sees it, as the training sees it in its first epochs, and every input made of it.

    Args:
        photos: one row each.
        exact: the cache with the device's pixels, of the network's size.
        canvas: the cache that the augmentation cuts from.
        settings: the augmentation.
        views: how many epochs to show.
        seed: the training's seed.
        title: stands above.
    Returns:
        An RGB image.
    Raises:
        DermError: as `PhotoCache.read`.
    """
    rows = []
    for photo in photos:
        drawn = [_view(photo, canvas, exact.side, settings, seed, epoch) for epoch in range(views)]
        plain = exact.read(photo)
        rows.append(Row(*_caption(photo), pictures=(plain, *drawn, *_derived(plain))))
    columns = (
        Columns("on the device", ("rgb",)),
        Columns("in training", tuple(f"epoch {epoch}" for epoch in range(1, views + 1))),
        Columns("inputs made of it", DERIVED),
    )
    return draw_sheet(title, _summary(settings), columns, rows)


def view_sheet(
    photo: Photo, exact: PhotoCache, canvas: PhotoCache, settings: Augmentation, views: int, seed: int, title: str
) -> Image.Image:
    """A row per view of one photo, and every input made of that view. Arguments as for `photo_sheet`."""
    seen = [("on the device", exact.read(photo))]
    seen += [(f"epoch {epoch + 1}", _view(photo, canvas, exact.side, settings, seed, epoch)) for epoch in range(views)]
    rows = [Row(name, (), (view, *_derived(view))) for name, view in seen]
    name, details = _caption(photo)
    columns = (Columns("the view", ("rgb",)), Columns("inputs made of it", DERIVED))
    return draw_sheet(title, f"{', '.join((name, *details))}. {_summary(settings)}", columns, rows)


def draw_sheet(title: str, subtitle: str, groups: Sequence[Columns], rows: Sequence[Row]) -> Image.Image:
    """Lays pictures out in rows and named columns.

    Args:
        title, subtitle: stand above; the subtitle is wrapped.
        groups: the columns, left to right; groups without columns are left out.
        rows: each with as many square pictures as there are columns, uint8 [S, S, 3] or [S, S, 1], one S for all.
    """
    groups = [group for group in groups if group.names]
    tile = _tile_side(rows[0].pictures[0].shape[0])
    lefts, left = [], _MARGIN + _CAPTION_WIDTH
    for group in groups:
        lefts.append([left + place * (tile + _GAP) for place in range(len(group.names))])
        left = lefts[-1][-1] + tile + _GROUP_GAP
    width = left - _GROUP_GAP + _MARGIN
    lines = textwrap.wrap(subtitle, max(40, (width - 2 * _MARGIN) // 7))
    top = _MARGIN + 40 + 19 * len(lines) + 62
    sheet = Image.new("RGB", (width, top + len(rows) * (tile + _GAP) - _GAP + _MARGIN), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_MARGIN, _MARGIN), title, _INK, _font(24))
    for number, line in enumerate(lines):
        pen.text((_MARGIN, _MARGIN + 38 + 19 * number), line, _FAINT, _font(14))
    for group, places in zip(groups, lefts, strict=True):
        pen.text((places[0], top - 50), group.heading, _INK, _font(15))
        pen.line((places[0], top - 28, places[-1] + tile - 1, top - 28), _RULE)
        for name, place in zip(group.names, places, strict=True):
            pen.text((place, top - 22), name, _FAINT, _font(13))
    for number, row in enumerate(rows):
        y = top + number * (tile + _GAP)
        _write_caption(pen, y, row)
        for picture, x in zip(row.pictures, [place for places in lefts for place in places], strict=True):
            sheet.paste(_on_paper(picture, tile), (x, y))
    return sheet


def _view(photo: Photo, canvas: PhotoCache, size: int, settings: Augmentation, seed: int, epoch: int) -> Pixels:
    return augment(canvas.read(photo), size, settings, random_stream(seed, epoch, photo.digest))


def _derived(rgb: Pixels) -> tuple[Pixels, ...]:
    return tuple(derive_inputs(rgb, DERIVED).values())


def _caption(photo: Photo) -> tuple[str, tuple[str, ...]]:
    skin = "skin type unknown" if photo.fitzpatrick is None else f"skin type {photo.fitzpatrick}"
    return photo.labels[-1], (*photo.labels[-2::-1], skin, f"{photo.width} x {photo.height}", photo.digest[:12])


def _summary(settings: Augmentation) -> str:
    """Every setting that is not left at its default."""
    changed = (
        f"{field.name.replace('_', ' ')} {_plain(getattr(settings, field.name))}".strip()
        for field in dataclasses.fields(settings)
        if getattr(settings, field.name) != field.default
    )
    return "Augmentation: " + (", ".join(changed) or "none")


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return " to ".join(f"{each:g}" for each in value)
    return "" if value is True else f"{value:g}" if isinstance(value, float) else str(value)


def _tile_side(size: int) -> int:
    return size * -(-_LEAST_TILE // size) if size < _LEAST_TILE else min(size, _MOST_TILE)


def _on_paper(picture: Pixels, side: int) -> Image.Image:
    rgb = np.broadcast_to(picture, (*picture.shape[:2], 3))
    grows = side >= picture.shape[0]
    return Image.fromarray(cv2.resize(rgb, (side, side), interpolation=cv2.INTER_NEAREST if grows else cv2.INTER_AREA))


def _write_caption(pen: ImageDraw.ImageDraw, y: int, row: Row) -> None:
    for text, colour, size, letters in ((row.caption, _INK, 15, 20), *((each, _FAINT, 13, 24) for each in row.details)):
        for line in textwrap.wrap(text, letters) or [""]:
            pen.text((_MARGIN, y), line, colour, _font(size))
            y += size + 4
        y += 2


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
