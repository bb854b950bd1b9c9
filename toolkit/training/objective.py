"""What a training minimises: the cross-entropy of the labels, and of the levels of the tree above them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derm_sdk.taxonomy import Taxonomy

Floats32 = NDArray[np.float32]
LEAST_PROBABILITY = 1e-7


def upward_sums(taxonomy: Taxonomy, labels: Sequence[str]) -> list[Floats32]:
    """For every level that lies above all labels and tells some of them apart, which label is below which node.

    Args:
        taxonomy: the tree.
        labels: ids, on one level or on several.
    Returns:
        Per level from the top, float32 [labels, nodes of the level] of zeros and ones: probabilities of the labels times it
        are probabilities of the nodes.
    """
    sums = []
    highest = min(taxonomy.levels.index(taxonomy.node(label).level) for label in labels)
    for level in taxonomy.levels[:highest]:
        above = [taxonomy.ancestor(label, level) for label in labels]
        nodes = list(dict.fromkeys(above))
        if len(nodes) > 1:
            sums.append(np.asarray([[node == each for node in nodes] for each in above], np.float32))
    return sums


def objective(sums: Sequence[Floats32], *, hierarchy: float, focal: float, log_prior: Floats32) -> Callable[[Any, Any], Any]:
    """Makes the loss of a network.

    Args:
        sums: as `upward_sums` gives them.
        hierarchy: weight of each level above beside the labels' own.
        focal: exponent of (1 - probability) on the labels' own level; 0 for plain cross-entropy.
        log_prior: float32 [labels], added to the logits in training only; zeros for none.
    Returns:
        A function (targets [N, labels], logits [N, labels]) -> loss [N], in keras.ops. Targets need not sum to 1: a photo's
        weight is in them.
    Source: focal loss, Lin et al. 2017; logit adjustment, Menon et al. 2021; upward sums, Redmon and Farhadi 2017.
    """
    from keras import ops

    def loss(targets: Any, logits: Any) -> Any:
        logits = ops.add(ops.cast(logits, "float32"), log_prior)
        log_p = ops.log_softmax(logits, axis=-1)
        p = ops.exp(log_p)
        total = -ops.sum(targets * log_p * ((1 - p) ** focal if focal else 1.0), axis=-1)
        for below in sums if hierarchy else ():
            above = ops.log(ops.maximum(ops.matmul(p, below), LEAST_PROBABILITY))
            total -= hierarchy * ops.sum(ops.matmul(targets, below) * above, axis=-1)
        return total

    return loss
