"""How much a random split flatters a model: the same photos and models, with relatives in the training and without.

    python benchmarks/leaks.py DATA [--seeds 5] [--share 0.21]

Every photo is judged once by a model that was fitted on four fifths of the photos, in five folds. The folds of one protocol
are dealt photo by photo, as a random split does; those of the other keep near duplicates, patients and lesions together.
Both are stratified alike, and train on as many photos. Three sets of photos:

    as it is     the photos of DATA, grouped as `derm-toolkit data split` groups them
    one of each  one photo of every group: nothing can leak, and both protocols must agree
    planted      the same, and altered copies of some of them, until the share of copies is --share; the groups are known

Two models on the first 256 principal components of frozen ImageNet features: a linear one (ridge regression to the classes),
and the nearest photo, which does nothing but remember.
Intervals: 95 %, 1,000 bootstrap replicates of whole groups, paired; each figure is the mean over the seeds.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import io
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from derm_toolkit.data.descriptors import describe
from derm_toolkit.data.duplicates import find_clusters
from derm_toolkit.data.manifest import Dataset, read_dataset
from derm_toolkit.data.split import deal, group_photos
from derm_toolkit.evaluation.bootstrap import weight_blocks

FOLDS = 5
STRENGTHS = (1e2, 1e3, 1e4)  # of the ridge; the best in folds that cut no group is taken for all


@dataclasses.dataclass(frozen=True)
class Photos:
    """A set of photos with features [N, 256] and the groups that belong together."""

    dataset: Dataset
    features: np.ndarray
    groups: list[int]


def read_photos(dataset: Dataset, cache: Path) -> Photos:
    """A data set with the groups that `data split` would make."""
    features = principal(describe(dataset, "embedding", cache).features)
    return Photos(dataset, features, group_photos(dataset.photos, find_clusters(dataset, "embedding", cache)))


def principal(features: np.ndarray) -> np.ndarray:
    """Standardised features by their principal components; no label has a part in it, so all protocols get the same."""
    return PCA(min(256, *features.shape), random_state=0).fit_transform(StandardScaler().fit_transform(features))


def take(photos: Photos, rows: list[int]) -> Photos:
    chosen = tuple(photos.dataset.photos[row] for row in rows)
    dataset = dataclasses.replace(photos.dataset, photos=chosen)
    return Photos(dataset, photos.features[rows], [photos.groups[row] for row in rows])


def alter(image: Image.Image, stream: np.random.Generator) -> bytes:
    """Another copy of a photo: cropped, mirrored, lit, resized and saved anew, as sites do with each other's photos."""
    width, height = image.size
    left, top, right, bottom = stream.uniform(0, 0.1, 4)
    image = image.crop((int(left * width), int(top * height), int((1 - right) * width), int((1 - bottom) * height)))
    image = ImageOps.mirror(image) if stream.random() < 0.5 else image
    image = ImageEnhance.Brightness(image).enhance(stream.uniform(0.85, 1.15))
    scale = stream.uniform(0.6, 1.0)
    image = image.resize((max(8, int(image.width * scale)), max(8, int(image.height * scale))), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=int(stream.integers(60, 90)))
    return file.getvalue()


def planted(photos: Photos, share: float, folder: Path) -> tuple[Photos, Photos]:
    """The photos and altered copies of some: with the true groups, and with those that `data split` finds."""
    stream, count = np.random.default_rng(0), round(len(photos.groups) * share / (1 - share))
    shutil.copytree(photos.dataset.folder / "descriptors", folder / "descriptors")
    together, owners = [], list(range(len(photos.groups)))
    for row, photo in enumerate(photos.dataset.photos):
        (folder / f"{row}").symlink_to(photos.dataset.path(photo).resolve())
        together.append(dataclasses.replace(photo, file=f"{row}"))
    for row in sorted(stream.choice(len(photos.groups), count, replace=False).tolist()):
        with Image.open(folder / f"{row}") as image:
            data = alter(ImageOps.exif_transpose(image).convert("RGB"), stream)
        (folder / f"{row}-copy").write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        together.append(dataclasses.replace(together[row], file=f"{row}-copy", digest=digest))
        owners.append(row)
    found = read_photos(
        dataclasses.replace(photos.dataset, photo_folder=folder, photos=tuple(together)), folder / "descriptors"
    )
    return dataclasses.replace(found, groups=owners), found


def classes(dataset: Dataset, level: str) -> np.ndarray:
    names = [node.id for node in dataset.taxonomy.at(level)]
    return np.array([names.index(dataset.taxonomy.ancestor(photo.leaf, level)) for photo in dataset.photos])


def models(strength: float) -> dict[str, object]:
    return {
        "linear": RidgeClassifier(alpha=strength),
        "nearest photo": KNeighborsClassifier(1, metric="cosine"),
    }


def answers(photos: Photos, folds: list[int], model: object, truth: np.ndarray) -> np.ndarray:
    """The class that each photo is given by the model fitted on the other folds."""
    parts, said = np.array(folds), np.zeros_like(truth)
    for fold in range(FOLDS):
        rest = parts != fold
        said[~rest] = model.fit(photos.features[rest], truth[rest]).predict(photos.features[~rest])
    return said


def with_relatives(groups: list[int], folds: list[int]) -> float:
    """Share of the photos that have a relative in another fold, thus in their training."""
    held: dict[int, set[int]] = {}
    for group, fold in zip(groups, folds, strict=True):
        held.setdefault(group, set()).add(fold)
    return float(np.mean([len(held[group]) > 1 for group in groups]))


def macro_f1(truth: np.ndarray, said: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[B] of weights [B, N]; classes without a photo in a replicate are left out of its mean."""
    one, other = (np.eye(truth.max() + 1)[labels] for labels in (truth, said))
    hits, true, called = weights @ (one * other), weights @ one, weights @ other
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nanmean(np.where(true > 0, 2 * hits / (true + called), np.nan), axis=1)


def figures(truth: np.ndarray, said: list[np.ndarray], weights: np.ndarray) -> dict[str, np.ndarray]:
    """Means over the seeds, [1 + B], the first of the photos as they are."""
    correct = np.mean([truth == each for each in said], axis=0)
    return {
        "accuracy": weights @ correct / weights.sum(axis=1),
        "macro F1": np.mean([macro_f1(truth, each, weights) for each in said], axis=0),
    }


def cell(values: np.ndarray, signed: bool = False) -> str:
    low, high = np.quantile(values[1:], [0.025, 0.975])
    form = "{:+.3f} ({:+.3f} {:+.3f})" if signed else "{:.3f} ({:.3f}-{:.3f})"
    return form.format(values[0], low, high)


def best_strength(photos: Photos, level: str) -> float:
    folds, truth = deal(photos.dataset, photos.groups, [1 / FOLDS] * FOLDS, 1000), classes(photos.dataset, level)
    scores = {c: (answers(photos, folds, models(c)["linear"], truth) == truth).mean() for c in STRENGTHS}
    return max(scores, key=scores.__getitem__)


def compare(name: str, photos: Photos, seeds: int, strength: float, protocols: dict[str, list[int]]) -> None:
    """Prints, for each model and level, the figure of every protocol, and by how much the first flatters."""
    count, everyone = len(photos.groups), list(range(len(photos.groups)))
    weights = np.concatenate([np.ones((1, count)), *weight_blocks(list(map(str, photos.groups)), 1000, 0)])
    dealt = {
        protocol: [deal(photos.dataset, groups, [1 / FOLDS] * FOLDS, seed) for seed in range(seeds)]
        for protocol, groups in ({"random": everyone} | protocols).items()
    }
    print(f"\n{name}: {count} photos in {len(set(photos.groups))} groups, {seeds} seeds")
    for protocol, folds in dealt.items():
        share = np.mean([with_relatives(photos.groups, each) for each in folds])
        print(f"  {protocol}: {share:.1%} of the photos have a relative in their training")
    for level in (photos.dataset.taxonomy.levels[0], photos.dataset.taxonomy.levels[-1]):
        truth = classes(photos.dataset, level)
        for label, model in models(strength).items():
            found = {
                protocol: figures(truth, [answers(photos, each, model, truth) for each in folds], weights)
                for protocol, folds in dealt.items()
            }
            for figure, flattered in found["random"].items():
                told = [f"random {cell(flattered)}"]
                for protocol in protocols:
                    honest = found[protocol][figure]
                    told.append(f"{protocol} {cell(honest)}, flattered by {cell(flattered - honest, signed=True)}")
                print(f"  {level:<10}{label:<15}{figure:<10}" + "; ".join(told), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--share", type=float, default=0.21, help="of copies among the photos of 'planted'")
    options = parser.parse_args()
    started = time.perf_counter()
    dataset = read_dataset(options.data)
    whole = read_photos(dataset, options.data / "descriptors")
    single = take(whole, sorted({group: row for row, group in enumerate(whole.groups)}.values()))
    strength = best_strength(whole, dataset.taxonomy.levels[-1])
    print(f"frozen EfficientNet-Lite0 features, {FOLDS} folds; ridge of strength {strength:g}")
    compare("as it is", whole, options.seeds, strength, {"clustered": whole.groups})
    compare("one of each", single, options.seeds, strength, {"clustered": single.groups})
    with tempfile.TemporaryDirectory() as folder:
        known, found = planted(single, options.share, Path(folder))
        compare("planted", known, options.seeds, strength, {"true groups": known.groups, "as found": found.groups})
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
