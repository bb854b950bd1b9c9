"""Splits a data set so that nothing leaks, and each side looks like the whole as far as the groups allow.

A group is what may not be cut: photos joined by a cluster of near duplicates, a patient or a lesion. Groups are dealt one
by one, the largest first, among equals the rarest condition first, each to the side where it leaves the smallest
chi-square distance (n - target)^2 / target, summed over conditions, categories, skin types and the size of the side.
Then every condition that has enough groups gets a photo on each side.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derm_sdk.errors import OptionError

from ..errors import DataError
from .duplicates import Clusters, connected
from .manifest import SPLITS, UNUSED, Dataset, Photo, Split

RATIOS = (0.6, 0.1, 0.1, 0.2)
# How much a stratum counts: conditions are what is learned; skin types are what fairness is measured on.
WEIGHTS = {"condition": 1.0, "fitzpatrick": 0.5, "category": 0.5, "all": 1.0}

Counts = NDArray[np.float64]


@dataclass(frozen=True)
class Stratum:
    """Photos of one kind on each side, beside what the ratios ask for."""

    kind: str
    name: str
    counts: tuple[int, ...]
    targets: tuple[float, ...]

    @property
    def deviation(self) -> float:
        """Largest distance of a side from its share, as a share of the stratum's photos."""
        return max(abs(n - t) for n, t in zip(self.counts, self.targets, strict=True)) / max(1, sum(self.counts))


@dataclass(frozen=True)
class SplitResult:
    """A split, and how good it is.

    Attributes:
        split: what `write_split` writes.
        strata: counts per condition, category, skin type and in all.
        groups: how many groups were dealt.
        largest_group: photos in the largest group.
        warnings: sentences about conditions that are missing on a side, and about groups that are suspiciously large.
    """

    split: Split
    strata: tuple[Stratum, ...]
    groups: int
    largest_group: int
    warnings: tuple[str, ...] = field(default=())

    def worst(self, kind: str) -> Stratum:
        """The stratum of a kind that is furthest from its shares."""
        return max((stratum for stratum in self.strata if stratum.kind == kind), key=lambda stratum: stratum.deviation)


def check_ratios(ratios: Sequence[float]) -> tuple[float, ...]:
    """The ratios as floats. Raises OptionError unless they are four numbers from 0 to 1 that sum to 1, train above 0."""
    given = ", ".join(f"{ratio:g}" for ratio in ratios)
    if len(ratios) != len(SPLITS) or not all(math.isfinite(ratio) and 0 <= ratio <= 1 for ratio in ratios):
        raise OptionError(f"ratios must be four numbers from 0 to 1 ({', '.join(SPLITS)}); got {given}.")
    if abs(sum(ratios) - 1) > 1e-6:
        raise OptionError(f"ratios must sum to 1; {given} sum to {sum(ratios):g}.")
    if ratios[0] == 0:
        raise OptionError(f"The first ratio, train, must be above 0; got {given}.")
    return tuple(float(ratio) for ratio in ratios)


def make_split(
    dataset: Dataset, clusters: Clusters, ratios: Sequence[float] = RATIOS, seed: int = 0, kept: Split | None = None
) -> SplitResult:
    """Deals the photos to train, validation, calibration and test.

    Args:
        dataset: what to split.
        clusters: near duplicates, from `duplicates.find_clusters`.
        ratios: shares of train, validation, calibration and test; a side may be 0.
        seed: order among equal groups; the same seed gives the same split, on every machine.
        kept: a split of some of the photos; they stay on their sides and in their clusters, and the others are dealt around
            them, so that figures on either test side can be compared.
    Raises:
        OptionError: ratios that are no shares.
        DataError: a photo is a near duplicate, or of the patient, of kept ones on two sides; a kept one is unused.
    """
    ratios = check_ratios(ratios)
    if kept is not None:
        unused = sum(side == UNUSED for side in kept.assignments.values())
        if unused:
            raise DataError(f"A split is extended when every photo has a side; {unused} of the kept one's are unused.")
        clusters = _around(dataset, clusters, kept)
    groups = group_photos(dataset.photos, clusters)
    fixed = _fixed_groups(dataset, groups, kept) if kept is not None else {}
    sides = deal(dataset, groups, ratios, seed, fixed)
    details = describe_split(clusters, seed, groups) | {"ratios": list(ratios)}
    if kept is not None:
        details |= {"extends": kept.digest}
    return summarise(dataset, clusters, groups, [SPLITS[side] for side in sides], ratios, details)


def make_folds(dataset: Dataset, clusters: Clusters, folds: int, seed: int = 0) -> list[SplitResult]:
    """Cross-validation: every photo is in the test part of exactly one fold.

    The groups are dealt to 2 * folds equal parts; fold i tests on parts 2i and 2i + 1, validates on the next, calibrates on
    the one after, and trains on the rest. Five folds give 60-10-10-20.

    Raises:
        OptionError: fewer than 3 folds or more than 20.
    """
    if not 3 <= folds <= 20:
        raise OptionError(f"folds must be 3 to 20; got {folds}.")
    parts = 2 * folds
    groups = group_photos(dataset.photos, clusters)
    dealt = deal(dataset, groups, [1 / parts] * parts, seed)
    ratios = (1 - 4 / parts, 1 / parts, 1 / parts, 2 / parts)
    results = []
    for fold in range(folds):
        names = dict.fromkeys(range(parts), "train")
        names |= {2 * fold: "test", 2 * fold + 1: "test"}
        names |= {(2 * fold + 2) % parts: "validation", (2 * fold + 3) % parts: "calibration"}
        details = describe_split(clusters, seed, groups) | {"ratios": list(ratios), "folds": folds, "fold": fold + 1}
        results.append(summarise(dataset, clusters, groups, [names[part] for part in dealt], ratios, details))
    return results


def group_photos(photos: Sequence[Photo], clusters: Clusters) -> list[int]:
    """For each photo the number of its group: joined by cluster, patient or lesion."""
    names = [clusters.names.get(photo.digest, photo.digest) for photo in photos]
    return connected(len(photos), [names, [photo.patient_id for photo in photos], [photo.lesion_id for photo in photos]])


def _around(dataset: Dataset, clusters: Clusters, kept: Split) -> Clusters:
    """Clusters in which kept photos have their old names, and a new photo that resembles one joins it."""
    old: dict[str, set[str]] = {}  # cluster -> the kept photos in it
    for photo in dataset.photos:
        if photo.digest in kept.assignments and photo.digest in clusters.names:
            old.setdefault(clusters.names[photo.digest], set()).add(photo.digest)
    names = dict(clusters.names)
    for photo in dataset.photos:
        resembled = old.get(names.get(photo.digest, ""), set()) if photo.digest not in kept.assignments else set()
        if len({kept.assignments[digest] for digest in resembled}) > 1:
            raise DataError(
                f"{photo.file!r} resembles photos that the kept split has on different sides; leave it out, or split anew."
            )
        if resembled:
            names[photo.digest] = kept.clusters[min(resembled)]
    return dataclasses.replace(clusters, names=names | {digest: kept.clusters[digest] for digest in kept.assignments})


def _fixed_groups(dataset: Dataset, groups: Sequence[int], kept: Split) -> dict[int, int]:
    """The side of every group that holds kept photos."""
    fixed: dict[int, int] = {}
    for photo, group in zip(dataset.photos, groups, strict=True):
        if photo.digest in kept.assignments:
            side = SPLITS.index(kept.assignments[photo.digest])
            if fixed.setdefault(group, side) != side:
                raise DataError(
                    f"{photo.file!r} is joined by near duplicates, a patient or a lesion to photos that the kept split has "
                    f"on another side than {SPLITS[side]!r}; leave out the photos that join them, or split anew."
                )
    return fixed


# --- Dealing ----------------------------------------------------------------------------------------------------------


def deal(
    dataset: Dataset,
    groups: Sequence[int],
    ratios: Sequence[float],
    seed: int,
    fixed: Mapping[int, int] = MappingProxyType({}),
) -> list[int]:
    """The side (an index into ratios) of every photo; `fixed` groups have theirs already.

    Args:
        dataset: whose photos.
        groups: [photos] numbers of their groups, of `group_photos`.
        ratios: the share of each side.
        seed: order among equal groups.
        fixed: group -> side.
    """
    table = _StrataTable.of(dataset)
    order, places = np.unique(np.array(groups), return_inverse=True)
    counts = np.zeros((len(order), len(table.names)))
    np.add.at(counts, (places[:, None], table.columns), 1)  # [groups, strata]
    shares = np.array(ratios)
    totals = counts.sum(axis=0)
    targets = totals[:, None] * shares  # [strata, sides]
    given = np.array([fixed.get(int(group), -1) for group in order])
    sides = _greedy(counts, targets, table.weights, _order(counts, totals, table, seed), given)
    conditions = np.array([kind == "condition" for kind, _ in table.names])
    _fill_gaps(counts[:, conditions], sides, shares, given >= 0)
    return [int(sides[place]) for place in places]


@dataclass(frozen=True)
class _StrataTable:
    """Strata, and for each photo the columns of its four."""

    names: list[tuple[str, str]]
    weights: Counts
    columns: NDArray[np.int64]

    @classmethod
    def of(cls, dataset: Dataset) -> _StrataTable:
        index: dict[tuple[str, str], int] = {}
        columns = [[index.setdefault(key, len(index)) for key in _strata_of(photo)] for photo in dataset.photos]
        names = list(index)
        return cls(names, np.array([WEIGHTS[kind] for kind, _ in names]), np.array(columns))


def _strata_of(photo: Photo) -> tuple[tuple[str, str], ...]:
    skin = "unknown" if photo.fitzpatrick is None else str(photo.fitzpatrick)
    return ("condition", photo.labels[-1]), ("category", photo.labels[0]), ("fitzpatrick", skin), ("all", "photos")


def _order(counts: Counts, totals: Counts, table: _StrataTable, seed: int) -> NDArray[np.int64]:
    """Largest groups first; among equals the rarest condition, then chance."""
    conditions = np.array([kind == "condition" for kind, _ in table.names])
    rarest = np.where(counts[:, conditions] > 0, totals[conditions], np.inf).min(axis=1)
    chance = np.random.default_rng(seed).permutation(len(counts))
    sizes = counts.sum(axis=1)
    return np.lexsort((chance, rarest, -sizes))


def _greedy(
    counts: Counts, targets: Counts, weights: Counts, order: NDArray[np.int64], given: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Each group to the side where the weighted chi-square distance grows least; `given` sides of 0 or more are kept."""
    open_sides = targets.sum(axis=0) > 0
    scale = weights[:, None] / np.where(targets > 0, targets, 1)
    sides = given.copy()
    now = np.stack([counts[given == side].sum(axis=0) for side in range(targets.shape[1])], axis=1)
    for group in order[given[order] < 0]:
        held = np.flatnonzero(counts[group])
        adding = counts[group, held][:, None]
        growth = (scale[held] * adding * (2 * (now[held] - targets[held]) + adding)).sum(axis=0)
        side = int(np.argmin(np.where(open_sides, np.round(growth, 9), np.inf)))
        sides[group] = side
        now[held, side] += counts[group, held]
    return sides


def _fill_gaps(counts: Counts, sides: NDArray[np.int64], shares: Counts, fixed: NDArray[np.bool_]) -> None:
    """Moves the smallest group that can be spared to each side that lacks a condition; changes `sides`.

    Args:
        counts: [groups, conditions].
        sides: side of each group.
        shares: ratio of each side.
        fixed: groups that may not be moved.
    """
    wanted = np.flatnonzero(shares > 0)
    for condition in np.argsort(counts.sum(axis=0), kind="stable"):
        holders = np.flatnonzero(counts[:, condition])
        if len(holders) < len(wanted):
            continue
        for side in wanted:
            if (sides[holders] == side).any():
                continue
            spare = [group for group in holders.tolist() if not fixed[group] and _can_be_spared(group, counts, sides)]
            if spare:
                surplus = {group: counts[(sides == sides[group]), condition].sum() / shares[sides[group]] for group in spare}
                sides[min(spare, key=lambda group: (counts[group].sum(), -surplus[group], group))] = side


def _can_be_spared(group: int, counts: Counts, sides: NDArray[np.int64]) -> bool:
    """Whether each condition of the group is on the group's side a second time."""
    others = sides == sides[group]
    others[group] = False
    return bool((counts[others][:, counts[group] > 0] > 0).any(axis=0).all())


# --- Telling ----------------------------------------------------------------------------------------------------------


def describe_split(clusters: Clusters, seed: int, groups: Sequence[int]) -> dict[str, Any]:
    """What is recorded of how a split was made."""
    found = {"method": clusters.method, "clusters": len(clusters.sizes), "largest_cluster": max(clusters.sizes, default=0)}
    return {"seed": seed, "groups": len(set(groups)), "duplicates": found | dict(clusters.details)}


def summarise(
    dataset: Dataset,
    clusters: Clusters,
    groups: Sequence[int],
    sides: Sequence[str],
    ratios: Sequence[float],
    details: dict[str, Any],
) -> SplitResult:
    """A split of the photos' sides, with its counts, warnings and record; unused photos count nowhere."""
    digests = [photo.digest for photo in dataset.photos]
    strata = _count(dataset, sides, ratios)
    worst = max((stratum for stratum in strata if stratum.kind == "condition"), key=lambda stratum: stratum.deviation)
    details = details | {"worst_condition": {"name": worst.name, "deviation": round(worst.deviation, 4)}}
    names = {digest: clusters.names.get(digest, digest[:16]) for digest in digests}
    split = Split(dict(zip(digests, sides, strict=True)), names, details)
    sizes = np.bincount(np.unique(np.array(groups), return_inverse=True)[1])
    warnings = [*_missing_sides(strata, dataset, groups, ratios), *_large_groups(dataset, groups)]
    return SplitResult(split, strata, len(sizes), int(sizes.max()), tuple(warnings))


def _count(dataset: Dataset, sides: Sequence[str], ratios: Sequence[float]) -> tuple[Stratum, ...]:
    table: dict[tuple[str, str], list[int]] = {}
    for photo, side in zip(dataset.photos, sides, strict=True):
        for key in _strata_of(photo) if side in SPLITS else ():
            table.setdefault(key, [0] * len(SPLITS))[SPLITS.index(side)] += 1
    return tuple(
        Stratum(kind, name, tuple(counts), tuple(sum(counts) * ratio for ratio in ratios))
        for (kind, name), counts in sorted(table.items())
    )


def _missing_sides(strata: Sequence[Stratum], dataset: Dataset, groups: Sequence[int], ratios: Sequence[float]) -> list[str]:
    held: dict[str, set[int]] = {}
    for photo, group in zip(dataset.photos, groups, strict=True):
        held.setdefault(photo.labels[-1], set()).add(group)
    sentences = []
    for stratum in strata:
        gaps = [side for side, n, ratio in zip(SPLITS, stratum.counts, ratios, strict=True) if ratio > 0 and n == 0]
        if stratum.kind == "condition" and gaps:
            count = len(held[stratum.name])
            sentences.append(
                f"{stratum.name}: {sum(stratum.counts)} photos in {count} group{'s' * (count != 1)}; "
                f"none in {', '.join(gaps)}."
            )
    return sentences


def _large_groups(dataset: Dataset, groups: Sequence[int]) -> list[str]:
    """A group that holds a tenth of the photos is rather a filler such as "unknown" in the patient column."""
    values, counts = np.unique(np.array(groups), return_counts=True)
    biggest = int(counts.argmax())
    if counts[biggest] < 20 or counts[biggest] * 10 < len(groups):
        return []
    photo = dataset.photos[int(values[biggest])]
    told = ", ".join(f"{k} {v!r}" for k, v in (("patient", photo.patient_id), ("lesion", photo.lesion_id)) if v)
    return [f"One group holds {counts[biggest]} of {len(groups)} photos ({told or 'near duplicates'}); is that so?"]
