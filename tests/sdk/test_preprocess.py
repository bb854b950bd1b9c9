"""derm_sdk.preprocess: the definition against a slow twin and OpenCV, the compiled code against the definition."""

from __future__ import annotations

import base64
import doctest
import hashlib
import json
import os
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from derm_sdk import preprocess
from derm_sdk.errors import ImageError, OptionError
from derm_sdk.image import read_image
from derm_sdk.preprocess import FITS, INPUT_CHANNELS, derive_inputs, prepare, prepare_pixels, resize, resize_definition

from ..vectors import write_preprocessing as vectors

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "preprocessing.json").read_text())
INPUTS = tuple(INPUT_CHANNELS)
compiled = pytest.mark.skipif(preprocess.native is None, reason="derm_sdk._native is not built")


@pytest.fixture(params=["numpy", pytest.param("compiled", marks=compiled)])
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs a test once with the definition and once with the compiled code."""
    if request.param == "numpy":
        monkeypatch.setattr(preprocess, "native", None)
    return request.param


def derive_by_definition(rgb: np.ndarray) -> dict[str, np.ndarray]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preprocess, "native", None)
        return derive_inputs(rgb, INPUTS)


def make_photo(seed: int, height: int, width: int) -> np.ndarray:
    """Noise, soft colours, two levels or one, by the seed."""
    random = np.random.default_rng(seed)
    photo = random.integers(0, 256, (height, width, 3), np.uint8)
    if seed % 4 == 1:
        return (photo // 8 + random.integers(0, 224, 3)).astype(np.uint8)
    if seed % 4 == 2:
        return np.where(photo > 127, np.uint8(255), np.uint8(0))
    if seed % 16 == 3:
        return np.full_like(photo, random.integers(0, 256))
    return photo


def slow_resize(pixels: np.ndarray, size: int, fit: str) -> np.ndarray:
    """Draws the box pixel by pixel and weighs every pixel of it for every output cell, in Python's own integers."""
    height, width = pixels.shape[:2]
    if fit == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        box = pixels[top : top + side, left : left + side].tolist()
    elif fit == "pad":
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        drawn = np.full((side, side, 3), 128)
        drawn[top : top + height, left : left + width] = pixels
        box = drawn.tolist()
    else:
        box = pixels.tolist()

    def overlap(cell: int, pixel: int, length: int) -> int:  # in 1/size pixel
        return max(0, min((cell + 1) * length, (pixel + 1) * size) - max(cell * length, pixel * size))

    rows, columns = len(box), len(box[0])
    out = np.zeros((size, size, 3), np.uint8)
    for i, j, c in np.ndindex(size, size, 3):
        total = sum(overlap(i, y, rows) * overlap(j, x, columns) * box[y][x][c] for y in range(rows) for x in range(columns))
        out[i, j, c] = (2 * total + rows * columns) // (2 * rows * columns)
    return out


# --- Resizing -------------------------------------------------------------------------------------------------------

SHORT = st.integers(1, 9)


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 99), SHORT, SHORT, st.integers(1, 7), st.sampled_from(FITS))
def test_resizing_is_the_exact_area_average(seed: int, height: int, width: int, size: int, fit: str):
    photo = make_photo(seed, height, width)
    expected = slow_resize(photo, size, fit)
    assert np.array_equal(resize_definition(photo, size, fit), expected)
    assert np.array_equal(resize(photo, size, fit), expected)


@pytest.mark.parametrize("size", [1, 4, 100])
def test_the_own_size_changes_nothing_and_upscaling_by_whole_factors_repeats(implementation: str, size: int):
    photo = make_photo(0, size, size)
    assert np.array_equal(resize(photo, size, "stretch"), photo)
    assert np.array_equal(resize(photo, 3 * size, "stretch"), photo.repeat(3, 0).repeat(3, 1))


def test_whole_factors_equal_opencv(implementation: str):
    cv2 = pytest.importorskip("cv2")
    photo = make_photo(0, 672, 672)
    assert np.array_equal(resize(photo, 224, "stretch"), cv2.resize(photo, (224, 224), interpolation=cv2.INTER_AREA))


def test_other_factors_are_within_one_of_opencv(implementation: str):
    cv2 = pytest.importorskip("cv2")
    photo = make_photo(0, 480, 640)
    reference = cv2.resize(photo, (224, 224), interpolation=cv2.INTER_AREA)
    assert np.abs(resize(photo, 224, "stretch").astype(int) - reference).max() <= 1


def test_extremes_stay_extremes(implementation: str):
    for value in (0, 255):
        for fit in ("stretch", "crop"):
            assert (resize(np.full((700, 411, 3), value, np.uint8), 97, fit) == value).all()
    assert (resize(np.full((3, 900, 3), 128, np.uint8), 50, "pad") == 128).all()


# --- The compiled code ------------------------------------------------------------------------------------------------


def test_the_compiled_preprocessing_is_built_here():
    """Users may go without it; where the tests run it must be there, or half of them would be skipped unnoticed."""
    assert preprocess.native is not None, "build it: python setup.py build_ext --inplace"


def test_without_the_compiled_code_everything_still_works():
    code = "from derm_sdk import preprocess as p; import numpy as n; print(p.native, *p.prepare(n.zeros((2, 2), 'u1'), 1))"
    run = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "DERM_SDK_NATIVE": "0"}, capture_output=True, text=True, check=True
    )
    assert run.stdout == "None rgb\n"


@compiled
@settings(max_examples=150, deadline=None)
@given(st.integers(0, 9999), st.integers(1, 400), st.integers(1, 400), st.integers(1, 300), st.sampled_from(FITS))
def test_compiled_equals_definition_bit_for_bit(seed: int, height: int, width: int, size: int, fit: str):
    photo = make_photo(seed, height, width)
    rgb = resize(photo, size, fit)
    assert np.array_equal(rgb, resize_definition(photo, size, fit))
    expected = derive_by_definition(rgb)
    for name, array in derive_inputs(rgb, INPUTS).items():
        assert np.array_equal(array, expected[name]), name


@compiled
@pytest.mark.parametrize(
    ("height", "width", "size"),
    [
        (4000, 5000, 224),
        (5000, 4000, 7),
        (2912, 2912, 224),
        (1, 30000, 224),
        (30000, 1, 224),
        (65535, 3, 1),  # more than 257 rows in one output row, many times
        (3, 65535, 2),
        (257, 4, 1),
        (258, 4, 1),
        (514, 4, 2),
        (1, 1, 1000),
        (3, 2, 4096 // 4),
    ],
)
@pytest.mark.parametrize("bright", [False, True])
def test_compiled_equals_definition_on_large_and_long_photos(height: int, width: int, size: int, bright: bool):
    photo = np.full((height, width, 3), 255, np.uint8) if bright else make_photo(4, height, width)
    for fit in FITS:
        assert np.array_equal(resize(photo, size, fit), resize_definition(photo, size, fit)), fit


@compiled
def test_many_threads_give_the_same_bytes():
    photo = make_photo(5, 700, 900)
    expected = prepare_pixels(photo, 224, "pad", INPUTS)
    with ThreadPoolExecutor(4) as pool:
        for outputs in pool.map(lambda _: prepare_pixels(photo, 224, "pad", INPUTS), range(40)):
            assert all(np.array_equal(outputs[name], expected[name]) for name in INPUTS)


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.uint8)


READ_ONLY = zeros(2, 2, 3)
READ_ONLY.flags.writeable = False


@compiled
@pytest.mark.parametrize(
    ("error", "words", "name", "arguments"),
    [
        (ValueError, "source must hold 36 bytes; got 35", "resize", (zeros(35), 3, 4, zeros(2, 2, 3), 2, 0)),
        (ValueError, "out must hold 12 bytes; got 13", "resize", (zeros(36), 3, 4, zeros(13), 2, 0)),
        (ValueError, r"height must be within 1\.\.65535; got 0", "resize", (zeros(0), 0, 4, zeros(12), 2, 0)),
        (ValueError, "width must be within .* got 65536", "resize", (zeros(36), 1, 65536, zeros(12), 2, 0)),
        (ValueError, "height must be within .* got -1", "resize", (zeros(36), -1, -12, zeros(12), 2, 0)),
        (ValueError, r"size must be within 1\.\.4096; got 4097", "resize", (zeros(3), 1, 1, zeros(12), 4097, 0)),
        (
            ValueError,
            r"fit must be 0 \(stretch\), .* got 3",
            "resize",
            (zeros(3), 1, 1, zeros(3), 1, 3),
        ),
        (OverflowError, "too (large|big)|fit", "resize", (zeros(3), 1 << 80, 1, zeros(3), 1, 0)),
        (TypeError, "takes exactly 6 arguments", "resize", (zeros(3), 1, 1, zeros(3), 1)),
        (TypeError, "float", "resize", (zeros(3), 1.0, 1, zeros(3), 1, 0)),
        (TypeError, "source must be a uint8 array", "gray", ([1, 2, 3], zeros(1))),
        (TypeError, "source must hold uint8; got format 'f'", "gray", (np.zeros(3, np.float32), zeros(1))),
        (TypeError, r"out must hold uint8; got format 'b'", "gray", (zeros(3), np.zeros(1, np.int8))),
        (ValueError, "source must be C-contiguous", "gray", (zeros(4, 6)[:, ::2], zeros(4))),
        (ValueError, "out must be C-contiguous and writable", "stretched", (zeros(12), READ_ONLY)),
        (ValueError, "out must be C-contiguous and writable", "gray", (zeros(3), b"0")),
        (ValueError, "source must hold one or more pixels of 3 bytes; got 4", "gray", (zeros(4), zeros(1))),
        (ValueError, "source must hold one or more pixels of 1 bytes; got 0", "otsu", (zeros(0), zeros(0))),
        (ValueError, "out must hold 3 bytes; got 2", "equalized", (zeros(3), zeros(2))),
        (ValueError, "must not share memory", "otsu", ((shared := zeros(9))[:6], shared[3:])),
    ],
)
def test_the_compiled_code_checks_every_buffer(error: type[Exception], words: str, name: str, arguments: tuple):
    with pytest.raises(error, match=words):
        getattr(preprocess.native, name)(*arguments)


# --- Derived inputs against OpenCV ------------------------------------------------------------------------------------


@pytest.fixture
def opencv() -> Iterator:
    """OpenCV's own code: the x86 wheels' Intel IPP settles the ties of Otsu's threshold another way."""
    cv2 = pytest.importorskip("cv2")
    was_on = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    yield cv2
    cv2.ipp.setUseIPP(was_on)


@pytest.mark.parametrize("seed", range(60))
def test_gray_equalized_and_otsu_equal_opencv(opencv, implementation: str, seed: int):
    outputs = prepare_pixels(make_photo(seed, 90 + seed, 131), 64, FITS[seed % 3], INPUTS)
    gray = opencv.cvtColor(outputs["rgb"], opencv.COLOR_RGB2GRAY)
    assert np.array_equal(outputs["gray"][..., 0], gray)
    assert np.array_equal(outputs["equalized"][..., 0], opencv.equalizeHist(gray))
    assert np.array_equal(outputs["otsu"][..., 0], opencv.threshold(gray, 0, 255, opencv.THRESH_OTSU)[1])


def test_symmetric_ramps_equal_opencv(opencv, implementation: str):
    for levels in range(2, 257):
        ramp = np.repeat(np.arange(256 - levels, 256, dtype=np.uint8), 3).reshape(1, -1, 1).repeat(3, 2)
        outputs = derive_inputs(ramp, INPUTS)
        assert np.array_equal(outputs["otsu"][..., 0], opencv.threshold(ramp[..., 0], 0, 255, opencv.THRESH_OTSU)[1])
        assert np.array_equal(outputs["equalized"][..., 0], opencv.equalizeHist(np.ascontiguousarray(ramp[..., 0])))


def test_stretched_runs_from_0_to_255_rounded_half_up(implementation: str):
    rgb = np.zeros((1, 4, 3), np.uint8)
    rgb[0, :, 0] = [10, 12, 20, 11]  # 255 / 10 per level: 51, and 25.5 -> 26
    rgb[0, :, 1] = 77
    rgb[0, :, 2] = [0, 255, 128, 1]
    out = derive_inputs(rgb, ("stretched",))["stretched"][0]
    assert out[:, 0].tolist() == [0, 51, 255, 26]
    assert out[:, 1].tolist() == [77] * 4
    assert out[:, 2].tolist() == [0, 255, 128, 1]


@pytest.mark.parametrize("level", [0, 1, 127, 254, 255])
def test_flat_images_stay_flat(implementation: str, level: int):
    outputs = derive_inputs(np.full((6, 6, 3), level, np.uint8), INPUTS)
    assert (outputs["equalized"] == level).all()
    assert (outputs["stretched"] == level).all()
    assert (outputs["otsu"] == (255 if level else 0)).all()  # the threshold stays 0


# --- Frozen vectors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda c: "{pattern}-{width}x{height}-{size}-{fit}".format(**c))
def test_frozen_vectors(implementation: str, case: dict):
    photo = vectors.make_photo(case["pattern"], case["seed"], case["width"], case["height"])
    assert hashlib.sha256(photo.tobytes()).hexdigest() == case["photo_sha256"]
    outputs = prepare(photo, case["size"], case["fit"], tuple(case["sha256"]))
    for name, array in outputs.items():
        assert hashlib.sha256(array.tobytes()).hexdigest() == case["sha256"][name], name
        if "bytes" in case:
            assert array.tobytes() == base64.b64decode(case["bytes"][name]), name


@pytest.mark.parametrize("case", VECTORS["decoding"], ids=lambda c: c["name"])
def test_frozen_decoding(case: dict):
    pixels = read_image(base64.b64decode(case["file"]))
    assert pixels.shape == (case["height"], case["width"], 3)
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == case["rgb_sha256"]


@pytest.mark.parametrize("case", VECTORS["decoding"], ids=lambda c: c["name"])
def test_what_is_not_exact_is_frozen_in_whole(case: dict):
    rgb = base64.b64decode(case.get("rgb", ""))
    assert case["exact"] or hashlib.sha256(rgb).hexdigest() == case["rgb_sha256"]


@pytest.mark.parametrize("case", VECTORS["refused"], ids=lambda c: c["name"])
def test_frozen_refusals(case: dict):
    with pytest.raises(ImageError):
        read_image(base64.b64decode(case["file"]))


def test_every_frozen_refusal_is_in_the_table():
    page = (Path(__file__).parents[2] / "docs" / "preprocessing.md").read_text("utf-8")
    table = page[page.index("### What is refused") : page.index("## Checking an implementation")]
    named = [
        name for line in table.splitlines() if line.startswith("|") for name in re.findall(r"`(\w+)`", line.split("|")[3])
    ]
    assert sorted(named) == sorted(case["name"] for case in VECTORS["refused"])


# What an implementation may get wrong and yet agree on nearly every photo: the words of the definition, and wrong ones.
MISTAKES = {
    "the quotient is not rounded to single precision": (
        "np.rint(above.astype(np.float32) * scale)",
        "np.rint((above * (255 / rest)).astype(np.float32))",
    ),
    "the product is not rounded to single precision": (
        "above.astype(np.float32) * scale",
        "above.astype(np.float64) * scale",
    ),
    "neither is rounded": ("np.rint(above.astype(np.float32) * scale)", "np.rint(above * (255 / rest))"),
    "ties go up": (
        "np.rint(above.astype(np.float32) * scale)",
        "np.floor(above.astype(np.float32) * scale + np.float32(0.5))",
    ),
    "the product of the score in another order": (
        "below * above * (below_mean - above_mean) * (below_mean - above_mean)",
        "below * above * ((below_mean - above_mean) * (below_mean - above_mean))",
    ),
    "the share is a quotient": ("share = count * scale", "share = count / sum(histogram)"),
    "the mean is a quotient": ("mean *= scale", "mean /= sum(histogram)"),
    "of equal scores the last": ("sigma > best_sigma", "sigma >= best_sigma"),
    "otsu from the threshold on": ("gray > otsu_threshold", "gray >= otsu_threshold"),
    "gray of 14 bits": (
        "9798 * wide[..., 0] + 19235 * wide[..., 1] + 3735 * wide[..., 2] + 16384) >> 15",
        "4899 * wide[..., 0] + 9617 * wide[..., 1] + 1868 * wide[..., 2] + 8192) >> 14",
    ),
    "gray is cut off": ("+ 16384) >> 15", ") >> 15"),
    "the average is rounded half down": ("(2 * sums + total) // (2 * total)", "-((total - 2 * sums) // (2 * total))"),
    "crop and pad round the place up": (
        "(height - side) // 2, (width - side) // 2",
        "-((side - height) // 2), -((side - width) // 2)",
    ),
    "stretched is rounded half down": ("- low) + span) //", "- low) + span - 1) //"),
    "a flat channel becomes black": ("out[..., channel] = plane\n", "out[..., channel] = 0\n"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_frozen_vectors_notice(mistake: str):
    right, wrong = MISTAKES[mistake]
    source = Path(preprocess.__file__).read_text("utf-8")
    assert right in source
    module = types.ModuleType("derm_sdk.mistaken")
    exec(compile(source.replace(right, wrong), "mistaken", "exec"), module.__dict__)
    module.native = None
    small = [case for case in VECTORS["cases"] if case["width"] * case["height"] <= 10_000 and case["size"] <= 64]
    for case in small:
        photo = vectors.make_photo(case["pattern"], case["seed"], case["width"], case["height"])
        outputs = module.prepare(photo, case["size"], case["fit"], tuple(case["sha256"]))
        if any(hashlib.sha256(array.tobytes()).hexdigest() != case["sha256"][name] for name, array in outputs.items()):
            return
    pytest.fail(f"No frozen vector differs where {mistake}.")


def test_the_vectors_are_of_this_version_and_what_the_script_describes():
    assert VECTORS["preprocessing_version"] == preprocess.PREPROCESSING_VERSION
    assert VECTORS["generator"] == vectors.GENERATOR
    described = [(c["pattern"], c["seed"], c["width"], c["height"], c["size"], c["fit"]) for c in VECTORS["cases"]]
    numbered = [(pattern, 100 * i, *rest) for i, (pattern, *rest) in enumerate(vectors.CASES)]
    assert described == numbered + vectors.RARE_CASES
    assert (Path(__file__).parents[1] / "vectors" / "preprocessing.json").stat().st_size < 300_000


def test_the_examples_of_the_documentation_are_true(implementation: str):
    page = Path(__file__).parents[2] / "docs" / "preprocessing.md"
    result = doctest.testfile(str(page), module_relative=False)
    assert result.attempted >= 14
    assert result.failed == 0


# --- prepare ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.int64])
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("compiled", [True, False])
def test_a_size_of_any_whole_type_gives_the_same_bytes(kind, fit, compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr("derm_sdk.preprocess.native", None)
    photo = np.random.default_rng(0).integers(0, 256, (500, 700, 3), np.uint8)
    assert np.array_equal(prepare(photo, kind(100), fit)["rgb"], prepare(photo, 100, fit)["rgb"])


def test_the_inputs_may_come_from_a_generator():
    assert list(prepare(np.zeros((4, 4), np.uint8), 4, inputs=(name for name in ("gray", "rgb")))) == ["gray", "rgb"]
    with pytest.raises(OptionError, match="Unknown input 'grey'"):
        prepare(np.zeros((4, 4), np.uint8), 4, inputs=iter(["grey"]))


def test_prepare_gives_the_inputs_in_the_order_asked():
    outputs = prepare(make_photo(0, 9, 12), 5, "pad", ("otsu", "rgb", "gray", "rgb"))
    assert list(outputs) == ["otsu", "rgb", "gray"]
    assert {name: array.shape for name, array in outputs.items()} == {"otsu": (5, 5, 1), "rgb": (5, 5, 3), "gray": (5, 5, 1)}
    assert all(array.dtype == np.uint8 for array in outputs.values())


def test_each_input_is_the_same_alone_and_in_company():
    photo = make_photo(1, 30, 40)
    together = prepare(photo, 16, "crop", INPUTS)
    for name in INPUTS:
        assert np.array_equal(prepare(photo, 16, "crop", (name,))[name], together[name])


def test_views_of_any_stride_are_read_rightly(implementation: str):
    photo = make_photo(0, 40, 60)
    view = photo[::-2, ::3]
    for fit in FITS:
        assert np.array_equal(prepare(view, 7, fit)["rgb"], prepare(view.copy(), 7, fit)["rgb"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 0}, r"from 1 to 4096; got 0"),
        ({"size": 4097}, "got 4097"),
        ({"size": 2.5}, "got 2.5"),
        ({"size": True}, "got True"),
        ({"fit": "croop"}, "Unknown fit 'croop'. Known: stretch, crop, pad. Did you mean 'crop'"),
        ({"inputs": ("rgb", "grey")}, "Unknown input 'grey'.*Did you mean 'gray'"),
        ({"inputs": "rgb"}, "inputs must be a sequence"),
        ({"inputs": ()}, "inputs must be a sequence"),
        ({"channels": "gbr"}, "channels must be"),
    ],
)
def test_options_out_of_range_are_named(options: dict, words: str):
    with pytest.raises(OptionError, match=words):
        prepare(make_photo(0, 4, 4), **options)


def test_a_bad_picture_is_named():
    with pytest.raises(ImageError, match="No image in the bytes given"):
        prepare(b"nothing")
