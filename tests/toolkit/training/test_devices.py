"""Several devices give what one gives. Two of the CPU's stand in for two GPUs, in processes of their own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from derm_toolkit.errors import ConfigError
from derm_toolkit.training.devices import choose_devices, even_shares

from .recipes import one_network, run_on


@pytest.mark.parametrize("rows", [3, 4, 7])
def test_a_batch_made_divisible_keeps_its_mean_loss(rows: int):
    stream = np.random.default_rng(rows)
    inputs, targets, loss = stream.random((rows, 5)), stream.random((rows, 2), np.float32), stream.random((rows, 2))
    padded, shares = even_shares([inputs, targets], 4)
    assert len(padded) == len(shares) == -(-rows // 4) * 4
    assert np.array_equal(padded[:rows], inputs)
    assert (shares * np.resize(loss, shares.shape)).sum(axis=1).mean() == pytest.approx((targets * loss).sum(axis=1).mean())


def test_more_devices_than_there_are_is_one_sentence():
    with pytest.raises(ConfigError, match=r"training\.devices is 64, but \w+ sees \d+"):
        choose_devices(64)
    assert (choose_devices(1).count, choose_devices(0).count >= 1) == (1, True)


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_two_devices_train_validate_and_resume_as_one_does(tmp_path: Path, backend: str):
    data, config = one_network(tmp_path)
    arguments = (str(data.folder), str(config), str(tmp_path))
    divided = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    run_on(backend, "-m", "tests.toolkit.training.two_devices", *arguments, **divided)
    seen = json.loads((tmp_path / "seen.json").read_text())
    # Without batch normalisation, step for step; the gradients are clipped and the batches cannot be divided by two.
    np.testing.assert_allclose(seen["two"]["losses"], seen["one"]["losses"], rtol=1e-5)
    np.testing.assert_allclose(seen["two"]["weights"], seen["one"]["weights"], rtol=1e-5, atol=1e-6)
    assert seen["one"]["losses"][-1] < seen["one"]["losses"][0]
    # On TensorFlow a checkpoint holds the mean of the devices' batch statistics, not each one's.
    tolerance = 1e-4 if backend == "tensorflow" else 0.0
    np.testing.assert_allclose(seen["resumed"], seen["whole"], rtol=tolerance, atol=tolerance)
