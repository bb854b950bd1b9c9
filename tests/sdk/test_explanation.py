"""Explanations: which graph is asked for a node, where a map lies on the photo, its colours and its strongest region."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from derm_sdk import Bundle, BundleError, Classifier, OptionError, Taxonomy, read_bundle
from derm_sdk.bundle import pack_bundle
from derm_sdk.calibration import Calibration
from derm_sdk.cli import main
from derm_sdk.composition import Composition, Head
from derm_sdk.explanation import explained, targets
from derm_sdk.heat import Frame, colour_map, overlay, sample, strongest_region
from derm_sdk.inputs import network_inputs
from derm_sdk.preprocess import resize

from .. import models
from ..toolkit.explanation import squares

COMPOSITION = Composition(
    models.TAXONOMY, tuple(Head(name, given, models.labels(given)) for name, (given, _) in models.HEADS.items())
)


def asked(node: str) -> list[tuple[str, list[str]]]:
    return [
        (target.head.graph, [label for label, inside in zip(target.head.labels, target.inside, strict=True) if inside])
        for target in targets(COMPOSITION, node)
    ]


def test_a_node_is_asked_of_every_graph_on_its_way_the_root_first():
    assert asked("malignant") == [("root", ["malignant"])]
    assert asked("epidermal") == [
        ("root", ["malignant"]),
        ("expert-malignant", ["basal-cell-carcinoma", "squamous-cell-carcinoma"]),
    ]
    assert asked("nevus") == [("root", ["benign"]), ("expert-benign", ["nevus"])]
    assert asked("inflammatory") == [("root", ["non-neoplastic"])]  # the only group of its category


def test_the_probability_of_a_node_is_the_product_over_the_graphs_that_decide_it():
    random = np.random.default_rng(2)
    logits = {head.graph: random.normal(size=(1, len(head.labels))) for head in COMPOSITION.heads}
    nodes = Calibration().nodes(COMPOSITION, logits)[0]
    shares = {graph: Calibration().probabilities(graph, values)[0] for graph, values in logits.items()}
    for node in models.TAXONOMY.nodes:
        product = 1.0
        for target in targets(COMPOSITION, node.id):
            product *= shares[target.head.graph][list(target.inside)].sum()
        assert product == pytest.approx(nodes[COMPOSITION.column(node.id)])


def test_the_weights_are_the_gradient_of_the_log_odds():
    target = targets(COMPOSITION, "epidermal")[-1]
    inside, logits = np.array(target.inside), np.array([0.3, -1.2, 2.0])

    def log_odds(values):
        shares = np.exp(values)
        return np.log(shares[inside].sum() / shares[~inside].sum())

    numeric = [(log_odds(logits + step) - log_odds(logits - step)) / 2e-5 for step in np.eye(3) * 1e-5]
    np.testing.assert_allclose(target.score_weights(np.exp(logits) / np.exp(logits).sum()), numeric, rtol=1e-6)
    certain = target.score_weights(np.array([1.0, 0.0, 0.0]))
    assert np.isfinite(certain).all() and np.ptp(certain) > 1


def test_a_tree_without_alternatives_has_nothing_to_explain():
    tree = Taxonomy.from_paths(("category", "condition"), [("benign", "nevus")])
    with pytest.raises(OptionError, match="Every photo is 'nevus'"):
        targets(Composition(tree, (Head("root", None, ("nevus",)),)), "nevus")


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize(("width", "height"), [(61, 40), (40, 61), (50, 50)])
def test_a_place_of_the_prepared_picture_is_found_on_the_photo(fit, width, height):
    """The twin: light one spot of the photo, prepare it, and map what is seen back."""
    for x, y in ((width // 2, height // 2), (width // 2 + 12, height // 2 - 9)):
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[y - 1 : y + 2, x - 1 : x + 2] = 255
        seen = (resize(pixels, 16, fit)[..., 0] - resize(np.zeros_like(pixels), 16, fit)[..., 0]).astype(np.float32) / 255
        peak, box = strongest_region(seen, Frame.of(width, height, fit))
        assert abs(peak[0] - x) <= 3 and abs(peak[1] - y) <= 3
        assert box[0] <= x < box[2] and box[1] <= y < box[3]


def test_the_region_is_the_part_that_holds_the_maximum_and_nothing_beside_it():
    heat = np.zeros((8, 8), np.float32)
    heat[1:3, 1:3], heat[5:7, 5:7] = 0.9, 1.0
    peak, box = strongest_region(heat, Frame.of(800, 800, "crop"))
    assert 500 <= peak[0] < 700 and 500 <= peak[1] < 700
    assert box == pytest.approx((500, 500, 700, 700), abs=60)


def test_evidence_in_the_border_of_pad_has_a_peak_outside_the_photo_and_no_box():
    heat = np.zeros((8, 8), np.float32)
    heat[0, 4] = 1
    peak, box = strongest_region(heat, Frame.of(400, 100, "pad"))
    assert peak[1] < 0
    assert box is None


def test_a_map_without_evidence_has_no_region():
    found = explained(
        "nevus", 0.1, targets(COMPOSITION, "nevus")[-1], "cam", -np.ones((3, 3)), np.zeros((16, 16, 3), np.uint8),
        Frame.of(16, 16, "crop"),
    )  # fmt: skip
    assert found.peak is None and found.box is None
    assert (found.overlay() == 0).all()


def test_reading_between_cells_is_bilinear():
    heat = np.array([[0, 1], [2, 3]], np.float32)
    places = np.array([0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(sample(heat, places, places)[:, 0], [0, 0, 1, 2, 2])
    np.testing.assert_allclose(sample(heat, np.array([0.5]), np.array([0.5])), [[1.5]])


def test_the_overlay_colours_the_evidence_keeps_the_rest_and_darkens_what_was_not_seen():
    photo = np.random.default_rng(0).integers(0, 256, (90, 200, 3)).astype(np.uint8)
    heat = np.zeros((9, 9), np.float32)
    heat[3:6, 3:6] = 1
    drawn = overlay(photo, heat, Frame.of(200, 90, "crop"))
    assert (drawn[:, :55] <= 0.5 * photo[:, :55] + 1).all()
    assert (drawn[:20, 56:144] == photo[:20, 56:144]).all()
    expected = 0.35 * photo[45, 100] + 0.65 * colour_map()[255]
    np.testing.assert_allclose(drawn[45, 100], expected, atol=1)


def test_the_box_lies_around_the_region_in_both_pictures():
    pixels = np.full((300, 500, 3), 100, np.uint8)
    heat = np.zeros((10, 10))
    heat[7, 2] = 1
    found = explained(
        "nevus", 0.5, targets(COMPOSITION, "nevus")[-1], "cam", heat, resize(pixels, 160, "pad"), Frame.of(500, 300, "pad")
    )
    for drawn in (found.overlay(), found.overlay(pixels)):
        white = np.argwhere((drawn == 255).all(axis=2))
        (top, left), (bottom, right) = white.min(axis=0), white.max(axis=0)
        square = drawn.shape[1]  # the square is as wide as the photo
        above = (drawn.shape[1] - drawn.shape[0]) // 2
        assert left < 0.25 * square < right
        assert top + above < 0.75 * square < bottom + above
    with pytest.raises(OptionError, match="is 500 x 300 pixels; this one is 300 x 300"):
        found.overlay(pixels[:, :300])


def test_the_colours_grow_lighter_in_even_steps_as_inferno():
    cv2 = pytest.importorskip("cv2")
    reference = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_INFERNO)[:, 0, ::-1]
    assert np.abs(colour_map().astype(int) - reference).max() <= 6


# --- On the device -----------------------------------------------------------------------------------------------------


@functools.cache
def squares_bundle(precision: str = "int8") -> bytes:
    """The networks that look for coloured squares, converted; the root can explain, the expert has a layer in between."""
    from derm_converters.graphs import convert_graph, describe_explain, describe_graph
    from derm_converters.recipe import Recipe

    random = np.random.default_rng(5)
    photos = [np.full((squares.SIZE, squares.SIZE, 3), value, np.uint8) for value in (0, 255)]
    for colours in ([squares.RED], [squares.GREEN], [squares.BLUE], [squares.RED, squares.BLUE]) * 2:
        places = {colour: (*random.integers(0, 40, 2), 20) for colour in colours}
        photos.append(squares.photo(squares.SIZE, squares.SIZE, places))
    prepared = [network_inputs(photo, number % 7 or None, ("rgb", "skin_type")) for number, photo in enumerate(photos)]
    rows, data = [], {}
    for head in squares.HEADS:
        root = head.given is None
        model = squares.network(head.labels, hidden=not root, skin_type=root)
        graph = convert_graph(model, Recipe(precision), lambda: prepared, lambda: prepared)
        inputs, outputs = describe_graph(graph)
        row = {"id": head.graph, "given": head.given, "labels": list(head.labels), "inputs": inputs, "outputs": outputs}
        rows.append({**row, "explain": describe_explain(graph)})
        data[head.graph] = graph
    manifest = models.manifest(rows)
    manifest["preprocessing"] |= {"size": squares.SIZE, "fit": "pad"}
    return pack_bundle(manifest, squares.TAXONOMY, Calibration(temperatures={"root": 2.0}), data, "", "")


@pytest.fixture(scope="module")
def classifier():
    with Classifier(squares_bundle()) as opened:
        yield opened


def test_the_device_finds_the_square_in_pixels_of_the_photo(classifier):
    for width, height in ((240, 150), (150, 240)):
        pixels = squares.photo(width, height, {squares.RED: (90, 70, 36), squares.BLUE: (20, 20, 36)})
        for node, colour, corner in (("malignant", squares.RED, (90, 70)), ("wart", squares.BLUE, (20, 20))):
            found = classifier.explain(pixels, node, fitzpatrick=4)
            assert tuple(pixels[found.peak[1], found.peak[0]]) == colour
            np.testing.assert_allclose(found.box, (*corner, corner[0] + 36, corner[1] + 36), atol=240 / 16 * 1.5)
            result = classifier.classify(pixels, fitzpatrick=4)
            assert found.probability == next(p.probability for p in result[node_level(node)] if p.id == node)


def node_level(node: str) -> str:
    return squares.TAXONOMY.node(node).level


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_the_map_of_the_device_is_the_one_of_the_toolkit(precision):
    """The trained network's own class activation map, and the sums that make it exact: maps add up to logits."""
    from derm_toolkit.explanation.maps import class_activation_map, layer_output, pooled_head

    pixels = squares.photo(squares.SIZE, squares.SIZE, {squares.RED: (30, 12, 20), squares.BLUE: (4, 40, 12)})
    model = squares.network(squares.HEADS[0].labels, skin_type=True)
    head, inputs = pooled_head(model), network_inputs(pixels, None, ("rgb", "skin_type"))
    weights = targets(squares.COMPOSITION, "malignant")[0].score_weights(np.array([0.4, 0.6]))
    with Classifier(squares_bundle(precision)) as opened:
        maps, logits = opened.evidence(pixels)["root"], opened.logits(pixels)["root"]
    trained = class_activation_map(model, inputs, weights, head)
    tolerance = {"int8": 0.03, "float32": 1e-4}[precision]
    assert np.abs(maps @ weights - trained).max() < tolerance * np.ptp(trained)
    _, other = layer_output(model, network_inputs(np.zeros_like(pixels), None, ("rgb", "skin_type")), head.layer)
    assert np.abs(maps.mean(axis=(0, 1)) + other - logits).max() < tolerance * np.ptp(logits) + 2e-3  # other: what is left


def test_an_explanation_changes_no_answer(classifier):
    pixels = squares.photo(200, 90, {squares.RED: (90, 30, 30)})
    before = classifier.classify(pixels).to_dict()
    classifier.explain(pixels)
    assert classifier.classify(pixels).to_dict() == before


def test_without_a_node_the_nearest_one_that_can_be_explained_is(classifier):
    assert classifier.explain(squares.photo(90, 90, {squares.RED: (20, 20, 40)})).node == "malignant"  # not melanoma
    assert classifier.explain(squares.photo(90, 90, {squares.BLUE: (20, 20, 40)})).node == "wart"


def test_what_the_device_cannot_explain_is_refused(classifier, bundle_path):
    pixels = squares.photo(90, 90, {})
    with pytest.raises(OptionError, match=r"cannot explain 'melanoma': the graph 'expert-malignant'.* Known: benign, mal"):
        classifier.explain(pixels, "melanoma")
    with pytest.raises(OptionError, match=r"Unknown label 'malignnat'.*Did you mean 'malignant'"):
        classifier.explain(pixels, "malignnat")
    with Classifier(bundle_path) as opened, pytest.raises(OptionError, match="This model cannot explain its answers"):
        opened.explain("no-such-photo.jpg")  # told before a photo is looked for
    closed = Classifier(squares_bundle())
    closed.close()
    with pytest.raises(OptionError, match="was closed"):
        closed.explain(pixels)


def test_the_first_subgraph_is_the_one_that_answers_with_a_single_output():
    """MediaPipe and others run the first subgraph and refuse several outputs."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=read_bundle(squares_bundle()).graph_data["root"])
    assert [tuple(each["shape"]) for each in interpreter.get_output_details()] == [(1, 2)]
    assert set(interpreter.get_signature_list()) == {"classify", "explain"}


def test_a_description_of_another_map_is_refused():
    data = squares_bundle()
    bundle = read_bundle(data)
    for change, sentence in (
        ({"shape": [1, 16, 16, 3]}, "the shape of its evidence is"),
        ({"shape": [1, 16, 2]}, "the shape of its evidence is"),
        ({"scale": 0}, "and a zero point of 0 to"),
    ):
        rows = [{**row, "explain": row["explain"] and {**row["explain"], **change}} for row in bundle.manifest["graphs"]]
        with pytest.raises(BundleError, match=sentence):
            read_bundle(packed(bundle, rows))
    rows = [{**row, "explain": row["explain"] and {**row["explain"], "zero_point": 7}} for row in bundle.manifest["graphs"]]
    with Classifier(packed(bundle, rows)) as opened, pytest.raises(BundleError, match="its description says"):
        opened.explain(squares.photo(90, 90, {}), "malignant")


def packed(bundle: Bundle, rows: list[dict]) -> bytes:
    manifest = {**bundle.manifest, "graphs": rows}
    return pack_bundle(manifest, bundle.taxonomy, bundle.calibration, bundle.graph_data, bundle.card, bundle.licence)


def test_the_command_draws_over_the_photo_and_says_where(tmp_path):
    (tmp_path / "squares.derm").write_bytes(squares_bundle())
    pixels = squares.photo(200, 120, {squares.RED: (60, 40, 40)})
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    words = [str(tmp_path / "photo.png"), "--model", str(tmp_path / "squares.derm"), "--node", "malignant"]
    done = CliRunner().invoke(main, ["explain", *words, "-o", str(tmp_path / "map.png"), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert "never validated" in found["caveat"]
    x, y = found["peak"]
    drawn = np.asarray(Image.open(tmp_path / "map.png"))
    assert drawn.shape == pixels.shape
    assert tuple(pixels[y, x]) == squares.RED
    assert np.abs(drawn.astype(int) - pixels)[y, x].max() > 60
    assert (drawn[:, 170:] == pixels[:, 170:]).all()
    done = CliRunner().invoke(main, ["explain", *words, "--seen", "-o", str(tmp_path / "seen.png")])
    assert "malignant " in done.stdout and "strongest evidence at" in done.stdout
    assert Image.open(tmp_path / "seen.png").size == (squares.SIZE, squares.SIZE)
    done = CliRunner().invoke(main, ["verify", str(tmp_path / "squares.derm")])
    assert done.stdout.startswith("whole:")
