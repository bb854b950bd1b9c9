"""Predictions come back as they were written, and a file that is none gives one sentence."""

from __future__ import annotations

import dataclasses
import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from derm_sdk.errors import FileError
from derm_toolkit.errors import DataError
from derm_toolkit.evaluation.predictions import Predictions, read_predictions, write_predictions

from .cases import random_case

ASKED = random_case(30, 1, model="tiny")


def repacked(path: Path, **changed: bytes | None) -> Path:
    """Writes predictions with some entries' bytes changed, or left out."""
    write_predictions(path, ASKED)
    with zipfile.ZipFile(path) as archive:
        entries = {info.filename: archive.read(info) for info in archive.infolist()}
    entries |= {f"{name}.npy": data for name, data in changed.items() if data is not None}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            if changed.get(name[:-4], b"") is not None:
                archive.writestr(name, data)
    return path


def as_npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def test_predictions_come_back_as_they_were(tmp_path: Path):
    write_predictions(tmp_path / "a.npz", ASKED)
    back = read_predictions(tmp_path / "a.npz")
    for each in dataclasses.fields(Predictions):
        expected, found = getattr(ASKED, each.name), getattr(back, each.name)
        assert np.array_equal(expected, found) if isinstance(expected, np.ndarray) else expected == found, each.name
    write_predictions(tmp_path / "b.npz", back)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    write_predictions(tmp_path / "none.npz", ASKED.take(np.zeros(0, np.int64)))
    assert len(read_predictions(tmp_path / "none.npz")) == 0
    with np.load(tmp_path / "a.npz", allow_pickle=False) as plain:  # and numpy alone can read them
        assert plain["probabilities"].dtype == np.float32


def test_a_damaged_or_hostile_file_is_refused(tmp_path: Path):
    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "harm"),)

    promised = as_npy(np.zeros(0, np.float32)).replace(b"(0,)", b"(9000000000,)"[:4])
    header = as_npy(np.zeros((30, 9), np.float32))[:128]
    cases = {
        "no file of this kind": {"digest": None},
        "pickle": {"leaf": as_npy(np.array([Harm()] * 30, object))},
        "shape": {"probabilities": as_npy(np.zeros((30, 3), np.float32))},
        "dtype": {"refer": as_npy(np.zeros(30, np.int64))},
        "short": {"probabilities": header},
        "no array": {"probabilities": promised[:9]},
        "NaN": {"probabilities": as_npy(np.full_like(ASKED.probabilities, np.nan))},
        "beyond 1": {"uncalibrated": as_npy(ASKED.probabilities + 1)},
        "skin type": {"skin_type": as_npy(np.full(30, 7, np.int8))},
        "twice": {"digest": as_npy(ASKED.digest[[0] * 30])},
        "answer": {"answer": as_npy(np.array(["no such node"] * 30))},
        "truth": {"truth": as_npy(ASKED.truth[:, ::-1])},
        "meta": {"meta": as_npy(np.array("[]"))},
        "format": {"meta": as_npy(np.array('{"format": 99}'))},
        "not text": {"meta": pickle.dumps({})},
    }
    for name, changed in cases.items():
        with pytest.raises(DataError, match=r"holds no predictions, or is damaged .* run derm-toolkit evaluate again"):
            read_predictions(repacked(tmp_path / "x.npz", **changed))
            pytest.fail(name)
    assert not (tmp_path / "harm").exists()
    write_predictions(tmp_path / "whole.npz", ASKED)
    whole = (tmp_path / "whole.npz").read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 5):
        (tmp_path / "cut.npz").write_bytes(whole[:size])
        with pytest.raises(DataError, match="damaged"):
            read_predictions(tmp_path / "cut.npz")
    np.savez_compressed(tmp_path / "packed.npz", digest=ASKED.digest)
    with pytest.raises(DataError, match="is compressed"):
        read_predictions(tmp_path / "packed.npz")
    with pytest.raises(FileError, match="Cannot read"):
        read_predictions(tmp_path / "missing.npz")
