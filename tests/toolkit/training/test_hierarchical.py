"""The flagship's recipe on a tiny data set: stages, mixing, teachers, and a resume in the middle of all that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from derm_converters.cli import main as convert
from derm_sdk.errors import DermError
from derm_toolkit.data.manifest import Dataset, Split, read_split
from derm_toolkit.errors import RunError
from derm_toolkit.training.config import read_config
from derm_toolkit.training.run import Run
from derm_toolkit.training.teachers import Teachers, find_teachers
from derm_toolkit.training.train import Order, train

CONFIG = """
version = 1
[preprocessing]
size = 32
[model]
kind = "hierarchical"
weights = "none"
momentum = 0.9
skin_type = true
[training]
epochs = 4
batch_size = 16
sizes = [16, 32]
frozen = [0.5, 0.0]
backbone_rate = 0.5
hierarchy = 0.5
mixup = 0.2
cutmix = 1.0
mix_share = 0.5
average = 0.9
workers = 2
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("hierarchical") / "config.toml"
    path.write_text(CONFIG)
    return path


def order(data: Dataset, config: Path, out: Path, *overrides: str, resume: bool = False) -> Order:
    return Order(read_config(config, overrides), data, read_split(data.folder / "splits.csv", data), out, resume)


@pytest.fixture(scope="module")
def whole(tiny_data: Dataset, config: Path, tmp_path_factory) -> Run:
    return train(order(tiny_data, config, tmp_path_factory.mktemp("whole") / "run"))


def weights(run: Run) -> list[np.ndarray]:
    return run.load_model("tree").get_weights()


def test_it_is_one_graph_over_all_conditions(whole: Run):
    assert (whole.kind, [spec.id for spec in whole.graphs]) == ("hierarchical", ["tree"])
    assert whole.graphs[0].inputs == ("rgb", "skin_type")
    assert whole.graphs[0].labels == whole.taxonomy.leaves_under(None)


def test_what_is_kept_looks_at_mirror_images_and_what_trains_does_not(
    whole: Run, tiny_data: Dataset, config: Path, tmp_path
):
    mirrored = train(order(tiny_data, config, tmp_path / "run", "model.views=2"))
    assert all(np.array_equal(a, b) for a, b in zip(weights(mirrored), weights(whole), strict=True))
    picture = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.float32)
    skin_type = np.zeros((1, 7), np.float32)
    one, two = whole.load_model("tree"), mirrored.load_model("tree")
    each = [one.predict_on_batch([view, skin_type]) for view in (picture, picture[:, :, ::-1].copy())]
    np.testing.assert_allclose(two.predict_on_batch([picture, skin_type]), np.mean(each, axis=0), atol=1e-5)


def test_an_interruption_between_two_stages_changes_nothing(
    whole: Run, tiny_data: Dataset, config: Path, tmp_path: Path, monkeypatch
):
    from derm_toolkit.training import loop

    write, written = loop.write_checkpoint, []

    def killed_after_two(*arguments):
        write(*arguments)
        written.append(arguments)
        if len(written) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "write_checkpoint", killed_after_two)
    with pytest.raises(KeyboardInterrupt):
        train(order(tiny_data, config, tmp_path / "run"))
    monkeypatch.setattr(loop, "write_checkpoint", write)
    resumed = train(order(tiny_data, config, tmp_path / "run", resume=True))
    for ours, theirs in zip(weights(resumed), weights(whole), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_student_learns_from_a_finished_run(whole: Run, tiny_data: Dataset, config: Path, tmp_path: Path):
    settings = ("training.epochs=1", f'training.teachers=["{whole.folder}"]', "training.distillation=1.0")
    run = train(order(tiny_data, config, tmp_path / "student", *settings))
    assert run.config.training.teachers == (str(whole.folder),)


def test_a_teacher_that_knows_photos_of_the_other_sides_is_refused(
    whole: Run, bundle: Path, tiny_data: Dataset, config: Path, tmp_path: Path
):
    settings = ("training.epochs=1", "training.sizes=[]")
    before = read_split(tiny_data.folder / "splits.csv", tiny_data)
    turn = {"train": "test", "test": "train"}
    dealt = Split({photo: turn.get(side, side) for photo, side in before.assignments.items()}, before.clusters)

    def student(teacher: object) -> Order:
        values = read_config(config, (*settings, f'training.teachers=["{teacher}"]'))
        return Order(values, tiny_data, dealt, tmp_path / "student", False)

    with pytest.raises(RunError, match=r"cannot teach: it was trained on \d+ photos that this split keeps for validation"):
        train(student(whole.folder))
    with pytest.raises(RunError, match=r"cannot teach: it was made on another split, and a \.derm file does not say"):
        train(student(bundle))
    assert not (tmp_path / "student").exists()


def test_a_teacher_of_other_labels_is_refused(tiny_run: Run, tiny_data: Dataset, config: Path, tmp_path: Path):
    with pytest.raises(RunError, match="cannot teach: it must be one network over the same labels"):
        train(order(tiny_data, config, tmp_path / "student", f'training.teachers=["{tiny_run.folder}"]'))


@pytest.fixture(scope="module")
def bundle(whole: Run, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("teacher") / "whole.derm"
    assert CliRunner().invoke(convert, [str(whole.folder), "--float32", "--force", "-o", str(out)]).exit_code == 0
    return out


def test_a_bundle_teaches_what_its_run_teaches(whole: Run, bundle: Path):
    stream = np.random.default_rng(0)
    batch = {
        "rgb": stream.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8),
        "skin_type": np.eye(7, dtype=np.uint8)[stream.integers(0, 7, 5)],
    }
    labels, inputs = whole.graphs[0].labels[::-1], whole.graphs[0].inputs  # in another order than the teacher's own
    by_run, by_bundle = (
        Teachers(find_teachers([str(path)], labels, inputs, [32]), labels, 1.0, threads=2).answers(batch)
        for path in (whole.folder, bundle)
    )
    np.testing.assert_allclose(by_bundle, by_run, atol=1e-5)
    with np.testing.assert_raises(AssertionError):
        np.testing.assert_allclose(by_bundle[::-1], by_run, atol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("kind", ["run", "bundle"])
def test_every_batch_meets_the_answers_to_it(kind: str, count: int, whole: Run, bundle: Path):
    path = str(bundle if kind == "bundle" else whole.folder)
    spec = whole.graphs[0]
    teachers = Teachers(find_teachers([path], spec.labels, spec.inputs, [32]), spec.labels, 1.0, threads=2)
    stream = np.random.default_rng(0)
    skin_type = np.eye(7, dtype=np.uint8)[:2]
    batches = [
        (np.array([place, place + 1]), {"rgb": stream.integers(0, 256, (2, 32, 32, 3), np.uint8), "skin_type": skin_type})
        for place in range(count)
    ]
    followed = list(teachers.follow(batches))
    assert [(id(indices), id(batch)) for indices, batch, _ in followed] == [tuple(map(id, each)) for each in batches]
    for _, batch, answers in followed:
        np.testing.assert_allclose(answers, teachers.answers(batch), rtol=1e-6)


def test_a_student_learns_from_a_bundle(bundle: Path, tiny_data: Dataset, config: Path, tmp_path: Path):
    settings = ("training.epochs=1", "training.sizes=[]", f'training.teachers=["{bundle}"]', "training.distillation=1.0")
    run = train(order(tiny_data, config, tmp_path / "student", *settings))
    assert run.config.training.teachers == (str(bundle),)


def test_a_bundle_of_another_size_is_refused(bundle: Path, tiny_data: Dataset, config: Path, tmp_path: Path):
    with pytest.raises(RunError, match=r"takes pictures of 32 pixels, and training.sizes holds 16; name its run folder"):
        train(order(tiny_data, config, tmp_path / "student", f'training.teachers=["{bundle}"]'))
    assert not (tmp_path / "student").exists()


def test_a_teacher_that_takes_more_than_the_student_is_refused(whole: Run, tiny_data: Dataset, config: Path, tmp_path: Path):
    settings = ("model.skin_type=false", f'training.teachers=["{whole.folder}"]')
    with pytest.raises(RunError, match="it takes 'skin_type', which the student does not"):
        train(order(tiny_data, config, tmp_path / "student", *settings))


def test_a_damaged_bundle_is_refused_as_a_teacher(bundle: Path, tiny_data: Dataset, config: Path, tmp_path: Path):
    damaged = tmp_path / "damaged.derm"
    damaged.write_bytes(bundle.read_bytes()[:-100])
    with pytest.raises(DermError, match="damaged"):
        train(order(tiny_data, config, tmp_path / "student", f'training.teachers=["{damaged}"]'))
