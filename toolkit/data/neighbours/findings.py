"""What pairs and clusters say about a data set: who is with whom, and where the labels contradict each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..duplicates import Clusters
from ..manifest import Dataset, Photo
from .pairs import Pair

PAIR_COLUMNS = (
    "first", "second", "kind", "score", "cosine", "points", "correlation", "overlap", "mirrored", "together", "cluster",
    "first_condition", "second_condition", "labels", "first_fitzpatrick", "second_fitzpatrick", "skin_types",
)  # fmt: skip
CLUSTER_COLUMNS = ("cluster", "photos", "file", "condition", "fitzpatrick", "labels", "skin_types")


@dataclass(frozen=True)
class Cluster:
    """Photos that belong together.

    Attributes:
        name: of the cluster.
        photos: two or more.
        labels: their conditions, in alphabetical order; more than one is a contradiction.
        skin_types: those known, ascending.
    """

    name: str
    photos: tuple[Photo, ...]
    labels: tuple[str, ...]
    skin_types: tuple[int, ...]


def clusters_of(dataset: Dataset, clusters: Clusters) -> list[Cluster]:
    """The clusters of two photos and more, the largest first."""
    members: dict[str, list[Photo]] = {}
    for photo in dataset.photos:
        members.setdefault(clusters.names[photo.digest], []).append(photo)
    found = [_cluster(name, photos) for name, photos in members.items() if len(photos) > 1]
    return sorted(found, key=lambda each: (-len(each.photos), each.name))


def _cluster(name: str, photos: Sequence[Photo]) -> Cluster:
    labels = sorted({photo.labels[-1] for photo in photos})
    types = sorted({photo.fitzpatrick for photo in photos if photo.fitzpatrick is not None})
    return Cluster(name, tuple(photos), tuple(labels), tuple(types))


def verdict(values: Sequence[object]) -> str:
    """ "same", "differ", or "unknown" where a value is None.

    Example:
        >>> verdict([3, 3]), verdict([3, 4]), verdict([3, None])
        ('same', 'differ', 'unknown')
    """
    known = {value for value in values if value is not None}
    if len(known) > 1:
        return "differ"
    return "same" if None not in values else "unknown"


def pair_rows(dataset: Dataset, clusters: Clusters) -> list[tuple[object, ...]]:
    """One row of PAIR_COLUMNS per pair, in the pairs' order."""
    return [_pair_row(dataset, clusters, pair) for pair in clusters.pairs]


def _pair_row(dataset: Dataset, clusters: Clusters, pair: Pair) -> tuple[object, ...]:
    a, b = dataset.photos[pair.first], dataset.photos[pair.second]
    how = pair.alignment
    aligned = (how.points, f"{how.correlation:.3f}", f"{how.overlap:.3f}", _yes(how.mirrored)) if how else ("",) * 4
    cosine = "" if pair.cosine is None else f"{pair.cosine:.3f}"
    cluster = clusters.names[a.digest] if pair.together else ""
    labels = a.labels[-1], b.labels[-1]
    types = a.fitzpatrick, b.fitzpatrick
    return (
        *(a.file, b.file, pair.kind, f"{pair.score:.3f}", cosine, *aligned, _yes(pair.together), cluster),
        *(*labels, verdict(labels), *("" if each is None else each for each in types), verdict(types)),
    )


def cluster_rows(clusters: Sequence[Cluster]) -> list[tuple[object, ...]]:
    """One row of CLUSTER_COLUMNS per photo of a cluster."""
    return [
        (each.name, len(each.photos), photo.file, photo.labels[-1], photo.fitzpatrick or "",
         verdict(each.labels), verdict([other.fitzpatrick for other in each.photos]))
        for each in clusters for photo in each.photos
    ]  # fmt: skip


def _yes(value: bool) -> str:
    return "yes" if value else "no"
