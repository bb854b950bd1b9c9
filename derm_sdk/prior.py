"""How common the conditions are elsewhere: probabilities of the training's place -> those of another place.

A model learns how common each condition is among its training photos, and a clinic's collection holds far more malignant
photos than the street does. Where the pictures of a condition look alike in both places and only its share differs,
P'(leaf) is proportional to P(leaf) * share' / share, share being that of a node above the leaf.

Source: Saerens, Latinne and Decaestecker 2002, "Adjusting the Outputs of a Classifier to New a Priori Probabilities".
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .arithmetic import total
from .composition import Composition, Floats
from .errors import FileError, OptionError
from .taxonomy import Taxonomy

_TOLERANCE = 1e-3  # of a sum of shares that people have rounded
_LEAST_REST = 1e-9  # what is left for the labels not named; less is the rounding of shares that add up to 1
_LEAST_SHARE = 1e-12  # far below what anybody counts, and far above where products of probabilities lose their digits
_LEAST_PHOTOS, _MOST_PHOTOS = 1e-3, 1e15
_MOST_BYTES = 1 << 20


def parse_prior(text: str) -> dict[str, float]:
    """Reads a prior as people type it.

    Args:
        text: "malignant=0.02,benign=0.5", or the path of a JSON file that holds {"malignant": 0.02, "benign": 0.5}.
    Raises:
        OptionError: it is neither, or not such an object.
        FileError: the file cannot be read.
    """
    if "=" not in text:
        return _read_file(Path(text))
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, _, share = (each.strip() for each in part.rpartition("="))
        try:
            number = float(share)
        except ValueError:
            number = math.nan
        if not name or name in shares or math.isnan(number):
            raise OptionError(f"A prior must be as in malignant=0.02,benign=0.5, each label once; got {text!r}.")
        shares[name] = number
    return shares


def check_prior(prior: Any, taxonomy: Taxonomy) -> dict[str, float]:
    """Reads how common nodes are where the photos come from.

    Args:
        prior: {id or name of a node: its share of the photos}, from 1e-12 to 1, on any level and on several. What the
            nodes leave over belongs to the rest of the tree, in the training's proportions.
        taxonomy: the model's tree.
    Returns:
        {id: share}, in the order of the tree, adding up to at most 1.
    Raises:
        OptionError: an unknown node, one that is named twice or lies below another, or shares that cannot be.
    """
    if not isinstance(prior, Mapping) or not prior:
        raise OptionError(f"A prior must name shares of labels, such as {{'malignant': 0.02}}; got {prior!r}.")
    shares: dict[str, float] = {}
    for key, share in prior.items():
        node = taxonomy.node(key).id
        if node in shares:
            raise OptionError(f"The prior names {node!r} twice.")
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not _LEAST_SHARE <= share <= 1:
            raise OptionError(f"The prior of {key!r} must be a share from 1e-12 to 1; got {share!r}.")
        shares[node] = float(share)
    for node in shares:
        above = next((other for other in shares if other != node and taxonomy.is_below(node, other)), None)
        if above is not None:
            raise OptionError(f"The prior names {node!r} and {above!r}, which lies above it; name one of the two.")
    covered = {leaf for node in shares for leaf in taxonomy.leaves_under(node)}
    shares = {node.id: shares[node.id] for node in taxonomy.nodes if node.id in shares}
    together = _sum(shares.values())
    if len(covered) == len(taxonomy.leaves):
        if abs(together - 1) > _TOLERANCE:
            raise OptionError(f"The prior covers the whole tree, so it must add up to 1; got {together:g}.")
        return {node: share / together for node, share in shares.items()}
    if together > 1 - _LEAST_REST:
        raise OptionError(f"The prior must leave a share for the labels it does not name; it adds up to {together:g}.")
    return shares


def prior_factors(prior: Mapping[str, float], photos_by_leaf: Any, taxonomy: Taxonomy) -> Floats:
    """What each leaf's probability is multiplied by.

    Args:
        prior: as `check_prior` gives it.
        photos_by_leaf: {condition id: training photos}, as the manifest records them; only proportions count.
        taxonomy: the model's tree.
    Returns:
        float64 [leaves], in the order of `taxonomy.leaves`, each above 0.
    Raises:
        OptionError: the model does not say how common its labels were, or a named one had no photo.
    """
    if not isinstance(photos_by_leaf, Mapping):
        raise OptionError("This model does not record how common its labels were in its training; it takes no prior.")
    counts = {leaf: _count(photos_by_leaf.get(leaf, 0)) for leaf in taxonomy.leaves}
    photos = _sum(counts.values())
    factors = dict.fromkeys(taxonomy.leaves, 0.0)
    parts = [(node, taxonomy.leaves_under(node), share) for node, share in prior.items()]
    named = {leaf for _, leaves, _ in parts for leaf in leaves}
    rest = tuple(leaf for leaf in taxonomy.leaves if leaf not in named)
    parts += [("the labels not named", rest, 1 - _sum(prior.values()))] if rest else []
    for name, leaves, share in parts:
        before = _sum(counts[leaf] for leaf in leaves)
        if before < _LEAST_PHOTOS:
            raise OptionError(f"The model's training records no photo of {name!r}, so its share cannot be changed.")
        factors |= dict.fromkeys(leaves, share * photos / before)
    return np.array([factors[leaf] for leaf in taxonomy.leaves])


def reweighted(composition: Composition, nodes: Floats, factors: Floats) -> Floats:
    """Probabilities of all nodes where the leaves are more or less common by the given factors.

    Args:
        composition: the tree the columns belong to.
        nodes: float64 [N, nodes].
        factors: float64 [leaves], as `prior_factors` gives them.
    Returns:
        float64 [N, nodes]; a node is the sum of its children, the top level adds up to 1.
    """
    taxonomy = composition.taxonomy
    columns = [composition.column(leaf) for leaf in taxonomy.leaves]
    changed = np.zeros_like(nodes)
    changed[:, columns] = nodes[:, columns] * factors
    changed[:, columns] /= total(changed[:, columns])[:, None]
    for node in reversed(taxonomy.nodes):  # children come after their parents, so upward from the end
        if node.parent is not None:
            changed[:, composition.column(node.parent)] += changed[:, composition.column(node.id)]
    return changed


def _read_file(path: Path) -> dict[str, float]:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"Cannot read the prior {str(path)!r}: {reason}; or write it as malignant=0.02.") from error
    try:
        shares = json.loads(data) if len(data) <= _MOST_BYTES else None
    except (ValueError, RecursionError):
        shares = None
    if not isinstance(shares, dict):
        raise OptionError(f'{str(path)!r} must hold a prior such as {{"malignant": 0.02}}, in JSON.')
    return shares


def _sum(values: Iterable[float]) -> float:
    """Added from the first to the last, as in every language."""
    return float(total(np.array(list(values), np.float64)))


def _count(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < _MOST_PHOTOS:
        raise OptionError(f"This model records {value!r} training photos of a label; it takes no prior.")
    return float(value)
