"""What preprocessing costs: the compiled core, the NumPy definition and OpenCV, and Pillow against OpenCV as decoder.
Also how many bytes differ from OpenCV's.

    python benchmarks/preprocessing.py [--repeats 15]

One thread everywhere. All candidates of a row take turns on the same photo, and medians are compared, so a busy machine
disturbs the milliseconds more than the ratios. Needs the `test` extra.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import io
import statistics
import time
from collections.abc import Callable, Mapping

import cv2
import numpy as np
from PIL import Image

from derm_sdk import preprocess
from derm_sdk.image import read_image

SIZE = 224
# name, width, height, fit
PHOTOS = (
    ("12 megapixels", 4000, 3000, "stretch"),
    ("12 megapixels", 4000, 3000, "crop"),
    ("12 megapixels", 4000, 3000, "pad"),
    ("whole factor 13", 2912, 2912, "stretch"),
    ("VGA", 640, 480, "stretch"),
    ("VGA", 640, 480, "crop"),
    ("VGA", 640, 480, "pad"),
)


def medians_ms(candidates: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Runs the candidates in turn, once to warm up and then `repeats` times: the median milliseconds of each."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(repeats + 1):
        for name, function in candidates.items():
            start = time.perf_counter()
            function()
            times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def make_photo(width: int, height: int) -> np.ndarray:
    """Soft colours with a little noise: a JPEG of it is about as large as a camera's."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (height // 50 + 1, width // 50 + 1, 3), np.uint8)
    soft = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    return np.clip(soft + random.integers(-6, 7, soft.shape, np.int16), 0, 255).astype(np.uint8)


def opencv_resize(pixels: np.ndarray, fit: str) -> np.ndarray:
    """What one would write with OpenCV: the same fit, then INTER_AREA."""
    height, width = pixels.shape[:2]
    if fit == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        pixels = pixels[top : top + side, left : left + side]
    elif fit == "pad":
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        border = (top, side - height - top, left, side - width - left)
        pixels = cv2.copyMakeBorder(pixels, *border, cv2.BORDER_CONSTANT, value=(128, 128, 128))
    return cv2.resize(pixels, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def compare_resizing(repeats: int) -> None:
    if preprocess.native is None:
        raise SystemExit("The compiled preprocessing is missing: python setup.py build_ext --inplace")
    print(f"Resizing to {SIZE} x {SIZE}, ms (medians of {repeats}); values of {3 * SIZE * SIZE} that differ from OpenCV's")
    print(f"{'photo':<16} {'fit':<8} {'OpenCV':>8} {'NumPy':>8} {'compiled':>8} {'compiled / OpenCV':>18} {'differ':>8}")
    for name, width, height, fit in PHOTOS:
        photo = make_photo(width, height)
        ms = medians_ms(
            {
                "opencv": lambda p=photo, f=fit: opencv_resize(p, f),
                "numpy": lambda p=photo, f=fit: preprocess.resize_definition(p, SIZE, f),
                "compiled": lambda p=photo, f=fit: preprocess.resize(p, SIZE, f),
            },
            repeats,
        )
        ratio = ms["compiled"] / ms["opencv"]
        differing = np.count_nonzero(preprocess.resize(photo, SIZE, fit) != opencv_resize(photo, fit))
        columns = f"{ms['opencv']:8.2f} {ms['numpy']:8.2f} {ms['compiled']:8.2f} {ratio:18.2f} {differing:8d}"
        print(f"{name:<16} {fit:<8} {columns}")


def compare_deriving(repeats: int) -> None:
    rgb = preprocess.resize(make_photo(640, 480), SIZE, "crop")
    gray = preprocess.derive_inputs(rgb, ("gray",))["gray"]
    ms = medians_ms(
        {
            "all five inputs": lambda: preprocess.derive_inputs(rgb, tuple(preprocess.INPUT_CHANNELS)),
            "OpenCV gray": lambda: cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY),
            "OpenCV equalizeHist": lambda: cv2.equalizeHist(gray),
            "OpenCV Otsu": lambda: cv2.threshold(gray, 0, 255, cv2.THRESH_OTSU),
        },
        repeats,
    )
    print(f"\nDeriving the inputs at {SIZE} x {SIZE}, ms")
    for name, value in ms.items():
        print(f"{name:<28} {value:8.3f}")


def compare_decoding(repeats: int) -> None:
    photo = make_photo(4000, 3000)
    data = {1: encode(photo, 1), 6: encode(photo, 6)}
    buffer = {key: np.frombuffer(value, np.uint8) for key, value in data.items()}
    ms = medians_ms(
        {
            "Pillow, load() alone": lambda: Image.open(io.BytesIO(data[1])).load(),
            "read_image (Pillow)": lambda: read_image(data[1]),
            "cv2.imdecode": lambda: cv2.imdecode(buffer[1], cv2.IMREAD_COLOR_RGB),
            "read_image, EXIF 6": lambda: read_image(data[6]),
            "cv2.imdecode, EXIF 6": lambda: cv2.imdecode(buffer[6], cv2.IMREAD_COLOR_RGB),
            "prepare, crop, rgb": lambda: preprocess.prepare(data[1], SIZE, "crop"),
        },
        repeats,
    )
    print(f"\nDecoding a JPEG of 4000 x 3000, {len(data[1]) / 1e6:.1f} MB, ms")
    for name, value in ms.items():
        print(f"{name:<28} {value:8.1f}")
    for key in data:
        difference = np.abs(read_image(data[key]).astype(np.int16) - cv2.imdecode(buffer[key], cv2.IMREAD_COLOR_RGB))
        print(f"{f'largest difference, EXIF {key}':<28} {difference.max():8d}")
    print("\nInstalled, MB: " + ", ".join(f"{n} {size_mb(n):.0f}" for n in ("pillow", "opencv-python-headless", "numpy")))


def draw_small(random: np.random.Generator, kind: int) -> np.ndarray:
    """A small gray image: noise, a narrow band of levels, two clusters, a symmetric ramp, or few levels."""
    if kind == 3:
        ramp = np.arange(random.integers(0, 100), random.integers(101, 256), dtype=np.uint8)
        return np.repeat(ramp, random.integers(1, 9))[None]
    noise = random.integers(0, 256, (48, 48))
    if kind == 1:
        noise = random.integers(0, 200) + noise % random.integers(2, 56)
    elif kind == 2:
        noise = np.where(noise < random.integers(1, 255), 40 + noise // 8, 180 + noise // 8)
    elif kind == 4:
        noise = noise // 64 * random.integers(1, 64)
    return noise.astype(np.uint8)


def compare_answers(images: int) -> None:
    """Counts the images whose derived inputs differ from OpenCV's, with and without Intel's IPP in it."""
    print(f"\nImages of {images} that differ from OpenCV      gray equalized      otsu")
    was_on = cv2.ipp.useIPP()
    for use_ipp in (False, True):
        cv2.ipp.setUseIPP(use_ipp)
        random = np.random.default_rng(0)
        differing = np.zeros(3, int)
        for number in range(images):
            level = draw_small(random, number % 5)
            rgb = np.stack([level, np.roll(level, 1, 1), level[:, ::-1]], -1) if number % 2 else np.stack([level] * 3, -1)
            ours = preprocess.derive_inputs(rgb, ("gray", "equalized", "otsu"))
            gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
            theirs = (gray, cv2.equalizeHist(gray), cv2.threshold(gray, 0, 255, cv2.THRESH_OTSU)[1])
            differing += [not np.array_equal(a[..., 0], b) for a, b in zip(ours.values(), theirs, strict=True)]
        counts = " ".join(f"{n:9d}" for n in differing)
        print(f"{'OpenCV with IPP' if use_ipp else 'OpenCV without IPP':<38} {counts}")
    cv2.ipp.setUseIPP(was_on)


def encode(photo: np.ndarray, orientation: int) -> bytes:
    tags = Image.Exif()
    tags[274] = orientation
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=90, exif=tags.tobytes())
    return file.getvalue()


def size_mb(package: str) -> float:
    files = importlib.metadata.files(package) or []
    return sum(path.stat().st_size for file in files if (path := file.locate()).is_file()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15, help="timed runs per candidate (default 15)")
    repeats = parser.parse_args().repeats
    cv2.setNumThreads(1)
    print(f"OpenCV {cv2.__version__}, Pillow {importlib.metadata.version('pillow')}, NumPy {np.__version__}, one thread\n")
    compare_resizing(repeats)
    compare_deriving(repeats)
    compare_answers(3000)
    compare_decoding(repeats)


if __name__ == "__main__":
    main()
