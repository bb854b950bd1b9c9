"""Configs: what is shipped is valid, and every mistake gets a sentence that names the key."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from derm_sdk.errors import FileError
from derm_toolkit.errors import ConfigError
from derm_toolkit.training.config import SHIPPED, config_from_dict, difference, find_config, read_config

from .tiny import CONFIG


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    return path


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_configs_are_valid_and_open_with_source_cost_and_command(path: Path):
    read_config(path)
    opening = path.read_text().split("version")[0]
    for word in ("# Source:", "# Cost:", "# Command:"):
        assert word in opening


@pytest.mark.parametrize("name", [path.stem for path in SHIPPED.glob("*.toml")])
def test_a_resolved_config_reads_back_the_same(name: str):
    config = read_config(find_config(name))
    assert config_from_dict(tomllib.loads(config.to_toml())) == config


def test_keys_left_out_keep_the_defaults_of_their_own_table(config: Path):
    model = read_config(config).model
    assert model.root.inputs == ("rgb",)
    assert model.expert.inputs == ("equalized", "otsu", "gray")


def test_overrides_take_toml_values_and_bare_text(config: Path):
    changed = read_config(config, ["training.epochs=7", "preprocessing.fit=pad", "augmentation.crop=[0.5, 1]"])
    assert (changed.training.epochs, changed.preprocessing.fit, changed.augmentation.crop) == (7, "pad", (0.5, 1.0))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epoch=3", r"Unknown key 'training\.epoch' .* Did you mean 'epochs'\?"),
        ("trainnig.epochs=3", r"Unknown key 'trainnig' .* Did you mean 'training'\?"),
        ("model.root.width=[3]", r"Unknown key 'model\.root\.width' .* Did you mean 'widths'\?"),
        ("model.kind=twostep", r"got 'twostep'\. Known: .*Did you mean 'two_step'\?"),
        ("training.epochs=0", r"training\.epochs must be from 1 to 100000; got 0"),
        ("training.epochs=2.5", r"training\.epochs must be a whole number; got 2\.5"),
        ("training.epochs=true", r"training\.epochs must be a whole number; got True"),
        ("training.epochs=many", r"training\.epochs must be a whole number; got 'many'"),
        ("training.learning_rate=nan", r"training\.learning_rate must be from .*; got nan"),
        ("preprocessing.fit=croped", r"preprocessing\.fit cannot be 'croped'\. .*Did you mean 'crop'\?"),
        ("preprocessing=5", r"preprocessing must be a table of keys; got 5"),
        ("augmentation.crop=[1.0, 0.5]", r"augmentation\.crop must name the smaller number first"),
        ("augmentation.crop=0.5", r"augmentation\.crop must be a list of two values; got 0\.5"),
        ("model.root.inputs=['rgb', 'grey']", r"model\.root\.inputs cannot be 'grey'\. .*Did you mean 'gray'\?"),
        ("model.root.inputs=[]", r"model\.root: inputs must name one or more different pictures; got \[\]"),
        ("model.root.blocks=[1, 1]", r"model\.root: widths and blocks need one number per stage; got 1 and 2"),
        ("version=2", r"must say version = 1, .*; got 2"),
        ("training.epochs.more=2", r"'epochs' is a value, not a table"),
        (f"training.seed={'9' * 400}", r"training\.seed must be a number of a usual size; got one of 1329 bits"),
        (f"training.learning_rate={'9' * 400}", r"training\.learning_rate must be a number of a usual size"),
        (f"training.seed={'9' * 5000}", r"training\.seed must be a whole number"),
        ("training.epochs", r"--set needs KEY=VALUE, such as training\.epochs=20; got 'training\.epochs'"),
    ],
)
def test_a_mistake_gets_one_sentence_that_names_the_key(config: Path, override: str, message: str):
    with pytest.raises(ConfigError, match=message):
        read_config(config, [override])


def test_a_file_that_is_no_toml_or_lacks_its_version_is_refused(tmp_path: Path):
    (tmp_path / "a.toml").write_text("size = = 3")
    with pytest.raises(ConfigError, match="is no TOML file"):
        read_config(tmp_path / "a.toml")
    (tmp_path / "b.toml").write_text("[training]\n")
    with pytest.raises(ConfigError, match="version = 1, the only one this toolkit knows; got None"):
        read_config(tmp_path / "b.toml")
    with pytest.raises(FileError, match="Cannot read"):
        read_config(tmp_path)


def test_configs_are_found_by_path_and_by_shipped_name(config: Path):
    assert find_config(config) == config
    assert find_config("two_step_demo").name == "two_step_demo.toml"
    with pytest.raises(ConfigError, match=r"No config 'two_steps_demo'.*Did you mean 'two_step_demo'\?"):
        find_config("two_steps_demo")


def test_the_number_of_workers_is_no_difference(config: Path):
    old = read_config(config)
    assert difference(old, read_config(config, ["training.workers=9"])) is None
    assert difference(old, read_config(config, ["training.seed=9", "training.workers=9"])) == "training.seed"
