"""The way from a run folder to a .derm file: convert each graph, calibrate again, compare, and only then write."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console

from derm_sdk import Classifier
from derm_sdk.bundle import pack_bundle
from derm_sdk.calibration import Calibration
from derm_sdk.files import write_bytes
from derm_sdk.inputs import network_inputs
from derm_toolkit.data.cache import PhotoCache
from derm_toolkit.data.manifest import Dataset, Photo, Split
from derm_toolkit.evaluation.bootstrap import units
from derm_toolkit.evaluation.calibrate import fit_run
from derm_toolkit.evaluation.predict import measure_quality, predict_bundle
from derm_toolkit.models import GraphSpec
from derm_toolkit.training.run import Run, read_run

from .card import write_card
from .errors import ConversionError
from .graphs import convert_graph
from .manifest import About, make_manifest
from .mediapipe import check_single, mediapipe_model
from .parity import broken_limits, compare
from .progress import show_parity, step
from .recipe import Recipe
from .representative import stratified, with_extremes
from .selftest import record
from .ways import device_way, graph_ways, trained_way

CORRECTION_PHOTOS = 64


def convert_run(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    recipe: Recipe,
    about: About,
    *,
    limits: Mapping[str, float] | None = None,
    force: bool = False,
    mediapipe: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Converts a trained run into one .derm file.

    Args:
        folder: the run folder.
        output: the file to write, whole or not at all.
        recipe: how the graphs are made.
        about: what the bundle says of itself.
        limits: in place of the config's `[conversion]`, {key: value} of derm_toolkit.training.config.Limits.
        force: write a bundle that breaks its limits, too; it and every result of it say so.
        mediapipe: a .tflite file to write beside it; see `derm_converters.mediapipe`.
        data: the data set's folder, when it is no longer where the run was trained.
        console: where progress is shown.
    Returns:
        The parity report, as the bundle's parity.json holds it.
    Raises:
        ConversionError: a limit is broken, or a graph cannot be converted; nothing is written.
        DermError: the run, its data or the output cannot be used.
    """
    console = console or Console(stderr=True)
    run = read_run(folder)
    asked = dataclasses.replace(run.config.conversion, **(limits or {}))
    dataset = run.dataset(data)
    split = run.split(dataset)
    cache = run.exact_cache(dataset)
    precision = recipe.precision
    chosen = stratified(split.photos(dataset, "train"), recipe.representative_photos)
    if mediapipe is not None:
        check_single(run)

    made: dict[str, dict[str, bytes]] = {}
    for each in dict.fromkeys(("float32", precision)):  # float32 too, so that each step can be blamed by itself
        made[each] = {}
        for spec in run.graphs:
            with step(console, f"convert {spec.id} to {each}"):
                made[each][spec.id] = _convert(
                    run, spec, dataclasses.replace(recipe, precision=each), cache, chosen, dataset, split
                )

    manifests = {each: make_manifest(run, dataset, split, about, graphs, recipe.to_dict()) for each, graphs in made.items()}
    bundles = {
        each: pack_bundle(manifests[each], run.taxonomy, run.calibration(), graphs, "", "") for each, graphs in made.items()
    }
    with step(console, "calibrate on the converted graphs' own logits"):
        calibration = _calibrate(run, bundles[precision], split.photos(dataset, "calibration"), cache, split)
    photos = split.photos(dataset, "validation")
    with step(console, f"compare each step on {len(photos)} validation photos"):
        ways = [trained_way(run, photos, cache), *graph_ways(run, bundles, calibration, photos, cache)]
        calibrated = pack_bundle(manifests[precision], run.taxonomy, calibration, made[precision], "", "")
        device = device_way(calibrated, [str(dataset.path(photo)) for photo in photos], photos)
        ways += [] if device is None else [device]
        skin_types = [photo.fitzpatrick for photo in photos]
        found = compare(run.composition, ways, [photo.leaf for photo in photos], units(photos, split), skin_types)
    show_parity(console, found)
    broken = broken_limits(found, asked)
    if broken and not force:
        raise ConversionError(
            "The converted model does not answer as the trained one, so nothing was written (--force writes it all the "
            "same, and marks it): " + "; ".join(broken) + "."
        )
    report = {**found, "split": "validation", "limits": dataclasses.asdict(asked), "broken": broken}
    manifest = {**manifests[precision], "parity": _short(report)}
    contents = (
        manifest,
        run.taxonomy,
        calibration,
        made[precision],
        write_card(manifest, run.taxonomy),
        about.licence_text,
    )
    parity = {"parity.json": json.dumps(report, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"}
    with step(console, "record the self-test"):
        packed = pack_bundle(*contents, parity | record(pack_bundle(*contents)))
    with Classifier(packed) as classifier:
        tested = classifier.selftest()
        if not tested.identical:
            raise ConversionError(f"The bundle does not answer as it did a moment ago, so nothing was written. {tested}")
    extra = b""
    if mediapipe is not None:
        with step(console, "convert for MediaPipe"):
            correction = _correction_photos(run, dataset, split, None)
            extra = mediapipe_model(run, calibration, recipe, cache, chosen, correction, about)
    write_bytes(output, packed)
    if mediapipe is not None:
        write_bytes(mediapipe, extra)
    console.print(f"{output}: {len(packed) / 1e6:.2f} MB. Try: derm classify PHOTO --model {output}")
    if broken:
        console.print(f"It is marked, for it breaks its limits: {'; '.join(broken)}.", highlight=False)
    return report


def _correction_photos(run: Run, dataset: Dataset, split: Split, given: str | None) -> list[Photo]:
    """The training photos that a graph is about, a few of each condition."""
    leaves = run.taxonomy.leaves_under(given)
    own = [photo for photo in split.photos(dataset, "train") if photo.leaf in leaves]
    return stratified(own, CORRECTION_PHOTOS)


def _convert(
    run: Run,
    spec: GraphSpec,
    recipe: Recipe,
    cache: PhotoCache,
    chosen: Sequence[Photo],
    dataset: Dataset,
    split: Split,
) -> bytes:
    """Converts one graph: ranges from `chosen` and the extremes, biases from photos that the graph is about."""
    size = run.preprocessing.size
    correction = _correction_photos(run, dataset, split, spec.given)

    def ranges() -> Iterator[dict[str, np.ndarray]]:
        return with_extremes(((cache.read(photo), photo.fitzpatrick) for photo in chosen), size, spec.inputs)

    def means() -> Iterator[dict[str, np.ndarray]]:
        return (network_inputs(cache.read(photo), photo.fitzpatrick, spec.inputs) for photo in correction)

    return convert_graph(run.load_model(spec.id), recipe, ranges, means)


def _calibrate(run: Run, bundle: bytes, photos: Sequence[Photo], cache: PhotoCache, split: Split) -> Calibration:
    logits = predict_bundle(bundle, photos, cache)
    root = logits[run.composition.root.graph]
    return fit_run(
        run.config,
        run.composition,
        logits,
        photos,
        measure_quality(photos, cache, root),
        split.photos(cache.dataset, "train"),
        {"split": "calibration", "digest": split.digest, "logits": "converted"},
    )


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
