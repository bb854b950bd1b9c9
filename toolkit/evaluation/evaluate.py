"""A model asked about photos: which of them may be asked, what it said, and all figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from derm_sdk.calibration import Calibration
from derm_sdk.errors import closest
from derm_sdk.prior import check_prior, prior_factors, reweighted

from ..data.cache import PhotoCache
from ..data.leaks import find_leaks, leak_sentence
from ..data.manifest import Photo, verify
from ..errors import DataError
from ..training.feed import SkinType, recorded_skin_type
from ..training.reporter import Reporter
from .bootstrap import REPLICATES, units
from .figures import all_figures
from .predict import Tick
from .predictions import FORMAT as PREDICTIONS_FORMAT
from .predictions import Predictions
from .seen import Question, without_seen
from .subject import Subject, is_other_split
from .synonyms import Merge
from .told_type import NOT_AN_INPUT, TRUE, told_type_figures, told_types
from .truth import TruthMap, map_truth

FORMAT = 2


@dataclass(frozen=True)
class Selection:
    """The photos that are asked about, and what was found out on the way.

    Attributes:
        photos: at least one.
        truth: their labels in the model's words.
        about: JSON-ready: what was left out, what was seen in the training, what the model does not know.
        notes: sentences for the user.
    """

    photos: tuple[Photo, ...]
    truth: TruthMap
    about: dict[str, Any]
    notes: list[str]


def evaluate_subject(
    subject: Subject,
    question: Question,
    cache_root: Path | None = None,
    workers: int = 2,
    seed: int = 0,
    reporter: Reporter | None = None,
    synonyms: Sequence[Merge] = (),
) -> tuple[dict[str, Any], Predictions]:
    """Runs a model on photos and computes its figures.

    Args:
        subject: the model.
        question: which photos.
        cache_root: folder of the photo caches; None for the data set's own.
        workers: threads that prepare photos.
        seed: of the bootstrap, and of wrong skin types.
        reporter: where progress and notes are shown.
        synonyms: conditions to merge in a second look.
    Returns:
        JSON-ready: what was evaluated on what, and `figures.all_figures`; and the predictions behind it.
    Raises:
        DataError: as `select_photos`; or a photo is gone.
        OptionError: a prior that cannot be.
    """
    subject, prior = _in_a_place(subject, question.prior)
    reporter = reporter or Reporter()
    selection = select_photos(subject, question)
    for note in selection.notes:
        reporter.say(note)
    cache = subject.cache(question.dataset, cache_root)
    with reporter.bar("photos") as tick:
        cache.fill(selection.photos, workers, tick)
    about = {
        "model": subject.name,
        "model_sha256": subject.digest,
        "side": question.side,
        "source": question.source,
        "dataset": question.dataset.digest,
        "split": question.split.digest if question.split else None,
        "prior": prior,
        **selection.about,
    }
    asked = units(selection.photos, question.split)
    with reporter.bar("model") as tick:
        predictions = _predict(subject, selection.photos, asked, selection.truth, cache, tick, recorded_skin_type, about)
    figures = all_figures(predictions, synonyms, seed=seed)
    interval = f"95 %, {REPLICATES} bootstrap replicates of whole clusters, seed {seed}"
    told: dict[str, Any] | str = NOT_AN_INPUT
    if subject.takes_skin_type:
        told = _told_types(subject, selection, predictions, cache, seed, reporter)
    return {"format": FORMAT, **about, "interval": interval, **figures, "skin_type_input": told}, predictions


def _in_a_place(subject: Subject, prior: Mapping[str, float] | None) -> tuple[Subject, dict[str, float] | None]:
    """The model where nodes are as common as a prior says, and the prior by the nodes' ids."""
    if prior is None:
        return subject, None
    taxonomy = subject.composition.taxonomy
    checked = check_prior(prior, taxonomy)
    return replace(subject, factors=prior_factors(checked, subject.training_photos(), taxonomy)), checked


def select_photos(subject: Subject, question: Question) -> Selection:
    """Finds the photos that the model may be asked about.

    Photos that the training has seen, or relatives of such photos, are left out of "all" photos of a foreign data set, and
    refused in a split of it.

    Raises:
        DataError: there is no such photo, no label that the model knows, a label below another than in the model's tree,
            or the split is not the one that the model was trained with, on the same photos, or it holds photos of the
            training or relatives of them, or has clusters, patients or lesions on two sides.
    """
    dataset, split, side = question.dataset, question.split, question.side
    truth = map_truth(subject.composition.taxonomy, dataset.taxonomy)
    other_split = side != "all" and is_other_split(subject, dataset, split)
    if split is not None and side != "all" and not question.allow_leaks:
        verify(split, dataset)
    if split is not None and other_split and not question.allow_leaks:
        raise DataError(
            f"The model was trained on these photos with the split {subject.trained_on[1][:12] or 'unknown'}, but this one "
            f"is {split.digest[:12]}: photos of its side {side!r} may have been trained on. Name the training's own split "
            "with --splits, or say --allow-leaks."
        )
    photos = _side(question)
    photos, about, notes = without_seen(subject, question, photos, other_split=other_split)
    leaks = [leak.to_dict() for leak in find_leaks(split, dataset)] if split is not None and side != "all" else []
    if leaks:
        about, notes = about | {"leaks": leaks}, [leak_sentence(leaks), *notes]
    known = tuple(photo for photo in photos if truth.known(photo))
    if not known:
        raise DataError(
            f"The model knows no label of the {len(photos)} photos asked about, such as {photos[0].labels!r}; "
            "evaluate it on photos of conditions or categories that it knows."
        )
    unknown = truth.unknown(photos)
    about |= {"unknown": unknown, "left_out_unknown": len(photos) - len(known)}
    for level, labels in unknown.items():
        listed = ", ".join(f"{label} ({count})" for label, count in list(labels.items())[:8])
        more = f", and {len(labels) - 8} more" if len(labels) > 8 else ""
        notes.append(
            f"The level {level!r} is judged without {sum(labels.values())} of {len(photos)} photos, whose label there the "
            f"model does not know: {listed}{more}."
        )
    return Selection(known, truth, about, notes)


def _side(question: Question) -> tuple[Photo, ...]:
    """The photos of the side, of the source."""
    whole = question.side == "all" or question.split is None
    photos = question.dataset.photos if whole or question.split is None else question.split.photos(
        question.dataset, question.side
    )  # fmt: skip
    if not photos:
        raise DataError(f"The split has no photo on the side {question.side!r}; choose another with --split.")
    if question.source is None:
        return photos
    of_source = tuple(photo for photo in photos if photo.source == question.source)
    if not of_source:
        sources = sorted({photo.source for photo in photos} - {""})
        raise DataError(
            f"No photo of the side {question.side!r} is of the source {question.source!r}."
            + closest(question.source, sources)
        )
    return of_source


def _predict(
    subject: Subject,
    photos: Sequence[Photo],
    of_unit: Sequence[str],
    truth: TruthMap,
    cache: PhotoCache,
    tick: Tick,
    told: SkinType,
    about: dict[str, Any],
) -> Predictions:
    """Asks the model, and puts its answers beside the truth."""
    composition, calibration = subject.composition, subject.calibration
    logits = subject.logits(photos, cache, tick, told)
    nodes = calibration.nodes(composition, logits)
    if subject.factors is not None:
        nodes = reweighted(composition, nodes, subject.factors)
    true = [truth.nodes[photo.leaf] for photo in photos]
    meta = {
        "format": PREDICTIONS_FORMAT,
        **about,
        "taxonomy": composition.taxonomy.to_dict(),
        "calibration": calibration.to_dict(),
    }
    return Predictions(
        digest=np.array([photo.digest for photo in photos], str),
        leaf=np.array([known[-1] or photo.leaf for known, photo in zip(true, photos, strict=True)], str),
        truth=np.array(true, str),
        skin_type=np.array([photo.fitzpatrick or 0 for photo in photos], np.int8),
        unit=np.array(of_unit, str),
        nodes=np.array([node.id for node in composition.taxonomy.nodes], str),
        probabilities=nodes.astype(np.float32),
        uncalibrated=Calibration().nodes(composition, logits).astype(np.float32),
        answer=np.array([answer or "" for answer in calibration.answers(composition, nodes)], str),
        refer=calibration.refers(composition, nodes),
        meta=meta,
    )


def _told_types(
    subject: Subject, selection: Selection, true: Predictions, cache: PhotoCache, seed: int, reporter: Reporter
) -> dict[str, Any]:
    """The figures of the photos of known skin type, the model being told other types."""
    rows = np.flatnonzero(true.skin_type > 0)
    photos = [selection.photos[row] for row in rows]
    told = {TRUE: true.take(rows)}
    for name, each in told_types(photos, seed).items() if photos else ():
        with reporter.bar(f"skin type {name}") as tick:
            told[name] = _predict(
                subject, photos, told[TRUE].unit.tolist(), selection.truth, cache, tick, each, dict(true.meta)
            )
    return told_type_figures(told, seed=seed)
