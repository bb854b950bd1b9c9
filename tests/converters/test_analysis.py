"""The analysis finds the layer whose weights or range were spoilt."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from derm_converters.analysis import analyse_graph
from derm_converters.analysis_page import analysis_page
from derm_converters.cli import main
from derm_converters.errors import ConversionError
from derm_converters.folding import fold_batchnorm
from derm_converters.graphs import convert_graph
from derm_converters.layer_errors import layer_errors, worst
from derm_converters.recipe import Recipe
from derm_converters.tensorflow_lite import calibrated_graph

from .. import models
from .test_ranges import bottlenecks, photos

PLAIN = Recipe("int8", ranges="min-max", equalisation=False, rounding="nearest", bias_correction=False, explain=False)


def analysed(model: keras.Model, recipe: Recipe = PLAIN):
    return analyse_graph(model, recipe, photos, photos, photos)


def test_every_layer_is_told_in_order_and_a_sound_network_keeps_its_signal():
    rows = analysed(bottlenecks())
    names = [row.name for row in rows]
    for earlier, later in (("stem", "project0"), ("project0", "add0"), ("add0", "project1"), ("project1", "add1")):
        assert names.index(earlier) < names.index(later)
    assert rows[-1].total > 25 and all(row.total <= row.rounding + 3 for row in rows)
    assert (
        worst(rows, 2)[0].rounding
        <= worst(rows, 2)[1].rounding
        <= min(r.rounding for r in rows[2:] if r not in worst(rows, 2))
    )


def test_a_range_that_one_channel_sets_for_all_is_named():
    """One channel of a bottleneck far from the others, and hardly read by what comes next."""
    model = bottlenecks()
    kernel, bias = model.get_layer("project1").get_weights()
    bias[0] += 500.0
    model.get_layer("project1").set_weights([kernel, bias])
    sound, spoilt = ({row.name: row for row in analysed(each)} for each in (bottlenecks(), model))
    assert spoilt["project1"].high > 400 > 20 > sound["project1"].high
    per_step = [row["project1"].high - row["project1"].low for row in (sound, spoilt)]
    assert per_step[1] > 20 * per_step[0]


def test_the_page_has_a_line_and_a_bar_for_every_tensor():
    rows = analysed(bottlenecks())
    page = analysis_page(rows, "a <graph>")
    assert page.count("<svg") == 2 * len(rows) and "a &lt;graph&gt;" in page and "<script" not in page


def test_the_command_names_the_worst_layers_and_writes_the_page(tiny_run, tiny_data, tmp_path):
    page = tmp_path / "layers.html"
    words = ["analyse", str(tiny_run.folder), "--photos", "3", "--report", str(page), "--data", str(tiny_data.folder)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert "root: the" in done.output and "Worst by themselves:" in done.output and page.is_file()
    done = CliRunner().invoke(main, [*words, "--graph", "expert-malignan"])
    assert done.exit_code == 1 and "Did you mean 'expert-malignant'" in done.output
    assert "Name the layers of RUN" in CliRunner().invoke(main, ["analyse", "--help"]).output


def test_graphs_that_have_nothing_in_common_are_refused():
    model, other = bottlenecks(), models.network(("rgb",), 3, seed=1)
    graph = convert_graph(model, PLAIN, photos, photos)
    batches = lambda: ({"rgb": np.zeros((1, models.SIZE, models.SIZE, 3), np.float32)} for _ in range(2))  # noqa: E731
    with pytest.raises(ConversionError, match="can be found in the float graph"):
        layer_errors(calibrated_graph(fold_batchnorm(other), None, batches), graph, photos)
