import numpy as np
import pytest

from derm_converters.errors import ConversionError
from derm_converters.parity import Limits, broken_limits, compare, paired_interval
from derm_sdk.calibration import Calibration
from derm_sdk.composition import Composition, Head

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
    return compare(COMPOSITION, (CALIBRATION, trained), (CALIBRATION, converted), leaves, clusters, types)


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
        compare(COMPOSITION, (CALIBRATION, empty), (CALIBRATION, empty), [], [], [])


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
