"""Clusters of near duplicates: photos that show the same moment, or plainly the same lesion, belong on one side of a split.

Method "embedding" (EfficientNet-Lite0 features, standardised over the data set, compared by cosine). A pair is taken when

    cosine >= 0.75, or
    cosine >= 0.50 and it stands out by 0.20: it exceeds the mean similarity of either photo to its 11th to 30th neighbour.

The second rule is the better one: on 4,232 clinical photos, looked at by eye, it finds crops and second shots of a lesion
down to a cosine of 0.5, while in crowded regions (cheeks with acne) half of the pairs at 0.75 are different people. Copies
of 192 of these photos that are found, in %, by the first rule and by both:

    darker by a fifth 100, 100      JPEG quality 60   99, 100     mirrored           100, 100     half the size  90, 98
    cropped by 5 % a side 93, 99    by 8 %            65, 94      by 15 %             18, 68      by 25 %         1, 11
    turned by 90 degrees  26, 73    cropped by 8 %, mirrored, darker and JPEG 70      36, 90

Single linkage chains: at 0.75 it glued 48 cheeks together. So pairs join clusters from the most alike downwards, and only
if the two clusters are alike on average: 0.45 for pairs that stand out, 0.75 for the others; from 0.90 on always. With
this the largest cluster of the same photos is 8.

Each photo is then laid over its 64 nearest neighbours, as it is and mirrored (`neighbours.geometry`). Where enough points
agree on one turn, scale and shift, and the pixels agree where the two overlap, they are one picture, or two shots from the
same side, whatever their cosine: such pairs always join. docs/duplicates.md says what each rule finds.

Exact copies (same pixels) always join, and so do thumbnails that correlate by 0.98 in any of the 8 turns and mirrorings if
the features agree, too (0.75), or one photo can be laid over the other: two photos in a wide white border have the same
thumbnail, whatever is inside. Method "hash" has only pixels and thumbnails, at 0.97, and finds far fewer: use it where the
ImageNet weights cannot be installed.
No method finds every leak: patient and lesion ids, where they are known, are worth more than any of this.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derm_sdk.errors import OptionError, closest

from .descriptors import METHODS, Descriptors, Features, available_method, describe
from .manifest import Dataset
from .neighbours.geometry import Alignment
from .neighbours.pairs import KINDS, Pair, alignments, candidates
from .neighbours.search import Indices, Neighbours

ALIKE = 0.75
ALIKE_IF_STANDING_OUT = 0.50
STANDS_OUT = 0.20
ALIKE_ON_AVERAGE = {"near": 0.75, "stands out": 0.45}
CERTAIN = 0.90
THUMBNAIL_ALIKE = {"embedding": 0.98, "hash": 0.97}
FLATTEST = 4.0  # thumbnails whose gray levels vary less (standard deviation) resemble everything
_NEIGHBOURS = 64  # pairs looked at per photo: memory grows with n, not n * n
_CROWD = slice(10, 30)  # ranks of the neighbours that say how crowded it is around a photo


@dataclass(frozen=True)
class Clusters:
    """Which photos belong together.

    Attributes:
        method: "embedding", "hash" or "none".
        names: photo digest -> name of its cluster (16 hex digits of its first digest).
        details: thresholds and counts, JSON-ready.
        pairs: what was found, the surest kind first; also pairs that were not joined, so that no cluster is a chain.
    """

    method: str
    names: Mapping[str, str]
    details: Mapping[str, Any] = field(default_factory=dict)
    pairs: tuple[Pair, ...] = ()

    @property
    def sizes(self) -> list[int]:
        """Sizes of all clusters, largest first."""
        counts: dict[str, int] = {}
        for name in self.names.values():
            counts[name] = counts.get(name, 0) + 1
        return sorted(counts.values(), reverse=True)


def find_clusters(
    dataset: Dataset,
    method: str = "auto",
    cache: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    aligning: Callable[[int, int], None] | None = None,
) -> Clusters:
    """Finds near duplicates.

    Args:
        dataset: whose photos.
        method: "embedding", "hash", "none" (every photo alone), or "auto" (embedding where it is installed, else hash).
        cache: folder for the descriptors, see `descriptors.describe`.
        progress: called with (photos described, photos in all).
        aligning: called with (pairs of photos laid over each other, pairs in all).
    Raises:
        OptionError: an unknown method.
        WeightsError: "embedding" without the ImageNet weights.
        ImageError, FileError: a photo cannot be read.
    """
    if method not in ("auto", "none", *METHODS):
        raise OptionError(f"Unknown method {method!r} to find duplicates." + closest(method, ("auto", "none", *METHODS)))
    digests = [photo.digest for photo in dataset.photos]
    if method == "none":
        return Clusters("none", {digest: digest[:16] for digest in digests})
    method = available_method() if method == "auto" else method
    descriptors = describe(dataset, method, cache, progress)
    owners, pairs, details = cluster(descriptors, method, cache, aligning)
    first: dict[int, str] = {}
    for owner, digest in sorted(zip(owners, digests, strict=True)):
        first.setdefault(owner, digest[:16])
    names = {digest: first[owner] for owner, digest in zip(owners, digests, strict=True)}
    return Clusters(method, names, details, pairs)


def cluster(
    descriptors: Descriptors,
    method: str,
    cache: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[int], tuple[Pair, ...], dict[str, Any]]:
    """Joins the photos whose descriptors say that they belong together.

    Args:
        descriptors: of `descriptors.describe`.
        method: that they were made by.
        cache: folder for the alignments; None keeps nothing.
        progress: called with (pairs aligned, pairs to align).
    Returns:
        For each photo a number that is the same within a cluster; the pairs, the surest kind first; and the counts and
        thresholds that led there.
    """
    found = _Found(len(descriptors.pixels))
    same: dict[str, int] = {}
    for index, pixels in enumerate(descriptors.pixels):
        if same.setdefault(pixels, index) != index:
            found.take(same[pixels], index, "same pixels")
    details: dict[str, Any] = {"same_pixels": len(descriptors.pixels) - len(same)}
    thumbnail_pairs = _thumbnail_pairs(descriptors.thumbnails, THUMBNAIL_ALIKE[method])
    if method == "embedding" and len(descriptors.pixels) > 1:
        unit = standardise(descriptors.features)
        indices, cosines = Neighbours(unit).nearest(_NEIGHBOURS)
        near = _embedding_pairs(indices, cosines)
        same_picture = _same_pictures(descriptors, candidates(indices, cosines, thumbnail_pairs), cache, progress)
        for (a, b), how in same_picture.items():
            found.note(a, b, "same picture", float(unit[a] @ unit[b]), how)
        likeness = {(a, b): float(unit[a] @ unit[b]) for a, b in thumbnail_pairs}
        thumbnail_pairs = [pair for pair in thumbnail_pairs if likeness[pair] >= ALIKE]
        for a, b in thumbnail_pairs:
            found.take(a, b, "same thumbnail", likeness[a, b])
        refused = sum(not found.take_if_alike(unit, pair) for pair in near)
        for a, b in same_picture:  # last: they need no average, and would change it for the others
            found.groups.join(a, b)
        details |= {"same_picture_pairs": len(same_picture), "pairs": len(near), "pairs_refused": refused}
        details |= {"cosine": ALIKE, "margin": STANDS_OUT, "cosine_with_margin": ALIKE_IF_STANDING_OUT}
    else:
        for a, b in thumbnail_pairs:
            found.take(a, b, "same thumbnail")
    details["thumbnail_pairs"] = len(thumbnail_pairs)
    return found.groups.owner, found.pairs(), details


def _same_pictures(
    descriptors: Descriptors,
    wanted: Indices,
    cache: str | os.PathLike[str] | None,
    progress: Callable[[int, int], None] | None,
) -> dict[tuple[int, int], Alignment]:
    if not len(descriptors.points):
        return {}
    aligned = alignments(descriptors.points, wanted, cache, progress)
    return {pair: how for pair, how in aligned.items() if how.same_picture}


def standardise(features: Features) -> Features:
    """Each feature to mean 0 and deviation 1 over the data set, then each row to length 1: a product is a cosine."""
    spread = features.std(axis=0)
    unit = (features - features.mean(axis=0)) / np.where(spread > 1e-6, spread, 1)
    return unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-6)


# --- Pairs ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, order=True)
class _Pair:
    """Sorts the most alike first, and the same way every time."""

    distance: float
    first: int
    second: int
    stands_out: bool = field(compare=False)


def _embedding_pairs(indices: Indices, cosines: Features) -> list[_Pair]:
    crowd = np.full(len(indices), np.inf, np.float32)  # too few photos to say: nothing stands out
    if cosines.shape[1] >= _CROWD.stop:
        crowd = cosines[:, _CROWD].mean(axis=1)
    margins = cosines - np.maximum(crowd[:, None], crowd[indices])
    taken = (cosines >= ALIKE) | ((cosines >= ALIKE_IF_STANDING_OUT) & (margins >= STANDS_OUT))
    pairs: dict[tuple[int, int], _Pair] = {}
    for a, rank in np.argwhere(taken):
        b = indices[a, rank]
        key = (int(min(a, b)), int(max(a, b)))
        distance = round(1 - float(cosines[a, rank]), 5)  # the last bits depend on the order of summation
        pairs.setdefault(key, _Pair(distance, *key, bool(margins[a, rank] >= STANDS_OUT)))
    return sorted(pairs.values())


def _thumbnail_pairs(thumbnails: NDArray[np.uint8], alike: float) -> list[tuple[int, int]]:
    """Pairs whose thumbnails correlate in any of the 8 turns and mirrorings of a square."""
    usable = np.flatnonzero(thumbnails.reshape(len(thumbnails), -1).std(axis=1) >= FLATTEST)
    if len(usable) < 2:
        return []
    chosen = thumbnails[usable]
    upright, pairs = Neighbours(_correlation_rows(chosen)), set()
    for turned in _eight_turns(chosen):
        indices, similarity = upright.nearest(8, queries=_correlation_rows(turned))
        for a, rank in np.argwhere(similarity >= alike):
            b = indices[a, rank]
            pairs.add((int(usable[min(a, b)]), int(usable[max(a, b)])))
    return sorted(pairs)


def _eight_turns(images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    for quarter in range(4):
        turned = np.rot90(images, quarter, axes=(1, 2))
        yield turned
        yield turned[:, :, ::-1]


def _correlation_rows(images: NDArray[np.uint8]) -> Features:
    rows = images.reshape(len(images), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


# --- Joining ----------------------------------------------------------------------------------------------------------


class _Groups:
    """Disjoint sets that know their members."""

    def __init__(self, count: int) -> None:
        self.owner = list(range(count))
        self.members: dict[int, list[int]] = {index: [index] for index in range(count)}

    def join(self, a: int, b: int) -> None:
        kept, gone = sorted((self.owner[a], self.owner[b]))
        if kept != gone:
            for member in self.members[gone]:
                self.owner[member] = kept
            self.members[kept] += self.members.pop(gone)


class _Found:
    """The pairs found so far, each under the first kind that it was found as, and the groups that they make."""

    def __init__(self, count: int) -> None:
        self.groups = _Groups(count)
        self._pairs: dict[tuple[int, int], Pair] = {}

    def note(self, a: int, b: int, kind: str, cosine: float | None = None, alignment: Alignment | None = None) -> None:
        """Remembers a pair without joining it."""
        self._pairs.setdefault((a, b), Pair(a, b, kind, cosine, alignment))

    def take(self, a: int, b: int, kind: str, cosine: float | None = None, alignment: Alignment | None = None) -> None:
        """Remembers a pair and joins its groups."""
        self.note(a, b, kind, cosine, alignment)
        self.groups.join(a, b)

    def take_if_alike(self, unit: Features, pair: _Pair) -> bool:
        """Remembers a pair, and joins its groups unless that would chain."""
        self.note(pair.first, pair.second, "alike", 1 - pair.distance)
        return _join_if_alike(self.groups, unit, pair)

    def pairs(self) -> tuple[Pair, ...]:
        """The pairs, the surest kind first, each with whether its photos ended up together."""
        owner, rank = self.groups.owner, list(KINDS)
        told = (replace(pair, together=owner[pair.first] == owner[pair.second]) for pair in self._pairs.values())
        return tuple(sorted(told, key=lambda pair: (rank.index(pair.kind), -pair.score, pair.first, pair.second)))


def _join_if_alike(groups: _Groups, unit: Features, pair: _Pair) -> bool:
    """Joins the clusters of a pair; False where that would chain clusters that are not alike on average."""
    a, b = groups.owner[pair.first], groups.owner[pair.second]
    if a != b and pair.distance > 1 - CERTAIN:
        # The mean of all products is the product of the means: no matrix, however large the clusters.
        mean = float(unit[groups.members[a]].mean(axis=0) @ unit[groups.members[b]].mean(axis=0))
        if mean < ALIKE_ON_AVERAGE["stands out" if pair.stands_out else "near"]:
            return False
    groups.join(a, b)
    return True


def connected(count: int, keys: Iterable[Sequence[str]]) -> list[int]:
    """Joins items that share a key: the groups that no split may cut.

    Args:
        count: how many items.
        keys: for each kind of key (cluster, patient, ...) one string per item; "" joins nothing.
    Returns:
        For each item the number of the first item of its group.
    Example:
        >>> connected(4, [["a", "a", "", ""], ["", "p", "p", ""]])
        [0, 0, 0, 3]
    """
    groups = _Groups(count)
    for column in keys:
        first: dict[str, int] = {}
        for index, key in enumerate(column):
            if key:
                groups.join(first.setdefault(key, index), index)
    return groups.owner
