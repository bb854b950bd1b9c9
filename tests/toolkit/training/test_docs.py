"""The page about training names the keys, the defaults and the options that there are."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

from derm_toolkit.evaluation.commands import compare
from derm_toolkit.reproduction.commands import reproduce
from derm_toolkit.training.commands import average, train
from derm_toolkit.training.config import Training, find_config

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "training.md").read_text("utf-8")


def test_every_key_of_training_has_its_line_with_its_default():
    lines = re.findall(r"^\| `(\w+)` \| `([^`]+)` \| (.+) \|$", PAGE, re.M)
    fields = {field.name: field.default for field in dataclasses.fields(Training)}
    assert [name for name, _, _ in lines] == list(fields)
    for name, default, _ in lines:
        expected = fields[name]
        assert json.loads(default) == (list(expected) if isinstance(expected, tuple) else expected), name


def test_the_options_and_configs_on_the_page_exist():
    options = {option for command in (train, average, compare, reproduce) for each in command.params for option in each.opts}
    written = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE)) - {"--logdir"}  # TensorBoard's own
    assert written <= options
    for name in ("hierarchical", "two_step_demo", "hierarchical_demo", "lenet_3", "resnet101_v2"):
        assert name in PAGE
        assert find_config(name).is_file()
    for key in re.findall(r"`training\.(\w+)", PAGE):
        assert key in Training.__dataclass_fields__
