"""Where a photo holds the evidence for a node of the tree: which graph is asked, for what, and what is told."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arithmetic import total
from .composition import Composition, Floats, Head
from .errors import OptionError, closest
from .heat import REGION_SHARE, Box, Frame, Heat, overlay, positive_share, strongest_region
from .image import ImageSource, Pixels, read_image

CAVEAT = "Weakly supervised: learnt from labels of whole photos and never validated against boxes drawn by people."


@dataclass(frozen=True)
class Target:
    """A graph that helps to decide a node: its labels that lead to the node, against its other labels."""

    head: Head
    inside: tuple[bool, ...]

    def score_weights(self, shares: NDArray[Any]) -> Floats:
        """How the graph's score for the node changes with each of its logits.

        The score is the log-odds of the summed probability P of the labels inside, given the graph's node. Its gradient is
        that of log P divided by 1 - P, so both give the same map, but this one stays exact where P is nearly 1.

        Args:
            shares: [labels], the graph's calibrated probabilities.
        Returns:
            float64 [labels]: the shares of the labels inside among themselves, minus those of the others among themselves;
            adds up to 0. It is the gradient but for the temperature, which changes all of it alike.
        """
        possible, inside = np.maximum(np.asarray(shares, np.float64), 1e-300), np.asarray(self.inside)
        return np.asarray(np.where(inside, possible / total(possible[inside]), -possible / total(possible[~inside])))


def targets(composition: Composition, node: str) -> tuple[Target, ...]:
    """The graphs that decide a node, from the root down.

    A graph decides a node when some, but not all, of its labels lead to it: they are the node, lie below it, or it lies
    below them. The probability of the node is the product of what these graphs give to such labels; the last graph is the
    one that tells the node from its nearest relatives.

    Args:
        composition: of the model.
        node: a node's id.
    Returns:
        One target or more.
    Raises:
        OptionError: no graph tells the node from anything, since the tree has no other on its way.
    """
    found = _deciding(composition, node)
    if not found:
        raise OptionError(f"Every photo is {node!r} to this model, so there is nothing to explain.")
    return found


def explainable(composition: Composition, graphs: Collection[str]) -> dict[str, Target]:
    """The nodes whose last deciding graph is one of `graphs`: {node id: that graph as a target}."""
    last = {node.id: _deciding(composition, node.id)[-1:] for node in composition.taxonomy.nodes}
    return {node: found[0] for node, found in last.items() if found and found[0].head.graph in graphs}


def target_of(composition: Composition, graphs: Collection[str], node: str) -> tuple[str, Target]:
    """The id of a node that the user named, by id or name, and the graph to ask.

    Args:
        composition: of the model.
        graphs: ids of those that have explanations.
        node: id or name.
    Raises:
        OptionError: an unknown node, or one whose last deciding graph is none of `graphs`.
    """
    node, able = composition.taxonomy.node(node).id, _able(composition, graphs)
    graph = targets(composition, node)[-1].head.graph
    if node not in able:
        raise OptionError(
            f"This model cannot explain {node!r}: the graph {graph!r}, which decides it, has no explanations."
            + closest(node, able)
        )
    return node, able[node]


def target_of_answer(
    composition: Composition, graphs: Collection[str], answer: str | None, nodes: Floats
) -> tuple[str, Target]:
    """What is explained when no node is named: the answer, or the nearest node above it that can be explained.

    Args:
        composition, graphs: as for `target_of`.
        answer: id of the model's answer; None where nothing was certain enough: then the best of the topmost nodes.
        nodes: float64 [nodes], the probabilities.
    Raises:
        OptionError: no node can be explained.
    """
    tree, able = composition.taxonomy, _able(composition, graphs)
    while answer is not None and answer not in able:
        answer = tree.node(answer).parent
    if answer is None:
        top = min(tree.levels.index(tree.node(node).level) for node in able)
        topmost = [node for node in able if tree.node(node).level == tree.levels[top]]
        answer = max(topmost, key=lambda node: nodes[composition.column(node)])
    return answer, able[answer]


def check_explains(graphs: Collection[str]) -> None:
    """Raises OptionError for a model of which no graph (ids of those that have explanations) can explain an answer."""
    if not graphs:
        raise OptionError("This model cannot explain its answers: no graph of it was converted with explanations.")


def _able(composition: Composition, graphs: Collection[str]) -> dict[str, Target]:
    check_explains(graphs)
    return explainable(composition, graphs)


def _deciding(composition: Composition, node: str) -> tuple[Target, ...]:
    tree = composition.taxonomy
    found = []
    for head in composition.heads:
        inside = tuple(label == node or tree.is_below(label, node) or tree.is_below(node, label) for label in head.labels)
        if any(inside) and not all(inside):
            depth = 0 if head.given is None else 1 + tree.levels.index(tree.node(head.given).level)
            found.append((depth, Target(head, inside)))
    return tuple(target for _, target in sorted(found, key=lambda pair: pair[0]))


@dataclass(frozen=True, eq=False)
class Explanation:
    """Where a network found the evidence for a node. Weakly supervised: it was learnt from labels of whole photos.

    Attributes:
        node: id of the node.
        probability: of the node, calibrated, 0..1.
        graph: id of the graph that was asked: of those that decide the node, the last.
        method: how the map was made: "cam" or "grad-cam".
        heat: float32 [h, w], 0..1: evidence for the node over the square that the network sees, in the network's own
            coarse cells; 1 at the strongest one; all 0 where nothing speaks for the node.
        rgb: uint8 [size, size, 3], the photo as the network sees it.
        frame: where that square lies on the photo.
        peak: (x, y) of the strongest place in pixels of the upright photo; in the border around it where "pad" made one and
            the network looked there. None where `heat` is 0.
        box: (left, top, right, bottom) of the region around it that reaches half of the maximum, right and bottom just
            behind it; None where there is no such place on the photo. Never validated against boxes drawn by people.
    """

    node: str
    probability: float
    graph: str
    method: str
    heat: Heat
    rgb: Pixels
    frame: Frame
    peak: tuple[int, int] | None
    box: Box | None

    def __str__(self) -> str:
        """What was found, in a line."""
        size = f"{self.frame.photo_width} x {self.frame.photo_height}"
        if self.peak is None:
            return f"{self.node} {self.probability:.2f}: no evidence for it in this photo of {size} pixels ({self.graph})"
        box = f", region {self.box[0]},{self.box[1]} to {self.box[2]},{self.box[3]}" if self.box else ", in the border"
        return (
            f"{self.node} {self.probability:.2f}: strongest evidence at {self.peak[0]},{self.peak[1]}{box} of {size} pixels "
            f"({self.graph})"
        )

    def overlay(self, photo: ImageSource | None = None, *, channels: str = "rgb") -> Pixels:
        """Draws the heat map and the box.

        Args:
            photo: the photo explained, to draw over all of it; None to draw over what the network sees.
            channels: order of an array's colours, "rgb" or "bgr".
        Returns:
            RGB uint8 [height, width, 3]; without `photo`, [size, size, 3].
        Raises:
            OptionError: `photo` has another size than the one explained. ImageError, FileError: it cannot be used.
        """
        if photo is None:
            return overlay(self.rgb, self.heat, box=self._box_on(self.rgb.shape[1], self.rgb.shape[0]))
        pixels = read_image(photo, channels)
        expected = (self.frame.photo_height, self.frame.photo_width)
        if pixels.shape[:2] != expected:
            raise OptionError(
                f"The photo explained is {expected[1]} x {expected[0]} pixels; this one is "
                f"{pixels.shape[1]} x {pixels.shape[0]}."
            )
        return overlay(pixels, self.heat, self.frame, self.box)

    def to_dict(self) -> dict[str, Any]:
        """What was found, JSON-ready, without the pictures."""
        return {
            "node": self.node,
            "probability": self.probability,
            "graph": self.graph,
            "method": self.method,
            "photo_size": [self.frame.photo_width, self.frame.photo_height],
            "peak": None if self.peak is None else list(self.peak),
            "box": None if self.box is None else list(self.box),
            "box_share": REGION_SHARE,
            "caveat": CAVEAT,
        }

    def _box_on(self, width: int, height: int) -> Box | None:
        """The box in pixels of the square, drawn with the given size."""
        if self.box is None:
            return None
        frame = self.frame
        x = [round((edge - frame.left) / frame.width * width) for edge in self.box[::2]]
        y = [round((edge - frame.top) / frame.height * height) for edge in self.box[1::2]]
        return x[0], y[0], x[1], y[1]


def explained(
    node: str, probability: float, target: Target, method: str, evidence: NDArray[Any], rgb: Pixels, frame: Frame
) -> Explanation:
    """Makes an explanation of a map of evidence [h, w], any unit, negative where it speaks against the node."""
    heat = positive_share(evidence)
    peak, box = strongest_region(heat, frame)
    return Explanation(node, probability, target.head.graph, method, heat, rgb, frame, peak, box)
