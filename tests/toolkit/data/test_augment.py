"""Augmentation: reproducible per photo and epoch, and each setting does what its name says."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from derm_toolkit.data.augment import Augmentation, augment, random_stream

REPORT_B = Augmentation(
    shift=0.2,
    shear=0.2,
    zoom=(0.8, 1.2),
    zoom_each_axis=True,
    rotation=40.0,
    horizontal_flip=True,
    brightness=(0.5, 1.5),
    channel_shift=20.0,
    border="nearest",
)


def canvas(side: int = 40, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


def view(settings: Augmentation, epoch: int = 0, digest: str = "ab", size: int = 32) -> np.ndarray:
    return augment(canvas(), size, settings, random_stream(1, epoch, digest))


def test_without_settings_a_canvas_of_the_same_size_is_left_as_it_is():
    picture = canvas(32)
    assert np.array_equal(augment(picture, 32, Augmentation(), random_stream(0, 0, "1f")), picture)


def test_a_view_depends_on_seed_epoch_and_photo_only():
    once = view(REPORT_B)
    assert np.array_equal(once, view(REPORT_B))
    assert not np.array_equal(once, view(REPORT_B, epoch=1))
    assert not np.array_equal(once, view(REPORT_B, digest="ac"))
    assert once.dtype == np.uint8
    assert once.shape == (32, 32, 3)


def test_order_and_number_of_workers_change_no_view():
    keys = [(epoch, f"{photo:064x}") for epoch in range(4) for photo in range(10)]
    in_order = {key: view(REPORT_B, *key) for key in keys}
    with ThreadPoolExecutor(4) as pool:
        at_once = dict(zip(keys[::-1], pool.map(lambda key: view(REPORT_B, *key), keys[::-1]), strict=True))
    assert all(np.array_equal(in_order[key], at_once[key]) for key in keys)


def test_a_setting_takes_no_draws_from_the_others():
    plain = Augmentation(rotation=90.0)
    assert np.array_equal(view(plain), view(Augmentation(rotation=90.0, brightness=(1.0, 1.0), crop=(1.0, 1.0))))


def test_half_of_the_views_are_mirrored():
    picture = canvas(32)
    settings = Augmentation(horizontal_flip=True)
    views = [augment(picture, 32, settings, random_stream(0, epoch, "ab")) for epoch in range(40)]
    mirrored = [np.array_equal(each, picture[:, ::-1]) for each in views]
    assert 8 < sum(mirrored) < 32
    assert all(flip or np.array_equal(each, picture) for flip, each in zip(mirrored, views, strict=True))


def test_brightness_multiplies_and_channel_shift_adds():
    gray = np.full((16, 16, 3), 100, np.uint8)
    bright = augment(gray, 16, Augmentation(brightness=(1.5, 1.5)), random_stream(0, 0, "1"))
    assert np.array_equal(bright, np.full_like(gray, 150))
    shifted = augment(gray, 16, Augmentation(channel_shift=30.0), random_stream(0, 0, "1")).astype(int)
    assert np.abs(shifted - 100).max() <= 30
    assert len(np.unique(shifted.reshape(-1, 3), axis=0)) == 1


def test_contrast_keeps_the_mean_gray_and_saturation_zero_leaves_none_of_the_colour():
    picture = np.random.default_rng(1).integers(90, 160, (32, 32, 3), np.uint8)
    flat = augment(picture, 32, Augmentation(contrast=(0.5, 0.5)), random_stream(0, 0, "1"))
    assert flat.std() < 0.6 * picture.std()
    assert abs(flat.mean() - picture.mean()) < 2
    gray = augment(picture, 32, Augmentation(saturation=(0.0, 0.0)), random_stream(0, 0, "1")).astype(int)
    assert np.abs(gray - gray[..., :1]).max() <= 1


def test_a_crop_lies_inside_the_photo():
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[1:-1, 1:-1] = 200  # a border drawn from outside the photo would show the rim's mirror image twice
    settings = Augmentation(crop=(0.25, 0.25), border="gray")
    for epoch in range(20):
        inside = augment(picture, 32, settings, random_stream(0, epoch, "1"))
        assert not (inside == 128).all(axis=2).any()


@pytest.mark.parametrize(("border", "value"), [("gray", 128), ("nearest", 50), ("reflect", 50)])
def test_what_lies_outside_the_photo_is_the_border(border: str, value: int):
    picture = np.full((32, 32, 3), 50, np.uint8)
    small = augment(picture, 32, Augmentation(zoom=(2.0, 2.0), border=border), random_stream(0, 0, "1"))
    assert (small[0, 0] == value).all()
    assert (small[16, 16] == 50).all()
