import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from derm_sdk import BundleError, Taxonomy, TaxonomyError
from derm_sdk.calibration import Calibration
from derm_sdk.composition import Composition, Head

from ..models import HEADS, TAXONOMY, labels


def composition(**changes: Head) -> Composition:
    heads = {name: Head(name, given, labels(given)) for name, (given, _) in HEADS.items()} | changes
    return Composition(TAXONOMY, tuple(heads.values()))


@given(st.integers(0, 2**32 - 1), st.sets(st.sampled_from(sorted(set(HEADS) - {"root"}))))
def test_children_add_up_to_their_parent_whatever_was_skipped(seed, skipped):
    random = np.random.default_rng(seed)
    whole = composition()
    given_by = {
        head.graph: random.dirichlet(np.full(len(head.labels), 0.3), size=3)
        for head in whole.heads
        if head.graph not in skipped
    }
    nodes = whole.probabilities(given_by, skipped=skipped)
    for parent in (None, *(node.id for node in TAXONOMY.nodes)):
        children = TAXONOMY.children(parent)
        if children:
            expected = 1.0 if parent is None else nodes[:, whole.column(parent)]
            np.testing.assert_allclose(sum(nodes[:, whole.column(child.id)] for child in children), expected, atol=1e-12)


def test_a_leaf_is_its_category_times_its_share_of_it():
    whole = composition()
    given_by = {head.graph: np.full((1, len(head.labels)), 1 / len(head.labels)) for head in whole.heads}
    given_by["root"] = np.array([[0.2, 0.7, 0.1]])
    given_by["expert-malignant"] = np.array([[0.5, 0.25, 0.25]])
    nodes = whole.probabilities(given_by)[0]
    first = TAXONOMY.leaves_under("malignant")[0]
    assert nodes[whole.column(first)] == pytest.approx(0.35)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"root": Head("root", None, labels(None)[:2])}, "cover"),
        ({"expert-benign": Head("expert-benign", "benign", labels("malignant"))}, "cover"),
        ({"root": Head("root", "benign", labels("benign"))}, "one graph for the whole tree"),
        ({"extra": Head("extra", "melanoma-group", ("melanoma",))}, "no other graph answers"),
        ({"root": Head("root", None, ("benign", "malignant", "oops"))}, "not in the tree"),
        ({"expert-benign": Head("root", "benign", labels("benign"))}, "have the same id"),
        ({"expert-benign": Head("expert-benign", "benign", ("benign",))}, "'benign' into 'benign', which is not below it"),
    ],
)
def test_heads_that_do_not_fit_the_tree_are_refused(changes, message):
    with pytest.raises(TaxonomyError, match=message):
        composition(**changes)


def test_a_category_of_several_conditions_needs_a_graph():
    heads = tuple(head for head in composition().heads if head.given != "benign")
    with pytest.raises(TaxonomyError, match="No graph splits 'benign'"):
        Composition(TAXONOMY, heads)


def test_temperature_divides_the_logits():
    logits = np.array([[2.0, 0.0]])
    cold, hot = (Calibration(temperatures={"root": t}).probabilities("root", logits)[0, 0] for t in (0.5, 4.0))
    assert cold == pytest.approx(1 / (1 + np.exp(-4))) and hot == pytest.approx(1 / (1 + np.exp(-0.5)))


def test_the_answer_stops_at_the_last_level_that_is_certain_enough():
    whole = composition()
    nodes = np.zeros((1, len(TAXONOMY.nodes)))
    for node, value in {"malignant": 0.9, "epidermal": 0.6, "basal-cell-carcinoma": 0.35}.items():
        nodes[0, whole.column(node)] = value
    calibration = Calibration(answer={"category": 0.5, "group": 0.5, "condition": 0.5})
    assert calibration.answers(whole, nodes) == ["epidermal"]
    assert Calibration(answer={"category": 0.95}).answers(whole, nodes) == [None]


def test_referral_says_why():
    whole = composition()
    row = np.zeros(len(TAXONOMY.nodes))
    row[whole.column("malignant")], row[whole.column("benign")] = 0.4, 0.6
    calibration = Calibration(refer_node="malignant", refer_threshold=0.3, answer={"category": 0.7})
    reasons = calibration.reasons(whole, row)
    assert reasons == [
        "malignant has probability 0.40 (referred from 0.30)",
        "no category is certain enough (best 0.60, needed 0.70)",
    ]


def test_graphs_that_split_two_nodes_into_each_other_are_refused():
    tree = Taxonomy.from_paths(("category", "condition"), [("x", "a"), ("y", "b")])
    heads = (Head("root", None, ("x", "y")), Head("down", "x", ("a",)), Head("up", "a", ("x",)))
    with pytest.raises(TaxonomyError, match="'a' into 'x', which is not below it"):
        Composition(tree, heads)


@pytest.mark.parametrize("wrong", [0, -1, 5e-309, 1e-4, 1e4, 10**400, float("inf"), float("nan"), True, "1", None])
def test_what_is_no_temperature_is_refused(wrong):
    with pytest.raises(BundleError, match=r"must be from 0\.001 to 1000"):
        Calibration(temperatures={"root": wrong})


@pytest.mark.parametrize("field", ["answer", "sets"])
@pytest.mark.parametrize("wrong", [-0.1, 10**400, "high", True])
def test_a_threshold_is_checked_though_another_has_the_same_level(field, wrong):
    thresholds = {"answer": {"category": 0.5}, "sets": {"category": 0.5}} | {field: {"category": wrong}}
    with pytest.raises(BundleError, match="must be a probability from 0 to 1"):
        Calibration(**thresholds)
