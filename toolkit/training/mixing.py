"""Mixup and CutMix: two photos in one picture, before anything is derived from it, and their labels in proportion.

What a photo is mixed with, and how, belongs to (seed, epoch, photo), as its augmentation does.
Source: Zhang et al. 2018, "mixup"; Yun et al. 2019, "CutMix".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from derm_sdk.image import Pixels

from ..data.manifest import Photo

Floats32 = NDArray[np.float32]
_OWN_STREAM = 2  # apart from those of the augmentation and of the hidden skin types


@dataclass(frozen=True)
class Partner:
    """What a photo is mixed with: the index of the other, the share that the photo itself keeps, and how."""

    index: int
    share: float
    cut: tuple[float, float] | None  # CutMix: the centre of the other's window, 0..1; None for mixup


class Mixer:
    """Mixes the photos of one epoch. Thread-safe."""

    def __init__(
        self,
        photos: Sequence[Photo],
        view: Callable[[Photo], Pixels],
        *,
        mixup: float,
        cutmix: float,
        share: float,
        seed: int,
        epoch: int,
    ) -> None:
        """Names what will be mixed; nothing is read yet.

        Args:
            photos: [N], those of the training.
            view: photo -> uint8 [S, S, 3].
            mixup, cutmix: both parameters of the beta distribution of the shares; 0 leaves that way out. With both, each has
                half of the mixed photos.
            share: of the photos that are mixed, 0..1.
            seed, epoch: of the training.
        """
        self._photos, self._view = photos, view
        self._ways = [(alpha, cut) for alpha, cut in ((mixup, False), (cutmix, True)) if alpha]
        self._share, self._seed, self._epoch = (share if self._ways else 0.0), seed, epoch

    def partner(self, photo: Photo) -> Partner | None:
        """What a photo is mixed with in this epoch; None where it stays alone."""
        if not self._share:
            return None
        stream = np.random.Generator(np.random.PCG64((self._seed, self._epoch, int(photo.digest, 16), _OWN_STREAM)))
        if stream.random() >= self._share:
            return None
        alpha, cut = self._ways[stream.integers(len(self._ways))]
        other, kept = int(stream.integers(len(self._photos))), float(stream.beta(alpha, alpha))
        centre = (float(stream.random()), float(stream.random()))
        return Partner(other, kept, centre if cut else None)

    def view(self, photo: Photo) -> Pixels:
        """The photo's view, mixed with its partner's: uint8 [S, S, 3]."""
        ours, partner = self._view(photo), self.partner(photo)
        if partner is None:
            return ours
        theirs = self._view(self._photos[partner.index])
        if partner.cut is None:
            return np.asarray(np.rint(partner.share * ours + (1 - partner.share) * theirs.astype(np.float32)), np.uint8)
        mixed = np.array(ours)
        rows, columns = window(partner, len(ours))
        mixed[rows, columns] = theirs[rows, columns]
        return mixed

    def targets(self, indices: NDArray[np.int64], targets: Floats32, size: int) -> Floats32:
        """The targets of a batch, float32 [n, labels], mixed as the views are.

        Args:
            indices: int [n], which photos.
            targets: float32 [N, labels], of all photos.
            size: S, the side of the views.
        """
        mixed = targets[indices]
        for row, index in enumerate(indices) if self._share else ():
            partner = self.partner(self._photos[index])
            if partner is not None:
                kept = partner.share if partner.cut is None else _visible(partner, size)
                mixed[row] = kept * mixed[row] + (1 - kept) * targets[partner.index]
        return mixed


def window(partner: Partner, size: int) -> tuple[slice, slice]:
    """Where CutMix shows the other photo: rows and columns of a square around its centre, cut off at the border."""
    assert partner.cut is not None
    half = size * (1 - partner.share) ** 0.5 / 2
    rows, columns = (
        slice(max(0, round(centre * size - half)), min(size, round(centre * size + half))) for centre in partner.cut
    )
    return rows, columns


def _visible(partner: Partner, size: int) -> float:
    rows, columns = window(partner, size)
    return 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / size**2
