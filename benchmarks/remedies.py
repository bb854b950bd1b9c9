"""What each remedy gives int8: the same run converted by one recipe after the other, against the trained networks.

    python benchmarks/remedies.py RUN [--only NAME ...]

On the validation and calibration photos of the run, with the trained model's own calibration, so that the graphs alone are
compared. Agreement needs no labels. The interval of the divergence is 1.96 standard errors of its mean over photos.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from derm_converters.graphs import describe_graph
from derm_converters.material import Material
from derm_converters.recipe import Recipe
from derm_toolkit.evaluation.predict import Logits, predict_models
from derm_toolkit.training.run import Run, read_run

PLAIN = {"ranges": "min-max", "equalisation": False, "rounding": "nearest", "bias_correction": False, "explain": False}
DEFAULT = Recipe("int8", explain=False)
RECIPES = {
    "measured ranges": Recipe("int8", **PLAIN),
    "+ bias correction": Recipe("int8", **PLAIN | {"bias_correction": True}),
    "+ percentile ranges": Recipe("int8", **PLAIN | {"bias_correction": True, "ranges": "percentile"}),
    "+ ranges of least error": Recipe("int8", **PLAIN | {"bias_correction": True, "ranges": "mse"}),
    "+ equalisation": Recipe("int8", **PLAIN | {"bias_correction": True, "ranges": "mse", "equalisation": True}),
    "+ learned rounding": DEFAULT,
    "all but bias correction": replace(DEFAULT, bias_correction=False),
    **{f"{count} photos": replace(DEFAULT, representative_photos=count) for count in (50, 100, 400)},
    "new statistics, 512 photos": replace(DEFAULT, batchnorm_photos=512),
    **{f"{count} float layer{'s' * (count > 1)}": replace(DEFAULT, float_layers=count) for count in (1, 2)},
    "1 epoch of fine-tuning": replace(DEFAULT, qat_epochs=1),
    "3 epochs of fine-tuning": replace(DEFAULT, qat_epochs=3),
    "float16": Recipe("float16", explain=False),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=list(RECIPES), metavar="NAME")
    options = parser.parse_args()
    run = read_run(options.run)
    material = Material.of(run)
    photos = [*material.photos("validation"), *material.photos("calibration")]
    exact = predict_models({spec.id: run.load_model(spec.id) for spec in run.graphs}, photos, material.cache)
    print(f"{run.folder}, {len(photos)} photos")
    print(
        "| recipe | same top node | same condition | divergence | rms of the logits | seconds |\n|---|---|---|---|---|---|"
    )
    for name in options.only:
        found: Logits = {}
        seconds = 0.0
        for spec in run.graphs:
            start = time.perf_counter()
            graph = material.convert(spec, RECIPES[name])
            seconds += time.perf_counter() - start
            found[spec.id] = answers(graph, material.inputs(photos, spec))
        print(row(name, run, exact, found, seconds), flush=True)


def answers(graph: bytes, photos: Iterator[dict[str, np.ndarray]]) -> np.ndarray:
    """The graph's logits, float32 [N, labels]."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=graph)
    interpreter.allocate_tensors()
    runner, output = interpreter.get_signature_runner(), describe_graph(graph)[1][0]
    rows = [runner(**{kind: array[None] for kind, array in photo.items()})[output["name"]][0] for photo in photos]
    return (np.array(rows, np.float32) - output["zero_point"]) * output["scale"]


def row(name: str, run: Run, exact: Logits, found: Logits, seconds: float) -> str:
    calibration, composition, levels = run.calibration(), run.composition, run.taxonomy.levels
    before, after = (calibration.nodes(composition, logits) for logits in (exact, found))
    same = []
    for level in (levels[0], levels[-1]):
        columns = composition.columns(level)
        same.append((before[:, columns].argmax(axis=1) == after[:, columns].argmax(axis=1)).mean())
    p, q = (np.clip(nodes[:, composition.columns(levels[-1])], 1e-12, 1) for nodes in (before, after))
    divergence = (p * np.log(p / q)).sum(axis=1)
    error = np.sqrt(np.mean([np.square(exact[graph] - found[graph]).mean() for graph in exact]))
    spread = 1.96 * divergence.std() / np.sqrt(len(divergence))
    return (
        f"| {name} | {100 * same[0]:.1f} % | {100 * same[1]:.1f} % | {divergence.mean():.4f} ± {spread:.4f} | {error:.3f} | "
        f"{seconds:.0f} |"
    )


if __name__ == "__main__":
    main()
