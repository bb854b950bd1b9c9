"""What a split must not cut, and cuts all the same: clusters of near duplicates, patients and lesions on two sides.

A model that has seen a photo's twin knows the answer, so that figures on such a split flatter it. `train` and `evaluate`
refuse such splits; where they are told to go on, whatever follows carries the record of `Leak.to_dict`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .manifest import Dataset, Photo, Split

KINDS = ("cluster", "patient", "lesion")
LEAKY_BUT_ALLOWED = " (to train and evaluate on it all the same: --allow-leaks)"
UNUSED = "unused"  # what a split says of a photo that is on no side


@dataclass(frozen=True)
class Straddle:
    """A cluster, patient or lesion on two sides.

    Attributes:
        kind: one of KINDS.
        name: its name; that of a cluster is the start of a digest.
        photos: all of it that are on a side, with the sides.
    """

    kind: str
    name: str
    photos: tuple[tuple[Photo, str], ...]

    @property
    def sentence(self) -> str:
        """What is wrong, with one photo of each of two sides; without the full stop."""
        first, side = self.photos[0]
        other, its_side = next(pair for pair in self.photos if pair[1] != side)
        return (
            f"The {self.kind} {self.name[:16]!r} must be on one side, but {first.file!r} is in {side} "
            f"and {other.file!r} in {its_side}"
        )


@dataclass(frozen=True)
class Leak:
    """All straddles of one kind.

    Attributes:
        kind: one of KINDS.
        names: how many clusters, patients or lesions are on two sides.
        test_photos: how many photos of the test side have a relative on another side.
        example: a sentence about the first, without the full stop.
    """

    kind: str
    names: int
    test_photos: int
    example: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return dict(vars(self))


def straddles(split: Split, dataset: Dataset) -> Iterator[Straddle]:
    """Finds whatever is on two sides, in the order of KINDS and then of the manifest.

    Args:
        split: sides and clusters; a photo that it does not know, or that is unused, is on no side.
        dataset: knows patients and lesions.
    """
    keys = {
        "cluster": [split.clusters.get(photo.digest, photo.digest) for photo in dataset.photos],
        "patient": [photo.patient_id for photo in dataset.photos],
        "lesion": [photo.lesion_id for photo in dataset.photos],
    }
    for kind in KINDS:
        members: dict[str, list[tuple[Photo, str]]] = {}
        for name, photo in zip(keys[kind], dataset.photos, strict=True):
            side = split.assignments.get(photo.digest, UNUSED)
            if name and side != UNUSED:
                members.setdefault(name, []).append((photo, side))
        for name, photos in members.items():
            if len({side for _, side in photos}) > 1:
                yield Straddle(kind, name, tuple(photos))


def find_leaks(split: Split, dataset: Dataset) -> tuple[Leak, ...]:
    """Counts what is on two sides, by kind; empty for a clean split."""
    found: dict[str, list[Straddle]] = {}
    for each in straddles(split, dataset):
        found.setdefault(each.kind, []).append(each)
    return tuple(
        Leak(kind, len(each), sum(side == "test" for one in each for _, side in one.photos), each[0].sentence)
        for kind, each in found.items()
    )


def leak_sentence(leaks: object) -> str:
    """One sentence for a report about recorded leaks; "" where nothing is recorded.

    Args:
        leaks: what a JSON file holds under "leaks": a list of `Leak.to_dict`.
    Example:
        >>> leak_sentence([{"kind": "patient", "names": 2, "test_photos": 5, "example": "..."}])
        'The split leaks (2 patients are on two sides, with 5 test photos): the figures flatter the model.'
    """
    rows = [row for row in leaks if isinstance(row, Mapping)] if isinstance(leaks, Sequence) else []
    if not rows or isinstance(leaks, str):
        return ""
    told = [f"{row.get('names')} {row.get('kind')}{'s' * (row.get('names') != 1)}" for row in rows]
    concerned = max((row["test_photos"] for row in rows if isinstance(row.get("test_photos"), int)), default=0)
    are = "is" if len(rows) == 1 and rows[0].get("names") == 1 else "are"
    where = f"{', '.join(told)} {are} on two sides, with {concerned} test photos"
    return f"The split leaks ({where}): the figures flatter the model."
