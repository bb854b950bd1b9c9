"""Maps of evidence: they point to where the evidence is known to be, and the ways to make them agree."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from derm_sdk.errors import OptionError
from derm_sdk.image import read_image
from derm_toolkit.explanation.explainer import Explainer
from derm_toolkit.explanation.gradients import gradients
from derm_toolkit.explanation.maps import (
    check_layer,
    class_activation_map,
    grad_cam,
    layer_output,
    pooled_head,
    strongest_channels,
)
from derm_toolkit.training.run import read_run

from .squares import BLUE, GREEN, LABELS, RED, inputs, network, photo, target, write_run

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def explainers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Explainer]:
    folder = tmp_path_factory.mktemp("runs")
    return {fit: Explainer(read_run(write_run(folder / fit, fit))) for fit in ("crop", "pad", "stretch")}


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize(("width", "height"), [(240, 150), (150, 240), (90, 90), (37, 50)])
def test_the_peak_and_the_box_are_on_the_red_square_in_pixels_of_the_photo(explainers, fit, width, height):
    side = min(width, height) // 4
    left, top = width // 2 - side, height // 2 + side // 3
    found, _ = explainers[fit].explain(photo(width, height, {RED: (left, top, side), BLUE: (left, 0, side)}), "malignant")
    x, y = found.peak
    assert left <= x < left + side
    assert top <= y < top + side
    slack = max(width, height) / 16 * 1.5  # cells of the map are coarse
    np.testing.assert_allclose(found.box, (left, top, left + side, top + side), atol=slack)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_photo_that_exif_turns_is_explained_upright(explainers, orientation, tmp_path):
    from PIL import Image

    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(photo(160, 120, {RED: (30, 70, 30)})).save(tmp_path / "turned.png", exif=exif)
    upright = read_image(tmp_path / "turned.png")
    found, _ = explainers["pad"].explain(upright, "malignant")
    assert tuple(upright[found.peak[1], found.peak[0]]) == RED
    assert (found.frame.photo_width, found.frame.photo_height) == upright.shape[1::-1]


def test_a_condition_is_asked_of_the_network_that_tells_it_from_its_relatives_or_of_one_above(explainers):
    pixels = photo(128, 128, {RED: (10, 10, 30), GREEN: (80, 80, 30)})
    carcinoma, _ = explainers["crop"].explain(pixels, "carcinoma")
    assert carcinoma.graph == "expert-malignant"
    assert tuple(pixels[carcinoma.peak[1], carcinoma.peak[0]]) == GREEN
    above, _ = explainers["crop"].explain(pixels, "carcinoma", graph="root")
    assert tuple(pixels[above.peak[1], above.peak[0]]) == RED
    assert above.probability == carcinoma.probability
    wart, _ = explainers["crop"].explain(pixels, "wart")
    assert wart.graph == "root"
    assert wart.peak is None and wart.box is None and not wart.heat.any()  # nothing is blue


def test_without_a_node_the_answer_of_the_model_is_explained(explainers):
    found, _ = explainers["crop"].explain(photo(128, 128, {BLUE: (20, 50, 60)}))
    assert found.node == "wart"
    assert found.probability > 0.9


@pytest.mark.parametrize("skin_type", [False, True])
def test_a_class_activation_map_is_grad_cam_up_to_its_scale(skin_type):
    model = network(LABELS, skin_type=skin_type)
    head = pooled_head(model)
    assert head.layer == "found"
    assert head.kernel.shape == (3, 2)
    weights = target("melanoma").score_weights(np.array([0.3, 0.7]))
    cam = class_activation_map(model, inputs(), weights, head)
    assert np.ptp(cam) > 0
    np.testing.assert_allclose(cam / cam.size, grad_cam(model, inputs(), weights, "found"), rtol=1e-4, atol=1e-6)


def test_the_maps_of_the_labels_add_up_to_their_logits():
    model = network(LABELS)
    head = pooled_head(model)
    output, logits = layer_output(model, inputs(), head.layer)
    bias = model.get_layer("logits").get_weights()[1]
    np.testing.assert_allclose((output @ head.kernel).mean(axis=(0, 1)) + bias, logits, rtol=1e-4)


def test_gradients_behind_a_layer_that_is_also_passed_by_are_those_of_finite_differences():
    import keras
    from keras import layers

    keras.utils.set_random_seed(4)
    picture = keras.Input((16, 16, 3), name="rgb")
    x = before = layers.Conv2D(4, 3, padding="same", activation="relu")(layers.Rescaling(1 / 255)(picture))
    x = layers.Conv2D(4, 3, padding="same", name="middle")(x)
    x = layers.Add()([layers.Activation("softplus")(x), before])  # smooth, for the differences
    model = keras.Model([picture], layers.Dense(3)(layers.Flatten()(layers.AveragePooling2D(4)(x))))
    batch = {"rgb": np.random.default_rng(1).integers(0, 256, (16, 16, 3)).astype(np.uint8)}

    def score(logits):
        return keras.ops.sum(logits * keras.ops.array([1.0, -2.0, 0.5]))

    _, gradient = gradients(model, batch, "middle", score)
    kernel, bias = model.get_layer("middle").get_weights()
    for channel in range(4):  # a change of the bias changes the whole channel
        values = []
        for step in (0.01, -0.01):
            model.get_layer("middle").set_weights([kernel, bias + step * np.eye(4)[channel]])
            logits = np.asarray(model([batch["rgb"][None].astype(np.float32)]), np.float64)[0]
            values.append(logits @ [1.0, -2.0, 0.5])
        assert gradient[..., channel].sum() == pytest.approx((values[0] - values[1]) / 0.02, rel=0.02, abs=0.01)


def test_a_head_with_a_layer_in_between_is_no_pooled_head():
    assert pooled_head(network(LABELS, hidden=True)) is None


def test_an_unknown_layer_is_answered_with_the_likely_one():
    model = network(LABELS)
    assert check_layer(model, "root", None) == "found"
    with pytest.raises(OptionError, match=r"no map named 'fuond'.*Did you mean 'found'"):
        check_layer(model, "root", "fuond")


def test_the_strongest_channels_come_first():
    output = np.zeros((2, 2, 4), np.float32)
    output[..., 2], output[..., 0] = -3, 1
    assert strongest_channels(output, 2) == [2, 0]


_ON_ANOTHER_BACKEND = """
import sys
import numpy as np
from tests.toolkit.explanation.squares import LABELS, inputs, network
from derm_toolkit.explanation.maps import grad_cam
np.save(sys.argv[1], grad_cam(network(LABELS, hidden=True), inputs(), [-1.0, 1.0], "find"))
"""


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_another_backend_gives_the_same_map(backend, tmp_path):
    variable = f"DERM_TEST_{backend.upper()}_PYTHON"
    python = os.environ.get(variable, sys.executable)
    if python == sys.executable and importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed here, and {variable} names no Python that has it")
    path = [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(path)}
    command = [python, "-c", _ON_ANOTHER_BACKEND, str(tmp_path / "map.npy")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = grad_cam(network(LABELS, hidden=True), inputs(), [-1.0, 1.0], "find")
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(np.load(tmp_path / "map.npy"), expected, rtol=1e-3, atol=1e-6)
