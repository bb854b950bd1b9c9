"""Are copies found, by kind of change, and are strangers left alone? And how long does it take?

    python benchmarks/duplicates.py DATA [--copies 60] [--photos 0] [--work FOLDER]

DATA is an imported data set. Copies of some of its photos, each changed in one known way, are planted among all of them, and
near duplicates are sought in the whole. "Together" is the share of copies in the cluster of their original, "as pairs" of
those found as a pair with it, "laid over" of those known to be one picture. Precision is the share of a planted copy's pairs
that lead to its original, or to a photo that is in the original's cluster without any copies planted.
With --photos N the set is filled up to N by more copies: time and peak memory at that size. The work folder keeps what was
described, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import itertools
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from derm_sdk.image import Pixels, read_image
from derm_toolkit.data.duplicates import Clusters, find_clusters
from derm_toolkit.data.manifest import Dataset, Photo, read_dataset

Change = Callable[[Pixels, np.random.Generator], Pixels]


def crop(share: float) -> Change:
    def change(pixels: Pixels, random: np.random.Generator) -> Pixels:
        h, w = (int(side * share) for side in pixels.shape[:2])
        y, x = (int(random.integers(0, whole - part + 1)) for whole, part in zip(pixels.shape[:2], (h, w), strict=True))
        return pixels[y : y + h, x : x + w]

    return change


def saved(quality: int) -> Change:
    def change(pixels: Pixels, random: np.random.Generator) -> Pixels:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality)
        return read_image(file.getvalue())

    return change


def resized(share: float) -> Change:
    return lambda pixels, random: cv2.resize(pixels, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)


def stamped(pixels: Pixels, random: np.random.Generator) -> Pixels:
    pixels = np.ascontiguousarray(pixels)
    h, w = pixels.shape[:2]
    return cv2.putText(pixels.copy(), "sample.example", (w // 20, h // 2), cv2.FONT_HERSHEY_SIMPLEX, w / 280, (255,) * 3, 2)


def framed(pixels: Pixels, random: np.random.Generator) -> Pixels:
    h, w = pixels.shape[:2]
    return cv2.copyMakeBorder(pixels, h // 10, h // 10, w // 8, w // 8, cv2.BORDER_CONSTANT, value=(255,) * 3)


def lit(factor: float) -> Change:
    return lambda pixels, random: np.clip(pixels * factor, 0, 255).astype(np.uint8)


def combined(pixels: Pixels, random: np.random.Generator) -> Pixels:
    for change in (crop(0.8), lambda p, r: p[:, ::-1], lit(0.8), resized(0.75), saved(60)):
        pixels = np.ascontiguousarray(change(pixels, random))
    return pixels


CHANGES: dict[str, Change] = {
    "half the size": resized(0.5),
    "crop to 80 % a side": crop(0.8),
    "crop to 60 % a side": crop(0.6),
    "JPEG quality 50": saved(50),
    "mirrored": lambda pixels, random: pixels[:, ::-1],
    "turned by 90 degrees": lambda pixels, random: np.rot90(pixels),
    "turned by 180 degrees": lambda pixels, random: np.rot90(pixels, 2),
    "stamped with text": stamped,
    "brighter by 1.4": lit(1.4),
    "white border": framed,
    "crop 80 %, mirrored, darker, 3/4 size, JPEG 60": combined,
}


def plant(dataset: Dataset, folder: Path, copies: int, photos: int) -> tuple[Dataset, dict[str, tuple[str, str]]]:
    """The data set with copies, and for each copy (its digest): the change and the digest of its original."""
    random, planted, known = np.random.default_rng(0), {}, [*dataset.photos]
    copies = min(copies, len(dataset.photos) // len(CHANGES))
    chosen = random.choice(len(dataset.photos), copies * len(CHANGES), replace=False)  # no original has two copies
    folder.mkdir(parents=True, exist_ok=True)
    for number in itertools.count():
        if number >= len(chosen) and len(known) >= photos:
            break
        name = list(CHANGES)[number % len(CHANGES)]
        place = int(chosen[number] if number < len(chosen) else random.integers(len(dataset.photos)))
        original, path = dataset.photos[place], folder / f"{number}.png"
        if not path.is_file():
            pixels = CHANGES[name](read_image(dataset.path(original)), np.random.default_rng(number))
            Image.fromarray(np.ascontiguousarray(pixels)).save(path, compress_level=1)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest not in planted:  # the same change of the same photo may be drawn twice
            copy = {**vars(original), "file": str(path.resolve()), "digest": digest}
            known.append(Photo(**copy))
            planted[digest] = (name, original.digest)
    return Dataset(dataset.folder, dataset.photo_folder, dataset.taxonomy, tuple(known)), planted


def figures(dataset: Dataset, planted: dict[str, tuple[str, str]], before: Clusters, after: Clusters) -> None:
    """Prints recall by kind of change, and precision."""
    digests = [photo.digest for photo in dataset.photos]
    pairs = [(digests[p.first], digests[p.second], p) for p in after.pairs]
    found = {frozenset((a, b)): p.kind for a, b, p in pairs}
    print(f"{'copies':48} {'n':>5} {'together':>9} {'as pairs':>9} {'laid over':>10}")
    for name in CHANGES:
        mine = [(digest, original) for digest, (change, original) in planted.items() if change == name]
        together = np.mean([after.names[d] == after.names[o] for d, o in mine])
        kinds = [found.get(frozenset(pair)) for pair in mine]
        exact = np.mean([kind in ("same picture", "same pixels", "same thumbnail") for kind in kinds])
        print(f"{name:48} {len(mine):5} {together:9.1%} {np.mean([k is not None for k in kinds]):9.1%} {exact:10.1%}")

    def origin(digest: str) -> str:
        return before.names[planted[digest][1] if digest in planted else digest]

    for kind in ("same pixels", "same picture", "same thumbnail", "alike"):
        judged = [(a, b) for a, b, p in pairs if p.kind == kind and (a in planted or b in planted)]
        right = sum(origin(a) == origin(b) for a, b in judged)
        if judged:
            print(f"precision of {kind}: {right / len(judged):.1%} of {len(judged)} pairs with a copy in them")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--copies", type=int, default=60)
    parser.add_argument("--photos", type=int, default=0)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    dataset = read_dataset(options.data)
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        before = find_clusters(dataset, "embedding", work / "descriptors")
        inside = sum(size for size in before.sizes if size > 1)
        print(f"{len(dataset.photos):,} photos as they are: {inside:,} in clusters, the largest {before.sizes[0]}")
        print(before.details, flush=True)
        larger, planted = plant(dataset, work / "copies", options.copies, options.photos)
        start, spent = time.perf_counter(), time.process_time()
        after = find_clusters(larger, "embedding", work / "descriptors")
        wall, spent = time.perf_counter() - start, time.process_time() - spent
        print(f"{len(larger.photos):,} photos: {wall:.0f} s, {spent:.0f} s of processor time for what was new")
        print(f"the largest cluster has {after.sizes[0]}; {after.details}")
        figures(larger, planted, before, after)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


if __name__ == "__main__":
    main()
