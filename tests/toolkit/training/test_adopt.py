"""Networks that were trained elsewhere become runs, and bundles that answer as they did."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras import layers

from derm_converters.cli import main as convert
from derm_sdk import Classifier, prepare
from derm_toolkit.cli import main as toolkit
from derm_toolkit.data.manifest import read_split
from derm_toolkit.errors import ConfigError, DataError, RunError
from derm_toolkit.training.adopt import adopt
from derm_toolkit.training.config import read_config
from derm_toolkit.training.reporter import Reporter
from derm_toolkit.training.train import Order

SPEC = """
version = 1
[preprocessing]
size = 16
fit = "stretch"
[model]
kind = "adopted"
labels = ["acne", "wart", "melanoma", "eczema", "carcinoma"]
scale = [0.01, 0.02, 0.03]
offset = [-1.0, 0.5, 0.0]
channels = "bgr"
"""


def network(end: str = "dense", outputs: int = 5, side: int | None = 16) -> keras.Model:
    """Somebody's network: its own names, BGR, a softmax at its end."""
    keras.utils.set_random_seed(5)
    photo = keras.Input((side, side, 3), name="camera")
    x = layers.Conv2D(8, 3, strides=2, activation="relu", name="first")(photo)
    x = layers.BatchNormalization(name="norm")(layers.Conv2D(12, 3)(x))
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    if end == "dense":
        return keras.Model(photo, layers.Dense(outputs, activation="softmax", name="answer")(x))
    logits = layers.Dense(outputs, name="answer", activation="sigmoid" if end == "sigmoid" else None)(x)
    ends = {"softmax": layers.Softmax(), "activation": layers.Activation("softmax")}
    return keras.Model(photo, ends[end](logits) if end in ends else logits)


@pytest.fixture
def order(tiny_data, tmp_path):
    (tmp_path / "spec.toml").write_text(SPEC)
    split = read_split(tiny_data.folder / "splits.csv", tiny_data)
    return Order(read_config(tmp_path / "spec.toml"), tiny_data, split, tmp_path / "run")


def changed(order: Order, **settings) -> Order:
    return replace(order, config=replace(order.config, model=replace(order.config.model, **settings)))


def quiet() -> Reporter:
    return Reporter()


def save(model: keras.Model, folder) -> str:
    model.save(folder / "model.keras")
    return folder / "model.keras"


def as_trained(model: keras.Model, rgb: np.ndarray) -> np.ndarray:
    """What the network's owners would compute by hand."""
    scaled = rgb.astype(np.float32) * [0.01, 0.02, 0.03] + [-1.0, 0.5, 0.0]
    return np.asarray(model(scaled[None, ..., ::-1].astype(np.float32)))[0]


@pytest.mark.parametrize("end", ["dense", "softmax", "activation"])
def test_an_adopted_network_answers_as_its_owners_computed(end, order, tmp_path):
    model = network(end)
    run = adopt(save(model, tmp_path), order, quiet())
    ours = run.load_model("tree")
    assert run.kind == "flat" and run.graphs[0].labels == ("acne", "wart", "melanoma", "eczema", "carcinoma")
    random = np.random.default_rng(0)
    for _ in range(5):
        rgb = random.integers(0, 256, (16, 16, 3), np.uint8)
        logits = np.asarray(ours([rgb[None].astype(np.float32)]))[0].astype(np.float64)
        shares = np.exp(logits - logits.max())
        np.testing.assert_allclose(shares / shares.sum(), as_trained(model, rgb), atol=1e-5)
    assert run.calibration().offsets == {}


def test_logits_are_taken_as_they_are_and_any_side_is(order, tmp_path):
    model = network("logits", side=None)
    run = adopt(save(model, tmp_path), changed(order, answers="logits"), quiet())
    rgb = np.full((16, 16, 3), 99, np.uint8)
    found = np.asarray(run.load_model("tree")([rgb[None].astype(np.float32)]))[0]
    np.testing.assert_allclose(found, as_trained(model, rgb), atol=1e-5)


def test_the_commands_make_a_run_and_a_bundle_that_answers_alike(order, tmp_path):
    model = network()
    file, spec, data = str(save(model, tmp_path)), str(tmp_path / "spec.toml"), str(order.dataset.folder)
    done = CliRunner().invoke(toolkit, ["adopt", file, "--spec", spec, "--data", data, "--out", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(toolkit, ["evaluate", str(tmp_path / "run")])
    assert done.exit_code == 0 and "condition (5)" in done.output, done.output
    out = tmp_path / "skin.derm"
    words = ["--keras", file, "--spec", spec, "--data", data, "-o", str(out), "--float32"]
    done = CliRunner().invoke(convert, words)
    assert done.exit_code == 0, done.output
    photo = np.random.default_rng(1).integers(0, 256, (40, 30, 3), np.uint8)
    expected = as_trained(model, prepare(photo, 16, "stretch")["rgb"])
    with Classifier(out) as classifier:
        temperature = classifier.calibration.temperatures["tree"]
        found = classifier.classify(photo)
    shares = expected ** (1 / temperature)
    names = ["acne", "wart", "melanoma", "eczema", "carcinoma"]
    assert {p.name: p.probability for p in found["condition"]} == pytest.approx(
        dict(zip(names, shares / shares.sum(), strict=True)), abs=1e-4
    )


@pytest.mark.parametrize(
    ("settings", "model", "message"),
    [
        ({"labels": ("acne",)}, {}, "model.labels lacks 4 of the data's 5 conditions, such as"),
        ({"labels": ("acne", "acne", "wart", "melanoma", "eczema")}, {}, "names 'acne' twice"),
        ({"labels": ("acne", "warts", "melanoma", "eczema", "carcinoma")}, {}, "no label 'warts'.*Did you mean 'wart'"),
        ({"labels": ("acne", "wart", "malignant", "eczema", "carcinoma")}, {}, "'malignant' is a category"),
        ({}, {"outputs": 4}, r"one output of 5 numbers, one per label .* got \[\[None, 4\]\]"),
        ({}, {"side": 32}, r"takes \[\[32, 32, 3\]\]; .* gives \[\[16, 16, 3\]\]"),
        ({"inputs": ("gray",)}, {}, r"gives \[\[16, 16, 1\]\]"),
        ({"inputs": ("rgb", "gray")}, {}, r"takes \[\[16, 16, 3\]\]"),
        ({"answers": "logits"}, {}, "the activation 'softmax'"),
        ({}, {"end": "logits"}, "the activation 'linear'"),
        ({}, {"end": "sigmoid"}, "the activation 'sigmoid'.*do not exclude each other"),
    ],
)
def test_a_spec_that_does_not_fit_is_one_sentence_and_nothing_is_written(settings, model, message, order, tmp_path):
    with pytest.raises(ConfigError, match=message):
        adopt(save(network(**model), tmp_path), changed(order, **settings), quiet())
    assert not order.out.exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("scale = [1.0, 2.0]", "scale needs one number, or one each"),
        ("inputs = []", "inputs needs the kind of each input once"),
        ('inputs = ["skin_type"]', "inputs cannot be 'skin_type'"),
        ('chanels = "bgr"', "Unknown key 'model.chanels'.*Did you mean 'channels'"),
    ],
)
def test_a_wrong_key_of_the_spec_is_named(line, message, tmp_path):
    key = line.split(" ")[0]
    kept = [each for each in SPEC.splitlines() if not each.startswith(key)]
    (tmp_path / "spec.toml").write_text("\n".join([*kept, line]) + "\n")
    with pytest.raises(ConfigError, match=message):
        read_config(tmp_path / "spec.toml")


def test_a_file_that_could_run_anything_is_refused(order, tmp_path):
    photo = keras.Input((16, 16, 3))
    answer = layers.Dense(5, activation="softmax")(layers.Flatten()(layers.Lambda(lambda x: x / 2)(photo)))
    with pytest.raises(RunError, match="only Keras' own layers are loaded"):
        adopt(save(keras.Model(photo, answer), tmp_path), order, quiet())
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(RunError, match="is no Keras model, or damaged"):
        adopt(tmp_path / "text.keras", order, quiet())


def test_a_config_of_ours_is_no_spec_and_a_spec_is_not_trained(order, tiny_config, tmp_path):
    with pytest.raises(ConfigError, match=r'model\.kind must be "adopted"'):
        adopt(save(network(), tmp_path), replace(order, config=read_config(tiny_config)), quiet())
    done = CliRunner().invoke(
        toolkit, ["train", str(tmp_path / "spec.toml"), "--data", str(order.dataset.folder), "--out", str(tmp_path / "x")]
    )
    assert done.exit_code == 1 and "take it over with 'derm-toolkit adopt'" in done.output
    assert not (tmp_path / "x" / "config.toml").exists()


def test_without_calibration_photos_there_is_nothing_to_calibrate_on(order, tmp_path):
    moved = {digest: "train" if side == "calibration" else side for digest, side in order.split.assignments.items()}
    with pytest.raises(DataError, match="calibration split has no photo"):
        adopt(save(network(), tmp_path), replace(order, split=replace(order.split, assignments=moved)), quiet())


def test_the_converter_wants_a_run_or_a_network_with_all_that_belongs_to_it(tmp_path):
    out = ["-o", str(tmp_path / "x.derm")]
    for words in ([], ["RUN", "--keras", "m.keras"]):
        done = CliRunner().invoke(convert, [*words, *out])
        assert done.exit_code == 2 and "Name a RUN, or --keras with --spec and --data" in done.output
    done = CliRunner().invoke(convert, ["--keras", "m.keras", *out])
    assert done.exit_code == 2 and "--keras needs --spec and --data" in done.output
