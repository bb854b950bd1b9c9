"""Every shipped config makes the networks that its opening comment promises."""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import Any

import keras
import pytest

from derm_toolkit.models import FAMILIES
from derm_toolkit.models.backbone import backbone_layers
from derm_toolkit.training.config import SHIPPED, read_config

from .tree import TREE

ROWS = {  # report -> its rows, by the name that trains each
    "A": "two_step_plain two_step_plain_more_inputs multi_input multi_input_stretched mobilenet_v2 two_step",
    "B": "lenet_1 lenet_2 lenet_3 lenet_4 lenet_5 lenet_6 lenet_7 lenet_8 lenet_3_dropout_0.5 lenet_4_dropout_0.5 "
    "lenet_3_dropout_0.3 lenet_4_dropout_0.3 alexnet vgg16 inception_v3 resnet101_v2 inception_v3_skin_type "
    "inception_v3_skin_type_dropout resnet101_v2_skin_type vgg16_skin_type",
}
CONFIGS = {path.stem: path for path in sorted(SHIPPED.glob("*.toml"))}


def without_weights(settings: Any) -> Any:
    """The same settings with random weights, at every depth."""
    changes: dict[str, Any] = {"weights": "none"} if hasattr(settings, "weights") else {}
    for name in ("root", "expert"):
        if hasattr(settings, name):
            changes[name] = without_weights(getattr(settings, name))
    return dataclasses.replace(settings, **changes)


@functools.cache
def networks(settings: Any, size: int) -> tuple[int, bool]:
    """(weights of all networks, whether each has a backbone) of a model; most rows share theirs."""
    family, total, backbones = FAMILIES[settings.kind], 0, True
    for spec in family.graphs(TREE, settings):
        model = family.build(spec, settings, size)
        assert [tensor.name for tensor in model.inputs] == list(spec.inputs)
        assert model.output.shape == (None, len(spec.labels))
        total, backbones = total + model.count_params(), backbones and bool(backbone_layers(model))
    keras.utils.clear_session()
    return total, backbones


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_builds_at_its_size_with_about_the_weights_it_states(name: str) -> None:
    config = read_config(CONFIGS[name])
    total, backbones = networks(without_weights(config.model), config.preprocessing.size)
    stated = re.search(r"^# Cost: +([\d.]+) million weights", CONFIGS[name].read_text("utf-8"), re.MULTILINE)
    if stated:
        assert total / 1e6 == pytest.approx(float(stated[1]), rel=0.05)
    if any(config.training.frozen):
        assert backbones


@pytest.mark.parametrize(("report", "names"), ROWS.items())
def test_every_row_of_the_reports_has_a_config_that_says_which_row_it_is(report: str, names: str) -> None:
    for name in names.split():
        opening = CONFIGS[name].read_text("utf-8").split("version = 1")[0]
        assert re.search(f"^# Source: +[Rr]eport {report}, row", opening, re.MULTILINE), name
        assert re.search(f"^# Command: +derm-toolkit train {re.escape(name)} --data", opening, re.MULTILINE), name
        if name != "two_step":  # whose networks are this project's own
            assert "# Report:" in opening, name
            assert "# Differs:" in opening, name
