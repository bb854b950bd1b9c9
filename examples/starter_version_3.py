"""How version 3 of the starter was made of version 2: its int8 weights, in a network that looks at four mirror images.

    git show 36cd3e5:derm_sdk/models/starter.derm > starter-2.derm
    python examples/starter_version_3.py starter-2.derm runs/both runs/starter-3
    derm-convert runs/starter-3 --int8 --rounding nearest --no-equalisation -o starter-3.derm

The run that version 2 was converted from was not kept. Each kernel is read as level * scale, so that the converter
rounds it to the same levels again; each bias goes into the normalisation behind its convolution, which else does nothing.
"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from derm_sdk.bundle import read_bundle
from derm_sdk.files import write_text
from derm_toolkit.data.cache import PhotoCache
from derm_toolkit.data.manifest import read_dataset, read_split
from derm_toolkit.models import FAMILIES, untrained
from derm_toolkit.training.backend import environment
from derm_toolkit.training.config import config_from_dict
from derm_toolkit.training.model_files import save_model, write_graphs
from derm_toolkit.training.reporter import Reporter
from derm_toolkit.training.run import read_run
from derm_toolkit.training.train import Order, calibrate, fill_cache, open_run_folder

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def main(starter: str, data: str, out: Path) -> None:
    bundle = read_bundle(starter)
    table = tomllib.loads(bundle.manifest["training"]["config"])
    table["model"]["views"] = 4
    config, dataset = config_from_dict(table), read_dataset(data)
    split, family = read_split(Path(data) / "splits.csv", dataset), FAMILIES["hierarchical"]
    (spec,) = family.graphs(dataset.taxonomy, config.model)
    model = family.build(spec, untrained(config.model), config.preprocessing.size)
    put(model, weights_of(bytes(bundle.graph_data[bundle.graphs[0].id])))
    open_run_folder(Order(config, dataset, split, out))
    write_text(out / "environment.json", json.dumps(environment(config.training.seed), indent=1) + "\n")
    save_model(out, spec.id, model)
    write_graphs(out, family.KIND, config.preprocessing, [spec])
    shape, reporter = config.preprocessing, Reporter()
    exact, photos = PhotoCache(dataset, shape.size, shape.fit, decode=shape.decode), split.photos(dataset, "calibration")
    fill_cache(exact, photos, 2, reporter)
    calibrate(read_run(out), split, photos, exact, 2, reporter)


def weights_of(graph: bytes) -> dict[str, tuple[Any, Any]]:
    """{layer: (kernel in TensorFlow Lite's order, bias)} of an int8 graph, as real numbers."""
    interpreter = Interpreter(
        model_content=graph, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    interpreter.allocate_tensors()
    tensors = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}

    def real(index: int) -> Any:
        values, about = interpreter.get_tensor(index).astype(np.float64), tensors[index]["quantization_parameters"]
        scales = about["scales"].astype(np.float64)
        along = [-1 if axis == about["quantized_dimension"] else 1 for axis in range(values.ndim)]
        return values * (scales.reshape(along) if len(scales) > 1 else scales)  # kernels and biases have no zero point

    found = {}
    for operation in interpreter._get_ops_details():
        if operation["op_name"] in WEIGHTED:
            kernel, bias = operation["inputs"][1:3]
            name = tensors[kernel]["name"].split(";")[-1].split("/")[1].removesuffix("_1")
            found[name] = real(kernel), real(bias)
    return found


def put(model: keras.Model, found: dict[str, tuple[Any, Any]]) -> None:
    """Gives the network these weights."""
    behind = {
        layer.input._keras_history.operation.name: layer
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    for name, (kernel, bias) in found.items():
        layer = model.get_layer(name)
        if isinstance(layer, keras.layers.Dense):
            scale = 255 if name == "skin_type_embedding" else 1  # the converter took the rescaling by 1/255 into its kernel
            layer.set_weights([kernel.T * scale, bias])
        else:
            layer.set_weights([kernel.transpose(1, 2, 3, 0)])
            normalisation, ones = behind[name], np.ones(len(bias))
            normalisation.set_weights([ones * np.sqrt(1 + normalisation.epsilon), bias, 0 * ones, ones])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
