"""A network that was trained elsewhere -> a run folder, which is evaluated and converted like any other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from derm_sdk.files import write_text

from ..data.cache import PhotoCache
from ..errors import ConfigError, DataError
from ..models import adopted
from .backend import environment, usable_cores
from .model_files import load_model_file, save_model, write_graphs
from .reporter import Reporter
from .run import Run, read_run
from .train import Order, calibrate, check_leaks, check_refer_node, fill_cache, open_run_folder


def adopt(file: Path, order: Order, reporter: Reporter | None = None) -> Run:
    """Takes a network over.

    Args:
        file: the network, a .keras file of Keras' own layers.
        order: a config whose `model.kind` is "adopted" (docs/adopting.md), the photos, and the run folder to make. What the
            network was trained on is not known: the sides of the split are taken at their word.
        reporter: where progress is shown.
    Returns:
        The run. It has no history and no checkpoints.
    Raises:
        ConfigError: the config is of another kind, or the network is not as it says.
        RunError: the file is damaged or holds more than Keras' own layers; the folder is not empty.
        DataError, FileError: there are no photos to calibrate on; a file cannot be read or written.
    """
    reporter = reporter or Reporter()
    if order.config.model.kind != "adopted":
        raise ConfigError(f'model.kind must be "adopted" to take a network over; got {order.config.model.kind!r}.')
    # Class weights bend what a network answers; nothing is known of this one's, so nothing is undone.
    training = replace(order.config.training, class_weight_power=0.0, logit_adjustment=0.0)
    order = replace(order, config=replace(order.config, training=training))
    config, dataset, shape = order.config, order.dataset, order.config.preprocessing
    (spec,) = adopted.graphs(dataset.taxonomy, config.model)
    notes = check_leaks(order) + check_refer_node(dataset, config)
    photos = order.split.photos(dataset, "calibration")
    if not photos:
        raise DataError("The calibration split has no photo; split the data with a share for calibration.")
    model = adopted.adopted_network(load_model_file(file), spec, config.model, shape.size)

    open_run_folder(order)
    write_text(order.out / "environment.json", json.dumps(environment(config.training.seed), indent=1) + "\n")
    save_model(order.out, spec.id, model)
    write_graphs(order.out, adopted.KIND, shape, [spec])
    run = read_run(order.out)
    for note in notes:
        reporter.say(f"Note: {note}")
    exact = PhotoCache(dataset, shape.size, shape.fit, decode=shape.decode, root=order.cache)
    workers = usable_cores()
    fill_cache(exact, photos, workers, reporter)
    calibrate(run, order.split, photos, exact, workers, reporter)
    reporter.say(f"The run is in {order.out}. Next: derm-toolkit evaluate {order.out}")
    return run
