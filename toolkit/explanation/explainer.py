"""A run explains photos: its networks, loaded when they are needed, and the maps of evidence that they give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from derm_sdk.errors import OptionError, closest
from derm_sdk.explanation import Explanation, Target, explained, targets
from derm_sdk.heat import Frame, colour_map
from derm_sdk.image import Decoded, ImageSource, Pixels, decode
from derm_sdk.inputs import network_inputs
from derm_sdk.preprocess import least_side, resize
from derm_sdk.routing import composed

from ..training.run import Run
from .maps import check_layer, class_activation_map, grad_cam, layer_output, pooled_head, strongest_channels

if TYPE_CHECKING:
    import keras

METHODS = ("grad-cam", "cam")
_TILE = 96
_GAP = 2


@dataclass(frozen=True)
class FeatureMaps:
    """The strongest channels of a layer.

    Attributes:
        graph, layer: whose.
        channels: their numbers, row by row.
        picture: RGB uint8, a grid of them; each from dark (its least value) to bright (its largest).
    """

    graph: str
    layer: str
    channels: tuple[int, ...]
    picture: Pixels


class Explainer:
    """Explains photos with the networks of a finished run. Raises RunError where the run is not usable."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.calibration = run.calibration()
        self._models: dict[str, keras.Model] = {}

    def read(self, photo: ImageSource) -> Decoded:
        """Reads a photo in the way that the run's networks were trained with: see `derm_sdk.image.decode`."""
        shape = self.run.preprocessing
        return decode(photo, least=least_side(shape.size, shape.decode))

    def explain(
        self,
        photo: ImageSource | Decoded,
        node: str | None = None,
        *,
        method: str = "grad-cam",
        graph: str | None = None,
        layer: str | None = None,
        skin_type: int | None = None,
    ) -> tuple[Explanation, str]:
        """Finds where a network sees the evidence for a node.

        Args:
            photo: path, bytes, array or Pillow object, or a photo that `read` has read.
            node: id or name; None for the model's answer, or the best node of the top level where nothing is certain.
            method: "grad-cam" or "cam".
            graph: one of those that decide the node; None for the last of them, which tells it from its nearest relatives.
            layer: name of a map of that graph, for "grad-cam"; None for the last.
            skin_type: 1..6, or None when unknown.
        Returns:
            The explanation, and the layer it looked at.
        Raises:
            OptionError: an unknown node, method, graph or layer, or "cam" for a graph without a pooled head.
        """
        if method not in METHODS:
            raise OptionError(f"Unknown method {method!r}." + closest(method, METHODS))
        composition, tree = self.run.composition, self.run.taxonomy
        seen = photo if isinstance(photo, Decoded) else self.read(photo)
        rgb = resize(seen.pixels, self.run.preprocessing.size, self.run.preprocessing.fit)
        asked = None if node is None else tree.node(node).id
        on_the_way = [head for head in composition.heads if asked is None or tree.is_below(asked, head.given)]
        logits = {head.graph: self._logits(head.graph, rgb, skin_type) for head in on_the_way}
        nodes = composed(composition, self.calibration, logits)
        asked = asked or self._answer(nodes)
        target = _chosen(asked, targets(composition, asked), graph)
        asked_of = target.head.graph
        weights = target.score_weights(self.calibration.probabilities(asked_of, logits[asked_of][None])[0])
        evidence, layer = self._evidence(asked_of, method, layer, self._inputs(asked_of, rgb, skin_type), weights)
        frame = Frame.of(seen.width, seen.height, self.run.preprocessing.fit)
        probability = float(nodes[composition.column(asked)])
        return explained(asked, probability, target, method, evidence, rgb, frame), layer

    def feature_maps(
        self,
        photo: ImageSource | Decoded,
        graph: str | None = None,
        layer: str | None = None,
        *,
        count: int = 16,
        skin_type: int | None = None,
    ) -> FeatureMaps:
        """Draws what the strongest channels of a layer make of a photo.

        Args:
            photo: path, bytes, array or Pillow object, or a photo that `read` has read.
            graph: id of a network; None for the root.
            layer: name of one of its maps; None for the last.
            count: how many channels.
            skin_type: 1..6, or None when unknown.
        Raises:
            OptionError: an unknown graph or layer.
        """
        known = [spec.id for spec in self.run.graphs]
        graph = self.run.composition.root.graph if graph is None else graph
        if graph not in known:
            raise OptionError(f"Unknown graph {graph!r}." + closest(graph, known))
        model = self.model(graph)
        layer = check_layer(model, graph, layer)
        seen = photo if isinstance(photo, Decoded) else self.read(photo)
        rgb = resize(seen.pixels, self.run.preprocessing.size, self.run.preprocessing.fit)
        output, _ = layer_output(model, self._inputs(graph, rgb, skin_type), layer)
        channels = strongest_channels(output, count)
        return FeatureMaps(graph, layer, tuple(channels), _grid([output[..., channel] for channel in channels]))

    def model(self, graph: str) -> keras.Model:
        """A network of the run, loaded once."""
        if graph not in self._models:
            self._models[graph] = self.run.load_model(graph)
        return self._models[graph]

    def _evidence(
        self, graph: str, method: str, layer: str | None, inputs: dict[str, Pixels], weights: np.ndarray
    ) -> tuple[np.ndarray, str]:
        """The map [h, w] of a method, and the layer it looked at."""
        model = self.model(graph)
        if method == "grad-cam":
            layer = check_layer(model, graph, layer)
            return grad_cam(model, inputs, weights, layer), layer
        head = pooled_head(model)
        if head is None:
            raise OptionError(
                f"The graph {graph!r} does not end in global average pooling and one dense layer, so it has no class "
                "activation map; take the method grad-cam."
            )
        if layer not in (None, head.layer):
            raise OptionError(f"The class activation map is made of the layer {head.layer!r}; got {layer!r}.")
        return class_activation_map(model, inputs, weights, head), head.layer

    def _inputs(self, graph: str, rgb: Pixels, skin_type: int | None) -> dict[str, Pixels]:
        return network_inputs(rgb, skin_type, self.run.graph(graph).inputs)

    def _logits(self, graph: str, rgb: Pixels, skin_type: int | None) -> np.ndarray:
        model, inputs = self.model(graph), self._inputs(graph, rgb, skin_type)
        batch = [inputs[tensor.name][None].astype(np.float32) for tensor in model.inputs]
        return np.asarray(model.predict_on_batch(batch), np.float64)[0]

    def _answer(self, nodes: Any) -> str:
        composition = self.run.composition
        answer = self.calibration.answers(composition, nodes[None])[0]
        top = composition.taxonomy.at(composition.taxonomy.levels[0])
        return answer or max(top, key=lambda node: nodes[composition.column(node.id)]).id


def _chosen(node: str, found: tuple[Target, ...], graph: str | None) -> Target:
    if graph is None:
        return found[-1]
    known = {target.head.graph: target for target in found}
    if graph not in known:
        raise OptionError(f"The graph {graph!r} does not decide {node!r}." + closest(graph, known))
    return known[graph]


def _grid(maps: list[np.ndarray]) -> Pixels:
    """Maps [h, w] as tiles of one picture, with a white gap, each stretched over the colour map."""
    across = int(np.ceil(np.sqrt(len(maps))))
    down = -(-len(maps) // across)
    height, width = maps[0].shape
    zoom = max(1, _TILE // max(height, width))
    high, wide = height * zoom + _GAP, width * zoom + _GAP
    picture = np.full((down * high - _GAP, across * wide - _GAP, 3), 255, np.uint8)
    for place, values in enumerate(maps):
        span = float(np.ptp(values))
        levels = np.rint((values - values.min()) * (255 / span if span else 0.0)).astype(np.uint8)
        tile = colour_map()[levels].repeat(zoom, axis=0).repeat(zoom, axis=1)
        top, left = place // across * high, place % across * wide
        picture[top : top + len(tile), left : left + tile.shape[1]] = tile
    return picture
