"""EfficientNet-Lite's weights: the ported networks equal the published ones, and what does not fit is refused."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from derm_sdk.preprocess import prepare
from derm_toolkit.errors import WeightsError
from derm_toolkit.models.efficientnet_lite import VARIANTS, efficientnet_lite
from derm_toolkit.models.weights import find_weights, load_pretrained, read_weights

from .tree import enliven

WHERE = (0, 1, 2, 250, 500, 999)
# Logits of the PyPI package efficientnet_lite_pytorch 0.1.0 (torch 2.13) on `pattern`: at WHERE, the largest and its place,
# and the sum of all squares.
PUBLISHED = {
    "lite0": ((-0.2142, -0.7001, -2.2309, -2.0152, -0.7837, 0.0328), (7.4830, 644), 1782.28),
    "lite1": ((-0.5802, 1.8682, -0.1291, -0.8096, -0.2650, -0.7725), (7.4198, 905), 1224.84),
    "lite2": ((-0.5834, 0.5472, -0.3540, 0.2974, -0.3988, -1.6047), (7.2362, 854), 1217.76),
}


def installed(variant: str) -> pytest.MarkDecorator:
    missing = find_weights(variant) is None
    return pytest.mark.skipif(missing, reason=f"the package of {variant}'s weights is not installed")


needs_lite0 = installed("lite0")


def pattern(size: int) -> np.ndarray:
    """A picture out of whole numbers, float32 [1, size, size, 3]."""
    y, x, channel = np.meshgrid(np.arange(size), np.arange(size), np.arange(3), indexing="ij")
    return ((y * (channel + 1) + x * x // 16 + 40 * channel) % 256).astype(np.float32)[None]


@pytest.mark.parametrize("variant", [pytest.param(name, marks=installed(name)) for name in PUBLISHED])
def test_the_ported_network_equals_the_published_one(variant: str) -> None:
    model = load_pretrained(efficientnet_lite(variant, classes=1000), variant)
    logits = keras.ops.convert_to_numpy(model(pattern(VARIANTS[variant].size), training=False))[0]
    some, (largest, place), squares = PUBLISHED[variant]
    np.testing.assert_allclose(logits[list(WHERE)], some, atol=2e-3)
    assert (logits.argmax(), logits.max()) == (place, pytest.approx(largest, abs=2e-3))
    assert np.square(logits, dtype=np.float64).sum() == pytest.approx(squares, rel=1e-3)


@needs_lite0
def test_imagenet_weights_name_a_palace_and_a_daisy() -> None:
    from sklearn.datasets import load_sample_images

    model = load_pretrained(efficientnet_lite("lite0", classes=1000), "lite0")
    images = np.stack([prepare(image, 224, "crop")["rgb"] for image in load_sample_images().images])
    assert list(model.predict_on_batch(images.astype(np.float32)).argmax(axis=1)) == [698, 985]  # palace, daisy


@needs_lite0
def test_a_local_torch_file_is_loaded_where_it_fits_and_refused_where_not(tmp_path: Path) -> None:
    source = find_weights("lite0")
    assert source is not None
    data, values = source.read_bytes(), read_weights("lite0")["_bn0.weight"]
    path = tmp_path / "mine.pth"
    path.write_bytes(data.replace(values.tobytes(), (2 * values).tobytes()))
    model = load_pretrained(efficientnet_lite("lite0", 32), "lite0", str(path))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model.get_layer("stem_bn").gamma), 2 * values)

    with pytest.raises(WeightsError, match=r"mine.pth' is not lite1: it lacks '_blocks.16._bn0.bias'"):
        load_pretrained(efficientnet_lite("lite1", 32), "lite1", str(path))
    path.write_bytes(data.replace(values.tobytes(), (np.nan * values).tobytes()))
    with pytest.raises(WeightsError, match=r"mine.pth' are damaged: some are no numbers"):
        load_pretrained(efficientnet_lite("lite0", 32), "lite0", str(path))
    path.write_bytes(data[:100_000])
    with pytest.raises(WeightsError, match="damaged"):
        load_pretrained(efficientnet_lite("lite0", 32), "lite0", str(path))


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
def test_the_backbone_of_a_saved_network_is_loaded_without_its_head(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"tree{ending}"
    trained = enliven(efficientnet_lite("lite0", 32, classes=5))
    if ending == ".keras":
        trained.save(path)
    else:
        trained.save_weights(path)
    model = load_pretrained(efficientnet_lite("lite0", 32, classes=9), "lite0", str(path))
    for layer in model.layers:
        if layer.weights and layer.name != "logits":
            for ours, theirs in zip(layer.get_weights(), trained.get_layer(layer.name).get_weights(), strict=True):
                np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(WeightsError, match=f"tree{ending}' do not fit 'efficientnet_lite1'"):
        load_pretrained(efficientnet_lite("lite1", 32), "lite1", str(path))


def test_weights_that_are_no_file_are_refused_and_none_leaves_the_network_alone() -> None:
    model = efficientnet_lite("lite0", 32)
    before = model.get_weights()
    for name, sentence in (
        ("gone.pth", "Cannot read the weights 'gone.pth': No such file"),
        ("gone.keras", "There is no weight file 'gone.keras'"),
        ("imagenett", "must be 'imagenet', 'none', or a file"),
    ):
        with pytest.raises(WeightsError, match=sentence):
            load_pretrained(model, "lite0", name)
    load_pretrained(model, "lite0", "none")
    assert all(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))
