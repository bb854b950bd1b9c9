"""The `derm-convert` command: a run folder in, a .derm file out."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from derm_sdk import __version__
from derm_sdk.cli import DermCommand
from derm_sdk.errors import FileError


class _WithAnalyse(DermCommand):
    """The converter; but `derm-convert analyse ...` is the command `analyse`."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **options: Any) -> Any:
        words = list(sys.argv[1:] if args is None else args)
        if words[:1] == ["analyse"]:
            return analyse.main(words[1:], prog_name="derm-convert analyse", **options)
        return super().main(words, prog_name, **options)


@click.command(cls=_WithAnalyse, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="derm-convert")
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.option("--keras", "network", type=click.Path(dir_okay=False, path_type=Path),
              help="In place of RUN: a .keras file that was trained elsewhere; needs --spec and --data.")  # fmt: skip
@click.option("--spec", type=click.Path(dir_okay=False, path_type=Path),
              help="How the --keras network is fed and what it answers: a config of the kind adopted.")  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The .derm file to write."
)
@click.option("--int8", "precision", flag_value="int8", default=True, help="Integers throughout: small and fast (default).")
@click.option("--float16", "precision", flag_value="float16", help="Weights as 16-bit floats.")
@click.option("--float32", "precision", flag_value="float32", help="Weights as they were trained.")
@click.option("--no-bias-correction", is_flag=True, help="Leave the biases as they were trained, to see what it costs.")
@click.option("--no-equalisation", is_flag=True, help="Leave the channels of linear bottlenecks as wide as they are.")
@click.option("--rounding", type=click.Choice(("learned", "nearest")), default="learned", show_default=True,
              help="How int8 rounds weights: each making up for the errors before it, or each by itself.")  # fmt: skip
@click.option("--ranges", type=click.Choice(("min-max", "percentile", "mse")), default="mse", show_default=True,
              help="How int8 takes the range of a tensor: all of it, all but the outermost 0.01 % at either end, or "
              "the part that leaves the least error.")  # fmt: skip
@click.option("--batchnorm", default=0, metavar="N", type=click.IntRange(0, 100_000),
              help="Take the statistics of the normalisations again, from N training photos.")  # fmt: skip
@click.option("--qat", default=0, metavar="EPOCHS", type=click.IntRange(0, 100),
              help="Fine-tune the rounded weights towards the trained network's answers: minutes to hours.")  # fmt: skip
@click.option("--float-layers", default=0, metavar="N", type=click.IntRange(0, 100),
              help="Leave the N layers of each network in floats that lose most by int8.")  # fmt: skip
@click.option(
    "--auto", is_flag=True, help="Try recipes, the cheapest first, until the limits hold on the calibration photos."
)
@click.option("--no-explain", is_flag=True, help="Leave out what 'derm explain' needs: 12 % smaller at int8.")
@click.option("--photos", default=200, show_default=True, type=click.IntRange(8, 10_000),
              help="Training photos that int8 takes its ranges from.")  # fmt: skip
@click.option("--min-agreement", type=click.FloatRange(0, 1), help="Least share of photos that keep their category and "
              "condition, in place of the config's [conversion].")  # fmt: skip
@click.option("--max-divergence", type=click.FloatRange(0), help="Greatest mean divergence of the probabilities, in nats, "
              "in place of the config's [conversion].")  # fmt: skip
@click.option("--force", is_flag=True, help="Write a model that breaks its limits, too; it and all its results say so.")
@click.option(
    "--report", "page", type=click.Path(dir_okay=False, path_type=Path), help="Write the comparison as a web page."
)
@click.option("--tflite", "plain", type=click.Path(file_okay=False, path_type=Path),
              help="Write plain .tflite graphs, too, with labels and a spec sheet, into a new folder.")  # fmt: skip
@click.option("--mediapipe", type=click.Path(dir_okay=False, path_type=Path),
              help="Write a .tflite file, too, that MediaPipe's ImageClassifier opens.")  # fmt: skip
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="The data set, when it has moved.")
@click.option("--id", "identity", help="Short name of the model; the file's name unless given.")
@click.option("--name", help="Full name of the model.")
@click.option("--model-version", default="0.1.0", show_default=True, help="Version of the model.")
@click.option("--licence", default="not stated", show_default=True, help="Licence of the weights, in a few words.")
@click.option("--licence-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Its text.")
@click.pass_context
def main(
    context: click.Context, run: Path | None, network: Path | None, spec: Path | None, output: Path, precision: str,
    no_bias_correction: bool, no_equalisation: bool, rounding: str, ranges: str, batchnorm: int, qat: int,
    float_layers: int, auto: bool, no_explain: bool, photos: int,
    min_agreement: float | None, max_divergence: float | None, force: bool, page: Path | None,
    plain: Path | None, mediapipe: Path | None, data: Path | None,
    identity: str | None, name: str | None, model_version: str, licence: str, licence_file: Path | None,
) -> None:  # fmt: skip
    """Convert the trained RUN, or a network that was trained elsewhere, into one .derm file.

    The converted model is compared with the trained one on the validation photos; when it answers differently beyond the
    limits, nothing is written. 'derm-convert analyse RUN' names the layers where int8 loses.
    """
    if (run is None) == (network is None):
        raise click.UsageError("Name a RUN, or --keras with --spec and --data.", context)
    if network is not None and (spec is None or data is None):
        raise click.UsageError("--keras needs --spec and --data: how the network is fed, and photos to compare on.", context)
    own = {
        f"--{precision}": precision != "int8",
        "--no-bias-correction": no_bias_correction,
        "--no-equalisation": no_equalisation,
    }
    own |= {f"--{name}": context.get_parameter_source(name.replace("-", "_")) is not ParameterSource.DEFAULT
            for name in ("rounding", "ranges", "batchnorm", "qat", "float-layers")}  # fmt: skip
    if auto and any(own.values()):
        what = ", ".join(name for name, given in own.items() if given)
        raise click.UsageError(f"--auto chooses the int8 recipe itself; leave out {what}.", context)
    os.environ["KERAS_BACKEND"] = "tensorflow"  # the converter is TensorFlow's; runs of any backend are read
    from derm_toolkit.training.backend import load_keras

    load_keras()
    from .convert import convert_run
    from .manifest import About
    from .recipe import Recipe

    about = About(
        id=identity or output.stem,
        name=name or output.stem,
        version=model_version,
        licence=licence,
        licence_text=_read_text(licence_file) if licence_file else licence + "\n",
    )
    limits: dict[str, float] = {} if max_divergence is None else {"divergence": max_divergence}
    if min_agreement is not None:
        limits |= dict.fromkeys(("top_agreement", "leaf_agreement", "refer"), min_agreement)
        limits["sensitivity_loss"] = 1 - min_agreement
    recipe = Recipe(precision, photos, ranges, not no_equalisation, rounding, not no_bias_correction, not no_explain,
                    batchnorm, qat, float_layers)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        if network is not None and spec is not None and data is not None:
            run = _adopted(network, spec, data, Path(folder) / "run")
        convert_run(str(run), output, recipe, about, auto=auto, limits=limits, force=force, mediapipe=mediapipe,
                    plain=plain, page=page, data=data)  # fmt: skip


@click.command(cls=DermCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--graph", help="Which of the model's networks; the first unless given.")
@click.option(
    "--photos", default=12, show_default=True, type=click.IntRange(1, 1000), help="Validation photos to compare on."
)
@click.option("--report", "page", type=click.Path(dir_okay=False, path_type=Path), help="Write all layers as a web page.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="The data set, when it has moved.")
def analyse(run: Path, graph: str | None, photos: int, page: Path | None, data: Path | None) -> None:
    """Name the layers of RUN that lose most by int8, compared with float tensor by tensor."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    from derm_toolkit.training.backend import load_keras

    load_keras()
    from derm_sdk.files import write_bytes

    from .analysis import analyse_run
    from .analysis_page import analysis_page, show_analysis

    name, rows = analyse_run(run, graph, photos, data)
    show_analysis(rows, name)
    if page is not None:
        write_bytes(page, analysis_page(rows, name).encode())


def _adopted(network: Path, spec: Path, data: Path, folder: Path) -> Path:
    """Makes a run folder of a network that was trained elsewhere."""
    from derm_toolkit.data.manifest import read_dataset, read_split
    from derm_toolkit.training.adopt import adopt
    from derm_toolkit.training.config import read_config
    from derm_toolkit.training.train import Order

    dataset = read_dataset(data)
    adopt(network, Order(read_config(spec), dataset, read_split(dataset.folder / "splits.csv", dataset), folder))
    return folder


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"Cannot read {str(path)!r} as UTF-8 text ({error}).") from error
