"""derm_sdk.image: every way a picture may come in, and every way it may be wrong."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from derm_sdk.errors import FileError, ImageError, OptionError
from derm_sdk.image import MAX_SIDE, decode, read_image
from derm_sdk.preprocess import prepare

from ..vectors import files
from ..vectors.files import bmp, exif_block, png, save

RGB = np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8)
SMOOTH = np.uint8([[[(5 * x + 2 * y) % 256, (3 * y) % 256, 128] for x in range(48)] for y in range(40)])


def encode(pixels: np.ndarray, kind: str = "PNG", **options) -> bytes:
    return save(Image.fromarray(pixels), kind, **options)


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[274] = orientation
    return tags.tobytes()


def over_white(colour: int, alpha: int) -> int:
    colour, alpha = int(colour), int(alpha)
    return int(colour * alpha / 255 + 255 - alpha + 0.5)


def assert_is_one_sentence(error: BaseException) -> None:
    text = str(error)
    assert text.endswith(".")
    assert "\n" not in text
    assert 20 < len(text) < 300


# --- Sources --------------------------------------------------------------------------------------------------------


def test_every_kind_of_source_gives_the_same_pixels(tmp_path: Path):
    data = encode(RGB)
    path = tmp_path / "photo with spaces é.png"
    path.write_bytes(data)
    sources = [path, str(path), data, bytearray(data), memoryview(data), io.BytesIO(data), RGB, Image.fromarray(RGB)]
    with path.open("rb") as file:
        for source in [*sources, file]:
            pixels = read_image(source)
            assert np.array_equal(pixels, RGB)
            assert pixels.dtype == np.uint8
            assert pixels.flags.c_contiguous


def test_a_file_object_is_read_from_where_it_stands():
    file = io.BytesIO(b"header" + encode(RGB))
    file.seek(6)
    assert np.array_equal(read_image(file), RGB)


@pytest.mark.skipif(os.name != "posix", reason="named pipes")
def test_a_pipe_is_read_though_it_cannot_seek(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(encode(RGB),))
    writer.start()
    assert np.array_equal(read_image(pipe), RGB)
    writer.join()


def test_arrays_may_be_gray_rgb_bgr_with_or_without_alpha():
    gray = RGB[..., 0]
    alpha = RGB[..., 1:2]
    for array in (gray, gray[..., None]):
        assert np.array_equal(read_image(array), np.stack([gray] * 3, -1))
    assert np.array_equal(read_image(RGB[..., ::-1], channels="bgr"), RGB)
    expected = np.vectorize(over_white)(RGB, alpha)
    assert np.array_equal(read_image(np.concatenate([RGB, alpha], 2)), expected)
    assert np.array_equal(read_image(np.concatenate([RGB[..., ::-1], alpha], 2), channels="bgr"), expected)
    assert np.array_equal(read_image(np.concatenate([RGB, alpha], 2)[::-1, ::2]), expected[::-1, ::2])


def test_alpha_is_laid_over_white_for_every_colour_and_alpha():
    colour, alpha = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    rgba = np.stack([colour, colour, colour, alpha], -1)
    assert np.array_equal(read_image(rgba)[..., 1], np.vectorize(over_white)(colour, alpha))


# --- Formats --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP"])
def test_lossless_formats_keep_every_pixel(kind: str):
    assert np.array_equal(read_image(encode(RGB, kind, **({"lossless": True} if kind == "WEBP" else {}))), RGB)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1}])
def test_jpeg_equals_opencvs_decoder(options: dict):
    cv2 = pytest.importorskip("cv2")
    data = encode(SMOOTH, "JPEG", quality=90, **options)
    reference = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.array_equal(read_image(data), reference)


def test_gray_jpeg_and_png_repeat_gray():
    for kind in ("JPEG", "PNG"):
        data = encode(SMOOTH[..., 0], kind)
        gray = np.asarray(Image.open(io.BytesIO(data)))
        assert np.array_equal(read_image(data), np.stack([gray] * 3, -1))


def test_cmyk_jpeg_follows_the_integer_formula():
    stored = np.random.default_rng(2).integers(0, 256, (64, 64, 4), np.uint8)
    data = save(Image.fromarray(stored, "CMYK"), "JPEG", quality=100, subsampling=0)
    ink = 255 - np.asarray(Image.open(io.BytesIO(data))).astype(int)  # as in the file: Adobe stores 255 - ink
    expected = (2 * ink[..., :3] * ink[..., 3:] + 255) // 510
    assert np.array_equal(read_image(data), expected)


def test_palette_png_with_and_without_transparency():
    indices = Image.fromarray(np.uint8([[0, 1, 2]]), "P")
    indices.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    assert read_image(save(indices)).tolist() == [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]]
    half = [over_white(c, 100) for c in (40, 50, 60)]
    assert read_image(save(indices, transparency=bytes([0, 100]))).tolist() == [[[255] * 3, half, [70, 80, 90]]]
    assert read_image(save(indices, transparency=2)).tolist() == [[[10, 20, 30], [40, 50, 60], [255] * 3]]


def test_gray_with_alpha_and_one_bit_png():
    gray_alpha = Image.fromarray(np.uint8([[[100, 255], [100, 0], [100, 128]]]), "LA")
    assert read_image(save(gray_alpha))[..., 2].tolist() == [[100, 255, over_white(100, 128)]]
    one_bit = Image.fromarray(np.uint8([[0, 255, 255, 0]])).convert("1")
    assert read_image(save(one_bit))[..., 1].tolist() == [[0, 255, 255, 0]]


def test_of_sixteen_bits_the_upper_eight_are_kept():
    values = np.uint16([[0, 255, 256, 0x12FF, 0xFFFF]])
    big_endian = values.astype(">u2").tobytes()
    assert read_image(encode(values))[..., 0].tolist() == [[0, 0, 1, 0x12, 255]]
    assert read_image(png(5, 1, 16, 0, big_endian))[..., 0].tolist() == [[0, 0, 1, 0x12, 255]]
    rgb = np.uint16([[[0x1234, 0x56FF, 0xFF00]]]).astype(">u2").tobytes()
    assert read_image(png(1, 1, 16, 2, rgb)).tolist() == [[[0x12, 0x56, 0xFF]]]
    rgba = np.uint16([[[0x1234, 0x56FF, 0xFF00, 0x80FF]]]).astype(">u2").tobytes()
    assert read_image(png(1, 1, 16, 6, rgba)).tolist() == [[[over_white(c, 0x80) for c in (0x12, 0x56, 0xFF)]]]


@pytest.mark.parametrize(("depth", "levels"), [(2, [0, 85, 170, 255]), (4, [0, 17, 34, 51])])
def test_gray_of_few_bits_is_spread_over_0_to_255(depth: int, levels: list[int]):
    row = {2: bytes([0b00011011]), 4: bytes([0x01, 0x23])}[depth]
    assert read_image(png(4, 1, depth, 0, row))[..., 0].tolist() == [levels]


def test_bmp_of_15_16_and_32_bits():
    pixel = struct.pack("<I", 1 << 15 | 1 << 10 | 16 << 5 | 31)
    assert read_image(bmp(1, 1, 16, pixel)).tolist() == [[[255 // 31, 255 * 16 // 31, 255]]]
    pixel = struct.pack("<I", 1 << 11 | 33 << 5 | 31)
    masks = (0xF800, 0x7E0, 0x1F)
    assert read_image(bmp(1, 1, 16, pixel, compression=3, masks=masks)).tolist() == [[[255 // 31, 255 * 33 // 63, 255]]]
    assert read_image(bmp(1, 1, 32, b"\1\2\3\0")).tolist() == [[[3, 2, 1]]]


@pytest.mark.parametrize(
    ("masks", "colours", "alpha"),
    [
        ((0xFF0000, 0xFF00, 0xFF, 0), [3, 2, 1], 255),
        ((0xFF000000, 0xFF0000, 0xFF00, 0), [100, 3, 2], 255),
        ((0xFF000000, 0xFF00, 0xFF, 0), [100, 2, 1], 255),
        ((0xFF0000, 0xFF00, 0xFF, 0xFF000000), [3, 2, 1], 100),
        ((0xFF, 0xFF00, 0xFF0000, 0xFF000000), [1, 2, 3], 100),
        ((0xFF000000, 0xFF0000, 0xFF00, 0xFF), [100, 3, 2], 1),
        ((0xFF000000, 0xFF00, 0xFF, 0xFF0000), [100, 2, 1], 3),
        ((0, 0, 0, 0), [3, 2, 1], 100),
    ],
)
def test_the_masks_of_a_bmp_say_where_the_channels_are(masks: tuple[int, ...], colours: list[int], alpha: int):
    data = bmp(1, 1, 32, b"\1\2\3\x64", header=108, compression=3, masks=masks)
    assert read_image(data).tolist() == [[[over_white(c, alpha) for c in colours]]]
    assert read_image(bmp(1, 1, 32, b"\1\2\3\x64", header=108, masks=masks)).tolist() == [[[3, 2, 1]]]  # not said to be used


def test_the_rows_of_a_bmp_begin_at_the_bottom_unless_its_height_is_negative():
    rows = b"\1\2\3\0\4\5\6\0"
    for header in (12, 40, 52, 56, 64, 108, 124):
        assert read_image(bmp(1, 2, 24, rows, header=header)).tolist() == [[[6, 5, 4]], [[3, 2, 1]]]
    assert read_image(bmp(1, -2, 24, rows)).tolist() == [[[3, 2, 1]], [[6, 5, 4]]]


COLOURS = bytes([3, 2, 1, 99, 6, 5, 4, 99, 9, 8, 7, 99, 12, 11, 10, 99])
ROW = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]


@pytest.mark.parametrize(
    ("runs", "indices"),
    [
        ([4, 1, 0, 1], [1, 1, 1, 1]),
        ([4, 1], [1, 1, 1, 1]),  # no end of the picture, but all of it
        ([0, 4, 0, 1, 2, 3, 0, 1], [0, 1, 2, 3]),
        ([1, 1, 0, 2, 2, 0, 1, 2, 0, 1], [1, 0, 0, 2]),  # two pixels skipped
        ([2, 1, 0, 0, 0, 1], [1, 1, 0, 0]),  # the line ends early
        ([9, 1, 0, 1], [1, 1, 1, 1]),
    ],
)
def test_runs_of_a_bmp_fill_what_they_skip_with_the_first_colour(runs: list[int], indices: list[int]):
    data = bmp(4, 1, 8, bytes(runs), compression=1, palette=COLOURS, colours=4)
    assert read_image(data).tolist() == [[ROW[index] for index in indices]]


def test_an_index_without_palette_entry_is_black():
    data = bmp(4, 1, 8, bytes([0, 1, 200, 3]), palette=COLOURS, colours=4)
    assert read_image(data).tolist() == [[ROW[0], ROW[1], [0, 0, 0], ROW[3]]]
    data = png(4, 1, 8, 3, bytes([0, 1, 250, 2]), (b"PLTE", bytes(range(1, 9))))  # the last entry is incomplete
    assert read_image(data).tolist() == [[ROW[0], ROW[1], [0, 0, 0], [0, 0, 0]]]


@pytest.mark.parametrize(("bits", "levels"), [(4, range(16)), (4, range(3)), (8, (0, 255)), (8, (0,)), (4, (0, 255))])
def test_a_bmp_whose_gray_palette_pillow_misreads_is_refused(bits: int, levels):
    palette = b"".join(bytes([level] * 3 + [0]) for level in levels)
    data = bmp(4, 1, bits, bytes([0, 1, 1, 0]), palette=palette, colours=len(levels))
    with pytest.raises(ImageError, match=f"gray palette for {bits} bits, which Pillow misreads; save it as a PNG") as caught:
        read_image(data)
    assert_is_one_sentence(caught.value)


def test_gray_bmps_that_pillow_reads_rightly_are_read():
    black_white = bytes([0, 0, 0, 0, 255, 255, 255, 0])
    assert read_image(bmp(4, 1, 1, b"\x60\0\0\0", palette=black_white))[0, :, 0].tolist() == [0, 255, 255, 0]
    assert read_image(bmp(4, 1, 1, b"\x60\0\0\0", palette=black_white[::-1]))[0, :, 0].tolist() == [255, 0, 0, 255]
    grays = b"".join(bytes([level] * 3 + [0]) for level in range(256))
    assert read_image(bmp(4, 1, 8, bytes([7, 8, 250, 0]), palette=grays))[0, :, 1].tolist() == [7, 8, 250, 0]
    sixteen = b"".join(bytes([17 * level] * 3 + [0]) for level in range(16))
    assert read_image(bmp(4, 1, 4, b"\x12\x3f\0\0", palette=sixteen))[0, :, 1].tolist() == [17, 34, 51, 255]
    runs = bmp(4, 1, 8, bytes([2, 0, 2, 1, 0, 1]), compression=1, palette=COLOURS, colours=2)
    assert read_image(runs).tolist() == [[ROW[0], ROW[0], ROW[1], ROW[1]]]


@pytest.mark.parametrize(
    ("depth", "colour", "row", "key"),
    [(8, 0, b"\x07", b"\0\x07"), (16, 0, b"\x07\x08", b"\x07\x08"), (8, 2, b"\x07\x07\x07", b"\0\x07" * 3)],
)
def test_a_colour_key_is_no_alpha_and_changes_nothing(depth: int, colour: int, row: bytes, key: bytes):
    assert read_image(png(1, 1, depth, colour, row, (b"tRNS", key))).tolist() == [[[7, 7, 7]]]


def test_only_the_first_frame_of_an_animation_is_read():
    other = Image.fromarray(255 - RGB)
    both = encode(SMOOTH, "MPO", save_all=True, append_images=[Image.fromarray(255 - SMOOTH)])
    assert np.array_equal(read_image(both), np.asarray(Image.open(io.BytesIO(both))))
    for kind, options in (("WEBP", {"lossless": True}), ("PNG", {})):
        data = encode(RGB, kind, save_all=True, append_images=[other], **options)
        assert np.array_equal(read_image(data), RGB)


THREE = bytes(range(10, 100, 10))
HIDDEN = files.chunk(*files.frame_control(0, 3, 1)) + files.chunk(*files.frame_data(1, bytes(9), 1))


def test_of_a_png_animation_the_default_image_is_read_even_if_it_is_no_frame():
    data = png(3, 1, 8, 2, THREE, files.animation_control(1), after=HIDDEN)
    assert read_image(data).tobytes() == THREE


def test_an_animation_whose_first_frame_does_not_fill_it_is_refused_as_png_and_filled_up_as_webp():
    for control in ((files.animation_control(2), files.frame_control(0, 1, 1)), (files.frame_control(0, 1, 1),)):
        with pytest.raises(ImageError, match="first picture of the animation in the bytes given does not fill it"):
            read_image(png(3, 1, 8, 2, THREE, *control))
    dot, other = Image.new("RGBA", (2, 2), (7, 7, 7, 100)), Image.new("RGB", (4, 4))
    white = read_image(files.webp_animation(4, 4, (2, 2, dot), (0, 0, other), alpha=True))
    assert white[..., 0].tolist() == [[255] * 4] * 2 + [[255, 255, over_white(7, 100), over_white(7, 100)]] * 2
    black = read_image(files.webp_animation(4, 4, (2, 2, dot.convert("RGB")), (0, 0, other)))
    assert black[..., 0].tolist() == [[0] * 4] * 2 + [[0, 0, 7, 7]] * 2


def test_bytes_behind_the_picture_change_nothing():
    for kind in ("PNG", "JPEG", "BMP", "WEBP"):
        data = encode(SMOOTH, kind)
        assert np.array_equal(read_image(data + b"\xff\xd8more"), read_image(data))


def test_a_jpeg_without_end_is_refused_though_all_its_rows_are_there():
    for progressive in (False, True):
        with pytest.raises(ImageError, match="damaged or cut off"):
            read_image(encode(SMOOTH, "JPEG", progressive=progressive)[:-2])


def test_a_progressive_jpeg_without_its_last_scans_is_read():
    data = encode(SMOOTH, "JPEG", progressive=True)
    scans = [i for i in range(len(data)) if data[i : i + 2] == b"\xff\xda"]
    assert read_image(data[: scans[-1]] + b"\xff\xd9").shape == SMOOTH.shape


def test_markers_and_component_ids_tell_the_colours_of_a_jpeg():
    jpeg = encode(SMOOTH, "JPEG", quality=90)
    bare = files.without_segment(jpeg, 0xE0)
    as_ycc, as_rgb = read_image(jpeg), read_image(files.with_component_ids(bare, b"RGB"))
    assert np.abs(as_ycc.astype(int) - as_rgb).max() > 100
    for data in (bare, files.with_component_ids(jpeg, b"RGB"), files.with_component_ids(bare, b"\0\1\2")):
        assert np.array_equal(read_image(data), as_ycc)
    for transform, expected in ((0, as_rgb), (1, as_ycc), (2, as_ycc)):
        assert np.array_equal(read_image(files.with_segments(bare, files.adobe(transform))), expected)
    both = files.jpeg_segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0") + files.adobe(0)
    assert np.array_equal(read_image(files.with_segments(bare, both)), as_ycc)


# --- Reduced sizes ----------------------------------------------------------------------------------------------------


TALL = np.tile(SMOOTH, (10, 7, 1))[:399, :301]


@pytest.mark.parametrize(("least", "divisor"), [(1, 8), (37, 8), (38, 4), (75, 4), (76, 2), (150, 2), (151, 1), (None, 1)])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_a_jpeg_is_decoded_at_the_smallest_size_that_is_large_enough(least: int | None, divisor: int, options: dict):
    cv2 = pytest.importorskip("cv2")
    data = encode(TALL, "JPEG", quality=90, **options)
    flags = {1: "COLOR", 2: "REDUCED_COLOR_2", 4: "REDUCED_COLOR_4", 8: "REDUCED_COLOR_8"}
    reference = cv2.imdecode(np.frombuffer(data, np.uint8), getattr(cv2, f"IMREAD_{flags[divisor]}"))[..., ::-1]
    found = decode(data, least=least)
    assert found.pixels.shape == (-(-399 // divisor), -(-301 // divisor), 3)
    assert np.array_equal(found.pixels, reference)
    assert (found.width, found.height) == (301, 399)


def test_a_reduced_jpeg_is_turned_and_tells_its_upright_size():
    found = decode(encode(TALL, "JPEG", exif=exif(6)), least=50)
    assert found.pixels.shape == (76, 100, 3)
    assert (found.width, found.height) == (399, 301)
    assert np.array_equal(found.pixels, decode(encode(TALL, "JPEG"), least=50).pixels[::-1].swapaxes(0, 1))


def test_the_first_picture_of_an_mpo_is_reduced_and_gray_and_cmyk_too():
    plain = decode(encode(TALL, "JPEG", quality=90), least=50).pixels
    several = save(Image.fromarray(TALL), "MPO", quality=90, save_all=True, append_images=[Image.fromarray(SMOOTH)])
    assert np.array_equal(decode(several, least=50).pixels, plain)
    for mode in ("L", "CMYK"):
        assert decode(save(Image.fromarray(TALL).convert(mode), "JPEG"), least=50).pixels.shape == (100, 76, 3)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP"])
def test_other_formats_arrays_and_pillow_objects_are_never_reduced(kind: str):
    for source in (encode(TALL, kind), TALL, Image.open(io.BytesIO(encode(TALL, "JPEG")))):
        assert decode(source, least=10).pixels.shape == TALL.shape


def test_prepare_reduces_to_four_times_its_size_when_asked():
    data = encode(TALL, "JPEG", quality=90)
    reduced = prepare(data, 37, decode="reduced")["rgb"]  # half of 301 is 150, a quarter 75: at least 4 x 37
    assert np.array_equal(reduced, prepare(decode(data, least=148).pixels, 37)["rgb"])
    assert not np.array_equal(reduced, prepare(data, 37)["rgb"])
    with pytest.raises(OptionError, match="Unknown way of decoding 'half'"):
        prepare(data, 37, decode="half")


def test_a_cmyk_jpeg_is_inverted_with_and_without_adobes_marker():
    data = save(Image.fromarray(SMOOTH).convert("CMYK"), "JPEG", quality=95)
    assert np.array_equal(read_image(files.without_segment(data, 0xEE)), read_image(data))


def test_a_colour_profile_changes_nothing():
    profile = b"not even a profile"
    assert np.array_equal(read_image(encode(RGB, icc_profile=profile)), RGB)


# --- Orientation ----------------------------------------------------------------------------------------------------

# Where the pixel of row r and column c, in a stored picture of h rows and w columns, belongs (TIFF 6.0, Orientation).
UPRIGHT = {
    1: lambda r, c, h, w: (r, c),
    2: lambda r, c, h, w: (r, w - 1 - c),
    3: lambda r, c, h, w: (h - 1 - r, w - 1 - c),
    4: lambda r, c, h, w: (h - 1 - r, c),
    5: lambda r, c, h, w: (c, r),
    6: lambda r, c, h, w: (c, h - 1 - r),
    7: lambda r, c, h, w: (w - 1 - c, h - 1 - r),
    8: lambda r, c, h, w: (w - 1 - c, r),
}


def turned(stored: np.ndarray, orientation: int) -> np.ndarray:
    height, width = stored.shape[:2]
    upright = np.zeros((width, height, 3) if orientation >= 5 else stored.shape, np.uint8)
    for row in range(height):
        for column in range(width):
            upright[UPRIGHT[orientation](row, column, height, width)] = stored[row, column]
    return upright


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_exif_orientation_is_applied(kind: str, orientation: int):
    options = {"lossless": True} if kind == "WEBP" else {}
    stored = read_image(encode(RGB, kind, **options))
    pixels = read_image(encode(RGB, kind, exif=exif(orientation), **options))
    assert np.array_equal(pixels, turned(stored, orientation))
    assert pixels.flags.c_contiguous


def test_exif_orientation_is_applied_across_strips_and_to_pil_images():
    tall = np.random.default_rng(3).integers(0, 256, (150, 3, 3), np.uint8)
    data = encode(tall, exif=exif(6))
    assert np.array_equal(read_image(data), turned(tall, 6))
    assert np.array_equal(read_image(Image.open(io.BytesIO(data))), turned(tall, 6))


@pytest.mark.parametrize("block", [exif(0), exif(9), exif(70), b"Exif\0\0rubbish", b"Exif\0\0II*\0\xff\xff\xff\xff", b"x"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_unknown_orientation_or_a_damaged_exif_block_counts_as_none(block: bytes):
    assert np.array_equal(read_image(encode(RGB, exif=block)), RGB)


@pytest.mark.parametrize(
    ("block", "orientation"),
    [
        (exif_block(6), 6),
        (exif_block(6, ">"), 6),
        (b"Exif\0\0" * 2 + exif_block(6), 6),
        (exif_block(6)[:-4], 6),  # the offset of the next directory is missing
        (exif_block(6)[:-5], 1),
        (exif_block(6, kind=1), 1),
        (exif_block(6, kind=4), 1),
        (exif_block(6, kind=8), 1),
        (exif_block(6, number=0), 1),
        (exif_block(6, number=2), 1),
        (exif_block(6, tag=256), 1),
        (exif_block(6).replace(b"II*\0", b"II+\0"), 1),
        (exif_block(6).replace(b"II*\0", b"II\0*"), 1),
        (b"", 1),
    ],
)
def test_an_orientation_is_one_short_in_the_first_directory(block: bytes, orientation: int):
    stored = read_image(encode(RGB))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for data in (
            png(7, 5, 8, 2, RGB.tobytes(), (b"eXIf", block)),
            png(7, 5, 8, 2, RGB.tobytes(), after=files.chunk(b"eXIf", block)),
            files.webp(
                files.webp_features(7, 5, exif=True),
                files.webp_bitstream(Image.fromarray(RGB)),
                files.riff_chunk(b"EXIF", block),
            ),
        ):
            assert np.array_equal(read_image(data), turned(stored, orientation))


def test_the_first_entry_of_the_first_directory_counts():
    entries = (
        struct.pack("<HHIHH", 256, 3, 1, 6, 0)
        + struct.pack("<HHIHH", 274, 3, 1, 6, 0)
        + struct.pack("<HHIHH", 274, 3, 1, 3, 0)
    )
    second = struct.pack("<HHHIHHI", 1, 274, 3, 1, 8, 0, 0)
    start = b"II*\0" + struct.pack("<I", 8)
    for directory, orientation in ((struct.pack("<H", 3) + entries, 6), (struct.pack("<H", 1) + entries[:12], 1)):
        block = start + directory + struct.pack("<I", 12 + len(directory)) + second
        assert np.array_equal(read_image(png(7, 5, 8, 2, RGB.tobytes(), (b"eXIf", block))), turned(RGB, orientation))


def test_the_exif_segments_of_a_jpeg_are_joined():
    jpeg, block = encode(RGB, "JPEG"), exif_block(6)
    parts = [files.jpeg_segment(0xE1, b"Exif\0\0" + part) for part in (block[:11], block[11:])]
    assert np.array_equal(read_image(files.with_segments(jpeg, *parts)), turned(read_image(jpeg), 6))


def test_orientation_in_xmp_is_ignored():
    text = b"iTXtXML:com.adobe.xmp\0\0\0\0\0" + b'<x tiff:Orientation="6"/>'
    assert np.array_equal(read_image(png(7, 5, 8, 2, RGB.tobytes(), (text[:4], text[4:]))), RGB)


def png_header(width: int, height: int, depth: int = 8) -> bytes:
    """A PNG that says how large it is and ends before its picture does."""
    one = png(1, 1, depth, 0, b"\0")
    return one[:8] + files.chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)) + one[33:]


def test_no_size_makes_pillow_warn_and_pillows_limits_stay_as_they_are():
    before = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for data in (png_header(9000, 10_000, 1), png_header(10_000, 10_001), png_header(20_000, 20_000)):
            with pytest.raises(ImageError, match=r"cut off|at most 100 megapixels"):
                read_image(data)
    assert (Image.MAX_IMAGE_PIXELS, list(warnings.filters)) == before


# --- What is wrong is said --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b"", "No image in the bytes given"),
        (b"GIF89a" + bytes(100), "must be a JPEG, PNG, WebP or BMP"),
        (save(Image.new("RGB", (4, 4)), "GIF"), "must be a JPEG, PNG, WebP or BMP"),
        (b"<html>404</html>", "No image"),
        (png_header(30000, 30000), "30000 x 30000; at most 100 megapixels"),
        (files.webp(files.webp_features(16384, 16384)), "too many pixels|16384 x 16384"),
        (png_header(10001, 10000), "10001 x 10000; at most 100 megapixels"),
        (png_header(MAX_SIDE + 1, 1), "65536 x 1; .* 65535 pixels along a side"),
        (np.zeros((1, MAX_SIDE + 1), np.uint8), "65536 x 1; .* 65535 pixels along a side"),
        (np.zeros((0, 5, 3), np.uint8), "no pixels"),
        (np.zeros((5, 0), np.uint8), "no pixels"),
        (np.full((4, 4, 3), np.nan), r"must be uint8 \(0..255\); got float64. Multiply by 255"),
        (np.zeros((4, 4, 3), np.float32), "got float32"),
        (np.zeros((4, 4, 3), np.int64), "got int64"),
        (np.zeros((4, 4, 3), bool), "got bool"),
        (np.zeros((4, 4, 2), np.uint8), r"got shape \(4, 4, 2\)"),
        (np.zeros((4, 4, 5), np.uint8), r"got shape \(4, 4, 5\)"),
        (np.zeros(4, np.uint8), r"got shape \(4,\)"),
        (np.zeros((1, 4, 4, 3), np.uint8), "got shape"),
        (np.uint8(3), "got uint8"),
        (memoryview(bytes(10))[::2], "C-contiguous"),
        (io.StringIO("text"), "binary mode"),
        (Image.new("F", (3, 3)), "mode 'F'"),
        (Image.new("I", (3, 3)), "mode 'I'"),
        (Image.new("RGB", (0, 3)), "no pixels"),
        (None, "got NoneType"),
        ([[1, 2], [3, 4]], "got list"),
        (7, "got int"),
    ],
)
def test_what_is_no_usable_image_is_an_image_error(source, words: str):
    with pytest.raises(ImageError, match=words) as caught:
        read_image(source)
    assert_is_one_sentence(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("missing.jpg", "No such file"),
        ("", "No such file"),
        (".", "(Is a directory|Permission denied)"),
        ("nul\0l.jpg", "null"),
        ("a" * 5000, "too long"),
    ],
)
def test_a_path_that_cannot_be_read_is_a_file_error(tmp_path: Path, monkeypatch, path: str, words: str):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError, match=words) as caught:
        read_image(path)
    assert isinstance(caught.value, OSError)
    assert "\n" not in str(caught.value)


def test_a_closed_or_broken_file_object_is_a_file_error():
    closed = io.BytesIO(encode(RGB))
    closed.close()
    with pytest.raises(FileError, match=r"Cannot read the file object: .*closed"):
        read_image(closed)

    class Broken(io.RawIOBase):
        def read(self, size=-1):
            raise OSError(5, "Input/output error")

    with pytest.raises(FileError, match="Input/output error"):
        read_image(Broken())


def test_an_unknown_channel_order_is_an_option_error():
    with pytest.raises(OptionError, match=r"must be 'rgb' or 'bgr'; got 'brg'\. .*Did you mean"):
        read_image(RGB, channels="brg")


def test_a_truncated_file_names_itself(tmp_path: Path):
    path = tmp_path / "cut.jpg"
    path.write_bytes(encode(SMOOTH, "JPEG")[:300])
    with pytest.raises(ImageError, match=r"cut\.jpg.*(damaged or cut off|No image)"):
        read_image(path)


FILES = {
    "jpeg": encode(SMOOTH, "JPEG", exif=exif(6)),
    "progressive": encode(SMOOTH, "JPEG", progressive=True),
    "cmyk": save(Image.fromarray(SMOOTH).convert("CMYK"), "JPEG"),
    "png": encode(SMOOTH, exif=exif(8)),
    "palette": save(Image.fromarray(SMOOTH).quantize(16), transparency=bytes(range(16))),
    "gray16": encode(SMOOTH[..., 0].astype(np.uint16) * 257),
    "key": png(48, 40, 8, 2, SMOOTH.tobytes(), (b"tRNS", b"\0\1\0\2\0\3")),
    "webp": encode(SMOOTH, "WEBP"),
    "webp_alpha": encode(np.dstack([SMOOTH, SMOOTH[..., 0]]), "WEBP", lossless=True),
    "animated": encode(SMOOTH, "WEBP", save_all=True, append_images=[Image.fromarray(255 - SMOOTH)]),
    "bmp": encode(SMOOTH, "BMP"),
    "bmp_palette": save(Image.fromarray(SMOOTH).quantize(16), "BMP"),
}


@pytest.mark.filterwarnings("ignore")
def read_or_refuse(data: bytes) -> bool:
    """Whether pixels came; anything but pixels or an ImageError of one sentence fails."""
    try:
        pixels = read_image(data)
    except ImageError as error:
        assert_is_one_sentence(error)
        return False
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    return True


@pytest.mark.parametrize("name", FILES)
@pytest.mark.filterwarnings("ignore")
def test_a_file_cut_off_anywhere_early_is_refused(name: str):
    data = FILES[name]
    assert read_or_refuse(data)
    shares = [] if name == "animated" else [len(data) // 4, len(data) // 2, len(data) * 3 // 4]
    for length in [*range(30), *shares]:  # half an animation may hold all of its first frame
        assert not read_or_refuse(data[:length]), length
    for length in range(0, len(data), max(1, len(data) // 40)):
        read_or_refuse(data[:length])


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(sorted(FILES)),
    st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=6),
    st.one_of(st.none(), st.integers(0, 1 << 20)),
)
def test_damage_gives_pixels_or_an_image_error_and_nothing_else(name: str, flips: list[tuple[int, int]], cut: int | None):
    data = bytearray(FILES[name])
    for place, value in flips:
        data[place % min(len(data), 1 << (place % 12 + 1))] = value  # mostly near the start, where the headers are
    if cut is not None:
        del data[cut % len(data) :]
    read_or_refuse(bytes(data))


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x20\0\0\0WEBP", b"BM"]))
def test_random_bytes_give_pixels_or_an_image_error_and_nothing_else(data: bytes, start: bytes):
    read_or_refuse(start + data)


# --- Memory ---------------------------------------------------------------------------------------------------------

MEASURE = """
import sys
from derm_sdk.image import read_image
print(read_image(sys.argv[1]).shape)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("orientation", [1, 6])
def test_fifty_megapixels_need_less_than_450_megabytes(tmp_path: Path, orientation: int):
    path = tmp_path / "large.jpg"
    Image.effect_noise((8160, 6144), 40).convert("RGB").save(path, quality=80, exif=exif(orientation))
    shape, peak_kb = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert shape == ("(6144, 8160, 3)" if orientation == 1 else "(8160, 6144, 3)")
    assert int(peak_kb) < 450_000
