"""The tiny run of the training tests, evaluated once, for reports to be written of."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from derm_toolkit.evaluation.commands import evaluate
from derm_toolkit.training.run import Run

from ..training.conftest import tiny_config, tiny_data, tiny_run

__all__ = ["tiny_config", "tiny_data", "tiny_run"]


@pytest.fixture(scope="session")
def evaluated(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the run beside the original, so that it finds its data, with the figures of its test photos."""
    others = shutil.ignore_patterns("evaluation")  # what other tests evaluated
    folder = Path(shutil.copytree(tiny_run.folder, tiny_run.folder.with_name("run-evaluated"), ignore=others))
    result = CliRunner().invoke(evaluate, [str(folder)])
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def run_folder(evaluated: Path, tmp_path: Path) -> Path:
    """A copy of the evaluated run that a test may change; its data set is not where it was."""
    return Path(shutil.copytree(evaluated, tmp_path / "run", ignore=shutil.ignore_patterns("*.html")))
