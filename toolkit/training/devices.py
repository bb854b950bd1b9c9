"""Where a network trains: on one device, or with each batch divided among several of one machine.

Several are meant to give what one gives, only sooner. Each batch is made divisible (`even_shares`), every device takes its
share, and the gradients are summed before anything looks at them. One thing differs: on TensorFlow, batch normalisation
takes the mean and the variance of each device's share alone.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from .backend import load_keras

if TYPE_CHECKING:
    import keras

_DIVIDING = ("tensorflow", "jax")  # backends on which Keras can divide a batch
Floats32 = NDArray[np.float32]
Arrays = Sequence[NDArray[Any]]


class OneDevice:
    """The device that the backend prefers.

    Attributes:
        count: how many devices train.
    """

    count = 1

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """The model and its optimiser are made inside."""
        return contextlib.nullcontext()

    def step(self, model: keras.Model, inputs: Arrays, targets: Floats32) -> float:
        """Trains on one batch, as `train_on_batch`; returns its loss."""
        return float(model.train_on_batch(inputs, targets))

    def optimizer(self, base: type) -> type:
        """The class of an optimiser that fits these devices."""
        return base


class Mirrored(OneDevice):
    """Several devices under `tf.distribute.MirroredStrategy`.

    Keras' own `train_on_batch` gives every device the whole batch there, so the shares are laid out here.
    """

    def __init__(self, devices: Sequence[str]) -> None:
        self.count = len(devices)
        self._strategy = _strategy(tuple(devices))

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        return self._strategy.scope()

    def step(self, model: keras.Model, inputs: Arrays, targets: Floats32) -> float:
        *inputs, targets = (self._shares(array) for array in even_shares([*inputs, targets], self.count))
        model.make_train_function()
        model.reset_metrics()
        return float(model.train_function(iter([(inputs, targets)]))["loss"])

    def optimizer(self, base: type) -> type:
        """One that sums the gradients first; Keras would clip each device's own, and then sum."""
        import tensorflow as tf

        class Summing(base):  # type: ignore[misc]
            def apply(self, grads: Any, trainable_variables: Any = None) -> None:
                together = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, list(grads))
                super().apply(together, trainable_variables)

            def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
                return grads_and_vars  # done above

        Summing.__name__ = base.__name__
        return Summing

    def _shares(self, array: NDArray[Any]) -> Any:
        import tensorflow as tf

        shares = np.split(array, self.count)
        return self._strategy.experimental_distribute_values_from_function(
            lambda context: tf.convert_to_tensor(shares[context.replica_id_in_sync_group])
        )


class DataParallel(OneDevice):
    """Several devices under `keras.distribution.DataParallel`, which Keras has for JAX."""

    def __init__(self, devices: Sequence[str]) -> None:
        self.count = len(devices)
        self._distribution = load_keras().distribution.DataParallel(devices=list(devices))

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        return self._distribution.scope()

    def step(self, model: keras.Model, inputs: Arrays, targets: Floats32) -> float:
        *inputs, targets = even_shares([*inputs, targets], self.count)
        with self.scope():
            return float(model.train_on_batch(inputs, targets))


def choose_devices(wanted: int, precision: str = "float32") -> OneDevice:
    """The devices of a training.

    Args:
        wanted: how many; 0 for every GPU that the backend can divide a batch among, or else one device.
        precision: of the training.
    Raises:
        ConfigError: there are not so many, or the backend cannot use them.
    """
    backend = load_keras().backend.backend()
    if wanted == 1 or (wanted == 0 and backend not in _DIVIDING):
        return OneDevice()
    if backend not in _DIVIDING:
        raise ConfigError(
            f"training.devices is {wanted}, but Keras trains on one device with the backend {backend}; "
            "set it to 1, or use KERAS_BACKEND=tensorflow or jax."
        )
    found = _devices(backend, gpus_only=wanted == 0)
    count = wanted or len(found)
    if count < 2:
        return OneDevice()
    if len(found) < count:
        raise ConfigError(f"training.devices is {wanted}, but {backend} sees {len(found)}; set it to 0 for all GPUs.")
    if backend == "tensorflow" and precision == "mixed_float16":
        # Keras asks one device alone whether its gradients overflowed.
        raise ConfigError(
            "training.precision mixed_float16 is unsafe on several devices with TensorFlow; use mixed_bfloat16, "
            "KERAS_BACKEND=jax, or training.devices=1."
        )
    return Mirrored(found[:count]) if backend == "tensorflow" else DataParallel(found[:count])


def even_shares(arrays: Arrays, count: int) -> Arrays:
    """Makes a batch divisible: its first rows are repeated with targets of zero, and the others weigh the more for it.

    The mean over the rows of any loss that is linear in the targets stays, and so does its gradient.

    Args:
        arrays: [n, ...] each; the last holds the targets, float32.
        count: devices.
    Returns:
        The same with m rows, the least multiple of `count` from n on.
    """
    *inputs, targets = arrays
    n = len(targets)
    m = -(-n // count) * count
    if m == n:
        return arrays
    rows = np.arange(m) % n
    weights = np.where(np.arange(m) < n, m / n, 0.0).astype(np.float32)
    return [*(array[rows] for array in inputs), targets[rows] * weights[:, None]]


@functools.cache
def _strategy(devices: tuple[str, ...]) -> Any:
    """One per process: a second one would number its reductions from 1 again, and be given the first one's."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(devices)


def _devices(backend: str, *, gpus_only: bool) -> list[str]:
    """Names of the GPUs; where there is none and others will do, of the CPU's devices."""
    if backend == "tensorflow":
        import tensorflow as tf

        # Logical ones: a physical device may have been divided.
        kinds = ("GPU",) if gpus_only else ("GPU", "CPU")
        groups = [[device.name for device in tf.config.list_logical_devices(kind)] for kind in kinds]
        return next((group for group in groups if group), [])
    import jax

    if gpus_only and jax.default_backend() == "cpu":
        return []
    return list(load_keras().distribution.list_devices())
