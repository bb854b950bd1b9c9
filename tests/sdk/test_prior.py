"""A prior: probabilities follow Bayes' rule for another place, on any level, and what cannot be meant is refused."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from derm_sdk import Classifier, FileError, OptionError, read_bundle
from derm_sdk.calibration import Calibration
from derm_sdk.cli import main
from derm_sdk.composition import Composition, Head
from derm_sdk.prior import check_prior, parse_prior, prior_factors, reweighted
from derm_sdk.taxonomy import Taxonomy

from .. import models

TREE = Taxonomy.from_paths(
    ("category", "condition"),
    [("benign", "nevus"), ("benign", "wart"), ("malignant", "carcinoma"), ("malignant", "melanoma"), ("other", "acne")],
)
PHOTOS = {"nevus": 100, "wart": 50, "carcinoma": 300, "melanoma": 200, "acne": 350}
COMPOSITION = Composition(TREE, (Head("all", None, TREE.leaves),))


def nodes(count: int = 6) -> np.ndarray:
    return Calibration().nodes(COMPOSITION, {"all": np.random.default_rng(1).normal(0, 2, (count, len(TREE.leaves)))})


def adjusted(prior: Mapping[str, float], given: np.ndarray) -> np.ndarray:
    return reweighted(COMPOSITION, given, prior_factors(check_prior(prior, TREE), PHOTOS, TREE))


def test_the_training_shares_change_nothing_and_children_add_up_to_their_parent():
    given = nodes()
    assert np.allclose(adjusted({"benign": 0.15, "malignant": 0.5, "other": 0.35}, given), given)
    assert np.allclose(adjusted({"melanoma": 0.2}, given), given)
    changed = adjusted({"benign": 0.9, "malignant": 0.02, "other": 0.08}, given)
    for node in TREE.at("category"):
        below = [COMPOSITION.column(leaf) for leaf in TREE.leaves_under(node.id)]
        assert np.allclose(changed[:, COMPOSITION.column(node.id)], changed[:, below].sum(axis=1))
    assert np.allclose(changed[:, COMPOSITION.columns("category")].sum(axis=1), 1.0)


def test_odds_change_by_the_ratio_of_the_priors_odds_and_stay_inside_a_node():
    given = nodes()
    changed = adjusted({"malignant": 0.1, "benign": 0.6, "other": 0.3}, given)
    column = COMPOSITION.column
    odds = [each[:, column("malignant")] / each[:, column("benign")] for each in (given, changed)]
    assert np.allclose(odds[1] / odds[0], (0.1 / 0.6) / (0.5 / 0.15))
    inside = [each[:, column("melanoma")] / each[:, column("carcinoma")] for each in (given, changed)]
    assert np.allclose(*inside)


def test_it_is_right_about_photos_of_another_place():
    """Two places show the same pictures of each condition, in other shares: Bayes' rule for the other one is exact."""
    stream = np.random.default_rng(0)
    picture_given_leaf = stream.dirichlet(np.ones(40), len(TREE.leaves))
    here = np.array([PHOTOS[leaf] for leaf in TREE.leaves]) / sum(PHOTOS.values())
    there = stream.dirichlet(np.ones(len(TREE.leaves)))
    answer_here, answer_there = (
        (picture_given_leaf * share[:, None] / (picture_given_leaf * share[:, None]).sum(axis=0)).T
        for share in (here, there)
    )
    given = Calibration().nodes(COMPOSITION, {"all": np.log(answer_here)})
    found = adjusted(dict(zip(TREE.leaves, there.tolist(), strict=True)), given)
    assert np.allclose(found[:, COMPOSITION.columns("condition")], answer_there)


def test_what_is_not_named_keeps_its_proportions():
    factors = prior_factors(check_prior({"malignant": 0.1, "wart": 0.3}, TREE), PHOTOS, TREE)
    shares = factors * np.array([PHOTOS[leaf] for leaf in TREE.leaves]) / 1000
    found = dict(zip(TREE.leaves, shares, strict=True))
    assert found["carcinoma"] + found["melanoma"] == pytest.approx(0.1)
    assert found["wart"] == pytest.approx(0.3)
    assert found["nevus"] == pytest.approx(0.6 * 100 / 450)
    assert found["acne"] == pytest.approx(0.6 * 350 / 450)


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ({}, "must name shares of labels"),
        ([("malignant", 0.5)], "must name shares of labels"),
        ({"malign": 0.5}, "Unknown label 'malign'.* Did you mean 'malignant'"),
        ({7: 0.5}, "Unknown label 7"),
        ({"malignant": 0.0}, "'malignant' must be a share from 1e-12 to 1; got 0.0"),
        ({"malignant": -0.1}, "got -0.1"),
        ({"malignant": 1.5}, "got 1.5"),
        ({"malignant": 1e-13}, "got 1e-13"),
        ({"malignant": float("nan")}, "got nan"),
        ({"malignant": 10**400}, "must be a share"),
        ({"malignant": True}, "got True"),
        ({"malignant": "0.5"}, "got '0.5'"),
        ({"malignant": 0.3, "melanoma": 0.2}, "'melanoma' and 'malignant', which lies above it"),
        ({"malignant": 0.3, "benign": 0.3, "other": 0.3}, "must add up to 1; got 0.9"),
        ({"malignant": 0.6, "benign": 0.4}, "must leave a share for the labels it does not name; it adds up to 1"),
        ({"malignant": 0.7, "benign": 0.29999999999999993}, "must leave a share"),
    ],
)
def test_what_cannot_be_a_prior_is_refused(prior: object, message: str):
    with pytest.raises(OptionError, match=message):
        check_prior(prior, TREE)


def test_a_model_that_does_not_know_its_training_takes_no_prior():
    for counts, message in (
        (None, "does not record"),
        ({"nevus": -1}, "records -1"),
        ({"nevus": 5}, "no photo of 'malignant'"),
    ):
        with pytest.raises(OptionError, match=message):
            prior_factors({"malignant": 0.1}, counts, TREE)


def test_it_is_typed_as_text_or_read_from_a_file(tmp_path: Path):
    assert parse_prior("malignant=0.02, basal cell carcinoma = .5") == {"malignant": 0.02, "basal cell carcinoma": 0.5}
    file = tmp_path / "prior.json"
    file.write_text('{"malignant": 0.02}')
    assert parse_prior(str(file)) == {"malignant": 0.02}
    file.write_text("[" * 100_000)
    with pytest.raises(OptionError, match="must hold a prior such as"):
        parse_prior(str(file))
    with pytest.raises(FileError, match=r"malignant=0\.02"):
        parse_prior(str(tmp_path / "no.json"))
    for wrong in ("malignant=", "=0.5", "malignant=a", "malignant=0.1,malignant=0.2", "malignant=0.1,,"):
        with pytest.raises(OptionError, match="each label once"):
            parse_prior(wrong)


@functools.cache
def bundle():
    found = read_bundle(models.bundle_bytes())
    counts = {leaf: 10 * (place + 1) for place, leaf in enumerate(found.taxonomy.leaves)}
    return dataclasses.replace(found, manifest={**found.manifest, "training": {"photos_by_condition": counts}})


def test_the_classifier_adjusts_and_records_it():
    photo = models.photos(5)[3]
    prior = {"malignant": 0.02}
    with Classifier(bundle()) as plain, Classifier(bundle(), prior=prior, routing="lazy") as street:
        before, after = plain.classify(photo), street.classify(photo)
        assert plain.classify(photo, prior=prior).to_dict() == after.to_dict()
        with pytest.raises(OptionError, match="A prior needs every graph"):
            plain.classify(photo, prior=prior, routing="top")
    assert before.prior is None and before.to_dict()["prior"] is None
    assert after.to_dict()["prior"] == prior and after.routing == "all" and after.skipped == ()
    share = {node.id: node.probability for node in after["category"]}
    was = {node.id: node.probability for node in before["category"]}
    assert share["malignant"] < was["malignant"] and sum(share.values()) == pytest.approx(1.0)
    assert "adjusted to: malignant 2 %" in str(after) and "adjusted" not in str(before)


def test_the_command_takes_a_prior_and_tells_what_is_wrong_with_it(tmp_path: Path):
    photo = tmp_path / "photo.png"
    Image.fromarray(models.photos(3)[2]).save(photo)

    def classify(*options: str):
        return CliRunner().invoke(main, ["classify", str(photo), *options])

    done = classify("--json", "--prior", "malignant=0.02")
    assert json.loads(done.stdout.splitlines()[-1])["prior"] == {"malignant": 0.02}
    wrong = classify("--prior", "malignan=0.02")
    assert wrong.exit_code == 1 and "Did you mean 'malignant'?" in wrong.stderr
