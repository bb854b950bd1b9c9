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
    assert len(rows) == 2
    for kind in rows[0]:
        assert (rows[0][kind].min(), rows[1][kind].max()) == (0, 255)
        assert np.ptp(np.concatenate([row[kind].ravel() for row in rows])) == 255


def test_every_skin_type_is_shown_though_the_photos_lack_it():
    photo = np.full((8, 8, 3), 90, np.uint8)
    rows = list(with_extremes([(photo, 4)], 8, ("rgb", "skin_type")))
    assert {int(row["skin_type"].argmax()) for row in rows[:-1]} == set(range(7))
    assert {int(row["rgb"].mean()) for row in rows[:-1]} == {0, 255}
    assert np.array_equal(rows[-1]["rgb"], photo)
    assert rows[-1]["skin_type"].tolist() == [0, 0, 0, 0, 255, 0, 0]
