import pytest
from hypothesis import given
from hypothesis import strategies as st

from derm_sdk import OptionError, Taxonomy, TaxonomyError

from ..models import PATHS, TAXONOMY


def test_a_tree_survives_the_way_through_json():
    assert Taxonomy.from_dict(TAXONOMY.to_dict()) == TAXONOMY


def test_every_leaf_is_below_exactly_one_category():
    under = [leaf for node in TAXONOMY.at("category") for leaf in TAXONOMY.leaves_under(node.id)]
    assert sorted(under) == sorted(TAXONOMY.leaves) and len(under) == len(PATHS)


def test_a_name_on_two_levels_gets_two_ids_and_the_condition_keeps_the_plain_one():
    assert TAXONOMY.node("melanoma").level == "condition"
    assert TAXONOMY.node("melanoma-group").level == "group"
    assert TAXONOMY.ancestor("melanoma", "group") == "melanoma-group"


def test_a_label_with_two_parents_is_refused_by_name():
    with pytest.raises(TaxonomyError, match="'nevus' has two parents"):
        Taxonomy.from_paths(("category", "condition"), [("benign", "nevus"), ("malignant", "nevus")])


def test_an_unknown_label_is_answered_with_the_closest_one():
    with pytest.raises(OptionError, match="Did you mean 'melanoma'"):
        TAXONOMY.node("melanomma")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("nodes"), "must hold levels and nodes"),
        (lambda d: d["nodes"].append(dict(d["nodes"][0])), "id of its own"),
        (lambda d: d["nodes"][-1].update(parent="nowhere"), "needs a parent"),
        (lambda d: d["nodes"][-1].update(parent=d["nodes"][-1]["id"]), "needs a parent"),
        (lambda d: d["nodes"][0].update(level="family"), "none of"),
        (lambda d: d["nodes"][0].update(name=""), "non-empty text"),
        (lambda d: d["nodes"].append({"id": "x", "name": "x", "level": "group", "parent": "benign"}), "no children"),
        (lambda d: d["levels"].clear(), "one or more"),
        (lambda d: d["nodes"][-1].update(parent=["benign"]), "must be an id or null"),
        (lambda d: d["nodes"][-1].update(parent=0), "must be an id or null"),
        (lambda d: d["nodes"][-1].update(id=["x"]), "non-empty text"),
        (lambda d: d["levels"].append({}), "non-empty text"),
        (lambda d: d["levels"].extend(f"level {i}" for i in range(5000)), "at most 32 levels"),
    ],
)
def test_what_is_no_tree_is_refused(change, message):
    data = TAXONOMY.to_dict()
    change(data)
    with pytest.raises(TaxonomyError, match=message):
        Taxonomy.from_dict(data)


@given(st.lists(st.tuples(st.text("ab '", min_size=1, max_size=3), st.text("cdé-", min_size=1, max_size=4)), max_size=20))
def test_ids_are_unique_slugs_for_any_names(pairs):
    paths = {name: (category, name) for category, name in pairs}  # one parent each
    if not paths:
        return
    tree = Taxonomy.from_paths(("category", "condition"), paths.values())
    ids = [node.id for node in tree.nodes]
    assert len(set(ids)) == len(ids)
    assert Taxonomy.from_dict(tree.to_dict()) == tree
