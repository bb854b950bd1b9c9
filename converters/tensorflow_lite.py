"""A folded Keras network -> the bytes of a .tflite graph, by TensorFlow's converter; its two stages for int8, one by one."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.python.util import modify_model_io_type

from derm_sdk.runtime import ANSWER, EXPLAIN

from .errors import ConversionError

_FIRST = 2  # photos that TensorFlow's own calibrator sees; black and white, so that the inputs span 0 to 255
Batches = Callable[[], Iterator[dict[str, np.ndarray]]]


def calibrated_graph(folded: keras.Model, evidence: keras.Model | None, batches: Batches) -> bytes:
    """The float graph of a folded model with a range at every activation, before it is quantised.

    Args:
        folded: as `fold_batchnorm` makes it.
        evidence: the network of its second signature; None for one signature.
        batches: gives photos, {input: float32 [1, ...]}. Their ranges are a first guess: see `with_measured_ranges`.
    Raises:
        ConversionError: TensorFlow cannot convert a layer.
    """
    return _convert(folded, evidence, "int8", batches)


def plain_graph(folded: keras.Model, evidence: keras.Model | None, precision: str) -> bytes:
    """The graph of a folded model without ranges; its weights in 16 bits for "float16". As `calibrated_graph` else."""
    return _convert(folded, evidence, precision, lambda: iter(()))


def _convert(folded: keras.Model, evidence: keras.Model | None, precision: str, batches: Batches) -> bytes:
    if evidence is None:
        return _convert_one(folded, precision, batches)
    return _convert_two(folded, evidence, precision, batches)


def _convert_one(folded: keras.Model, precision: str, batches: Batches) -> bytes:
    """A graph with one signature."""
    converter = tf.lite.TFLiteConverter.from_keras_model(folded)
    _set_precision(converter, precision)
    if precision == "int8":
        converter.representative_dataset = lambda: islice(batches(), _FIRST)
    with _quiet():
        graph: bytes = converter.convert()
    return graph


def _convert_two(folded: keras.Model, evidence: keras.Model, precision: str, batches: Batches) -> bytes:
    """A graph with two signatures, which share their weights: the logits, and the evidence."""
    inputs = {ANSWER: [each.name for each in folded.inputs], EXPLAIN: [each.name for each in evidence.inputs]}

    def both() -> Iterator[tuple[str, dict[str, np.ndarray]]]:
        for batch in islice(batches(), _FIRST):
            for signature, names in inputs.items():
                yield signature, {name: batch[name] for name in names}

    with tempfile.TemporaryDirectory() as folder, _quiet():
        export = keras.export.ExportArchive()
        for signature, model, output in ((ANSWER, folded, "logits"), (EXPLAIN, evidence, "evidence")):
            export.track(model)
            specs = [tf.TensorSpec(each.shape, each.dtype, name=each.name) for each in model.inputs]
            export.add_endpoint(signature, _endpoint(model, output), input_signature=specs)
        export.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(inputs))
        _set_precision(converter, precision)
        if precision == "int8":
            converter.representative_dataset = both
        graph: bytes = converter.convert()
    return graph


def _endpoint(model: keras.Model, output: str) -> Callable[..., dict[str, Any]]:
    return lambda *tensors: {output: model(list(tensors), training=False)}


def _set_precision(converter: Any, precision: str) -> None:
    if precision == "int8":  # stops before the quantisation: the ranges are measured again
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter._experimental_calibrate_only = True
    elif precision == "float16":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]


def quantised_graph(calibrated: bytes, float_tensors: Sequence[str] = ()) -> bytes:
    """Integers throughout, uint8 at both ends, out of a float graph with ranges.

    Args:
        calibrated: as `calibrated_graph` makes it.
        float_tensors: names of tensors whose operations stay in floats.
    """
    with _quiet():
        mixed = mlir_quantize(calibrated, denylisted_nodes=list(float_tensors) or None)
        quantised: bytes = modify_model_io_type(mixed, tf.uint8, tf.uint8)
    return quantised


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the converter's chatter off the terminal; if it fails, its last words become the error."""
    with tempfile.TemporaryFile() as log, contextlib.redirect_stdout(io.StringIO()):
        saved = os.dup(2)
        os.dup2(log.fileno(), 2)
        try:
            yield
        except Exception as error:
            raise ConversionError(
                f"TensorFlow cannot convert the graph: {str(error).strip().splitlines()[-1]}. "
                f"Is there room in the temporary folder, {tempfile.gettempdir()!r}?"
            ) from error
        finally:
            os.dup2(saved, 2)
            os.close(saved)
