"""Contact sheets: they show what training and device see, pixel for pixel, and say whose photo it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from derm_sdk.preprocess import derive_inputs
from derm_toolkit.cli import main
from derm_toolkit.data.augment import Augmentation, augment, random_stream
from derm_toolkit.data.manifest import Dataset
from derm_toolkit.data.preview import choose_photos, photo_sheet, sheet_caches, view_sheet

SIZE = 160
SETTINGS = Augmentation(margin=1.2, rotation=40.0, noise=8.0, jpeg=50)


def holds(sheet: Image.Image, picture: np.ndarray) -> bool:
    """Whether a picture is somewhere on the sheet, pixel for pixel."""
    paper, wanted = np.asarray(sheet), np.broadcast_to(picture, (*picture.shape[:2], 3))
    first, side = wanted[0].tobytes(), len(wanted)
    starts = ((y, row.tobytes().find(first) // 3) for y, row in enumerate(paper) if first in row.tobytes())
    return any(np.array_equal(paper[y : y + side, x : x + side], wanted) for y, x in starts)


def test_a_sheet_shows_the_devices_pixels_the_trainings_views_and_every_input(dataset: Dataset, tmp_path: Path):
    photo = dataset.photos[3]
    exact, canvas = sheet_caches(dataset, SIZE, "crop", "full", SETTINGS, tmp_path)
    sheet = photo_sheet([photo], exact, canvas, SETTINGS, views=2, seed=7, title="drawn")
    plain = exact.read(photo)
    expected = [augment(canvas.read(photo), SIZE, SETTINGS, random_stream(7, epoch, photo.digest)) for epoch in range(2)]
    expected += derive_inputs(plain, ("rgb", "gray", "equalized", "stretched")).values()
    assert all(holds(sheet, picture) for picture in expected)
    assert not holds(sheet, augment(canvas.read(photo), SIZE, SETTINGS, random_stream(8, 0, photo.digest)))


def test_the_sheet_of_one_photo_shows_every_input_of_every_view(dataset: Dataset, tmp_path: Path):
    photo = dataset.photos[3]
    exact, canvas = sheet_caches(dataset, SIZE, "crop", "full", SETTINGS, tmp_path)
    sheet = view_sheet(photo, exact, canvas, SETTINGS, views=1, seed=7, title="drawn")
    view = augment(canvas.read(photo), SIZE, SETTINGS, random_stream(7, 0, photo.digest))
    assert all(holds(sheet, picture) for picture in derive_inputs(view, ("rgb", "gray", "equalized", "stretched")).values())


def test_photos_of_other_conditions_come_first(dataset: Dataset):
    conditions = len({photo.leaf for photo in dataset.photos})
    chosen = choose_photos(dataset.photos, conditions, seed=1)
    assert len({photo.leaf for photo in chosen}) == conditions
    assert chosen == choose_photos(dataset.photos, conditions, seed=1)
    assert len(choose_photos(dataset.photos, 10_000, seed=1)) == len(dataset.photos)


def test_the_command_writes_a_picture_and_refuses_what_it_cannot_draw(dataset: Dataset, tmp_path: Path):
    def preview(out: str, *options: str) -> tuple[int, str]:
        arguments = ["data", "preview", str(dataset.folder), "--config", "two_step_demo", "--out", str(tmp_path / out)]
        done = CliRunner().invoke(main, [*arguments, "--cache", str(tmp_path / "cache"), *options])
        return done.exit_code, done.output

    assert preview("sheet.png", "--photos", "2", "--views", "3")[0] == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 8 * 150
    assert preview("sheet.jpg") == (1, "Error: The picture is written as a PNG; --out must end in .png, not 'sheet.jpg'.\n")
    assert "names none" in preview("one.png", "--photo", "no such photo.jpg")[1]


@pytest.mark.parametrize("size", [96, 512])
def test_small_and_large_inputs_are_brought_to_a_readable_size(dataset: Dataset, tmp_path: Path, size: int):
    exact, canvas = sheet_caches(dataset, size, "crop", "full", SETTINGS, tmp_path)
    sheet = photo_sheet(dataset.photos[:1], exact, canvas, SETTINGS, views=0, seed=0, title="drawn")
    assert 5 * 150 < sheet.width < 5 * 224 + 400
