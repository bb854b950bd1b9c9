import copy

from derm_converters.card import NOT_MEASURED, write_card

from .. import models


def manifest(metrics: dict) -> dict:
    fields = copy.deepcopy(models.parts()[0])
    fields["training"] = {"photos": 12, "photos_by_skin_type": {"1": 5, "unknown": 7}, "source": "drawn"}
    return {**fields, "metrics": metrics}


def test_what_was_not_measured_is_said():
    for metrics in ({}, {"all": {"n": 7}, "skin_types": {}}):
        card = write_card(manifest(metrics), models.TAXONOMY)
        assert card.count(NOT_MEASURED) == 2
        assert "Not compared." in card


def test_figures_stand_with_interval_baseline_and_n():
    cell = {"value": 0.8, "low": 0.7, "high": 0.9}
    names = ("accuracy", "balanced_accuracy", "macro_f1")
    levels = {"category": {**dict.fromkeys(names, cell), "majority_accuracy": {"value": 0.5}}}
    figures = {"n": 120, "levels": levels, "refer": {"auroc": cell, "sensitivity": cell, "specificity": None}}
    card = write_card(manifest({"all": figures, "skin_types": {"1": figures, "6": {"n": 3}}}), models.TAXONOMY)
    assert "On 120 test photos" in card
    assert "| category | 80.0 % [70.0, 90.0] | 80.0 % [70.0, 90.0] | 80.0 % [70.0, 90.0] | 50.0 % |" in card
    assert "| 6 | 3 | too few to say |" in card


def test_a_card_says_that_the_split_leaks():
    fields = manifest({})
    assert "Split by near-duplicate cluster" in write_card(fields, models.TAXONOMY)
    fields["training"]["leaks"] = [{"kind": "cluster", "names": 9, "test_photos": 12, "example": "..."}]
    card = write_card(fields, models.TAXONOMY)
    assert card.count("The split leaks (9 clusters are on two sides, with 12 test photos)") == 2
    assert "Split by near-duplicate cluster" not in card
