"""The same graph in fewer bytes: every answer, name and scale stays."""

import numpy as np
import pytest

from derm_converters import graphs
from derm_converters.compact import compact
from derm_converters.recipe import Recipe

from .. import models


@pytest.fixture(scope="module", params=["int8", "float32"])
def graph(request) -> bytes:
    """A graph with two signatures, as TensorFlow writes it."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(4)
    x = picture = keras.Input((32, 32, 3), name="rgb")
    for width in (32, 64, 64):
        x = layers.ReLU(6.0)(layers.Conv2D(width, 3, strides=2, padding="same")(x))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(96, 1)(x))
    network = keras.Model(picture, layers.Dense(5)(x))
    photos = [{"rgb": photo} for photo in models.photos(6)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graphs, "compact", lambda written: written)
        return graphs.convert_graph(network, Recipe(request.param), lambda: photos, lambda: photos)


def answers(graph: bytes) -> list[bytes]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=graph)
    interpreter.allocate_tensors()
    found = []
    for signature in sorted(interpreter.get_signature_list()):
        runner = interpreter.get_signature_runner(signature)
        for photo in models.photos(4, seed=8):
            found += [value.tobytes() for _, value in sorted(runner(rgb=photo[None]).items())]
    return found


def tensors(graph: bytes) -> list[tuple]:
    from ai_edge_litert.interpreter import Interpreter

    details = Interpreter(model_content=graph).get_tensor_details()
    parameters = [{key: np.asarray(v).tolist() for key, v in each["quantization_parameters"].items()} for each in details]
    return [(each["name"], each["shape"].tolist(), each["dtype"], p) for each, p in zip(details, parameters, strict=True)]


def test_a_compact_graph_answers_the_same_by_every_signature(graph):
    written = compact(graph)
    assert len(answers(graph)) == 8
    assert answers(written) == answers(graph)
    assert tensors(written) == tensors(graph)


def test_a_graph_of_integers_gets_smaller_and_no_graph_larger(graph):
    written = compact(graph)
    assert compact(written) == written
    is_int8 = graphs.describe_graph(graph)[1][0]["dtype"] == "uint8"
    assert len(written) < (0.95 if is_int8 else 1.0001) * len(graph)
