"""Does this device answer as the maker of a bundle saw it? Drawn pictures go the photo's way, and each stage is compared.

A bundle holds a dozen small pictures and what every stage made of them when it was converted. Each stage starts from what is
stored of the one before, so the first one that differs is the one to blame. docs/selftest.md tells how to read the result.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import preprocess
from .bundle import Bundle, GraphSpec
from .composition import Floats
from .errors import DermError
from .image import Pixels, decode
from .inputs import network_inputs
from .preprocess import FITS, least_side, resize, resize_definition
from .probes import Probe, Tolerances, fingerprint, prepared, probabilities, read_probes, sampled
from .runtime import package_version

STAGES = ("decoded pixels", "prepared inputs", "graph outputs", "probabilities", "whole way")
EXACT_PROBABILITY = 1e-9  # exp() may differ in its last bit from one C library to the next

Outputs = Callable[[Mapping[str, Pixels]], Mapping[str, NDArray[Any]]]
Answer = Callable[[bytes, int | None], Floats]


@dataclass(frozen=True)
class Stage:
    """How one stage went.

    Attributes:
        name: out of STAGES.
        identical, close, different: how many comparisons gave the same, were within the tolerance, or were not.
        note: about the first that differs most gravely: which picture, by how much, and the usual cause; "" without one.
    """

    name: str
    identical: int
    close: int
    different: int
    note: str

    def __str__(self) -> str:
        total = self.identical + self.close + self.different
        counts = f"{self.identical} of {total} identical"
        counts += f", {self.close} close" if self.close else ""
        counts += f", {self.different} DIFFERENT" if self.different else ""
        return f"{self.name:<16} {counts}" + (f"\n    {self.note}" if self.note else "")


@dataclass(frozen=True)
class SelfTest:
    """The result of a self-test.

    Attributes:
        model: {"id", "version", "digest"} of the bundle.
        stages: in the order of the photo's way.
        recorded_with, here: names and versions of the parts, where the bundle was made and where it was tested.
    """

    model: Mapping[str, str]
    stages: tuple[Stage, ...]
    recorded_with: Mapping[str, str]
    here: Mapping[str, str]

    @property
    def identical(self) -> bool:
        """Whether every stage gave exactly what was recorded."""
        return all(not stage.close and not stage.different for stage in self.stages)

    @property
    def passed(self) -> bool:
        """Whether every stage was identical or within its tolerance."""
        return all(not stage.different for stage in self.stages)

    @property
    def first_difference(self) -> Stage | None:
        """The first stage beyond its tolerance; if there is none, the first that is not identical; else None."""
        beyond = (stage for stage in self.stages if stage.different)
        within = (stage for stage in self.stages if stage.close)
        return next(beyond, None) or next(within, None)

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON-ready data."""
        stages = [
            {"name": s.name, "identical": s.identical, "close": s.close, "different": s.different, "note": s.note}
            for s in self.stages
        ]
        return {
            "identical": self.identical,
            "passed": self.passed,
            "model": dict(self.model),
            "stages": stages,
            "recorded_with": dict(self.recorded_with),
            "here": dict(self.here),
        }

    def __str__(self) -> str:
        first = self.first_difference
        if first is None:
            verdict = "identical: this device answers as the maker of the bundle saw it."
        elif self.passed:
            verdict = f"close: {first.name} differ from the record, within what sound devices differ by."
        else:
            verdict = f"DIFFERENT: {first.name} is the first stage that does not give what was recorded."
        return "\n".join([*map(str, self.stages), verdict])


def check(bundle: Bundle, outputs: Outputs, answer: Answer) -> SelfTest:
    """Sends every probe of a bundle the photo's way and compares each stage with the record.

    Args:
        bundle: with the entry "selftest.json".
        outputs: runs every graph: {kind: uint8} -> {graph: stored output [labels]}.
        answer: the whole way: (bytes of a picture file, skin type) -> float64 [nodes].
    Returns:
        How each stage went.
    Raises:
        BundleError: the bundle holds no self-test, or a damaged one.
    """
    probes, tolerances, recorded_with = read_probes(bundle)
    comparison = _Comparison(bundle, tolerances, recorded_with, surroundings())
    found: dict[str, list[_Compared]] = {name: [] for name in STAGES}
    for probe in probes:
        for name, compared in comparison.walk(probe, outputs, answer):
            found[name].append(compared)
    stages = tuple(_stage(name, each) for name, each in found.items())
    manifest = bundle.manifest
    model = {"id": manifest["id"], "version": manifest["version"], "digest": bundle.digest}
    return SelfTest(model, stages, recorded_with, comparison.here)


def surroundings() -> dict[str, str]:
    """Names and versions of what can change a stage's result on this device."""
    import PIL
    from PIL import features

    from . import __version__

    return {
        "derm_sdk": __version__,
        "machine": f"{platform.system()} {platform.machine()}",
        "pillow": PIL.__version__,
        "jpeg": f"libjpeg-turbo {features.version_feature('libjpeg_turbo')}",
        "webp": f"libwebp {features.version_module('webp')}",
        "core": "compiled" if preprocess.native else "NumPy",
        "runtime": package_version(),
    }


# --- Comparing ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Compared:
    """One comparison: "identical", "close" or "different"; `text` says by how much, `cause` why that usually is."""

    verdict: str
    text: str = ""
    cause: str = ""


_SAME = _Compared("identical")


def _stage(name: str, found: list[_Compared]) -> Stage:
    count = {verdict: sum(each.verdict == verdict for each in found) for verdict in ("identical", "close", "different")}
    gravest = next((verdict for verdict in ("different", "close") if count[verdict]), None)
    first = next((each for each in found if each.verdict == gravest), _SAME)
    return Stage(name, count["identical"], count["close"], count["different"], f"{first.text} {first.cause}".strip())


@dataclass(frozen=True)
class _Comparison:
    """Compares the stages of one probe after the other with the record of a bundle."""

    bundle: Bundle
    tolerances: Tolerances
    recorded: Mapping[str, str]
    here: Mapping[str, str]

    def walk(self, probe: Probe, outputs: Outputs, answer: Answer) -> Iterator[tuple[str, _Compared]]:
        """Yields (stage, comparison), each stage from the record of the one before, and the whole way at last."""
        yield STAGES[0], self.decoded(probe)
        if probe.pixels is not None:
            yield from self.from_pixels(probe, probe.pixels, outputs)
        try:
            yield STAGES[4], self.probabilities(probe, answer(probe.file, probe.fitzpatrick), self.tolerances.probability)
        except DermError as error:
            yield STAGES[4], _Compared("different", f"{probe.name} could not be classified: {error}")

    def from_pixels(self, probe: Probe, pixels: Pixels, outputs: Outputs) -> Iterator[tuple[str, _Compared]]:
        """The stages between the decoded pixels and the probabilities."""
        inputs = prepared(self.bundle, pixels, probe.fitzpatrick)
        for kind, array in inputs.items():
            yield STAGES[1], self.prepared(probe, pixels, kind, array)
        stored = outputs(inputs)
        for graph in self.bundle.graphs:
            yield STAGES[2], self.output(probe, graph, stored[graph.id])
        changed = "Usual cause: the calibration, the scale of an output or the tree was changed."
        found = probabilities(self.bundle, probe.outputs)
        yield STAGES[3], self.probabilities(probe, found, EXACT_PROBABILITY, changed)

    def decoded(self, probe: Probe) -> _Compared:
        """The file against the recorded pixels."""
        shape = self.bundle.preprocessing
        try:
            found = decode(probe.file, least=least_side(shape.size, shape.decode)).pixels
        except DermError as error:
            return _Compared("different", f"{probe.name} cannot be read here: {error}")
        if found.shape[:2] != (probe.height, probe.width):
            return self._another_size(found, probe)
        if fingerprint(found)["sha256"] == probe.decoded["sha256"]:
            return _SAME
        sample = np.frombuffer(bytes.fromhex(probe.decoded["sample"]), np.uint8)
        seen = found if probe.pixels is not None else sampled(found.ravel())
        apart = np.abs(seen.astype(np.int16) - (sample if probe.pixels is None else probe.pixels))
        text = f"{probe.name} differs by up to {apart.max()} levels, {apart.mean():.2f} on average."
        if probe.lossy and apart.max() <= self.tolerances.decoded and apart.mean() <= self.tolerances.decoded_mean:
            return _Compared("close", text, self._versions("Another version of the decoder", "pillow", "jpeg", "webp"))
        return _Compared("different", text, self._decoding_cause(found, probe))

    def _another_size(self, found: Pixels, probe: Probe) -> _Compared:
        height, width = found.shape[:2]
        text = f"{probe.name} is {width} x {height} pixels here, {probe.width} x {probe.height} in the record."
        if (height, width) == (probe.width, probe.height):
            return _Compared("different", text, "Usual cause: the EXIF orientation is not applied.")
        reduced = self.bundle.preprocessing.decode == "reduced"
        return _Compared("different", text, "Usual cause: large JPEGs are not decoded at a reduced size." if reduced else "")

    def _decoding_cause(self, found: Pixels, probe: Probe) -> str:
        if probe.pixels is None:
            return self._versions("Usual cause: another decoder", "pillow", "jpeg")
        pixels = probe.pixels

        def near(other: Pixels) -> bool:
            return float(np.abs(other.astype(np.int16) - pixels).mean()) < 2

        if near(found[..., ::-1]):
            return "Usual cause: red and blue are swapped, BGR was given as RGB."
        if any(near(other) for other in (found[::-1], found[:, ::-1], found[::-1, ::-1])):
            return "Usual cause: the EXIF orientation is not applied, or twice."
        return self._versions("Usual cause: another decoder", "pillow", "jpeg", "webp")

    def prepared(self, probe: Probe, pixels: Pixels, kind: str, array: Pixels) -> _Compared:
        """One prepared input against its recorded fingerprint."""
        wanted = probe.inputs[kind]
        if fingerprint(array)["sha256"] == wanted["sha256"]:
            return _SAME
        sample = np.frombuffer(bytes.fromhex(wanted["sample"]), np.uint8)
        found = sampled(array.ravel())
        by = "in its shape"
        if found.shape == sample.shape:
            apart = np.abs(found.astype(np.int16) - sample)
            by = f"at {np.count_nonzero(apart)} of {len(apart)} places looked at, by up to {apart.max()} levels"
        return _Compared("different", f"{kind!r} of {probe.name} differs {by}.", self._preparing_cause(probe, pixels, kind))

    def _preparing_cause(self, probe: Probe, pixels: Pixels, kind: str) -> str:
        size, fit = self.bundle.preprocessing.size, self.bundle.preprocessing.fit

        def gives(rgb: Pixels) -> bool:
            return fingerprint(network_inputs(rgb, probe.fitzpatrick, [kind])[kind]) == probe.inputs[kind]

        for other in FITS:
            if other != fit and gives(resize(pixels, size, other)):
                return f"Usual cause: the wrong fit; the recorded bytes are those of {other!r}, and {fit!r} was used."
        if gives(resize(np.ascontiguousarray(pixels[..., ::-1]), size, fit)):
            return "Usual cause: red and blue are swapped, BGR was given as RGB."
        if gives(resize_definition(pixels, size, fit)):
            return (
                "Usual cause: another resize than the definition, or a damaged compiled core; reinstall derm-sdk, or set "
                "DERM_SDK_NATIVE=0 to do without the core."
            )
        return "Usual cause: the inputs are derived by other code than docs/preprocessing.md describes."

    def output(self, probe: Probe, graph: GraphSpec, found: NDArray[Any]) -> _Compared:
        """The stored output of one graph against the recorded one."""
        wanted, usual = probe.outputs[graph.id], self.tolerances.outputs[graph.id]
        if np.array_equal(found, wanted):
            return _SAME
        apart = float(np.abs(found.astype(np.float64) - wanted).max())
        unit = "steps" if graph.output.dtype == "uint8" else "(real values)"
        text = f"the graph {graph.id!r} differs on {probe.name} by up to {apart:g} {unit}; up to {usual:g} is usual."
        if apart <= usual:
            return _Compared("close", text, self._versions("Other kernels than XNNPACK's, or", "runtime", "machine"))
        cause = self._versions("Usual cause: another graph than was recorded, or", "runtime", "machine")
        return _Compared("different", text, cause)

    def probabilities(self, probe: Probe, found: Floats, tolerance: float, cause: str = "") -> _Compared:
        """Probabilities of all nodes, float64 [nodes], against the recorded ones."""
        apart = np.abs(found - probe.probabilities)
        worst = int(apart.argmax())
        if apart[worst] <= EXACT_PROBABILITY:
            return _SAME
        node, wanted = self.bundle.taxonomy.nodes[worst].id, probe.probabilities[worst]
        text = f"the probability of {node!r} on {probe.name} is {found[worst]:.4f} here, {wanted:.4f} in the record."
        return _Compared("close", text) if apart[worst] <= tolerance else _Compared("different", text, cause)

    def _versions(self, what: str, *names: str) -> str:
        """Ends with the versions that differ between the record and this device."""
        pairs = [(name, self.recorded.get(name), self.here[name]) for name in names]
        apart = [f"{name} {there} in the record, {here} here" for name, there, here in pairs if there != here]
        return f"{what}: {'; '.join(apart)}." if apart else f"{what} (the versions are the recorded ones)."
