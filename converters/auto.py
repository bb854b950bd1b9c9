"""Recipes one after the other, the cheapest first, until one keeps the limits.

To choose among recipes is to tune; so they are judged on the calibration photos, and the one that is chosen is judged again,
once, on the validation photos, which had no part in the choice.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from rich.console import Console
from rich.table import Table

from derm_toolkit.training.config import Limits

from .candidate import Candidate, beside, make_candidate
from .errors import ConversionError
from .manifest import About
from .material import Material
from .parity import MIN_GROUP, broken_limits
from .recipe import Recipe
from .ways import trained_way

SIDE = "calibration"


@dataclass(frozen=True)
class Trial:
    """What one recipe gave.

    Attributes:
        recipe: its name.
        settings: the recipe, as a manifest tells it.
        n: photos.
        agreement: {level: share of photos whose best node stays the same}.
        divergence: mean, in nats.
        refer_agreement: share of photos whose referral stays the same.
        seconds: that it took.
        broken: sentences about the limits that do not hold.
    """

    recipe: str
    settings: dict[str, Any]
    n: int
    agreement: dict[str, float]
    divergence: float
    refer_agreement: float
    seconds: int
    broken: list[str]


def ladder(base: Recipe, photos: int) -> dict[str, Recipe]:
    """The recipes by their names, the cheapest first; each remedy of the first six is added to those before it.

    Args:
        base: says the precision, the representative photos and whether graphs explain themselves.
        photos: of the training split.
    """
    plain = replace(base, ranges="min-max", equalisation=False, rounding="nearest", bias_correction=False,
                    batchnorm_photos=0, qat_epochs=0, float_layers=0)  # fmt: skip
    corrected = replace(plain, bias_correction=True)
    best = replace(corrected, ranges="mse", equalisation=True, rounding="learned")
    more = 2 * base.representative_photos
    return {
        "measured ranges": plain,
        "+ bias correction": corrected,
        "+ percentile ranges": replace(corrected, ranges="percentile"),
        "+ ranges of least error": replace(corrected, ranges="mse"),
        "+ equalisation": replace(corrected, ranges="mse", equalisation=True),
        "+ learned rounding": best,
        **({f"{more} photos": replace(best, representative_photos=more)} if photos > base.representative_photos else {}),
        "new statistics": replace(best, batchnorm_photos=512),
        "fine-tuning": replace(best, qat_epochs=2),
        "1 float layer": replace(best, float_layers=1),
        "2 float layers": replace(best, float_layers=2),
        "fine-tuning, 2 float layers": replace(best, qat_epochs=2, float_layers=2),
    }


def choose(
    material: Material, base: Recipe, about: About, limits: Limits, console: Console
) -> tuple[Candidate, dict[str, Any]]:
    """Tries the recipes of `ladder` until one keeps the limits on the calibration photos.

    Returns:
        The first that does, or else the one of the least divergence; and the trials as parity.json holds them:
        {"split", "n", "chosen", "broken": its broken limits, "rows": [Trial as a dict]}.
    Raises:
        ConversionError: there is no photo to choose by, or a graph cannot be converted.
    """
    photos = material.photos(SIDE)
    if not photos:
        raise ConversionError("There is no calibration photo by which a recipe could be chosen; name one yourself.")
    trained = trained_way(material.run, photos, material.cache)
    trials: list[Trial] = []
    best: Candidate | None = None
    for name, recipe in ladder(base, len(material.photos("train"))).items():
        start = time.perf_counter()
        console.print(f"[bold]{name}", highlight=False)
        try:
            candidate = make_candidate(material, recipe, about, console)
        except ConversionError as error:  # a remedy that does not suit this network; the others may
            if best is None:
                raise
            console.print(f"Left out. {error}", highlight=False)
            continue
        found = beside(material, candidate, trained, photos)
        trials.append(_trial(name, recipe, found, broken_limits(found, limits), time.perf_counter() - start))
        if best is None or not trials[-1].broken or trials[-1].divergence < _least(trials[:-1]).divergence:
            best = candidate
        if not trials[-1].broken:
            break
    assert best is not None  # the first recipe was carried out, or its error raised
    chosen = trials[-1] if not trials[-1].broken else _least(trials)
    return best, {
        "split": SIDE,
        "n": len(photos),
        "chosen": chosen.recipe,
        "broken": chosen.broken,
        "rows": [asdict(trial) for trial in trials],
    }


def show_trials(console: Console, trials: Mapping[str, Any]) -> None:
    """Prints the table of the trials."""
    levels = list(trials["rows"][0]["agreement"])
    many = f"{trials['n']} {trials['split']} photo{'s' * (trials['n'] != 1)}"
    table = Table(title=f"recipes tried, {many}", title_justify="left")
    for heading in ("recipe", *(f"same {level}" for level in levels), "divergence", "same referral", "seconds", "broken"):
        table.add_column(heading, justify="left" if heading in ("recipe", "broken") else "right")
    for row in trials["rows"]:
        shares = [f"{100 * row['agreement'][level]:.1f} %" for level in levels]
        cells = (f"{row['divergence']:.4f}", f"{100 * row['refer_agreement']:.1f} %", str(row["seconds"]))
        table.add_row(row["recipe"], *shares, *cells, "; ".join(row["broken"]) or "none")
    console.print(table)
    console.print(f"Chosen: {trials['chosen']}.", highlight=False)
    if trials["n"] < MIN_GROUP:
        console.print(f"Note: {many} can hardly tell recipes apart.", highlight=False)


def _trial(name: str, recipe: Recipe, found: Mapping[str, Any], broken: list[str], seconds: float) -> Trial:
    overall = found["overall"]
    agreement = {level: figures["agreement"] for level, figures in overall["levels"].items()}
    return Trial(
        name,
        recipe.to_dict(),
        overall["n"],
        agreement,
        overall["divergence"],
        overall["refer_agreement"],
        round(seconds),
        broken,
    )


def _least(trials: list[Trial]) -> Trial:
    return min(trials, key=lambda trial: trial.divergence)
