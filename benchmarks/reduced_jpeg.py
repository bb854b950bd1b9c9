"""What decoding large JPEGs at a reduced size changes: photos of a data set, enlarged to a phone's size, decoded both ways.

    python benchmarks/reduced_jpeg.py MODEL.derm DATA [--photos 100] [--side 3000]

Validation photos are enlarged (bicubic) until the shorter side has `--side` pixels, get a sensor's noise (3 levels) and are
saved as JPEG of quality 90. Both ways start from that file, so the difference is the decoder's alone.
"""

from __future__ import annotations

import argparse
import io
import time

import cv2
import numpy as np
from PIL import Image

from derm_converters.representative import stratified
from derm_sdk import Classifier
from derm_sdk.image import decode
from derm_sdk.preprocess import least_side, resize
from derm_sdk.routing import composed
from derm_toolkit.data.manifest import read_dataset, read_split


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--photos", type=int, default=100)
    parser.add_argument("--side", type=int, default=3000)
    asked = parser.parse_args()
    dataset = read_dataset(asked.data)
    photos = stratified(read_split(dataset.folder / "splits.csv", dataset).photos(dataset, "validation"), asked.photos)
    random = np.random.default_rng(0)
    nodes: dict[str, list[np.ndarray]] = {"full": [], "reduced": []}
    bytes_: dict[str, list[np.ndarray]] = {"full": [], "reduced": []}
    seconds = {"full": 0.0, "reduced": 0.0}
    with Classifier(asked.model) as classifier:
        shape = classifier.preprocessing
        for photo in photos:
            file = enlarged(decode(dataset.path(photo)).pixels, asked.side, random)
            for way in nodes:
                start = time.perf_counter()
                pixels = decode(file, least=least_side(shape.size, way)).pixels
                seconds[way] += time.perf_counter() - start
                rgb = resize(pixels, shape.size, shape.fit)
                logits = classifier.logits(rgb, fitzpatrick=photo.fitzpatrick)
                nodes[way].append(composed(classifier.composition, classifier.calibration, logits))
                bytes_[way].append(rgb.astype(np.int16))
        composition, levels = classifier.composition, classifier.taxonomy.levels
    apart = np.abs(np.array(bytes_["full"]) - np.array(bytes_["reduced"]))
    print(f"{asked.model}, {len(photos)} validation photos enlarged to {asked.side} pixels and more")
    print(f"decoding: {seconds['reduced'] / seconds['full']:.2f} of the time of a full one")
    print(f"prepared bytes: {apart.mean():.2f} levels apart on average, at most {apart.max()}")
    full, reduced = (np.array(nodes[way]) for way in nodes)
    for level in levels:
        columns = composition.columns(level)
        truth = np.array([[n.id for n in classifier.taxonomy.at(level)].index(
            classifier.taxonomy.ancestor(photo.leaf, level)) for photo in photos])  # fmt: skip
        best = [probabilities[:, columns].argmax(axis=1) for probabilities in (full, reduced)]
        right = [f"{100 * (found == truth).mean():.1f} %" for found in best]
        same = 100 * (best[0] == best[1]).mean()
        print(f"{level}: the same best one {same:.1f} %; right {right[0]} full, {right[1]} reduced")
    leaves = composition.columns(levels[-1])
    p, q = (np.clip(each[:, leaves], 1e-12, 1) for each in (full, reduced))
    print(f"divergence: {(p * np.log(p / q)).sum(axis=1).mean():.5f}")


def enlarged(pixels: np.ndarray, side: int, random: np.random.Generator) -> bytes:
    """A photo as a JPEG whose shorter side has `side` pixels or a few more, with noise."""
    zoom = side / min(pixels.shape[:2])
    large = cv2.resize(pixels, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    large += random.normal(0, 3, (*large.shape[:2], 1)).astype(np.float32)
    file = io.BytesIO()
    Image.fromarray(large.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


if __name__ == "__main__":
    main()
