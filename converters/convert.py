"""The way from a run folder to a .derm file: convert each graph, calibrate again, compare, and only then write."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from derm_sdk import Classifier
from derm_sdk.bundle import pack_bundle, read_bundle
from derm_toolkit.training.run import read_run

from .auto import choose, show_trials
from .candidate import Candidate, beside, float_bundle, make_candidate
from .card import write_card
from .errors import ConversionError
from .manifest import About
from .material import CORRECTION_PHOTOS, Material
from .mediapipe import check_single, mediapipe_model
from .outputs import check_places, write_all
from .page import parity_page
from .parity import broken_limits
from .plain_graphs import plain_files
from .progress import show_parity, step
from .recipe import Recipe
from .representative import stratified
from .selftest import record
from .ways import trained_way

Place = str | os.PathLike[str]


def convert_run(
    folder: Place,
    output: Place,
    recipe: Recipe,
    about: About,
    *,
    auto: bool = False,
    limits: Mapping[str, float] | None = None,
    force: bool = False,
    mediapipe: Place | None = None,
    plain: Place | None = None,
    page: Place | None = None,
    data: Place | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Converts a trained run into one .derm file.

    Args:
        folder: the run folder.
        output: the file to write. It and those below are written together, or none of them.
        recipe: how the graphs are made.
        about: what the bundle says of itself.
        auto: try recipes one after the other, the cheapest first; see `derm_converters.auto`. Of `recipe` the precision, the
            photos and the explanation are kept.
        limits: in place of the config's `[conversion]`, {key: value} of derm_toolkit.training.config.Limits.
        force: write a bundle that breaks its limits, too; it and every result of it say so.
        mediapipe: a .tflite file to write beside it; see `derm_converters.mediapipe`.
        plain: a new folder for the graphs by themselves; see `derm_converters.plain_graphs`.
        page: the comparison as a web page.
        data: the data set's folder, when it is no longer where the run was trained.
        console: where progress is shown.
    Returns:
        The parity report, as the bundle's parity.json holds it.
    Raises:
        ConversionError: a limit is broken, or a graph cannot be converted; nothing is written.
        DermError: the run, its data or the output cannot be used; nothing is written.
    """
    console = console or Console(stderr=True)
    files = {what: Path(place) for what, place in (("bundle", output), ("mediapipe", mediapipe), ("page", page)) if place}
    new_folder = None if plain is None else Path(plain)

    # --- Can it be done, and can it be written? -------------------------------------------------------------------
    check_places(list(files.values()), new_folder)
    run = read_run(folder)
    asked = dataclasses.replace(run.config.conversion, **(limits or {}))
    if mediapipe is not None:
        check_single(run)
    material = Material.of(run, data)
    photos = material.photos("validation")
    if not photos:
        raise ConversionError("There is no validation photo to compare the models on.")

    # --- The graphs, by one recipe or by the first that will do -----------------------------------------------------
    trials: dict[str, Any] = {}
    if auto:
        candidate, trials = choose(material, recipe, about, asked, console)
        show_trials(console, trials)
        if trials["broken"] and not force:
            raise ConversionError(
                f"None of {len(trials['rows'])} recipes keeps the limits, so nothing was written (--force writes the best, "
                f"{trials['chosen']!r}, and marks it): {'; '.join(trials['broken'])}."
            )
    else:
        candidate = make_candidate(material, recipe, about, console)

    # --- Does it answer as the trained model? -----------------------------------------------------------------------
    is_float = recipe.precision == "float32"
    plain_bundle = None if is_float else float_bundle(material, candidate.recipe, about, console)
    with step(console, f"compare each step on {len(photos)} validation photos"):
        trained = trained_way(run, photos, material.cache)
        found = beside(material, candidate, trained, photos, plain_bundle, device=True)
    show_parity(console, found)
    broken = broken_limits(found, asked)
    if broken and not force:
        raise ConversionError(
            "The converted model does not answer as the trained one, so nothing was written (--force writes it all the "
            "same, and marks it): " + "; ".join(broken) + "."
        )
    broken = [f"when it was chosen, {sentence}" for sentence in trials.get("broken", [])] + broken
    report = {**found, "split": "validation", "limits": dataclasses.asdict(asked), "broken": broken}
    report |= {"trials": trials} if auto else {}

    # --- Everything that is to be written, and then all of it ------------------------------------------------------
    packed = _packed(material, candidate, report, about, console)
    contents = {files["bundle"]: packed}
    if mediapipe is not None:
        with step(console, "convert for MediaPipe"):
            contents[files["mediapipe"]] = _for_mediapipe(material, candidate, about)
    if page is not None:
        contents[files["page"]] = parity_page(report, about.name).encode()
    write_all(contents, new_folder, {} if plain is None else plain_files(read_bundle(packed)))
    console.print(f"{output}: {len(packed) / 1e6:.2f} MB. Try: derm classify PHOTO --model {output}")
    if broken:
        console.print(f"It is marked, for it breaks its limits: {'; '.join(broken)}.", highlight=False)
    return report


def _packed(material: Material, candidate: Candidate, report: Mapping[str, Any], about: About, console: Console) -> bytes:
    """The finished bundle, which has passed its own test."""
    run = material.run
    manifest = {**candidate.manifest, "parity": _short(report)}
    card = write_card(manifest, run.taxonomy)
    contents = (manifest, run.taxonomy, candidate.calibration, candidate.graphs, card, about.licence_text)
    parity = {"parity.json": json.dumps(report, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"}
    with step(console, "record the self-test"):
        packed = pack_bundle(*contents, parity | record(pack_bundle(*contents)))
    with Classifier(packed) as classifier:
        tested = classifier.selftest()
        if not tested.identical:
            raise ConversionError(f"The bundle does not answer as it did a moment ago, so nothing was written. {tested}")
    return packed


def _for_mediapipe(material: Material, candidate: Candidate, about: About) -> bytes:
    """The file for MediaPipe, by the remedies that need no training: it ends in probabilities, not in logits."""
    recipe = dataclasses.replace(candidate.recipe, batchnorm_photos=0, qat_epochs=0, float_layers=0)
    chosen = material.representative(recipe.representative_photos)
    correction = stratified(material.photos("train"), CORRECTION_PHOTOS)
    return mediapipe_model(material.run, candidate.calibration, recipe, material.cache, chosen, correction, about)


def _short(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report without the figures of each step, for the manifest; parity.json has them."""

    def without_ways(figures: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in figures.items() if key != "ways"}

    return {
        "split": report["split"],
        "limits": report["limits"],
        "broken": report["broken"],
        "overall": without_ways(report["overall"]),
        "by_skin_type": {name: without_ways(figures) for name, figures in report["by_skin_type"].items()},
    }
