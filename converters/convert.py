"""The way from a run folder to a .derm file: convert each graph, calibrate again, compare, and only then write."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import derm_sdk
from derm_sdk import Classifier
from derm_sdk.bundle import pack_bundle
from derm_sdk.calibration import Calibration
from derm_sdk.files import write_bytes
from derm_sdk.inputs import network_inputs
from derm_toolkit.data.cache import PhotoCache
from derm_toolkit.data.manifest import Dataset, Photo, Split
from derm_toolkit.evaluation.bootstrap import units
from derm_toolkit.evaluation.calibrate import fit_run
from derm_toolkit.evaluation.predict import Logits, measure_quality, predict_bundle, predict_models
from derm_toolkit.training.run import Run, read_run

from .card import INTENDED_USE, card_figures, write_card
from .errors import ConversionError
from .graphs import convert_graph, describe_explain, describe_graph
from .parity import Limits, broken_limits, compare
from .representative import stratified, with_extremes
from .selftest import record

CORRECTION_PHOTOS = 64


@dataclass(frozen=True)
class About:
    """What a bundle says of itself: short id, full name, version, and the licence of its weights."""

    id: str
    name: str
    version: str
    licence: str
    licence_text: str


def convert_run(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    precision: str,
    about: About,
    *,
    limits: Limits | None = None,
    representative_photos: int = 200,
    bias_correction: bool = True,
    explain: bool = True,
    data: str | os.PathLike[str] | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Converts a trained run into one .derm file.

    Args:
        folder: the run folder.
        output: the file to write, whole or not at all.
        precision: "int8", "float16" or "float32".
        about: what the bundle says of itself.
        limits: what the converted model must keep of the trained one; the defaults unless given.
        representative_photos: training photos from which int8 takes its ranges.
        bias_correction: int8 alone; see `derm_converters.bias_correction`.
        explain: whether graphs with a pooled head get the signature "explain" too; see `derm_converters.evidence`.
        data: the data set's folder, when it is no longer where the run was trained.
        console: where progress is shown.
    Returns:
        The parity report, as `derm_converters.parity.compare` makes it, with its limits.
    Raises:
        ConversionError: a limit is broken, or a graph cannot be converted; nothing is written.
        DermError: the run, its data or the output cannot be used.
    """
    console = console or Console(stderr=True)
    limits = limits or Limits()
    run = read_run(folder)
    dataset = run.dataset(data)
    split = run.split(dataset)
    cache = run.exact_cache(dataset)
    trained_calibration = run.calibration()
    train = split.photos(dataset, "train")
    chosen = stratified(train, representative_photos)
    test_figures = _test_figures(run, dataset, split)

    graphs: dict[str, bytes] = {}
    for spec in run.graphs:
        with _step(console, f"convert {spec.id} to {precision}"):
            own = [photo for photo in train if photo.leaf in run.taxonomy.leaves_under(spec.given)]
            correction = stratified(own, CORRECTION_PHOTOS) if bias_correction else None
            graphs[spec.id] = _convert(run, spec.id, precision, cache, chosen, correction, explain)

    manifest = _manifest(run, dataset, split, precision, about, graphs, len(chosen), bias_correction, test_figures)
    uncalibrated = pack_bundle(manifest, run.taxonomy, trained_calibration, graphs, "", "")
    with _step(console, "calibrate on the converted graphs' own logits"):
        calibration = _calibrate(run, uncalibrated, split.photos(dataset, "calibration"), cache, split)
    with _step(console, "compare with the trained model on the validation photos"):
        photos = split.photos(dataset, "validation")
        report = compare(
            run.composition,
            (trained_calibration, _trained_logits(run, photos, cache)),
            (calibration, predict_bundle(uncalibrated, photos, cache)),
            [photo.leaf for photo in photos],
            units(photos, split),
            [photo.fitzpatrick for photo in photos],
        )
    _show(console, report)
    broken = broken_limits(report, limits)
    if broken:
        raise ConversionError(
            "The converted model does not answer as the trained one, so nothing was written: " + "; ".join(broken) + "."
        )
    manifest["parity"] = {**report, "split": "validation", "limits": asdict(limits)}
    card = write_card(manifest, run.taxonomy)
    contents = (manifest, run.taxonomy, calibration, graphs, card, about.licence_text)
    with _step(console, "record the self-test"):
        packed = pack_bundle(*contents, record(pack_bundle(*contents)))
    with Classifier(packed) as classifier:
        tested = classifier.selftest()
        if not tested.identical:
            raise ConversionError(f"The bundle does not answer as it did a moment ago, so nothing was written. {tested}")
        write_bytes(output, packed)
    console.print(f"{output}: {len(packed) / 1e6:.2f} MB. Try: derm classify PHOTO --model {output}")
    return manifest["parity"]


def _convert(
    run: Run,
    graph: str,
    precision: str,
    cache: PhotoCache,
    chosen: Sequence[Photo],
    correction: Sequence[Photo] | None,
    explain: bool,
) -> bytes:
    """Converts one graph: ranges from `chosen` and the extremes, biases from `correction`, photos the graph is about."""
    spec = run.graph(graph)
    size = run.preprocessing.size

    def ranges() -> Iterator[dict[str, np.ndarray]]:
        return with_extremes(((cache.read(photo), photo.fitzpatrick) for photo in chosen), size, spec.inputs)

    def means() -> Iterator[dict[str, np.ndarray]]:
        return (network_inputs(cache.read(photo), photo.fitzpatrick, spec.inputs) for photo in correction or ())

    return convert_graph(run.load_model(graph), precision, ranges, None if correction is None else means, explain=explain)


def _trained_logits(run: Run, photos: Sequence[Photo], cache: PhotoCache) -> Logits:
    return predict_models({spec.id: run.load_model(spec.id) for spec in run.graphs}, photos, cache)


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


def _manifest(
    run: Run,
    dataset: Dataset,
    split: Split,
    precision: str,
    about: About,
    graphs: dict[str, bytes],
    representative: int,
    bias_correction: bool,
    test_figures: dict[str, Any],
) -> dict[str, Any]:
    rows = []
    for spec in run.graphs:
        inputs, outputs = describe_graph(graphs[spec.id])
        outputs = [{**tensor, "node": spec.given} for tensor in outputs]
        row = {"id": spec.id, "given": spec.given, "labels": list(spec.labels), "inputs": inputs, "outputs": outputs}
        evidence = describe_explain(graphs[spec.id])
        rows.append(row if evidence is None else {**row, "explain": evidence})
    trained_on = split.photos(dataset, "train")
    config = run.folder / "config.toml"
    return {
        "id": about.id,
        "name": about.name,
        "version": about.version,
        "created_with": f"derm-sdk {derm_sdk.__version__}",
        "kind": run.kind,
        "preprocessing": run.preprocessing.to_dict(),
        "graphs": rows,
        "composition": {"rule": "P(label) = P(given) * P(label | given); a parent is the sum of its children"},
        "quantization": {
            "precision": precision,
            "representative_photos": representative if precision == "int8" else 0,
            "bias_correction": bias_correction and precision == "int8",
        },
        "training": {
            "photos": len(trained_on),
            "photos_by_condition": _count(photo.leaf for photo in trained_on),
            "photos_by_skin_type": _count(str(photo.fitzpatrick or "unknown") for photo in trained_on),
            "source": ", ".join(sorted({photo.source for photo in trained_on} - {""})),
            "dataset_sha256": dataset.digest,
            "split_sha256": split.digest,
            "config": config.read_text("utf-8"),
        },
        "parity": {},
        "metrics": test_figures,
        "licence": about.licence,
        "intended_use": INTENDED_USE,
    }


def _test_figures(run: Run, dataset: Dataset, split: Split) -> dict[str, Any]:
    """What `derm-toolkit evaluate RUN --split test` found, if it was run before, about these weights and photos."""
    path = run.folder / "evaluation" / "test.json"
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text("utf-8"))
        expected = (dataset.digest, split.digest, run.model_digest)
        same = (found["dataset"], found["split"], found.get("model_sha256")) == expected
        same = same and not found.get("other_split") and found.get("source") is None and found.get("prior") is None
        return card_figures(found) if same else {}
    except (ValueError, KeyError, TypeError) as error:
        raise ConversionError(f"{str(path)!r} is damaged; run derm-toolkit evaluate again.") from error


def _count(values: Iterator[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _show(console: Console, report: dict[str, Any]) -> None:
    table = Table(title=f"converted beside trained, {report['overall']['n']} validation photos", title_justify="left")
    levels = list(report["overall"]["levels"])
    for heading in ("", "n", f"same {levels[0]}", f"same {levels[-1]}", "same referral", "divergence"):
        table.add_column(heading, justify="left" if not heading else "right")
    rows = {"all photos": report["overall"]} | {
        f"skin type {name}": figures for name, figures in report["by_skin_type"].items()
    }
    for name, figures in rows.items():
        if "levels" not in figures:
            table.add_row(name, str(figures["n"]), "too few", "", "", "")
            continue
        agreements = [
            *(figures["levels"][level]["agreement"] for level in (levels[0], levels[-1])),
            figures["refer_agreement"],
        ]
        table.add_row(
            name, str(figures["n"]), *(f"{100 * share:.1f} %" for share in agreements), f"{figures['divergence']:.4f}"
        )
    console.print(table)
    for level, figures in report["overall"]["levels"].items():
        low, high = figures["accuracy_change_95"]
        console.print(
            f"{level} accuracy {figures['accuracy_trained']:.3f} trained, {figures['accuracy_converted']:.3f} converted; "
            f"change {figures['accuracy_change']:+.3f} [{low:+.3f}, {high:+.3f}]",
            highlight=False,
        )
    sensitivity = report["overall"]["sensitivity"]
    if sensitivity:
        console.print(
            f"of {sensitivity['n']} {sensitivity['node']} photos {sensitivity['trained']:.3f} are referred when trained, "
            f"{sensitivity['converted']:.3f} when converted",
            highlight=False,
        )


@contextmanager
def _step(console: Console, name: str) -> Iterator[None]:
    start = time.perf_counter()
    with console.status(name):
        yield
    console.print(f"{name}: {time.perf_counter() - start:.1f} s")
