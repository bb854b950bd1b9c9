"""Labels: synonyms that are merged, and a data set's labels in the words of a model that knows only some of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from derm_sdk.taxonomy import Taxonomy
from derm_toolkit.data.manifest import Photo, label_path
from derm_toolkit.errors import DataError
from derm_toolkit.evaluation.synonyms import merge_conditions, read_synonyms
from derm_toolkit.evaluation.truth import map_truth

LEVELS = ("category", "group", "condition")
MODEL = Taxonomy.from_paths(
    LEVELS,
    [
        ("malignant", "melanoma", "Melanoma"),
        ("malignant", "epidermal cancer", "carcinoma"),
        ("benign", "epidermal", "wart"),
        ("non-neoplastic", "inflammatory", "acne"),
    ],
)


def photos(tree: Taxonomy) -> list[Photo]:
    return [
        Photo(f"{n}.jpg", f"{n:064x}", label_path(tree, leaf), leaf, None, "", "", "", 9, 9)
        for n, leaf in enumerate(tree.leaves)
    ]


def test_the_shipped_synonyms_merge_what_they_say_and_only_below_one_category():
    merges = read_synonyms()
    paths = [("malignant", "Melanoma"), ("malignant", "malignant melanoma"), ("benign", "acne"), ("other", "acne vulgaris")]
    merged = merge_conditions(Taxonomy.from_paths(("category", "condition"), paths), merges)
    assert merged.groups == {"melanoma": ["Melanoma", "malignant melanoma"]}
    assert merged.names == ("acne", "melanoma", "acne vulgaris")
    assert merged.places.tolist() == [0, 1, 1, 2]
    assert all(merge.why for merge in merges)


def test_a_tree_without_synonyms_stays_as_it_is():
    merged = merge_conditions(MODEL, read_synonyms())
    assert merged.groups == {}
    assert merged.names == tuple(MODEL.node(leaf).name for leaf in MODEL.leaves)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("merge = 3", r"must hold \[\[merge\]\] entries"),
        ("[[merge]]\nname = 'x'", "must hold name, labels and why"),
        ("[[merge]]\nname='x'\nwhy='y'\nlabels=['a']", "two or more labels"),
        ("[[merge]]\nname='x'\nwhy='y'\nlabels=['a', 'A']", "lists the label 'a' twice"),
        ("[[merge", "is no TOML table of synonyms"),
    ],
)
def test_a_table_of_synonyms_that_is_none_is_refused(tmp_path: Path, text: str, words: str):
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(DataError, match=words):
        read_synonyms(tmp_path / "own.toml")


def test_labels_are_found_level_by_level_and_what_is_unknown_is_listed():
    data = Taxonomy.from_paths(
        LEVELS,
        [
            ("malignant", "melanoma", "melanoma"),
            ("malignant", "dermal", "sarcoma"),
            ("premalignant", "epidermal", "wart"),
            ("infection", "viral", "zoster"),
        ],
    )
    truth = map_truth(MODEL, data)
    by_name = {data.node(leaf).name: truth.nodes[leaf] for leaf in data.leaves}
    assert by_name == {
        "melanoma": ("malignant", MODEL.node(MODEL.ancestor(MODEL.node("Melanoma").id, "group")).id, "melanoma"),
        "sarcoma": ("malignant", "", ""),
        "wart": ("", "epidermal", "wart"),  # "premalignant" is a word that the model does not know: no truth there
        "zoster": ("", "", ""),
    }
    asked = photos(data)
    assert sum(truth.known(photo) for photo in asked) == 3
    assert truth.unknown([*asked, *asked]) == {
        "category": {"infection": 2, "premalignant": 2},
        "group": {"dermal": 2, "viral": 2},
        "condition": {"sarcoma": 2, "zoster": 2},
    }


def test_a_level_that_the_data_lack_follows_from_the_condition():
    data = Taxonomy.from_paths(("category", "diagnosis"), [("malignant", "carcinoma"), ("benign", "mole")])
    truth = map_truth(MODEL, data)
    assert truth.nodes["carcinoma"] == ("malignant", "epidermal-cancer", "carcinoma")
    assert truth.nodes["mole"] == ("benign", "", "")
    mole = next(photo for photo in photos(data) if photo.leaf == "mole")
    assert truth.unknown([mole]) == {"group": {"(not labelled)": 1}, "condition": {"mole": 1}}


def test_a_condition_that_the_data_file_under_another_known_label_is_refused():
    data = Taxonomy.from_paths(("category", "condition"), [("benign", "carcinoma")])
    with pytest.raises(
        DataError, match="The model files 'carcinoma' below the category 'malignant', but the data set below"
    ):
        map_truth(MODEL, data)
