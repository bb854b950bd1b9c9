"""Legacy torch files, read as if an enemy had written them."""

from __future__ import annotations

import pickle
import struct

import numpy as np
import pytest

from derm_toolkit.errors import WeightsError
from derm_toolkit.models import torch_weights
from derm_toolkit.models.torch_weights import read_torch


def torch_file(entries: object, storages: dict[str, np.ndarray]) -> bytes:
    head = b"".join(pickle.dumps(part, 2) for part in (torch_weights._MAGIC, torch_weights._PROTOCOL, {}))
    tail = b"".join(struct.pack("<q", values.size) + values.tobytes() for values in storages.values())
    return head + pickle.dumps(entries, 2) + pickle.dumps(list(storages), 2) + tail


class Evil:
    def __reduce__(self):
        return print, ("code that a weight file must not run",)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "damaged"),
        (b"PK\x03\x04", "damaged"),
        (pickle.dumps(1, 2), "no legacy torch file"),
        (torch_file({"w": Evil()}, {}), "asks for .*print, which is no tensor; it is refused"),
        (torch_file({"w": 1}, {}), "damaged or holds more than tensors"),
        (torch_file({}, {"0": np.zeros(1, np.float32)}), "damaged or holds more than tensors"),
    ],
)
def test_a_weight_file_that_is_none_is_refused(data: bytes, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(WeightsError, match=sentence):
        read_torch(data)
    assert capsys.readouterr().out == ""


def test_a_tensor_that_reaches_outside_its_storage_is_refused() -> None:
    for tensor in (
        torch_weights._Tensor("0", 2, (3,), (1,)),
        torch_weights._Tensor("0", 0, (9,), (0,)),
        torch_weights._Tensor("0", -1, (1,), (1,)),
    ):
        with pytest.raises(WeightsError, match="reaches outside its 4 stored values"):
            tensor.view({"0": np.zeros(4, np.float32)})
    whole = torch_weights._Tensor("0", 0, (2, 2), (1, 2)).view({"0": np.arange(4, dtype=np.float32)})
    np.testing.assert_array_equal(whole, [[0, 2], [1, 3]])
