"""A network with a pooled head -> the same network, ending in a map of evidence for each label instead of logits.

The mean over the places of a map and a dense layer may be swapped: mean(map) @ w = mean(map @ w). So a 1x1 convolution with
the dense layer's weights gives, for each label, a map whose mean is its logit but for what does not depend on the place.
"""

from __future__ import annotations

from typing import Any

import keras

from derm_toolkit.explanation.maps import pooled_head


def evidence_model(folded: keras.Model) -> keras.Model | None:
    """Makes the network of the maps; None for a network without a pooled head.

    Args:
        folded: a network as `fold_batchnorm` returns it, with its final weights. The layers are shared with it.
    Returns:
        A model of the inputs that its map depends on -> float32 [1, h, w, labels].
    """
    head = pooled_head(folded)
    if head is None:
        return None
    features = folded.get_layer(head.layer).output
    layer = keras.layers.Conv2D(head.kernel.shape[1], 1, use_bias=False, name="evidence")
    evidence = layer(features)
    layer.set_weights([head.kernel[None, None]])
    used = _ancestors(features)
    return keras.Model([tensor for tensor in folded.inputs if tensor.name in used], evidence)


def _ancestors(tensor: Any) -> set[str]:
    """Names of the layers on the way to a tensor, the inputs' too."""
    found: set[str] = set()
    waiting = [tensor]
    while waiting:
        operation = waiting.pop()._keras_history.operation
        if operation.name not in found:
            found.add(operation.name)
            waiting += [] if isinstance(operation, keras.layers.InputLayer) else keras.tree.flatten(operation.input)
    return found
