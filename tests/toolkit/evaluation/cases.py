"""Predictions made up for the tests: over the small tree of the calibration's tests, or any other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from derm_sdk.calibration import Calibration
from derm_sdk.taxonomy import Taxonomy
from derm_toolkit.evaluation.predictions import FORMAT, Predictions

from .test_calibrate import TREE

MALIGNANT = Calibration(refer_node="malignant", refer_threshold=0.5, answer={"category": 0.6, "condition": 0.5})


def node_probabilities(of_leaves: np.ndarray, tree: Taxonomy = TREE) -> np.ndarray:
    """Probabilities of the leaves [N, leaves] -> of all nodes, float32 [N, nodes]."""
    column = {node.id: place for place, node in enumerate(tree.nodes)}
    nodes = np.zeros((len(of_leaves), len(tree.nodes)))
    for place, leaf in enumerate(tree.leaves):
        for level in tree.levels:
            nodes[:, column[tree.ancestor(leaf, level)]] += of_leaves[:, place]
    return np.clip(nodes, 0, 1).astype(np.float32)


def certain(guesses: Sequence[str], certainty: float = 0.9, tree: Taxonomy = TREE) -> np.ndarray:
    """Probabilities of the leaves that give `certainty` to the guess and the rest to the others, evenly."""
    of_leaves = np.full((len(guesses), len(tree.leaves)), (1 - certainty) / (len(tree.leaves) - 1))
    of_leaves[np.arange(len(guesses)), [tree.leaves.index(guess) for guess in guesses]] = certainty
    return of_leaves


def predictions(
    of_leaves: np.ndarray,
    leaves: Sequence[str],
    *,
    tree: Taxonomy = TREE,
    calibration: Calibration = MALIGNANT,
    skin_types: Sequence[int] | None = None,
    units: Sequence[str] | None = None,
    uncalibrated: np.ndarray | None = None,
    **meta: Any,
) -> Predictions:
    """What a model said that gives the leaves these probabilities; a leaf "" is one that the model does not know."""
    nodes = node_probabilities(of_leaves, tree)
    column = {node.id: place for place, node in enumerate(tree.nodes)}
    names = [f"{n:064x}" for n in range(len(leaves))]
    answers = []
    for row in nodes:
        answer = ""
        for level in tree.levels:
            best = max(tree.children(answer or None), key=lambda node: row[column[node.id]]).id
            if row[column[best]] < calibration.answer.get(level, 0.5):
                break
            answer = best
        answers.append(answer)
    refer = nodes[:, column["malignant"]] >= calibration.refer_threshold
    truth = [[tree.ancestor(leaf, level) if leaf else "" for level in tree.levels] for leaf in leaves]
    return Predictions(
        digest=np.array(names, str),
        leaf=np.array([leaf or "unknown" for leaf in leaves], str),
        truth=np.array(truth, str).reshape(len(leaves), len(tree.levels)),
        skin_type=np.array(skin_types if skin_types is not None else [0] * len(leaves), np.int8),
        unit=np.array(units if units is not None else names, str),
        nodes=np.array([node.id for node in tree.nodes], str),
        probabilities=nodes,
        uncalibrated=nodes if uncalibrated is None else node_probabilities(uncalibrated, tree),
        answer=np.array(answers, str),
        refer=refer,
        meta={"format": FORMAT, "taxonomy": tree.to_dict(), "calibration": calibration.to_dict(), **meta},
    )


def random_case(count: int, seed: int, skill: float = 1.5, errors: int = 0, **more: Any) -> Predictions:
    """A model of some skill, asked about random photos of all skin types; another `errors` errs on others of them."""
    stream = np.random.default_rng(seed)
    places = stream.integers(0, len(TREE.leaves), count)
    logits = (np.random.default_rng(errors) if errors else stream).normal(0, 1, (count, len(TREE.leaves)))
    logits[np.arange(count), places] += skill
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    more.setdefault("skin_types", stream.integers(0, 7, count))
    return predictions(shares, [TREE.leaves[place] for place in places], **more)
