"""What the skin type does for a model that takes it: asked with the true, no, a wrong and a neighbouring type."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from derm_sdk.calibration import Calibration
from derm_sdk.composition import Composition, Head
from derm_toolkit.data.cache import PhotoCache
from derm_toolkit.data.manifest import Dataset, Photo, read_split
from derm_toolkit.evaluation.evaluate import Question, evaluate_subject
from derm_toolkit.evaluation.subject import Subject
from derm_toolkit.evaluation.told_type import NOT_AN_INPUT, told_types
from derm_toolkit.training.feed import SkinType


def subject(data: Dataset, *, takes_skin_type: bool) -> Subject:
    """A model that answers rightly if it is told the true skin type or nothing, and else always "acne"."""
    composition = Composition(data.taxonomy, (Head("root", None, data.taxonomy.leaves),))

    def logits(photos: Sequence[Photo], cache: PhotoCache, progress: object, told: SkinType) -> dict[str, np.ndarray]:
        sure = [photo.leaf if told(photo) in (None, photo.fitzpatrick) else "acne" for photo in photos]
        return {
            "root": 5 * np.eye(len(data.taxonomy.leaves), dtype="f4")[[data.taxonomy.leaves.index(leaf) for leaf in sure]]
        }

    return Subject(
        name="made up",
        digest="0" * 64,
        trained_on=("", ""),
        sides={},
        takes_skin_type=takes_skin_type,
        composition=composition,
        calibration=Calibration(),
        cache=lambda dataset, root: PhotoCache(dataset, 16, "crop", root=root),
        training_photos=dict,
        logits=logits,
    )


def test_a_wrong_type_costs_what_it_costs_and_none_costs_nothing(tiny_data: Dataset, tmp_path: Path):
    question = Question(tiny_data, None, "all")
    found, _ = evaluate_subject(subject(tiny_data, takes_skin_type=True), question, tmp_path)
    told = found["skin_type_input"]
    known = [photo for photo in tiny_data.photos if photo.fitzpatrick is not None]
    acne = np.mean([photo.leaf == "acne" for photo in known])
    assert told["n"] == len(known)
    condition = told["levels"]["condition"]
    assert condition["true"]["accuracy"]["value"] == condition["missing"]["accuracy"]["value"] == 1.0
    for name in ("wrong", "off by one"):
        assert condition[name]["accuracy"]["value"] == pytest.approx(acne)
        assert condition[name]["balanced_accuracy"]["value"] == pytest.approx(1 / 5)
        assert condition[name]["accuracy_change"]["value"] == pytest.approx(acne - 1)
        assert condition[name]["accuracy_change"]["high"] < 0
    assert condition["missing"]["accuracy_change"]["value"] == 0


def test_a_model_without_the_input_says_so(tiny_data: Dataset, tmp_path: Path):
    split = read_split(tiny_data.folder / "splits.csv", tiny_data)
    model = subject(tiny_data, takes_skin_type=False)
    found, _ = evaluate_subject(model, Question(tiny_data, split, "test"), tmp_path)
    assert found["skin_type_input"] == NOT_AN_INPUT


def test_the_types_told_are_drawn_evenly_and_never_true():
    photos = [Photo("", f"{n:064x}", (), "", 1 + n % 6, "", "", "", 1, 1) for n in range(3000)]
    told = told_types(photos, seed=1)
    wrong = np.array([told["wrong"](photo) for photo in photos]) - [photo.fitzpatrick for photo in photos]
    steps = np.array([told["off by one"](photo) for photo in photos]) - [photo.fitzpatrick for photo in photos]
    assert not (wrong == 0).any()
    assert set(np.abs(steps)) == {1}
    of_type_3 = [told["wrong"](photo) for photo in photos if photo.fitzpatrick == 3]
    assert min(np.bincount(of_type_3, minlength=7)[[1, 2, 4, 5, 6]]) > 70
    assert all(told["missing"](photo) is None for photo in photos)
    assert {told["off by one"](photo) for photo in photos if photo.fitzpatrick == 6} == {5}
    again = told_types(photos[::-1], seed=1)
    assert all(again["wrong"](photo) == told["wrong"](photo) for photo in photos)
