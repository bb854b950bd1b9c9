"""The steps from the trained model to the shipped one, each as a way of answering the same photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from derm_sdk import Classifier, Taxonomy
from derm_sdk.calibration import Calibration
from derm_sdk.composition import Composition
from derm_sdk.errors import FileError
from derm_toolkit.data.cache import PhotoCache
from derm_toolkit.data.manifest import Photo
from derm_toolkit.evaluation.predict import Logits, predict_bundle, predict_models
from derm_toolkit.training.run import Run

from .parity import Way

PRECISION_STEPS = {"int8": "quantisation", "float16": "16-bit weights", "float32": "conversion"}


def trained_way(run: Run, photos: Sequence[Photo], cache: PhotoCache) -> Way:
    """The trained networks in Keras, with their own calibration."""
    logits = predict_models({spec.id: run.load_model(spec.id) for spec in run.graphs}, photos, cache)
    return _way("trained", "", run.composition, run.calibration(), logits)


def graph_ways(
    run: Run, bundles: Mapping[str, bytes], calibration: Calibration, photos: Sequence[Photo], cache: PhotoCache
) -> list[Way]:
    """The converted graphs with the trained model's calibration, and the last of them with its own.

    Args:
        run: the trained model.
        bundles: {precision: bytes of a bundle}, float32 first where there are two; the last is the one to ship.
        calibration: fitted on the last one's own logits.
    """
    ways = []
    logits: Logits = {}
    for precision, packed in bundles.items():
        logits = predict_bundle(packed, photos, cache)
        step = PRECISION_STEPS[precision]
        ways.append(_way(f"{precision} graph", step, run.composition, run.calibration(), logits))
    return [*ways, _way("calibrated again", "calibration", run.composition, calibration, logits)]


def device_way(packed: bytes, files: Sequence[str], photos: Sequence[Photo]) -> Way | None:
    """The bundle as an app runs it, from the photo files; None where a file is no longer there.

    Args:
        packed: the bundle that will be written.
        files: path of each photo.
        photos: the same, for their skin types.
    """
    with Classifier(packed) as classifier:
        rows = []
        for file, photo in zip(files, photos, strict=True):
            try:
                result = classifier.classify(file, fitzpatrick=photo.fitzpatrick)
            except FileError:
                return None
            found = {each.id: each.probability for level in result.levels.values() for each in level}
            rows.append(_in_order(found, classifier.taxonomy))
        return Way("device", "the device", classifier.calibration, np.array(rows))


def _in_order(probabilities: Mapping[str, float], taxonomy: Taxonomy) -> list[float]:
    return [probabilities[node.id] for node in taxonomy.nodes]


def _way(name: str, step: str, composition: Composition, calibration: Calibration, logits: Logits) -> Way:
    return Way(name, step, calibration, calibration.nodes(composition, logits))
