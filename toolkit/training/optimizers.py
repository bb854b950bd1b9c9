"""The optimiser of a training, with a rate of its own for the backbone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..models.backbone import backbone_layers
from .config import Training

if TYPE_CHECKING:
    import keras

_NOT_DECAYED = ("bias", "gamma", "beta")


def build_optimizer(model: keras.Model, recipe: Training, fitted: Callable[[type], type] = lambda base: base) -> Any:
    """Makes the recipe's optimiser.

    Args:
        model: what it will train.
        recipe: names optimiser, decay, clipping and the backbone's rate.
        fitted: makes an optimiser's class fit the devices.
    """
    import keras

    base = {"adamw": keras.optimizers.AdamW, "adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}
    options: dict[str, Any] = {"learning_rate": recipe.learning_rate, "global_clipnorm": recipe.clip_norm or None}
    if recipe.backbone_rate == 1.0:
        optimizer = fitted(base[recipe.optimizer])(weight_decay=recipe.weight_decay, **options)
        optimizer.exclude_from_weight_decay(var_names=list(_NOT_DECAYED))
    else:
        slower = {id(variable) for layer in backbone_layers(model) for variable in layer.trainable_variables}
        rates = [recipe.backbone_rate if id(each) in slower else 1.0 for each in model.trainable_variables]
        decays = [0.0 if each.name in _NOT_DECAYED else recipe.weight_decay for each in model.trainable_variables]
        family = base["adam" if recipe.optimizer == "adamw" else recipe.optimizer]  # the decay is done here
        optimizer = _rated(fitted(family))(rates, decays, **options)
    return optimizer


def _rated(base: type) -> type:
    """A Keras optimiser whose steps, weight decay included, are scaled per variable."""

    class Rated(base):  # type: ignore[misc]
        def __init__(self, rates: Sequence[float], decays: Sequence[float], **options: Any) -> None:
            super().__init__(name=base.__name__.lower(), **options)
            self._rates, self._decays = tuple(rates), tuple(decays)

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            index = self._get_variable_index(variable)
            rate = learning_rate * self._rates[index]
            if self._decays[index]:
                self.assign_sub(variable, variable * rate * self._decays[index])
            super().update_step(gradient, variable, rate)

    return Rated
