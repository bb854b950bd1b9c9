import dataclasses
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import derm_sdk
from derm_sdk import Classifier, ImageError, OptionError
from derm_sdk.bundle import pack_bundle
from derm_sdk.calibration import Calibration

from .. import models

PHOTOS = models.photos(40, seed=5)[2:]


@pytest.fixture(scope="module")
def classifier(bundle_path):
    with Classifier(bundle_path) as opened:
        yield opened


def check_sums(node: dict) -> None:
    if node["children"]:
        assert sum(child["probability"] for child in node["children"]) == pytest.approx(node["probability"], abs=1e-6)
    for child in node["children"]:
        check_sums(child)


@pytest.mark.parametrize("routing", ["all", "lazy", "top"])
@pytest.mark.parametrize("precision", ["int8", "float16", "float32"])
def test_children_add_up_to_their_parent_for_every_routing_and_precision(routing, precision):
    with Classifier(models.bundle_bytes(precision), routing=routing) as opened:
        for photo in PHOTOS[:8]:
            tree = opened.classify(photo).tree()
            assert tree["probability"] == pytest.approx(1, abs=1e-6)
            check_sums(tree)


def test_a_result_ranks_every_node_of_a_level(classifier):
    result = classifier.classify(PHOTOS[0])
    for level in models.TAXONOMY.levels:
        ranked = result[level]
        assert {p.id for p in ranked} == {node.id for node in models.TAXONOMY.at(level)}
        assert [p.probability for p in ranked] == sorted((p.probability for p in ranked), reverse=True)
    assert result.category == result["category"][0]
    assert result.condition == result["condition"][0]
    with pytest.raises(OptionError, match="Did you mean 'condition'"):
        result["conditions"]


def test_int8_answers_like_float(classifier):
    with Classifier(models.bundle_bytes("float32")) as exact:
        for photo in PHOTOS:
            a, b = classifier.classify(photo), exact.classify(photo)
            difference = {p.id: p.probability for p in a["condition"]}
            assert max(abs(difference[p.id] - p.probability) for p in b["condition"]) < 0.1


def test_lazy_routing_changes_neither_condition_answer_referral_nor_sets():
    sharp = Calibration(
        temperatures=dict.fromkeys(models.HEADS, 0.02), answer=models.CALIBRATION.answer,
        sets=models.CALIBRATION.sets, refer_node="malignant", refer_threshold=0.3,
    )  # fmt: skip
    fields, data = models.parts()
    skipped = 0
    with Classifier(pack_bundle(fields, models.TAXONOMY, sharp, data, "", "")) as opened:
        for photo in PHOTOS:
            whole, lazy = opened.classify(photo), opened.classify(photo, routing="lazy")
            skipped += len(lazy.skipped)
            assert (whole.condition, whole.answer, whole.reasons, whole.sets) == (
                lazy.condition, lazy.answer, lazy.reasons, lazy.sets
            )  # fmt: skip
    assert skipped > 0


def test_top_routing_runs_the_root_and_one_expert_and_stays_in_the_best_category(classifier):
    for photo in PHOTOS[:10]:
        result = classifier.classify(photo, routing="top")
        assert len(result.skipped) == 2
        assert models.TAXONOMY.ancestor(result.condition.id, "category") == result.category.id


def test_the_best_node_is_in_its_own_prediction_set_for_every_routing(classifier):
    for routing in ("all", "lazy", "top"):
        for photo in PHOTOS[:12]:
            result = classifier.classify(photo, routing=routing)
            assert all(result.sets[level][0] == result[level][0].id for level in models.TAXONOMY.levels)


def test_lazy_routing_follows_sums_where_the_root_answers_below_the_top_level():
    """Category x = .30 + .25 beats y = .45, though y's group is the best of the root's labels."""
    tree = derm_sdk.Taxonomy.from_paths(
        ("category", "group", "condition"),
        [("x", "g1", "a"), ("x", "g1", "b"), ("x", "g2", "c"), ("x", "g2", "d"), ("y", "g3", "e"), ("y", "g3", "f")],
    )
    heads = {
        "root": (None, ("g1", "g2", "g3")),
        "g1": ("g1", ("a", "b")),
        "g2": ("g2", ("c", "d")),
        "g3": ("g3", ("e", "f")),
    }
    shares = {"root": [0.30, 0.25, 0.45], "g1": [0.9, 0.1], "g2": [0.5, 0.5], "g3": [0.9, 0.1]}
    fields, data = models.parts()
    rows = []
    for name, (given, labels) in heads.items():
        source = fields["graphs"][0]
        output = {**source["outputs"][0], "shape": [1, len(labels)], "dtype": "float32", "scale": 1.0, "zero_point": 0}
        rows.append({**source, "id": name, "given": given, "labels": list(labels), "outputs": [output]})
    calibration = Calibration(answer=dict.fromkeys(tree.levels, 0.1), sets=dict.fromkeys(tree.levels, 0.31))
    packed = pack_bundle({**fields, "graphs": rows}, tree, calibration, dict.fromkeys(heads, data["root"]), "", "")
    bundle = derm_sdk.read_bundle(packed)

    class Fixed:
        def __init__(self, spec, *_):
            self.spec = spec

        def logits(self, _):
            return np.log(np.array(shares[self.spec.id]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("derm_sdk.classifier.Network", Fixed)
        opened = Classifier(bundle)
    whole, lazy = opened.classify(PHOTOS[0]), opened.classify(PHOTOS[0], routing="lazy")
    assert whole.answer == lazy.answer
    assert whole.answer.id == "a"
    assert (whole.condition, whole.sets) == (lazy.condition, lazy.sets)
    assert lazy.skipped == ("g2",)


def test_every_way_to_give_a_photo_gives_the_same_answer(classifier, tmp_path):
    photo = PHOTOS[1]
    path = tmp_path / "photo.png"
    Image.fromarray(photo).save(path)
    expected = classifier.classify(photo).to_json()
    with path.open("rb") as file:
        for source in (path, str(path), path.read_bytes(), file, Image.open(path)):
            assert classifier.classify(source).to_json() == expected
    assert classifier.classify(photo[..., ::-1], channels="bgr").to_json() == expected


@pytest.mark.parametrize(
    ("given", "number"), [(None, None), (1, 1), (6, 6), ("IV", 4), ("vi", 6), (np.int64(3), 3), (np.array(2), 2)]
)
def test_skin_types(classifier, given, number):
    assert classifier.classify(PHOTOS[0], fitzpatrick=given).fitzpatrick == number


@pytest.mark.parametrize(
    "wrong", [0, 7, -1, "VII", "", True, 2.0, "4.5", [1], b"I", np.array([1, 2]), int, np.True_, np.float32(2), "\u0131"]
)
def test_what_is_no_skin_type_is_refused(classifier, wrong):
    with pytest.raises(OptionError, match="fitzpatrick must be 1 to 6"):
        classifier.classify(PHOTOS[0], fitzpatrick=wrong)


@pytest.mark.parametrize(
    "options", [{"threads": 0}, {"threads": True}, {"threads": 1.0}, {"threads": np.array([1, 2])}, {"routing": "some"}]
)
def test_options_out_of_range_are_refused(bundle_path, options):
    with pytest.raises(OptionError):
        Classifier(bundle_path, **options)


def test_one_pixel_is_a_photo_too_small(classifier):
    result = classifier.classify(np.zeros((1, 1, 3), np.uint8))
    assert "too small (1 x 1 pixels)" in result.quality.problems
    assert "too dark" in result.quality.problems and not result.quality


def test_threads_share_a_classifier(classifier):
    expected = [classifier.classify(photo).to_json() for photo in PHOTOS[:12]]
    found: dict[int, str] = {}

    def work(start: int) -> None:
        for place in range(start, 12, 4):
            found[place] = classifier.classify(PHOTOS[place]).to_json()

    workers = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [found[place] for place in range(12)] == expected


def test_many_photos_come_back_in_order(classifier):
    results = list(classifier.classify_many(PHOTOS[:4], fitzpatrick=2))
    assert [r.to_json() for r in results] == [classifier.classify(p, fitzpatrick=2).to_json() for p in PHOTOS[:4]]


@pytest.mark.parametrize("single", ["photo.jpg", b"bytes", bytearray(b"bytes"), Path("photo.jpg")])
def test_many_photos_are_not_the_letters_of_a_path(classifier, single):
    with pytest.raises(OptionError, match="classify_many takes several photos"):
        classifier.classify_many(single)


@pytest.mark.parametrize("threads", [2, np.int64(2)])
def test_more_threads_in_a_graph_change_no_bit(bundle_path, classifier, threads):
    with Classifier(bundle_path, threads=threads) as two:
        assert [two.classify(p).to_json() for p in PHOTOS[:6]] == [classifier.classify(p).to_json() for p in PHOTOS[:6]]


def test_a_closed_classifier_says_so(bundle_path):
    opened = Classifier(bundle_path)
    opened.close()
    with pytest.raises(OptionError, match="was closed"):
        opened.classify(PHOTOS[0])


def test_closing_waits_for_the_photo_that_is_being_classified(bundle_path, monkeypatch):
    opened = Classifier(bundle_path)
    expected = opened.classify(PHOTOS[0]).to_json()
    closer = threading.Thread(target=opened.close)
    root = opened._networks["root"]
    real = root.logits

    def close_meanwhile(prepared):
        closer.start()
        closer.join(0.2)  # long enough to close, were it not for the lock
        return real(prepared)

    monkeypatch.setattr(root, "logits", close_meanwhile)
    assert opened.classify(PHOTOS[0]).to_json() == expected
    closer.join()
    with pytest.raises(OptionError, match="was closed"):
        opened.classify(PHOTOS[0])


def test_threads_get_whole_answers_or_one_sentence_while_another_closes(bundle_path):
    opened = Classifier(bundle_path)
    expected = opened.classify(PHOTOS[0]).to_json()
    found: list[object] = []
    begun = threading.Barrier(5)

    def work() -> None:
        begun.wait()
        try:
            for _ in range(1000):
                found.append(opened.classify(PHOTOS[0]).to_json())
        except Exception as error:
            found.append(error)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    begun.wait()
    opened.close()
    for worker in workers:
        worker.join()
    errors = [answer for answer in found if answer != expected]
    assert len(errors) == 4 and all(isinstance(e, OptionError) and "was closed" in str(e) for e in errors)


def test_a_bad_photo_leaves_the_classifier_usable(classifier):
    with pytest.raises(ImageError):
        classifier.classify(b"nonsense")
    assert classifier.classify(PHOTOS[0]).condition


def test_json_is_stable_and_complete(classifier):
    data = json.loads(classifier.classify(PHOTOS[0], fitzpatrick=3).to_json())
    assert set(data) == {
        "schema", "model", "fitzpatrick", "prior", "answer", "refer", "reasons", "quality", "coverage", "prediction_sets",
        "routing", "skipped", "warnings", "levels",
    }  # fmt: skip
    assert data["schema"] == 1 and data["fitzpatrick"] == 3
    assert list(data["levels"]) == ["category", "group", "condition"]


def test_a_result_prints_as_a_tree(classifier):
    text = str(classifier.classify(PHOTOS[0]))
    assert "malignant" in text and "answer:" in text and "refer to a dermatologist:" in text


def test_a_prediction_set_holds_the_best_and_what_reaches_the_threshold(classifier):
    for photo in PHOTOS[:10]:
        result = classifier.classify(photo)
        for level in models.TAXONOMY.levels:
            members = result.prediction_set(level)
            assert members[0] == result[level][0]
            threshold = models.CALIBRATION.sets[level]
            assert {p.id for p in members[1:]} == {p.id for p in result[level][1:] if p.probability >= threshold}


def test_the_prediction_set_is_of_the_deepest_level_whatever_its_name(classifier):
    result = classifier.classify(PHOTOS[0])
    assert result.prediction_set() == result.prediction_set("condition")
    levels = {f"level {i}": found for i, found in enumerate(result.levels.values())}
    renamed = dataclasses.replace(result, levels=levels, sets={f"level {i}": s for i, s in enumerate(result.sets.values())})
    assert renamed.prediction_set() == result.prediction_set("condition")


def test_prepare_gives_what_the_classifier_sees(classifier):
    photo = np.random.default_rng(3).integers(0, 256, (50, 70, 3), np.uint8)
    prepared = derm_sdk.prepare(photo, models.SIZE, "crop", ("rgb",))["rgb"]
    logits = classifier.logits(prepared)
    nodes = classifier.calibration.nodes(classifier.composition, {g: row[None] for g, row in logits.items()})[0]
    best = classifier.classify(photo).condition
    assert nodes[classifier.composition.column(best.id)] == best.probability
