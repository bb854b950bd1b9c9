from __future__ import annotations

import pytest

from derm_toolkit.errors import ConfigError
from derm_toolkit.models import GraphSpec, hierarchical, two_step
from derm_toolkit.models.backbone import backbone_layers
from derm_toolkit.training.stages import freeze, part_of

SPEC = GraphSpec("tree", None, ("melanoma", "wart"), ("rgb", "skin_type"))
SMALL = hierarchical.Settings(weights="none", skin_type=True)


def test_parts_are_equal_and_cover_the_training():
    assert [part_of((1, 2, 3), epoch, 7) for epoch in range(7)] == [1, 1, 1, 2, 2, 3, 3]
    assert part_of((1, 2, 3), 0, 1) == 1


def test_freezing_begins_at_the_picture_and_spares_the_head():
    model = hierarchical.build(SPEC, SMALL, 32)
    layers = backbone_layers(model)
    freeze(model, 0.5)
    trains = [layer.trainable for layer in layers]
    assert trains == sorted(trains) and 0.4 < trains.index(True) / len(trains) < 0.6
    freeze(model, 1.0)
    assert {each.path.split("/")[0] for each in model.trainable_variables} == {"logits", "skin_type_embedding"}
    freeze(model, 0.0)
    assert all(layer.trainable for layer in model.layers)


def test_a_network_without_a_backbone_cannot_be_frozen():
    settings = two_step.Settings()
    model = two_step.build(GraphSpec("root", None, ("a", "b"), ("rgb",)), settings, 32)
    assert backbone_layers(model)  # a residual network, too, ends in a pooling
    with pytest.raises(ConfigError, match=r"training\.frozen is 0\.5, but the network 'bare' has no backbone to freeze"):
        import keras

        freeze(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="bare"), 0.5)
