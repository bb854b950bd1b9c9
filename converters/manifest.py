"""What a bundle says of itself: its manifest, filled from the run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import derm_sdk
from derm_toolkit.data.manifest import Dataset, Split
from derm_toolkit.training.run import Run

from .card import INTENDED_USE, card_figures
from .errors import ConversionError
from .graphs import describe_explain, describe_graph


@dataclass(frozen=True)
class About:
    """What a bundle says of itself: short id, full name, version, and the licence of its weights."""

    id: str
    name: str
    version: str
    licence: str
    licence_text: str


def make_manifest(
    run: Run,
    dataset: Dataset,
    split: Split,
    about: About,
    graphs: Mapping[str, bytes],
    quantization: Mapping[str, Any],
) -> dict[str, Any]:
    """The manifest without `format`, `files` and `parity`.

    Args:
        run: the trained model, its figures on test photos included where `derm-toolkit evaluate` has found them.
        dataset, split: what it was trained on.
        about: what it says of itself.
        graphs: {graph: bytes}.
        quantization: how they were made.
    Raises:
        ConversionError: the run's figures are damaged.
    """
    rows = []
    for spec in run.graphs:
        inputs, outputs = describe_graph(graphs[spec.id])
        outputs = [{**tensor, "node": spec.given} for tensor in outputs]
        row = {"id": spec.id, "given": spec.given, "labels": list(spec.labels), "inputs": inputs, "outputs": outputs}
        evidence = describe_explain(graphs[spec.id])
        rows.append(row if evidence is None else {**row, "explain": evidence})
    trained_on = split.photos(dataset, "train")
    return {
        "id": about.id,
        "name": about.name,
        "version": about.version,
        "created_with": f"derm-sdk {derm_sdk.__version__}",
        "kind": run.kind,
        "preprocessing": run.preprocessing.to_dict(),
        "graphs": rows,
        "composition": {"rule": "P(label) = P(given) * P(label | given); a parent is the sum of its children"},
        "quantization": dict(quantization),
        "training": {
            "photos": len(trained_on),
            "photos_by_condition": _count(photo.leaf for photo in trained_on),
            "photos_by_skin_type": _count(str(photo.fitzpatrick or "unknown") for photo in trained_on),
            "source": ", ".join(sorted({photo.source for photo in trained_on} - {""})),
            "dataset_sha256": dataset.digest,
            "split_sha256": split.digest,
            "config": (run.folder / "config.toml").read_text("utf-8"),
            **({"leaks": run.data["leaks"]} if run.data.get("leaks") else {}),
        },
        "metrics": _test_figures(run, dataset, split),
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
