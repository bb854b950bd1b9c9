"""Splits whose sides are given by something else than chance: another atlas, other skin types, a published list.

Whatever the given sides leave open is dealt as usual: a split without calibration photos takes them from validation, one
without validation photos takes them from train. A group that is on two of the given sides is a leak. It is closed by leaving
out those of its photos that the model would learn from: the test photos stay as they were published.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from derm_sdk.errors import OptionError, closest

from ..errors import DataError
from .duplicates import Clusters
from .importers import parse_fitzpatrick
from .manifest import SPLITS, UNUSED, Dataset
from .split import SplitResult, check_ratios, deal, describe_split, group_photos, summarise

FIELDS = ("fitzpatrick", "source", "atlas")
_PROTECTED = ("test", "calibration", "validation", "train")  # who stays where a group is on two sides


@dataclass(frozen=True)
class Criterion:
    """Photos by one of their properties, such as fitzpatrick=1,2.

    Attributes:
        field: one of FIELDS.
        values: any of them will do.
    """

    field: str
    values: tuple[str, ...]


def parse_criterion(text: str) -> Criterion:
    """Reads "fitzpatrick=1,2", "source=pad-ufes-20" or "atlas=dermaamin". Raises OptionError for anything else."""
    name, equals, listed = text.partition("=")
    values = tuple(value.strip() for value in listed.split(",") if value.strip())
    if not equals or not values:
        raise OptionError(f"A side is chosen by FIELD=VALUE,..., such as fitzpatrick=1,2; got {text!r}.")
    if name.strip() not in FIELDS:
        raise OptionError(f"Photos are chosen by {', '.join(FIELDS)}; got {name.strip()!r}." + closest(name.strip(), FIELDS))
    if name.strip() == "fitzpatrick":
        values = tuple(str(parse_fitzpatrick(value)) for value in values)
    return Criterion(name.strip(), values)


def sides_by_criteria(
    dataset: Dataset, train_on: Criterion | None, test_on: Criterion | None, atlases: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Which photos are trained on and which are test photos.

    Args:
        dataset: whose photos.
        train_on, test_on: at least one; the other side is whatever it leaves. A photo whose field is unknown is unused.
        atlases: photo digest -> host, of `lists.read_atlases`; needed for the field "atlas".
    Returns:
        {photo digest: "train", "test" or UNUSED}.
    Raises:
        OptionError: the two sides overlap or are of two fields, or a value is of no photo.
    """
    criteria = [each for each in (train_on, test_on) if each is not None]
    if len({each.field for each in criteria}) != 1:
        raise OptionError(
            "Both sides of a split must be chosen by the same field, such as fitzpatrick=1,2 and fitzpatrick=5,6."
        )
    values = _values(dataset, criteria[0].field, atlases)
    present = sorted(set(values.values()) - {""})
    chosen = [None if each is None else {_present(value, present, each.field) for value in each.values}
              for each in (train_on, test_on)]  # fmt: skip
    train, test = chosen
    if train is not None and test is not None and train & test:
        raise OptionError(f"{criteria[0].field} {min(train & test)!r} cannot be trained on and tested on.")
    train = set(present) - (test or set()) if train is None else train
    test = set(present) - train if test is None else test
    if not train or not test:
        raise OptionError(
            f"Every photo has a {criteria[0].field} out of {', '.join(present)}: nothing is left for the other side."
        )
    return {digest: "train" if value in train else "test" if value in test else UNUSED for digest, value in values.items()}


def split_by_sides(
    dataset: Dataset,
    clusters: Clusters,
    given: Mapping[str, str],
    ratios: Sequence[float],
    seed: int = 0,
    *,
    close_leaks: bool = True,
    details: Mapping[str, Any] | None = None,
) -> SplitResult:
    """Makes a split out of sides that are given.

    Args:
        dataset: what to split.
        clusters: near duplicates, from `duplicates.find_clusters`.
        given: photo digest -> side, for every photo.
        ratios: as for `make_split`; they only count for the sides that are not given.
        seed: order among equal groups.
        close_leaks: leave out photos that the model would learn from and that are related to more protected ones.
        details: more to record.
    Raises:
        OptionError: ratios that are no shares.
        DataError: no photo is left to train on, or none to test on.
    """
    ratios = check_ratios(ratios)
    groups = group_photos(dataset.photos, clusters)
    sides = [given[photo.digest] for photo in dataset.photos]
    closed = _closed(sides, groups) if close_leaks else sides
    left_out = sum(a != b for a, b in zip(sides, closed, strict=True))
    for source, added in _open_sides(closed, ratios).items():
        closed = _deal_side(dataset, clusters, closed, (source, *added), ratios, seed)
    counts = Counter(closed)
    for side in ("train", "test"):
        if not counts[side]:
            raise DataError(
                f"No photo is left on the side {side!r}: {_told(Counter(sides))} before relatives were left out."
            )
    used = len(closed) - counts[UNUSED]
    record = describe_split(clusters, seed, groups) | dict(details or {})
    record |= {"unused": counts[UNUSED], "left_out_as_relatives": left_out}
    return summarise(dataset, clusters, groups, closed, [counts[side] / used for side in SPLITS], record)


def _values(dataset: Dataset, field: str, atlases: Mapping[str, str] | None) -> dict[str, str]:
    """Per photo the field's value, "" where it is unknown."""
    if field == "atlas":
        if atlases is None:
            raise OptionError(
                "Which atlas a photo is from is told by its URL; name a table with --urls, such as fitzpatrick17k.csv."
            )
        return {photo.digest: atlases.get(photo.digest, "") for photo in dataset.photos}
    if field == "source":
        return {photo.digest: photo.source for photo in dataset.photos}
    return {photo.digest: str(photo.fitzpatrick or "") for photo in dataset.photos}


def _present(value: str, present: Sequence[str], field: str) -> str:
    """The value as the data have it: an atlas may be called by the start of its host."""
    found = [each for each in present if each == value or (field == "atlas" and each.startswith(value + "."))]
    if len(found) != 1:
        raise OptionError(f"No photo is of the {field} {value!r}." + closest(value, present))
    return found[0]


def _closed(sides: Sequence[str], groups: Sequence[int]) -> list[str]:
    """The sides, with photos unused that have a relative on a more protected side."""
    best: dict[int, int] = {}
    for side, group in zip(sides, groups, strict=True):
        if side != UNUSED:
            best[group] = min(best.get(group, len(_PROTECTED)), _PROTECTED.index(side))
    return [
        side if side == UNUSED or _PROTECTED.index(side) == best[group] else UNUSED
        for side, group in zip(sides, groups, strict=True)
    ]


def _open_sides(sides: Sequence[str], ratios: Sequence[float]) -> dict[str, tuple[str, ...]]:
    """From which given side the missing ones are dealt."""
    share = dict(zip(SPLITS, ratios, strict=True))
    lacking = [side for side in ("validation", "calibration") if side not in sides and share[side] > 0]
    if lacking == ["calibration"] and "validation" in sides and share["validation"] > 0:
        return {"validation": ("calibration",)}
    return {"train": tuple(lacking)} if lacking else {}


def _deal_side(
    dataset: Dataset, clusters: Clusters, sides: Sequence[str], among: Sequence[str], ratios: Sequence[float], seed: int
) -> list[str]:
    """Deals the photos of the first side of `among` to all of them."""
    rows = [row for row, side in enumerate(sides) if side == among[0]]
    part = dataclasses.replace(dataset, photos=tuple(dataset.photos[row] for row in rows))
    shares = [ratio if side in among else 0.0 for side, ratio in zip(SPLITS, ratios, strict=True)]
    shares = [share / sum(shares) for share in shares]
    dealt = deal(part, group_photos(part.photos, clusters), shares, seed) if rows else []
    found = list(sides)
    for row, side in zip(rows, dealt, strict=True):
        found[row] = SPLITS[side]
    return found


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {side}" for side, count in counts.items())
