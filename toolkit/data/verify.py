"""The proof that a split does not leak: its groups looked for anew, and every one of them on one side."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .duplicates import Clusters
from .leaks import straddles
from .manifest import UNUSED, Dataset, Split

if TYPE_CHECKING:
    from rich.console import Console

FORMAT = 1
EXAMPLES = 10


def verify_split(split: Split, dataset: Dataset, clusters: Clusters) -> dict[str, Any]:
    """Looks for groups on two sides.

    Args:
        split: the sides, and what it says of near duplicates.
        dataset: knows patients and lesions.
        clusters: near duplicates as they are found now, whatever the split says of them.
    Returns:
        JSON-ready: {"format", "dataset", "split", "photos": on a side, "unused", "near_duplicates": how they were sought,
        "clean": bool, "checks": {check: {"groups": of two photos or more, "straddle", "test_photos", "examples"}}}. The
        checks are "near duplicates", "recorded clusters", "patients" and "lesions"; at most 10 examples of each.
    """
    found_now = dataclasses.replace(split, clusters=clusters.names)
    parts = {
        "near duplicates": (found_now, "cluster", clusters.names),
        "recorded clusters": (split, "cluster", split.clusters),
        "patients": (split, "patient", {photo.digest: photo.patient_id for photo in dataset.photos}),
        "lesions": (split, "lesion", {photo.digest: photo.lesion_id for photo in dataset.photos}),
    }
    checks = {}
    for name, (sides, kind, names) in parts.items():
        found = [each for each in straddles(sides, dataset) if each.kind == kind]
        checks[name] = {
            "groups": _groups(split, dataset, names),
            "straddle": len(found),
            "test_photos": sum(side == "test" for each in found for _, side in each.photos),
            "examples": [each.sentence + "." for each in found[:EXAMPLES]],
        }
    used = sum(split.assignments.get(photo.digest, UNUSED) != UNUSED for photo in dataset.photos)
    return {
        "format": FORMAT,
        "dataset": dataset.digest,
        "split": split.digest,
        "photos": used,
        "unused": len(dataset.photos) - used,
        "near_duplicates": clusters.method,
        "clean": not any(check["straddle"] for check in checks.values()),
        "checks": checks,
    }


def print_verdict(found: Mapping[str, Any], console: Console) -> None:
    """Prints a line per check, examples, and the verdict."""
    for name, check in found["checks"].items():
        console.print(
            f"{name}: {check['groups']:,} groups of two photos or more, {check['straddle']:,} on two sides"
            + (f", with {check['test_photos']:,} test photos" if check["straddle"] else ""),
            markup=False,
            soft_wrap=True,
        )
        for example in check["examples"]:
            console.print(f"  {example}", markup=False, soft_wrap=True)
        if check["straddle"] > len(check["examples"]):
            console.print(f"  and {check['straddle'] - len(check['examples']):,} more")
    sought = " No near duplicates were sought." if found["near_duplicates"] == "none" else ""
    verdict = "The split is clean." if found["clean"] else "The split leaks: figures on it flatter the model."
    console.print(f"{verdict} {found['photos']:,} photos on a side, {found['unused']:,} unused.{sought}", markup=False)


def _groups(split: Split, dataset: Dataset, names: Mapping[str, str]) -> int:
    """How many names are of two photos or more that are on a side."""
    counts: dict[str, int] = {}
    for photo in dataset.photos:
        name = names.get(photo.digest, "")
        if name and split.assignments.get(photo.digest, UNUSED) != UNUSED:
            counts[name] = counts.get(name, 0) + 1
    return sum(count > 1 for count in counts.values())
