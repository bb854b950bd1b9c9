"""Augmentation: reproducible per photo and epoch, and each setting does what its name says."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from derm_toolkit.data import camera
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


# --- A phone's camera -------------------------------------------------------------------------------------------------

PHONE = Augmentation(
    camera_chance=1.0,
    exposure=1.0,
    gamma=1.4,
    white_balance=60.0,
    shade=0.5,
    vignette=0.5,
    defocus=0.02,
    shake=0.05,
    noise=8.0,
    detail=0.3,
    jpeg=30,
    cover_chance=1.0,
    hairs=6,
    glare=4,
    erase=0.2,
)
OFF = {name: getattr(Augmentation(), name) for name in PHONE.__dict__}


def scene(side: int = 64) -> np.ndarray:
    """Smooth colours around middle gray, with a dark disc: something to blur and to light."""
    y, x = np.mgrid[:side, :side] / side
    picture = np.stack([120 + 60 * x, 100 + 50 * y, 90 + 30 * x * y], axis=2)
    picture[(x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.04] = (70, 40, 30)
    return picture.astype(np.uint8)


def seen(picture: np.ndarray, epoch: int = 0, **settings: object) -> np.ndarray:
    """A view under these settings alone, each of them in effect."""
    always = Augmentation(**{"camera_chance": 1.0, "cover_chance": 1.0, **settings})
    return augment(picture, len(picture), always, random_stream(3, epoch, "cd"))


def test_views_of_settings_that_name_no_camera_stay_bit_for_bit_what_they_were():
    lite = Augmentation(
        margin=1.2,
        crop=(0.35, 1.0),
        aspect=1.25,
        rotation=30.0,
        horizontal_flip=True,
        vertical_flip=True,
        brightness=(0.8, 1.2),
        contrast=(0.8, 1.2),
        saturation=(0.8, 1.2),
        channel_gain=0.05,
    )
    digest = hashlib.sha256()
    for settings in (REPORT_B, lite):
        for epoch in range(50):
            digest.update(augment(canvas(), 32, settings, random_stream(1, epoch, "ab")).tobytes())
    assert digest.hexdigest() == "ed1a59638a40540e08745c85beb05a9d3a270fa5edfe86b2b416338089164ed5"


@pytest.mark.parametrize(
    "name", [name for name in PHONE.__dict__ if getattr(PHONE, name) != OFF[name] and "chance" not in name]
)
def test_each_effect_changes_the_view_reproducibly_and_leaves_the_draws_of_the_others(name: str):
    picture, effect = scene(), {name: getattr(PHONE, name)}
    alone = [seen(picture, epoch, **effect) for epoch in range(4)]
    assert any(not np.array_equal(view, picture) for view in alone)
    assert all(np.array_equal(view, seen(picture, epoch, **effect)) for epoch, view in enumerate(alone))
    assert np.array_equal(picture, scene())
    for epoch in range(4):  # the geometry drawn beside the effect is the one drawn without it
        turned = seen(picture, epoch, rotation=90.0)
        assert np.corrcoef(turned.ravel(), seen(picture, epoch, rotation=90.0, **effect).ravel())[0, 1] > 0.5


def test_a_chance_of_zero_and_effects_left_out_change_nothing():
    picture = scene()
    assert np.array_equal(seen(picture), picture)
    strong = dict(PHONE.__dict__) | {"camera_chance": 0.0, "cover_chance": 0.0}
    assert all(np.array_equal(seen(picture, epoch, **strong), picture) for epoch in range(5))


def test_an_effect_touches_its_share_of_the_views():
    picture = scene()
    changed = [not np.array_equal(seen(picture, e, exposure=2.0, camera_chance=0.3), picture) for e in range(200)]
    assert 35 < sum(changed) < 85


def test_warm_light_reddens_cold_light_blues_and_both_keep_the_luminance():
    for mired, warm in ((60.0, True), (-60.0, False)):
        red, green, blue = camera.white_balance_gains(mired)
        assert (red > green > blue) if warm else (red < green < blue)
        assert np.dot([red, green, blue], [0.2126, 0.7152, 0.0722]) == pytest.approx(1.0)


def test_a_stop_doubles_the_light_and_gamma_keeps_black_and_white():
    ramp = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(16, 16, 3)
    light = (camera.expose(ramp, stops=1.0)[4, 0, 0] / 255) ** camera.ENCODING
    assert light == pytest.approx(2 * (64 / 255) ** camera.ENCODING, rel=0.02)
    curved = camera.expose(ramp, gamma=2.0)
    assert curved[0, 0, 0] == 0 and curved[15, 15, 0] == 255 and curved[8, 0, 0] == 64


def test_shade_darkens_one_side_and_vignetting_the_corners():
    gray = np.full((64, 64, 3), 180, np.uint8)
    side = camera.shade(gray, 0.6, 0.0, 0.0).astype(int)
    assert side[32, 0, 0] >= 178 and side[32, 63, 0] < 125
    corners = camera.shade(gray, 0.0, 0.6, 0.0).astype(int)
    assert corners[32, 32, 0] >= 178 and corners[0, 0, 0] < 125 and corners[0, 0, 0] == corners[63, 63, 0]


def test_blur_and_lost_detail_flatten_a_checkerboard_and_keep_its_mean():
    board = np.uint8(np.indices((64, 64)).sum(axis=0) % 2 * 200)[..., None].repeat(3, axis=2)
    for flat in (camera.defocus(board, 0.03), camera.shake(board, 0.1, 0.0), camera.lose_detail(board, 0.5)):
        assert flat[8:-8, 8:-8].std() < 20 and abs(flat.mean() - 100) < 3
    sideways = camera.shake(scene(), 0.1, 0.0).astype(int)
    assert np.abs(np.diff(sideways, axis=1)).max() < np.abs(np.diff(sideways, axis=0)).max()


def test_noise_has_the_named_deviation_at_middle_gray_and_less_in_the_dark():
    stream = np.random.default_rng(0)
    middle = camera.add_noise(np.full((128, 128, 3), 128, np.uint8), 6.0, stream).astype(float)
    dark = camera.add_noise(np.full((128, 128, 3), 40, np.uint8), 6.0, stream).astype(float)
    assert abs(middle.std() - 6.0) < 0.2 and abs(middle.mean() - 128) < 0.3
    assert dark.std() < 5.0


def test_compression_keeps_red_red():
    red = np.tile(np.uint8([200, 30, 40]), (32, 32, 1))
    assert np.abs(camera.recompress(red, 40).astype(int) - red).max() < 12


def test_hairs_darken_glare_brightens_and_an_erased_rectangle_has_the_mean_colour():
    picture = scene()
    assert (camera.draw_hairs(picture, 5, np.random.default_rng(0)).astype(int) - picture).max() <= 1
    glare = camera.draw_glare(picture, 8, np.random.default_rng(0)).astype(int) - picture
    assert glare.min() >= -1 and glare.max() > 60
    erased = camera.erase(picture, 0.25, 1.0, (0.0, 1.0))
    assert np.ptp(erased[32:, :32].reshape(-1, 3), axis=0).max() == 0
    assert np.array_equal(erased[:32], picture[:32]) and np.array_equal(erased[32:, 32:], picture[32:, 32:])
