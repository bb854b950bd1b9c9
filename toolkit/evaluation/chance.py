"""What would lie between skin types if the skin type did not matter: the types dealt to the photos anew, at random.

The best and the worst of six types differ even where nothing is different, the more the fewer their photos. A gap or a
fairness measure says something only where it is beyond what dealing gives.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .bootstrap import BLOCK_BYTES, Floats, interval

Key = TypeVar("Key", bound=Hashable)
Dealt = Sequence[Floats]  # per type 1..6: [B, N], 1 for the photos that were dealt the type, else 0
DEALS = 200


def deal(skin_types: NDArray[np.int8], clusters: Sequence[str], deals: int, seed: int) -> Iterator[Dealt]:
    """Deals the skin types anew, some deals at a time; photos of unknown type stay so.

    Photos of a group lie beside each other in the deck, and so mostly get the same type, as they mostly have.

    Args:
        skin_types: [N], 1..6, 0 where unknown.
        clusters: [N] names of the photos' groups.
        deals: B.
        seed: 0 or more.
    Yields:
        per type 1..6 float64 [b, N]; the b add up to B.
    """
    known = np.flatnonzero(skin_types > 0)
    _, group = np.unique(np.asarray(clusters, dtype=str)[known], return_inverse=True)
    deck = skin_types[known][np.argsort(group, kind="stable")]
    groups = int(group.max(initial=-1)) + 1
    stream = np.random.Generator(np.random.PCG64((seed, 1)))
    size = max(1, BLOCK_BYTES // (8 * 6 * max(1, len(skin_types))))
    for start in range(0, deals, size):
        dealt = np.zeros((len(skin_types), min(size, deals - start)), np.int8)
        for column in range(dealt.shape[1]):
            order = np.argsort(stream.permutation(groups)[group], kind="stable")
            dealt[known[order], column] = deck
        yield [(dealt == number).astype(np.float64).T for number in range(1, 7)]


def by_chance(
    figures: Mapping[Key, Callable[[Dealt], dict[str, Floats]]],
    skin_types: NDArray[np.int8],
    clusters: Sequence[str],
    deals: int = DEALS,
    seed: int = 0,
) -> dict[Key, dict[str, dict[str, Any]]]:
    """What figures between skin types are when the types are dealt at random.

    Returns:
        {key: {figure: {"mean", "low", "high"}}}: the mean and the middle 95 % over the deals; left out where undefined.
    """
    found: dict[Key, dict[str, list[Floats]]] = {key: {} for key in figures}
    for dealt in deal(skin_types, clusters, deals, seed):
        for key, figure in figures.items():
            for name, values in figure(dealt).items():
                found[key].setdefault(name, []).append(values)
    told: dict[Key, dict[str, dict[str, Any]]] = {key: {} for key in figures}
    for key, of_key in found.items():
        for name, parts in of_key.items():
            values = np.concatenate(parts)
            limits = interval(values)
            if limits is not None:
                told[key][name] = {"mean": float(np.nanmean(values)), "low": limits[0], "high": limits[1]}
    return told
