"""One recipe carried out on a run: its graphs, calibrated on their own answers, and set beside the trained model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from derm_sdk.bundle import pack_bundle
from derm_sdk.calibration import Calibration
from derm_toolkit.data.manifest import Photo
from derm_toolkit.evaluation.bootstrap import units
from derm_toolkit.evaluation.calibrate import fit_run
from derm_toolkit.evaluation.predict import measure_quality, predict_bundle

from .graphs import float_outputs
from .manifest import About, make_manifest
from .material import Material
from .parity import Way, compare
from .progress import step
from .recipe import Recipe
from .ways import device_way, graph_ways

Graphs = dict[str, bytes]


@dataclass(frozen=True)
class Candidate:
    """A converted model that could be shipped.

    Attributes:
        recipe: how it was made.
        graphs: {graph: bytes}.
        manifest: of its bundle, without the parity.
        bundle: with the calibration of the trained model.
        calibration: fitted on its own logits of the calibration photos.
    """

    recipe: Recipe
    graphs: Graphs
    manifest: Mapping[str, Any]
    bundle: bytes
    calibration: Calibration


def make_candidate(material: Material, recipe: Recipe, about: About, console: Console) -> Candidate:
    """Converts every graph of a run and calibrates the whole.

    Raises:
        ConversionError: a graph cannot be converted. DermError: the run or its photos cannot be used.
    """
    graphs = make_graphs(material, recipe, console)
    manifest, bundle = _bundle(material, recipe, about, graphs)
    with step(console, "calibrate on the converted graphs' own logits"):
        calibration = _calibrate(material, bundle)
    return Candidate(recipe, graphs, manifest, bundle, calibration)


def float_bundle(material: Material, recipe: Recipe, about: About, console: Console) -> bytes:
    """The same networks in float32, with the calibration of the trained model, so that each step can be blamed by itself."""
    plain = dataclasses.replace(recipe, precision="float32")
    return _bundle(material, plain, about, make_graphs(material, plain, console))[1]


def make_graphs(material: Material, recipe: Recipe, console: Console) -> Graphs:
    """Converts every graph of a run: {graph: bytes}."""
    graphs: Graphs = {}
    for spec in material.run.graphs:
        name = f"convert {spec.id} to {recipe.precision}"
        with step(console, name) as status:

            def progress(
                graph: str, done: int, total: int, divergence: float, name: str = name, status: Any = status
            ) -> None:
                status.update(f"{name}: fine-tuning, step {done} of {total}, divergence {divergence:.4f}")

            graphs[spec.id] = material.convert(spec, recipe, progress)
    return graphs


def beside(
    material: Material,
    candidate: Candidate,
    trained: Way,
    photos: Sequence[Photo],
    plain: bytes | None = None,
    device: bool = False,
) -> dict[str, Any]:
    """Sets a candidate beside the trained model; the result is that of `derm_converters.parity.compare`.

    Args:
        material: the run.
        candidate: what was made of it.
        trained: the trained networks' answers to `photos`.
        photos: those compared.
        plain: the bundle of `float_bundle`, as a step of its own.
        device: whether the finished bundle is asked, too, by the photo files.
    """
    run = material.run
    bundles = ({} if plain is None else {"float32": plain}) | {candidate.recipe.precision: candidate.bundle}
    ways = [trained, *graph_ways(run, bundles, candidate.calibration, photos, material.cache)]
    if device:
        calibrated = pack_bundle(candidate.manifest, run.taxonomy, candidate.calibration, candidate.graphs, "", "")
        found = device_way(calibrated, [str(material.dataset.path(photo)) for photo in photos], photos)
        ways += [] if found is None else [found]
    skin_types = [photo.fitzpatrick for photo in photos]
    return compare(run.composition, ways, [photo.leaf for photo in photos], units(photos, material.split), skin_types)


def _bundle(material: Material, recipe: Recipe, about: About, graphs: Graphs) -> tuple[dict[str, Any], bytes]:
    """A manifest, and the bundle with the calibration of the trained model."""
    run, how = material.run, recipe.to_dict()
    if recipe.precision == "int8" and recipe.float_layers:
        how["in_floats"] = {name: float_outputs(graph) for name, graph in graphs.items()}
    manifest = make_manifest(run, material.dataset, material.split, about, graphs, how)
    return manifest, pack_bundle(manifest, run.taxonomy, run.calibration(), graphs, "", "")


def _calibrate(material: Material, bundle: bytes) -> Calibration:
    run, photos = material.run, material.photos("calibration")
    logits = predict_bundle(bundle, photos, material.cache)
    return fit_run(
        run.config,
        run.composition,
        logits,
        photos,
        measure_quality(photos, material.cache, logits[run.composition.root.graph]),
        material.photos("train"),
        {"split": "calibration", "digest": material.split.digest, "logits": "converted"},
    )
