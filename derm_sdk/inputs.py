"""What goes into a network: pictures that are derived from the resized photo, and the skin type where one is taken."""

from __future__ import annotations

from collections.abc import Sequence

from .fitzpatrick import SKIN_TYPE, SKIN_TYPE_WIDTH, skin_type_input
from .image import Pixels
from .preprocess import INPUT_CHANNELS, derive_inputs

INPUT_KINDS = (*INPUT_CHANNELS, SKIN_TYPE)


def network_inputs(rgb: Pixels, skin_type: int | None, kinds: Sequence[str]) -> dict[str, Pixels]:
    """Makes the inputs of a network: the same in training, evaluation, conversion and on the device.

    Args:
        rgb: the resized photo, uint8 [size, size, 3].
        skin_type: 1..6, or None when unknown; without effect where `kinds` does not ask for it.
        kinds: names out of INPUT_KINDS.
    Returns:
        {kind: uint8}, in the order asked: pictures [size, size, channels], the skin type [7].
    """
    derived = derive_inputs(rgb, [kind for kind in kinds if kind != SKIN_TYPE])
    return {kind: skin_type_input(skin_type) if kind == SKIN_TYPE else derived[kind] for kind in kinds}


def input_shape(kind: str, size: int) -> tuple[int, ...]:
    """The shape of one input, a kind out of INPUT_KINDS: (size, size, channels), or (7,) for the skin type."""
    return (SKIN_TYPE_WIDTH,) if kind == SKIN_TYPE else (size, size, INPUT_CHANNELS[kind])
