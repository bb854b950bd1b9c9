"""Which graphs are run for a photo: all of them, or only those that its result needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .calibration import Calibration
from .composition import Composition, Floats, Head
from .errors import OptionError, closest

ROUTINGS = ("all", "lazy", "top")


def check_routing(routing: str) -> str:
    """Gives the routing back. Raises OptionError for an unknown one."""
    if routing not in ROUTINGS:
        raise OptionError(f"Unknown routing {routing!r}." + closest(routing, ROUTINGS))
    return routing


def run_graphs(
    composition: Composition, calibration: Calibration, routing: str, run: Callable[[Head], Floats]
) -> dict[str, Floats]:
    """Runs the graphs that a routing asks for.

    "top" runs those on the way down: the root, then whichever splits its best child, and so on to a leaf. "lazy" then runs
    each other one that could change the best node of a level, a prediction set or the referral; most probable first.

    Args:
        composition, calibration: of the model.
        routing: "all", "lazy" or "top".
        run: runs one graph on the photo: head -> float64 [labels], logits.
    Returns:
        {graph id: float64 [labels]} of the graphs that were run.
    """
    if routing == "all":
        return {head.graph: run(head) for head in composition.heads}
    logits = {composition.root.graph: run(composition.root)}
    while due := _next(composition, calibration, routing, logits):
        logits[due.graph] = run(due)
    return logits


def composed(composition: Composition, calibration: Calibration, logits: Mapping[str, Floats]) -> Floats:
    """Probabilities of all nodes, float64 [nodes], from the logits of the graphs that were run."""
    probabilities = {graph: calibration.probabilities(graph, row[None]) for graph, row in logits.items()}
    skipped = [head.graph for head in composition.heads if head.graph not in logits]
    row: Floats = composition.probabilities(probabilities, skipped=skipped)[0]
    return row


def _next(composition: Composition, calibration: Calibration, routing: str, logits: Mapping[str, Floats]) -> Head | None:
    """The graph to run next; None when the result is settled."""
    nodes = composed(composition, calibration, logits)
    way = _way_down(composition, nodes)
    waiting = [head for head in composition.heads if head.graph not in logits]
    on_the_way = [head for head in waiting if head.given in way]
    if on_the_way or routing == "top":
        return on_the_way[0] if on_the_way else None
    unknown = {leaf for head in waiting for leaf in composition.taxonomy.leaves_under(head.given)}
    known = [nodes[composition.column(leaf)] for leaf in composition.taxonomy.leaves if leaf not in unknown]
    best_leaf = max(known, default=0.0)
    left = [head for head in waiting if not _changes_nothing(head, composition, calibration, nodes, best_leaf)]
    return max(left, key=lambda head: nodes[composition.column(head.given or "")], default=None)


def _way_down(composition: Composition, nodes: Floats) -> list[str]:
    """Ids of the best child of the root, the best child of that, and so on down to a leaf."""
    way: list[str] = []
    while children := composition.taxonomy.children(way[-1] if way else None):
        way.append(max(children, key=lambda node: nodes[composition.column(node.id)]).id)
    return way


def _changes_nothing(
    head: Head, composition: Composition, calibration: Calibration, nodes: Floats, best_leaf: float
) -> bool:
    """True when no node below `head` can be the best of its level, join a prediction set, or decide the referral."""
    taxonomy = composition.taxonomy
    assert head.given is not None
    mass = nodes[composition.column(head.given)]
    below = taxonomy.levels[taxonomy.levels.index(taxonomy.node(head.given).level) + 1 :]
    least = min(calibration.sets.get(level, 0.0) for level in below)
    decides = calibration.refer_node is not None and taxonomy.is_below(calibration.refer_node, head.given)
    return bool(mass < best_leaf and mass < least and not decides)
