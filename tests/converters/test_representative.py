from collections import Counter

import numpy as np

from derm_converters.representative import stratified, with_extremes
from derm_toolkit.data.manifest import Photo


def photos(counts: dict[tuple[str, int | None], int]) -> list[Photo]:
    return [
        Photo(f"{leaf}-{skin}-{i}.jpg", f"{leaf}-{skin}-{i}", (leaf,), leaf, skin, "", "", "", 10, 10)
        for (leaf, skin), n in counts.items()
        for i in range(n)
    ]


def test_conditions_and_within_them_skin_types_take_turns():
    chosen = stratified(photos({("a", 1): 90, ("a", 6): 5, ("b", 2): 50, ("c", None): 2}), 20)
    assert Counter(photo.leaf for photo in chosen) == {"a": 9, "b": 9, "c": 2}
    assert Counter(photo.fitzpatrick for photo in chosen if photo.leaf == "a") == {1: 5, 6: 4} or Counter(
        photo.fitzpatrick for photo in chosen if photo.leaf == "a"
    ) == {1: 4, 6: 5}


def test_the_choice_does_not_depend_on_the_order_of_the_manifest():
    everything = photos({("a", 1): 30, ("b", 2): 30})
    assert stratified(everything, 10, seed=4) == stratified(everything[::-1], 10, seed=4)
    assert stratified(everything, 10, seed=4) != stratified(everything, 10, seed=5)


def test_fewer_photos_than_asked_are_all_taken():
    assert len(stratified(photos({("a", 1): 3}), 200)) == 3


def test_black_and_white_come_first_so_that_every_input_spans_0_to_255():
    rows = list(with_extremes([], 8, ("rgb", "equalized", "otsu", "gray", "stretched")))
    for kind in rows[0]:
        assert (rows[0][kind].min(), rows[1][kind].max()) == (0, 255)
        assert np.ptp(np.concatenate([row[kind].ravel() for row in rows])) == 255
