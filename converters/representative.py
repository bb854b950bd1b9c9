"""Which training photos show the converter what the activations look like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from derm_sdk.fitzpatrick import SKIN_TYPE, SKIN_TYPE_WIDTH
from derm_sdk.image import Pixels
from derm_sdk.inputs import network_inputs
from derm_toolkit.data.manifest import Photo


def stratified(photos: Sequence[Photo], count: int, seed: int = 0) -> list[Photo]:
    """Picks photos so that conditions take turns, and within a condition its skin types.

    Args:
        photos: the training split.
        count: how many; all of them when there are no more.
        seed: of the order within a condition and skin type.
    Returns:
        The photos picked, the same for a seed whatever the order of `photos`.
    """
    random = np.random.default_rng(seed)
    cells: dict[str, dict[int, list[Photo]]] = {}
    in_order = sorted(photos, key=lambda photo: photo.digest)
    for place in random.permutation(len(in_order)):
        photo = in_order[place]
        cells.setdefault(photo.leaf, {}).setdefault(photo.fitzpatrick or 0, []).append(photo)
    by_condition = [_take_turns(list(types.values())) for _, types in sorted(cells.items())]
    return list(_take_turns(by_condition))[:count]


def with_extremes(
    photos: Iterable[tuple[Pixels, int | None]], size: int, kinds: Sequence[str]
) -> Iterator[dict[str, Pixels]]:
    """The inputs of photos, and before them of black and white ones, so that every input takes all its extreme values.

    Every picture then spans 0..255, and every skin type appears, unknown too, though the photos may lack it.

    Args:
        photos: resized photos, uint8 [size, size, 3], each with its skin type, 1..6 or None.
        size: their side in pixels.
        kinds: the inputs that a graph takes.
    """
    types = (None, *range(1, SKIN_TYPE_WIDTH)) if SKIN_TYPE in kinds else (None, None)
    for place, skin_type in enumerate(types):
        yield network_inputs(np.full((size, size, 3), 255 * (place % 2), np.uint8), skin_type, kinds)
    for pixels, skin_type in photos:
        yield network_inputs(pixels, skin_type, kinds)


def _take_turns(groups: Sequence[Iterable[Photo]]) -> Iterator[Photo]:
    waiting = [iter(group) for group in groups]
    while waiting:
        left = []
        for group in waiting:
            photo = next(group, None)
            if photo is not None:
                yield photo
                left.append(group)
        waiting = left
