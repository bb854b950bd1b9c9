"""Every family goes through the converter to int8 and answers as before, with and without the skin type."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from derm_converters.graphs import convert_graph, describe_graph
from derm_converters.recipe import Recipe
from derm_sdk.image import Pixels
from derm_sdk.inputs import network_inputs
from derm_toolkit.models import FAMILIES

from .test_families import SMALL, settings
from .tree import TREE, enliven


def photos(size: int, kinds: tuple[str, ...], count: int) -> Iterator[dict[str, Pixels]]:
    """Inputs of smooth random pictures, the first black and the second white, the skin types in turn."""
    stream = np.random.default_rng(1)
    for number in range(count):
        coarse = stream.integers(0, 256, (4, 4, 3)) if number > 1 else np.full((4, 4, 3), 255 * number)
        picture = np.kron(coarse, np.ones((size // 4 + 1, size // 4 + 1, 1)))[:size, :size].astype(np.uint8)
        yield network_inputs(picture, (None, 1, 2, 3, 4, 5, 6)[number % 7], kinds)


@pytest.mark.parametrize(
    ("name", "skin_type"),
    [("lenet", True), ("alexnet", False), ("multi_input stretched", False), ("transfer", True), ("two_step plain", False)],
)
def test_a_family_converts_to_int8_and_answers_as_before(name: str, skin_type: bool) -> None:
    size, table = SMALL[name]
    chosen, family = settings(table, skin_type=skin_type), FAMILIES[table["kind"]]
    spec = family.graphs(TREE, chosen)[0]
    model = enliven(family.build(spec, chosen, size))
    graph = convert_graph(
        model, Recipe("int8", explain=False), lambda: photos(size, spec.inputs, 8), lambda: photos(size, spec.inputs, 8)
    )

    interpreter = Interpreter(model_content=graph)
    interpreter.allocate_tensors()
    run, output = interpreter.get_signature_runner(), describe_graph(graph)[1][0]
    seen = list(photos(size, spec.inputs, 14))
    trained = np.asarray(model([np.stack([photo[kind] for photo in seen]).astype(np.float32) for kind in spec.inputs]))
    answers = [run(**{kind: array[None] for kind, array in photo.items()})[output["name"]][0] for photo in seen]
    converted = (np.array(answers, np.float64) - output["zero_point"]) * output["scale"]
    assert np.sqrt(np.square(converted - trained).mean()) < 0.05 * trained.std()
