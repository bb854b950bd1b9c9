import numpy as np
import pytest

from derm_converters.errors import ConversionError
from derm_converters.page import parity_page
from derm_converters.parity import Way, broken_limits, compare, paired_interval
from derm_sdk.calibration import Calibration
from derm_sdk.composition import Composition, Head
from derm_toolkit.training.config import Limits

from ..models import HEADS, TAXONOMY, labels

COMPOSITION = Composition(TAXONOMY, tuple(Head(name, given, labels(given)) for name, (given, _) in HEADS.items()))
CALIBRATION = Calibration(refer_node="malignant", refer_threshold=0.3, answer={"category": 0.3})
COUNT = 100


def logits(seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {head.graph: random.normal(0, 3, (COUNT, len(head.labels))) for head in COMPOSITION.heads}


def report(trained, converted, skin_types=None):
    leaves = [TAXONOMY.leaves[i % len(TAXONOMY.leaves)] for i in range(COUNT)]
    clusters = [str(i // 2) for i in range(COUNT)]
    types = skin_types or [1 + i % 2 for i in range(COUNT)]
    return compare(COMPOSITION, [way("trained", trained), way("int8 graph", converted)], leaves, clusters, types)


def way(name, answers, calibration=CALIBRATION):
    return Way(name, "" if name == "trained" else f"step to {name}", calibration, calibration.nodes(COMPOSITION, answers))


def test_a_model_agrees_with_itself_entirely():
    found = report(logits(), logits())
    assert all(level["agreement"] == 1 and level["accuracy_change"] == 0 for level in found["overall"]["levels"].values())
    assert found["overall"]["divergence"] == pytest.approx(0, abs=1e-12)
    assert broken_limits(found, Limits()) == []


def test_flipped_photos_are_counted_and_the_broken_limit_is_named():
    changed = logits()
    changed["root"] = changed["root"].copy()
    changed["root"][:10] = -changed["root"][:10]
    found = report(logits(), changed)
    assert found["overall"]["levels"]["category"]["agreement"] == pytest.approx(0.9)
    sentences = broken_limits(found, Limits())
    assert any("all photos: category agreement 0.900, at least 0.950 wanted (n = 100)" in each for each in sentences)


def test_a_skin_type_that_suffers_alone_breaks_its_own_limit():
    changed = logits()
    changed["root"] = changed["root"].copy()
    changed["root"][:4] = -changed["root"][:4]
    types = [5] * 20 + [2] * 80
    sentences = broken_limits(report(logits(), changed, types), Limits(divergence=9, refer=0, sensitivity_loss=1))
    assert [each.split(":")[0] for each in sentences] == ["skin type 5"] * len(sentences)
    assert sentences


def test_a_fall_in_sensitivity_breaks_its_limit_whatever_the_node_is_called():
    changed = logits()
    changed["root"] = changed["root"].copy()
    malignant = [
        row
        for row in range(COUNT)
        if TAXONOMY.ancestor(TAXONOMY.leaves[row % len(TAXONOMY.leaves)], "category") == "malignant"
    ]
    changed["root"][malignant] = [9.0, -9.0, 0.0]  # surely benign
    loose = Limits(top_agreement=0, leaf_agreement=0, divergence=99, refer=0)
    assert any("of the malignant photos are referred" in each for each in broken_limits(report(logits(), changed), loose))


def test_without_a_photo_there_is_nothing_to_compare():
    empty = {head.graph: np.zeros((0, len(head.labels))) for head in COMPOSITION.heads}
    with pytest.raises(ConversionError, match="no validation photo"):
        compare(COMPOSITION, [way("trained", empty), way("int8 graph", empty)], [], [], [])


def test_small_groups_print_their_n_alone():
    types = [6] * 19 + [None] * 81
    found = report(logits(), logits(1), types)
    assert found["by_skin_type"]["6"] == {"n": 19}
    assert found["by_skin_type"]["unknown"]["n"] == 81


def test_the_interval_of_a_paired_difference_resamples_clusters_whole():
    differences = np.repeat(np.random.default_rng(0).choice([-1.0, 0.0, 1.0], 60), 5)
    clusters = np.repeat(np.arange(60), 5)
    whole = np.ptp(paired_interval(differences, clusters))
    single = np.ptp(paired_interval(differences, np.arange(300)))
    assert whole > 1.8 * single


def test_a_changed_answer_is_put_down_to_the_step_that_brought_it():
    leaves = [TAXONOMY.leaves[i % len(TAXONOMY.leaves)] for i in range(COUNT)]
    answers = {"root": np.tile([9.0, 0, 0], (COUNT, 1))}
    answers |= {h.graph: np.zeros((COUNT, len(h.labels))) for h in COMPOSITION.heads if h.given}

    def changed(*rows_and_roots):
        copy = {name: values.copy() for name, values in answers.items()}
        for rows, root in rows_and_roots:
            copy["root"][rows] = root
        return copy

    first, second = (slice(0, 3), [0, 9.0, 0]), (slice(3, 8), [0, 0, 9.0])
    there_and_back = (slice(20, 40), [0, 9.0, 0])
    ways = [
        way("trained", answers),
        way("float32 graph", changed(first, there_and_back)),
        way("int8 graph", changed(first, second)),
        way("device", changed(first, second)),
    ]
    found = compare(COMPOSITION, ways, leaves, ["a"] * COUNT, [None] * COUNT)
    category = found["overall"]["levels"]["category"]
    assert category["changes"] == {"step to float32 graph": 3, "step to int8 graph": 5, "step to device": 0}
    assert category["agreement"] == pytest.approx(1 - 8 / COUNT)
    assert category["accuracy_change"] == pytest.approx(
        (category["only_converted_right"] - category["only_trained_right"]) / COUNT
    )


def test_another_threshold_alone_changes_referrals_and_no_answer():
    stricter = Calibration(refer_node="malignant", refer_threshold=0.9, answer={"category": 0.3})
    leaves = [TAXONOMY.leaves[i % len(TAXONOMY.leaves)] for i in range(COUNT)]
    ways = [way("trained", logits()), way("int8 graph", logits()), way("calibrated again", logits(), stricter)]
    found = compare(COMPOSITION, ways, leaves, [str(i) for i in range(COUNT)], [None] * COUNT)["overall"]
    assert all(level["agreement"] == 1 for level in found["levels"].values())
    assert found["refer_changes"]["step to int8 graph"] == 0 < found["refer_changes"]["step to calibrated again"]
    assert found["sensitivity"]["trained"] == found["ways"]["trained"]["sensitivity"]
    assert found["sensitivity"]["converted"] == found["ways"]["calibrated again"]["sensitivity"]


def test_each_way_is_judged_by_itself():
    found = report(logits(), logits(1))["overall"]
    for name in ("trained", "int8 graph"):
        for level, cells in found["ways"][name]["levels"].items():
            assert 0 <= cells["ece"] <= 1 and cells["log_loss"] > 0 and 0 <= cells["set_coverage"] <= 1
            accuracy = "accuracy_trained" if name == "trained" else "accuracy_converted"
            assert cells["accuracy"] == found["levels"][level][accuracy]
    assert found["ways"]["trained"]["levels"]["condition"]["set_size"] >= 1


def test_the_page_tells_every_step_group_and_broken_limit():
    found = {**report(logits(), logits(1), [1] * 19 + [2] * 81), "split": "validation", "limits": vars(Limits())}
    page = parity_page({**found, "broken": ["all photos: <divergence> 9"]}, "A <model>")
    assert page.startswith("<!doctype html>") and "<script" not in page and "A &lt;model&gt;" in page
    assert "&lt;divergence&gt; 9" in page and "too few to say" in page and "step to int8 graph" in page
    assert "keeps every limit" in parity_page({**found, "broken": []}, "m") and "not a medical device" in page
