from __future__ import annotations

import numpy as np
import pytest

from derm_toolkit.data.manifest import Dataset
from derm_toolkit.training.mixing import Mixer, window

SIZE = 20


@pytest.fixture
def photos(tiny_data: Dataset):
    return tiny_data.photos


def flat(photo) -> np.ndarray:
    """A view of one gray value that belongs to the photo."""
    return np.full((SIZE, SIZE, 3), int(photo.digest[:2], 16), np.uint8)


def mixer(photos, epoch: int = 0, **options) -> Mixer:
    return Mixer(photos, flat, **({"mixup": 0.4, "cutmix": 1.0, "share": 1.0, "seed": 1, "epoch": epoch} | options))


def test_mixup_blends_views_and_targets_alike(photos):
    mix, targets = mixer(photos, cutmix=0.0), np.eye(len(photos), dtype=np.float32)
    for index, photo in enumerate(photos[:10]):
        partner = mix.partner(photo)
        expected = partner.share * flat(photo) + (1 - partner.share) * flat(photos[partner.index])
        np.testing.assert_allclose(mix.view(photo), expected, atol=0.51)
        row = mix.targets(np.array([index]), targets, SIZE)[0]
        assert row.sum() == pytest.approx(1) and row[index] >= partner.share - 1e-6


def test_cutmix_targets_count_the_visible_pixels(photos):
    mix, targets = mixer(photos, mixup=0.0), np.eye(len(photos), dtype=np.float32)
    for index, photo in enumerate(photos[:10]):
        partner = mix.partner(photo)
        rows, columns = window(partner, SIZE)
        assert (mix.view(photo)[rows, columns] == flat(photos[partner.index])[rows, columns]).all()
        hidden = (rows.stop - rows.start) * (columns.stop - columns.start) / SIZE**2
        if partner.index != index:
            assert mix.targets(np.array([index]), targets, SIZE)[0, partner.index] == pytest.approx(hidden, abs=1e-6)


def test_a_photos_partner_belongs_to_seed_epoch_and_photo(photos):
    assert mixer(photos).partner(photos[3]) == mixer(photos).partner(photos[3])
    assert mixer(photos).partner(photos[3]) != mixer(photos, epoch=1).partner(photos[3])


def test_the_share_of_mixed_photos_is_kept(photos):
    mixed = [mixer(photos, epoch, share=0.3).partner(photo) is not None for photo in photos for epoch in range(10)]
    assert 0.25 < np.mean(mixed) < 0.35
    assert all(mixer(photos, mixup=0.0, cutmix=0.0).partner(photo) is None for photo in photos)


def test_an_unmixed_batch_keeps_its_targets(photos):
    targets = np.eye(len(photos), dtype=np.float32)
    chosen = np.array([4, 2])
    assert (mixer(photos, share=0.0).targets(chosen, targets, SIZE) == targets[chosen]).all()
