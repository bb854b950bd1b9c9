"""Which photos a model has seen already, or relatives of them, whatever data set they now are in.

Photos are known by the digest of their bytes, not by the data set's: a subset, or two sources put together, hide nothing.
Relatives are photos that the data set joins to seen ones: by a cluster of its split, a patient or a lesion. A copy that was
saved anew, in another data set, is known by neither; `data split --extend` finds those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..data.leaks import leak_sentence
from ..data.manifest import Dataset, Photo, Split
from ..errors import DataError
from .bootstrap import units
from .subject import Subject

SEEN_SIDES = ("train", "validation", "calibration")  # the model, its best epoch or its thresholds were fitted on these


@dataclass(frozen=True)
class Question:
    """Which photos a model is asked about.

    Attributes:
        dataset: the photos' data set.
        split: None where there is none; then `side` must be "all".
        side: one of SPLITS, or "all".
        source: only photos of this source; None for every one.
        allow_leaks: take photos that the model may have been trained on, or that are related to such photos, and record
            that.
        prior: how common nodes are where the photos come from, as `derm_sdk.prior.check_prior` takes it; None to leave the
            probabilities as they are.
    """

    dataset: Dataset
    split: Split | None
    side: str
    source: str | None = None
    allow_leaks: bool = False
    prior: Mapping[str, float] | None = None


def without_seen(
    subject: Subject, question: Question, photos: tuple[Photo, ...], *, other_split: bool
) -> tuple[tuple[Photo, ...], dict[str, Any], list[str]]:
    """Leaves out or refuses what the training has seen, and what is related to that.

    Args:
        subject: the model.
        question: how it is asked.
        photos: those asked about.
        other_split: whether they are the training's own photos, dealt otherwise.
    Returns:
        The photos that are left, what to record ({"seen": {side: photos}, "related": photos, ...}; "seen" is None where it
        is not known), and sentences for the user.
    Raises:
        DataError: photos of a split are among those seen or related to them, or no photo is left.
    """
    about: dict[str, Any] = {"other_split": True} if other_split else {}
    own = question.dataset.digest == subject.trained_on[0]
    if subject.sides is None:
        note = (
            "A .derm file does not say which photos it was trained on: whether some of these are among them is not known. "
            "--run names the run that it was made of, which does."
        )
        return photos, about | {"seen": None}, [] if own else [note]
    sides = subject.sides
    seen = [photo for photo in photos if sides.get(photo.digest) in SEEN_SIDES]
    counts = {side: sum(sides[photo.digest] == side for photo in seen) for side in SEEN_SIDES}
    about["seen"] = {side: count for side, count in counts.items() if count}
    if own and not other_split and question.side != "all":
        return photos, about, []
    related = _related(question, photos, sides)
    about |= {"related": len(related)} if related else {}
    concerned = [photo for photo in photos if sides.get(photo.digest) in SEEN_SIDES or photo.digest in related]
    told = _told(about["seen"], len(related))
    if not concerned:
        return photos, about, []
    if own or question.allow_leaks:
        made = "The model was made with, or with relatives of," if related else "The model was made with"
        note = f"{made} {len(concerned)} of these {len(photos)} photos ({told}): expect too much."
        return photos, about | ({"allowed": len(concerned)} if question.allow_leaks else {}), [note]
    if question.side != "all":
        raise DataError(
            f"{len(concerned)} of the {len(photos)} photos on the side {question.side!r}, such as {concerned[0].file!r}, "
            f"are among those that the model was made with{', or related to them' * bool(related)} ({told}). Split the data "
            "without them, take '--split all', which leaves them out, or say --allow-leaks."
        )
    out = {photo.digest for photo in concerned}
    left = tuple(photo for photo in photos if photo.digest not in out)
    if not left:
        raise DataError(f"The model was made with all {len(photos)} photos ({told}); evaluate it on others.")
    note = f"{len(concerned)} of {len(photos)} photos are left out: the model was made with them ({told})."
    about = about | {"seen": {}, "left_out_seen": about["seen"]}
    return left, about | ({"related": 0, "left_out_related": len(related)} if related else {}), [note]


def doubts(found: Mapping[str, Any]) -> list[str]:
    """What a reader must know of an evaluation before any figure of it.

    Args:
        found: the JSON of an evaluation, or the meta of its predictions.
    """
    told = [leak_sentence(found.get("leaks"))]
    if found.get("other_split"):
        told.append("The figures are of another split than the training's: test photos may have been trained on.")
    if found.get("allowed"):
        told.append(f"{found['allowed']} of the photos, or relatives of them, were in the training: the figures flatter.")
    return [sentence for sentence in told if sentence]


def _related(question: Question, photos: tuple[Photo, ...], sides: Mapping[str, str]) -> set[str]:
    """Digests of photos that were not seen, but that a cluster, patient or lesion joins to photos that were."""
    everything = question.dataset.photos
    names = dict(zip((photo.digest for photo in everything), units(everything, question.split), strict=True))
    touched = {names[photo.digest] for photo in everything if sides.get(photo.digest) in SEEN_SIDES}
    return {photo.digest for photo in photos if names[photo.digest] in touched and sides.get(photo.digest) not in SEEN_SIDES}


def _told(seen: Mapping[str, int], related: int) -> str:
    parts = [f"{count} {side}" for side, count in seen.items()] + ([f"{related} related"] if related else [])
    return ", ".join(parts)
