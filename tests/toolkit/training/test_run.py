"""Reading a run folder: whatever is missing, damaged or foreign gets one sentence."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from derm_toolkit.data.manifest import Dataset, Split, write_split
from derm_toolkit.errors import RunError
from derm_toolkit.training.run import Run, read_run


@pytest.fixture
def folder(tiny_run: Run, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_run.folder, tmp_path / "run"))


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_run_reads_back_with_its_data_and_models(tiny_run: Run, tiny_data: Dataset):
    run = read_run(tiny_run.folder)
    assert run.kind == "two_step"
    assert run.taxonomy == tiny_data.taxonomy
    assert run.dataset().digest == tiny_data.digest
    assert len(run.split(run.dataset()).photos(run.dataset(), "test")) == 20
    model = run.load_model("expert-malignant")
    assert [each.name for each in model.inputs] == ["equalized", "otsu", "gray"]
    assert model.outputs[0].shape == (None, 2)
    assert run.calibration().refer_node == "malignant"


def test_the_models_keep_the_converters_contract(tiny_run: Run):
    for spec in tiny_run.graphs:
        model = tiny_run.load_model(spec.id)
        kinds = {layer.__class__.__name__ for layer in model.layers}
        assert kinds <= {
            "InputLayer", "Rescaling", "Conv2D", "BatchNormalization", "ReLU", "Add", "Concatenate", "AveragePooling2D",
            "GlobalAveragePooling2D", "Dense", "Dropout",
        }  # fmt: skip
        assert all(len(layer._inbound_nodes) == 1 for layer in model.layers)
        for layer in model.layers:
            if layer.__class__.__name__ == "BatchNormalization":
                before = layer._inbound_nodes[0].parent_nodes[0].operation
                assert before.__class__.__name__ in ("Conv2D", "Dense")
                assert before.activation.__name__ == "linear"
        assert model.layers[-1].name == "logits"
        assert model.layers[-1].activation.__name__ == "linear"


@pytest.mark.parametrize("name", ["config.toml", "taxonomy.json", "dataset.json", "model/root.keras"])
def test_a_missing_file_is_named(folder: Path, name: str):
    (folder / name).unlink()
    with pytest.raises(RunError, match=Path(name).name.replace(".", r"\.")):
        read_run(folder)


@pytest.mark.parametrize("name", ["taxonomy.json", "dataset.json", "model/graphs.json", "config.toml"])
def test_a_damaged_file_is_named(folder: Path, name: str):
    (folder / name).write_bytes((folder / name).read_bytes()[:-30])
    with pytest.raises(RunError, match="is damaged" if name.endswith("json") else "is not usable"):
        read_run(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"graphs": []}, "A model needs one graph for the whole tree"),
        ({"graphs": [{"id": "root"}]}, "lacks 'given'"),
        ({"preprocessing": {"version": 2, "size": 16}}, "its preprocessing is not version 1"),
        ({"preprocessing": {"version": 1, "size": "big"}}, r"preprocessing\.size must be a whole number; got 'big'"),
    ],
)
def test_a_table_of_graphs_that_makes_no_model_is_refused(folder: Path, changes: dict, message: str):
    edit(folder / "model" / "graphs.json", **changes)
    with pytest.raises(RunError, match=message):
        read_run(folder)


def test_a_graph_whose_file_lies_elsewhere_is_refused(folder: Path):
    table = json.loads((folder / "model" / "graphs.json").read_text())
    table["graphs"][0] |= {"id": "../root", "file": "../root.keras"}
    edit(folder / "model" / "graphs.json", **table)
    with pytest.raises(RunError, match="graph ids must be slugs"):
        read_run(folder)


def test_no_run_and_an_empty_folder_are_refused(tmp_path: Path):
    with pytest.raises(RunError, match="There is no run folder"):
        read_run(tmp_path / "nothing")
    with pytest.raises(RunError, match="is no run folder"):
        read_run(tmp_path)


def test_a_config_of_another_version_is_refused(folder: Path):
    config = folder / "config.toml"
    config.write_text(config.read_text().replace("version = 1", "version = 7"))
    with pytest.raises(RunError, match="got 7"):
        read_run(folder)


def test_a_damaged_or_exchanged_model_is_refused(folder: Path):
    run, path = read_run(folder), folder / "model" / "root.keras"
    whole = path.read_bytes()
    path.write_bytes(whole[:-200])
    with pytest.raises(RunError, match="is no Keras model, or damaged"):
        run.load_model("root")
    path.write_bytes(run.model_path("expert-malignant").read_bytes())
    with pytest.raises(RunError, match=r"The inputs of .* are not those that graphs\.json names: \['rgb'\] at 16"):
        run.load_model("root")


def test_a_model_that_would_run_foreign_code_is_refused(folder: Path):
    path = folder / "model" / "root.keras"
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    config["config"]["layers"][1] |= {"module": "os", "class_name": "system"}
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    with pytest.raises(RunError, match="holds 'system' from 'os'; only Keras' own layers are loaded"):
        read_run(folder).load_model("root")


def test_data_that_are_gone_or_others_are_refused(folder: Path, tiny_data: Dataset, tmp_path: Path):
    edit(folder / "dataset.json", folder="../moved-away")
    with pytest.raises(RunError, match="moved-away', which is gone; name them with --data"):
        read_run(folder).dataset()
    assert read_run(folder).dataset(tiny_data.folder).digest == tiny_data.digest
    edit(folder / "dataset.json", dataset="0" * 64)
    with pytest.raises(RunError, match="does not hold the photos and labels that the run"):
        read_run(folder).dataset(tiny_data.folder)


def test_a_missing_calibration_is_named(folder: Path):
    (folder / "calibration.json").unlink()
    with pytest.raises(RunError, match=r"calibration\.json is missing .*train --resume --out"):  # it is written last
        read_run(folder).calibration()
    with pytest.raises(RunError, match=r"calibration\.json' is missing.*train --resume --out"):
        _ = read_run(folder).model_digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperatures": {"roots": 1.0}}, "names the graph 'roots', which the run lacks.* Did you mean 'root'"),
        ({"answer": {"group": 0.5}}, "names the level 'group', which the run lacks"),
        ({"refer": {"node": "maligant", "threshold": 0.5}}, "names the node 'maligant'.* Did you mean 'malignant'"),
    ],
)
def test_a_calibration_of_another_model_is_refused(folder: Path, changes: dict, message: str):
    edit(folder / "calibration.json", **changes)
    with pytest.raises(RunError, match=message):
        read_run(folder).calibration()


def test_a_split_that_the_run_was_not_made_with_is_refused(folder: Path, tiny_data: Dataset):
    run = read_run(folder)
    split = run.split(tiny_data)
    moved = split.photos(tiny_data, "train")[0].digest
    write_split(folder / "splits.csv", Split({**split.assignments, moved: "test"}, split.clusters), tiny_data)
    with pytest.raises(RunError, match=r"splits\.csv in .* is not the split that the run was made with"):
        run.split(tiny_data)
