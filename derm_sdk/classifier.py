"""A photo's way through the model: read, prepare, run the graphs, calibrate, compose, answer."""

from __future__ import annotations

import operator
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

from numpy.typing import NDArray

from .arithmetic import total
from .bundle import Bundle, Preprocessing, read_bundle
from .calibration import Calibration, quality_measures, quality_problems
from .composition import Composition, Floats
from .errors import DermError, OptionError
from .explanation import Explanation, check_explains, explained, target_of, target_of_answer
from .fitzpatrick import check_fitzpatrick
from .heat import Frame
from .image import Decoded, ImageSource, Pixels, decode
from .inputs import network_inputs
from .preprocess import least_side, resize
from .prior import check_prior, prior_factors, reweighted
from .result import Prediction, Quality, Result
from .routing import check_routing, composed, run_graphs
from .runtime import EvidenceNetwork, Network
from .selftest import SelfTest, check
from .taxonomy import Taxonomy


class Classifier:
    """A model from a .derm file, ready to classify photos. Safe to use from several threads, which take turns.

    Args:
        path: a .derm file, its bytes, or a bundle already read; without one, the starter that comes with the package.
        threads: threads that one graph may use, 1..64.
        routing: which graphs are run: "all"; "lazy" skips one when condition, answer, referral and prediction sets are
            the same without it; "top" runs only the graphs below the best category.
        prior: how common labels are where the photos come from, {id or name of a node: share of the photos}, on any level;
            what they leave over belongs to the rest of the tree. Without it they are as common as in the training. With
            it every graph is run.
    Raises:
        BundleError, FileError: the file is damaged or cannot be read.
        RuntimeMissingError: no interpreter is installed.
        OptionError: threads, routing or prior out of range, or a path that is none.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | bytes | bytearray | memoryview | Bundle | None = None,
        *,
        threads: int = 1,
        routing: str = "all",
        prior: Mapping[str, float] | None = None,
    ) -> None:
        self._threads = threads = _check_threads(threads)
        self.routing = check_routing(routing)
        self.bundle = path if isinstance(path, Bundle) else read_bundle(starter_path() if path is None else path)
        self._prior = self._read_prior(prior, self.routing)
        self._networks = {spec.id: Network(spec, self.bundle.graph_data[spec.id], threads) for spec in self.bundle.graphs}
        self._evidence: dict[str, EvidenceNetwork] = {}  # opened when a graph is first asked for an explanation
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
        """How photos are decoded, fitted and resized."""
        return self.bundle.preprocessing

    def classify(
        self,
        image: ImageSource,
        *,
        fitzpatrick: int | str | None = None,
        channels: str = "rgb",
        routing: str | None = None,
        prior: Mapping[str, float] | None = None,
    ) -> Result:
        """Classifies one photo.

        Args:
            image: path, bytes, binary file, uint8 array (HxW, HxWx1, HxWx3, HxWx4) or PIL image.
            fitzpatrick: skin type, 1..6 or "I".."VI"; None when unknown, a value like the others. It changes the answer
                only where a graph takes it; every result records it.
            channels: order of an array's colours, "rgb" or "bgr".
            routing, prior: as for the class, for this photo.
        Returns:
            The probability of every node, the answer, the prediction sets, and whether to refer.
        Raises:
            ImageError, FileError: the picture cannot be used or read.
            OptionError: another argument is out of range, or the classifier was closed.
            BundleError: a graph answered with what is no number.
        """
        skin_type = check_fitzpatrick(fitzpatrick)
        routing = self.routing if routing is None else check_routing(routing)
        shares, factors = self._prior if prior is None else self._read_prior(prior, routing)
        if factors is not None:
            routing = _with_prior(routing)
        photo, rgb = self._seen(image, channels)
        logits = self._run(rgb, skin_type, routing)
        return self._told(photo, rgb, logits, skin_type, routing, shares, factors)

    def classify_many(self, images: Iterable[ImageSource], **options: Any) -> Iterator[Result]:
        """Classifies one photo after another, in order, holding one at a time.

        Args:
            images: any iterable of what `classify` takes.
            options: the keyword arguments of `classify`, the same for every photo.
        Returns:
            An iterator of results; a photo is read when its result is asked for.
        Raises:
            OptionError: `images` is a single path or the bytes of one file. While iterating: as `classify`.
        """
        if isinstance(images, (str, bytes, bytearray, memoryview, os.PathLike)):
            raise OptionError(f"classify_many takes several photos, such as [photo]; got one {type(images).__name__}.")
        return (self.classify(image, **options) for image in images)

    def explain(
        self,
        image: ImageSource,
        node: str | None = None,
        *,
        fitzpatrick: int | str | None = None,
        channels: str = "rgb",
    ) -> Explanation:
        """Shows where in a photo the model sees the evidence for a node: a class activation map, without gradients.

        Args:
            image, fitzpatrick, channels: as for `classify`.
            node: id or name of a node; None for the answer of `classify` or the nearest node above it that the model can
                explain, and for the best of its topmost ones where nothing is certain enough.
        Returns:
            The map, its strongest place and the box around it: weakly supervised, never validated against drawn boxes.
        Raises:
            ImageError, FileError: the picture cannot be used or read.
            OptionError: an unknown node, one that the model cannot explain, or another argument out of range.
            BundleError: the graph is not the one of its description.
        """
        able = [graph.id for graph in self.bundle.graphs if graph.explain is not None]
        check_explains(able)  # before the photo is read and run
        asked = None if node is None else target_of(self.composition, able, node)
        skin_type = check_fitzpatrick(fitzpatrick)
        photo, rgb = self._seen(image, channels)
        logits = self._run(rgb, skin_type, "all")
        nodes = composed(self.composition, self.calibration, logits)
        answer = self.calibration.answers(self.composition, nodes[None])[0]
        found, target = asked or target_of_answer(self.composition, able, answer, nodes)
        graph = target.head.graph
        weights = target.score_weights(self.calibration.probabilities(graph, logits[graph][None])[0])
        evidence = total(self._evidence_of(graph, network_inputs(rgb, skin_type, self.bundle.input_kinds)) * weights)
        frame = Frame.of(photo.width, photo.height, self.preprocessing.fit)
        return explained(found, float(nodes[self.composition.column(found)]), target, "cam", evidence, rgb, frame)

    def logits(self, rgb: Pixels, *, fitzpatrick: int | str | None = None) -> dict[str, Floats]:
        """Runs every graph on a photo that is already resized: for evaluation and calibration.

        Args:
            rgb: uint8 [size, size, 3], as `derm_sdk.prepare` gives for "rgb".
            fitzpatrick: as for `classify`.
        Returns:
            {graph id: float64 [labels]}, before any calibration.
        Raises:
            OptionError: no such skin type, or the classifier was closed.
            BundleError: a graph answered with what is no number.
        """
        return self._run(rgb, check_fitzpatrick(fitzpatrick), "all")

    def evidence(self, rgb: Pixels, *, fitzpatrick: int | str | None = None) -> dict[str, Floats]:
        """Runs the signature "explain" of every graph that has one, on a photo that is already resized.

        Args:
            rgb, fitzpatrick: as for `logits`.
        Returns:
            {graph id: float64 [h, w, labels]}: how much each place speaks for each label. Its mean over the places is the
            label's logit, but for what does not depend on the place.
        Raises:
            OptionError: no such skin type, or the classifier was closed. BundleError: a graph is not as described.
        """
        prepared = network_inputs(rgb, check_fitzpatrick(fitzpatrick), self.bundle.input_kinds)
        return {graph.id: self._evidence_of(graph.id, prepared) for graph in self.bundle.graphs if graph.explain}

    def selftest(self) -> SelfTest:
        """Does this device answer as the maker of the bundle saw it? Sends the bundle's drawn pictures the photo's way.

        Returns:
            How each stage compares with the record: identical, within what sound devices differ by, or different; and
            where the way first parts from the record. Routing and prior of this classifier play no part.
        Raises:
            BundleError: the bundle was made without a self-test, or holds a damaged one.
            OptionError: the classifier was closed.
        """
        return check(self.bundle, self._stored_outputs, self._all_nodes)

    def close(self) -> None:
        """Frees the graphs, once a photo that another thread is at is done; the classifier cannot be used afterwards."""
        with self._lock:
            self._networks, self._evidence = {}, {}

    def __enter__(self) -> Classifier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _seen(self, image: ImageSource, channels: str = "rgb") -> tuple[Decoded, Pixels]:
        """The photo as it was read, and the square that the networks see, uint8 [size, size, 3]."""
        shape = self.preprocessing
        photo = decode(image, channels, least_side(shape.size, shape.decode))
        return photo, resize(photo.pixels, shape.size, shape.fit)

    def _run(self, rgb: Pixels, skin_type: int | None, routing: str) -> dict[str, Floats]:
        prepared = network_inputs(rgb, skin_type, self.bundle.input_kinds)
        with self._lock:
            if not self._networks:
                raise OptionError("This classifier was closed; open a new one.")
            return run_graphs(
                self.composition, self.calibration, routing, lambda head: self._networks[head.graph].logits(prepared)
            )

    def _stored_outputs(self, prepared: Mapping[str, Pixels]) -> dict[str, NDArray[Any]]:
        with self._lock:
            if not self._networks:
                raise OptionError("This classifier was closed; open a new one.")
            return {graph: network.stored_output(prepared) for graph, network in self._networks.items()}

    def _all_nodes(self, image: ImageSource, skin_type: int | None) -> Floats:
        """Probabilities of all nodes, float64 [nodes], without a prior."""
        return composed(self.composition, self.calibration, self._run(self._seen(image)[1], skin_type, "all"))

    def _evidence_of(self, graph: str, prepared: dict[str, Pixels]) -> Floats:
        with self._lock:
            if not self._networks:
                raise OptionError("This classifier was closed; open a new one.")
            if graph not in self._evidence:
                spec = self._networks[graph].spec
                self._evidence[graph] = EvidenceNetwork(spec, self.bundle.graph_data[graph], self._threads)
            return self._evidence[graph].evidence(prepared)

    def _told(
        self,
        photo: Decoded,
        rgb: Pixels,
        logits: dict[str, Floats],
        skin_type: int | None,
        routing: str,
        shares: Mapping[str, float] | None = None,
        factors: Floats | None = None,
    ) -> Result:
        """Logits of the graphs that were run -> the result: calibrated, composed, answered."""
        nodes = composed(self.composition, self.calibration, logits)
        if factors is not None:
            nodes = reweighted(self.composition, nodes[None], factors)[0]
        skipped = tuple(graph.id for graph in self.bundle.graphs if graph.id not in logits)
        quality = self._quality(photo, rgb, logits[self.composition.root.graph])
        return self._result(nodes, quality, skin_type, routing, skipped, shares)

    def _quality(self, photo: Decoded, rgb: Pixels, root_logits: Floats) -> Quality:
        measures = quality_measures(rgb, root_logits)
        problems = quality_problems(measures, self.calibration.quality)
        if min(photo.width, photo.height) < self.preprocessing.size // 2:
            problems.append(f"too small ({photo.width} x {photo.height} pixels)")
        return Quality(tuple(problems), measures)

    def _result(
        self,
        nodes: Floats,
        quality: Quality,
        skin_type: int | None,
        routing: str,
        skipped: tuple[str, ...],
        prior: Mapping[str, float] | None,
    ) -> Result:
        taxonomy, calibration, composition = self.taxonomy, self.calibration, self.composition
        found = {
            node.id: Prediction(node.id, node.name, node.level, float(nodes[composition.column(node.id)]), node.parent)
            for node in taxonomy.nodes
        }
        unsplit = [head.given for head in composition.heads if head.graph in skipped]
        unknown = {node.id for node in taxonomy.nodes if any(taxonomy.is_below(node.id, given) for given in unsplit)}
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
            prior=prior,
            warnings=bundle.warnings,
        )

    def _read_prior(
        self, prior: Mapping[str, float] | None, routing: str
    ) -> tuple[Mapping[str, float] | None, Floats | None]:
        """The checked shares and what each leaf is multiplied by; (None, None) without a prior."""
        if prior is None:
            return None, None
        _with_prior(routing)
        shares = check_prior(prior, self.taxonomy)
        training = self.bundle.manifest.get("training")
        counts = training.get("photos_by_condition") if isinstance(training, Mapping) else None
        return shares, prior_factors(shares, counts, self.taxonomy)


_default: Classifier | None = None
_default_lock = threading.Lock()


def classify(
    image: ImageSource,
    *,
    fitzpatrick: int | str | None = None,
    channels: str = "rgb",
    prior: Mapping[str, float] | None = None,
) -> Result:
    """Classifies one photo with the starter model, which is opened once per process.

    Args:
        image: path, bytes, binary file, uint8 array (HxW, HxWx1, HxWx3, HxWx4) or PIL image.
        fitzpatrick: skin type, 1..6 or "I".."VI"; None when unknown, a value like the others. It changes the answer only
            where a graph takes it; the result records it.
        channels: order of an array's colours, "rgb" or "bgr".
        prior: how common labels are where the photo comes from, {id or name of a node: share}, as for `Classifier`.
    Returns:
        The probability of every node, the answer, the prediction sets, and whether to refer.
    Raises:
        ImageError, FileError: the picture cannot be used or read.
        OptionError: another argument is out of range.
        RuntimeMissingError: no interpreter is installed. DermError: the installation lacks the starter model.
    """
    global _default
    with _default_lock:
        if _default is None:
            _default = Classifier()
    return _default.classify(image, fitzpatrick=fitzpatrick, channels=channels, prior=prior)


def starter_path() -> str:
    """Path of the starter model that comes with the package. Raises DermError where the installation lacks it."""
    path = resources.files("derm_sdk") / "models" / "starter.derm"
    if not path.is_file():
        raise DermError("This installation has no starter model; name a .derm file: Classifier('skin.derm').")
    return str(path)


def _with_prior(routing: str) -> str:
    """The routing beside a prior, which can make any label the best one. Raises OptionError for "top"."""
    if routing == "top":
        raise OptionError("A prior needs every graph; leave it out, or take another routing than 'top'.")
    return "all"


def _check_threads(threads: Any) -> int:
    try:
        number = 0 if isinstance(threads, bool) else operator.index(threads)
    except TypeError:
        number = 0
    if not 1 <= number <= 64:
        raise OptionError(f"threads must be a whole number from 1 to 64; got {threads!r}.")
    return number


def _members(ranked: Sequence[Prediction], threshold: float) -> tuple[str, ...]:
    """The prediction set of a level: ids that reach the threshold, and always the best one."""
    return tuple(found.id for place, found in enumerate(ranked) if place == 0 or found.probability >= threshold)
