"""A photo's way through the model: read, prepare, run the graphs, calibrate, compose, answer."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np

from .bundle import Bundle, Preprocessing, read_bundle
from .calibration import Calibration, quality_measures, quality_problems
from .composition import Composition, Floats, Head
from .errors import DermError, OptionError, closest
from .image import ImageSource, Pixels, read_image
from .preprocess import derive_inputs, resize
from .result import Prediction, Quality, Result
from .runtime import Network
from .taxonomy import Taxonomy

ROUTINGS = ("all", "lazy", "top")
_ROMAN = {"I": 1, "II": 2, "III": 3, "IV": 4, "V": 5, "VI": 6}


class Classifier:
    """A model from a .derm file, ready to classify photos. Safe to use from several threads, which take turns.

    Args:
        path: a .derm file, its bytes, or a bundle already read; without one, the starter that comes with the package.
        threads: threads that one graph may use, 1..64.
        routing: which graphs are run: "all"; "lazy" skips one when condition, answer, referral and prediction sets are
            the same without it; "top" runs only the graphs below the best category.
    Raises:
        BundleError, FileError: the file is damaged or cannot be read.
        RuntimeMissingError: no interpreter is installed.
        OptionError: threads or routing out of range.
    """

    def __init__(
        self, path: str | os.PathLike[str] | bytes | Bundle | None = None, *, threads: int = 1, routing: str = "all"
    ) -> None:
        if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= 64:
            raise OptionError(f"threads must be a whole number from 1 to 64; got {threads!r}.")
        self.routing = _check_routing(routing)
        self.bundle = path if isinstance(path, Bundle) else read_bundle(starter_path() if path is None else path)
        self._networks = {spec.id: Network(spec, self.bundle.graph_data[spec.id], threads) for spec in self.bundle.graphs}
        self._kinds = list(dict.fromkeys(tensor.kind for spec in self.bundle.graphs for tensor in spec.inputs))
        self._lock = threading.Lock()

    @property
    def taxonomy(self) -> Taxonomy:
        """The tree of labels."""
        return self.bundle.taxonomy

    @property
    def composition(self) -> Composition:
        """How the graphs' answers make the tree's probabilities."""
        return self.bundle.composition

    @property
    def calibration(self) -> Calibration:
        """The temperatures and thresholds in use."""
        return self.bundle.calibration

    @property
    def preprocessing(self) -> Preprocessing:
        """The size and fit that photos are prepared with."""
        return self.bundle.preprocessing

    def classify(
        self,
        image: ImageSource,
        *,
        fitzpatrick: int | str | None = None,
        channels: str = "rgb",
        routing: str | None = None,
    ) -> Result:
        """Classifies one photo.

        Args:
            image: path, bytes, binary file, uint8 array (HxW, HxWx1, HxWx3, HxWx4) or PIL image.
            fitzpatrick: skin type, 1..6 or "I".."VI"; None when unknown, which is as good.
            channels: order of an array's colours, "rgb" or "bgr".
            routing: as for the class, for this photo.
        Raises:
            ImageError, FileError: the picture cannot be used or read. OptionError: another argument is out of range.
        """
        skin_type = check_fitzpatrick(fitzpatrick)
        routing = self.routing if routing is None else _check_routing(routing)
        pixels = read_image(image, channels)
        rgb = resize(pixels, self.preprocessing.size, self.preprocessing.fit)
        logits = self._run(rgb, routing)
        nodes = self._nodes(logits)
        skipped = tuple(graph for graph in self._networks if graph not in logits)
        quality = self._quality(pixels, rgb, logits[self.composition.root.graph])
        return self._result(nodes, quality, skin_type, routing, skipped)

    def classify_many(self, images: Iterable[ImageSource], **options: Any) -> Iterator[Result]:
        """Classifies one photo after another, in order, holding one at a time; `options` as for `classify`."""
        for image in images:
            yield self.classify(image, **options)

    def logits(self, rgb: Pixels) -> dict[str, Floats]:
        """Runs every graph on a photo that is already resized: for evaluation and calibration.

        Args:
            rgb: uint8 [size, size, 3], as `derm_sdk.prepare` gives for "rgb".
        Returns:
            {graph id: float64 [labels]}, before any calibration.
        """
        return self._run(rgb, "all")

    def close(self) -> None:
        """Frees the graphs; the classifier cannot be used afterwards."""
        self._networks = {}

    def __enter__(self) -> Classifier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, rgb: Pixels, routing: str) -> dict[str, Floats]:
        if not self._networks:
            raise OptionError("This classifier was closed; open a new one.")
        prepared = derive_inputs(rgb, self._kinds)
        with self._lock:
            if routing == "all":
                return {graph: network.logits(prepared) for graph, network in self._networks.items()}
            return self._route(prepared, routing)

    def _route(self, prepared: Mapping[str, Pixels], routing: str) -> dict[str, Floats]:
        """Runs the graphs on the way to the best leaf; "lazy" then runs each other one that could change the result."""
        logits: dict[str, Floats] = {}
        waiting = list(self.composition.heads)

        def run(head: Head) -> None:
            logits[head.graph] = self._networks[head.graph].logits(prepared)
            waiting.remove(head)

        run(self.composition.root)
        while due := next((head for head in waiting if head.given in self._way_down(self._nodes(logits))), None):
            run(due)
        while routing == "lazy" and waiting:
            nodes = self._nodes(logits)
            unknown = {leaf for head in waiting for leaf in self.taxonomy.leaves_under(head.given)}
            known = [nodes[self.composition.column(leaf)] for leaf in self.taxonomy.leaves if leaf not in unknown]
            due = next((head for head in waiting if not self._changes_nothing(head, nodes, max(known, default=0.0))), None)
            if due is None:
                break
            run(due)
        return logits

    def _nodes(self, logits: Mapping[str, Floats]) -> Floats:
        """Probabilities of all nodes, float64 [nodes], from the graphs that were run."""
        probabilities = {graph: self.calibration.probabilities(graph, row[None]) for graph, row in logits.items()}
        skipped = [graph for graph in self._networks if graph not in logits]
        return np.asarray(self.composition.probabilities(probabilities, skipped=skipped)[0])

    def _way_down(self, nodes: Floats) -> list[str]:
        """Ids of the best child of the root, the best child of that, and so on down to a leaf."""
        way: list[str] = []
        while children := self.taxonomy.children(way[-1] if way else None):
            way.append(max(children, key=lambda node: nodes[self.composition.column(node.id)]).id)
        return way

    def _changes_nothing(self, head: Head, nodes: Floats, best_leaf: float) -> bool:
        """True when no node below `head` can be the best of its level, join a prediction set, or decide the referral."""
        calibration, taxonomy = self.calibration, self.taxonomy
        assert head.given is not None
        mass = float(nodes[self.composition.column(head.given)])
        below = taxonomy.levels[taxonomy.levels.index(taxonomy.node(head.given).level) + 1 :]
        least = min(calibration.sets.get(level, 0.0) for level in below)
        decides = calibration.refer_node is not None and _is_below(taxonomy, calibration.refer_node, head.given)
        return mass < best_leaf and mass < least and not decides

    def _quality(self, pixels: Pixels, rgb: Pixels, root_logits: Floats) -> Quality:
        measures = quality_measures(rgb, root_logits)
        problems = quality_problems(measures, self.calibration.quality)
        side = min(pixels.shape[:2])
        if side < self.preprocessing.size // 2:
            problems.append(f"too small ({pixels.shape[1]} x {pixels.shape[0]} pixels)")
        return Quality(tuple(problems), measures)

    def _result(
        self, nodes: Floats, quality: Quality, skin_type: int | None, routing: str, skipped: tuple[str, ...]
    ) -> Result:
        taxonomy, calibration, composition = self.taxonomy, self.calibration, self.composition
        found = {
            node.id: Prediction(node.id, node.name, node.level, float(nodes[composition.column(node.id)]), node.parent)
            for node in taxonomy.nodes
        }
        unknown = {
            node.id
            for head in composition.heads
            if head.graph in skipped
            for node in taxonomy.nodes
            if _is_below(taxonomy, node.id, head.given)
        }
        levels = {
            level: tuple(
                sorted((found[node.id] for node in taxonomy.at(level)), key=lambda p: (p.id in unknown, -p.probability))
            )
            for level in taxonomy.levels
        }
        answer = calibration.answers(composition, nodes[None])[0]
        reasons = calibration.reasons(composition, nodes)
        bundle = self.bundle
        return Result(
            levels=levels,
            answer=None if answer is None else found[answer],
            refer=bool(reasons),
            reasons=tuple(reasons),
            sets={level: _members(ranked, calibration.sets.get(level, 0.0)) for level, ranked in levels.items()},
            coverage=calibration.coverage,
            quality=quality,
            fitzpatrick=skin_type,
            routing=routing,
            skipped=skipped,
            model={"id": bundle.manifest["id"], "version": bundle.manifest["version"], "digest": bundle.digest},
        )


_default: Classifier | None = None
_default_lock = threading.Lock()


def classify(image: ImageSource, *, fitzpatrick: int | str | None = None, channels: str = "rgb") -> Result:
    """Classifies one photo with the starter model, which is opened once per process. Arguments as `Classifier.classify`."""
    global _default
    with _default_lock:
        if _default is None:
            _default = Classifier()
    return _default.classify(image, fitzpatrick=fitzpatrick, channels=channels)


def starter_path() -> str:
    """Path of the starter model that comes with the package. Raises DermError where the installation lacks it."""
    path = resources.files("derm_sdk") / "models" / "starter.derm"
    if not path.is_file():
        raise DermError("This installation has no starter model; name a .derm file: Classifier('skin.derm').")
    return str(path)


def check_fitzpatrick(value: object) -> int | None:
    """Reads a skin type: None, 1..6 or "I".."VI". Raises OptionError for anything else."""
    if value is None:
        return None
    if isinstance(value, str) and value.strip().upper() in _ROMAN:
        return _ROMAN[value.strip().upper()]
    try:
        number = None if isinstance(value, (bool, str, float)) else int(value.__index__())  # type: ignore[attr-defined]
    except AttributeError:
        number = None
    if number is None or not 1 <= number <= 6:
        raise OptionError(f"fitzpatrick must be 1 to 6, 'I' to 'VI', or None when unknown; got {value!r}.")
    return number


def _members(ranked: Sequence[Prediction], threshold: float) -> tuple[str, ...]:
    """The prediction set of a level: ids that reach the threshold, and always the best one."""
    return tuple(found.id for place, found in enumerate(ranked) if place == 0 or found.probability >= threshold)


def _check_routing(routing: str) -> str:
    if routing not in ROUTINGS:
        raise OptionError(f"Unknown routing {routing!r}." + closest(routing, ROUTINGS))
    return routing


def _is_below(taxonomy: Taxonomy, node: str, ancestor: str | None) -> bool:
    if ancestor is None:
        return True
    level = taxonomy.node(ancestor).level
    found = taxonomy.node(node)
    deeper = taxonomy.levels.index(found.level) > taxonomy.levels.index(level)
    return deeper and taxonomy.ancestor(node, level) == ancestor
