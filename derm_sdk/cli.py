"""The `derm` command: classify photos, look into a .derm file, verify it, and check an installation."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click
import numpy as np

from . import __version__, preprocess
from .bundle import Bundle, read_bundle
from .classifier import Classifier, starter_path
from .errors import DermError
from .fitzpatrick import check_fitzpatrick
from .image import Pixels
from .prior import parse_prior
from .routing import ROUTINGS
from .runtime import load_interpreter

NOTICE = "A research tool, not a medical device: it cannot replace a dermatologist."
# SHA-256 of the five inputs of `_drawn_photo` at 64 pixels, as preprocessing version 1 prepares them.
_PROBE_SHA256 = "07ac8cf0312732f6c2206b29b8004febe8a2a532c79fb3c4c51af16df66a1504"


class _Plain(click.Command):
    """Ends what can go wrong on a user's machine with a sentence on stderr and exit code 1, no traceback.

    That is a DermError, a package that is not installed, and an error of the system, such as a full disk behind stdout.
    """

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a name or a line that the terminal cannot show is no reason to stop
        with _sentences():  # --help and --version print in here
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _sentences():
            return super().invoke(ctx)


@contextlib.contextmanager
def _sentences() -> Iterator[None]:
    try:
        yield
    except DermError as error:
        raise click.ClickException(str(error)) from error
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("derm_"):
            raise
        raise click.ClickException(
            f"The package {error.name!r} is missing, which this command needs: pip install 'derm-sdk[all]'"
        ) from error
    except OSError as error:
        if error.errno == errno.EPIPE:  # the reader went away, as `head` does: click ends quietly
            raise
        _give_up_stdout()
        of = f" ({error.filename!r})" if error.filename else ""
        raise click.ClickException(f"The system refused to read or write: {error.strerror or error}{of}.") from error


def _give_up_stdout() -> None:
    """What stdout could not take would fail once more when Python ends, and change the exit code."""
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError):
            sys.stdout.close()


class DermCommand(_Plain):
    """A click command that ends a DermError in one sentence."""


class DermGroup(_Plain, click.Group):
    """A click group whose commands end a DermError in one sentence."""


@click.group(cls=DermGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="derm-sdk")
def main() -> None:
    """Classify photos of skin with a .derm model.

    A research tool, not a medical device: it cannot replace a dermatologist.
    """


@main.command()
@click.argument("photos", nargs=-1, required=True)
@click.option("--model", type=click.Path(), help="A .derm file; without it, the starter model.")
@click.option("--fitzpatrick", help="Skin type of the person, 1 to 6 or I to VI; leave out when unknown.")
@click.option("--routing", type=click.Choice(ROUTINGS), default="all", show_default=True, help="Which graphs are run.")
@click.option(
    "--prior",
    metavar="LABEL=SHARE,...|FILE",
    help="How common labels are among such photos: malignant=0.02,benign=0.5, or a JSON file of these.",
)
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="Threads for a graph.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per photo and line.")
def classify(
    photos: tuple[str, ...],
    model: str | None,
    fitzpatrick: str | None,
    routing: str,
    prior: str | None,
    threads: int,
    as_json: bool,
) -> None:
    """Classify PHOTOS (JPEG, PNG, WebP or BMP) and print a tree of probabilities for each."""
    shares = None if prior is None else parse_prior(prior)
    digit = fitzpatrick is not None and re.fullmatch("[1-6]", fitzpatrick)
    skin_type = check_fitzpatrick(int(fitzpatrick) if fitzpatrick and digit else fitzpatrick)
    bundle = read_bundle(starter_path() if model is None else model)
    licence = f"Code: Apache-2.0. Weights ({bundle.manifest['id']}): {bundle.manifest['licence']}."
    click.echo(f"{NOTICE} {licence}", err=True)
    with _open(bundle, threads, routing, shares) as classifier:
        failed = False
        for photo in photos:
            try:
                result = classifier.classify(photo, fitzpatrick=skin_type)
            except DermError as error:
                click.echo(f"Error: {error}", err=True)
                failed = True
                continue
            if as_json:
                click.echo(json.dumps({"photo": photo, **result.to_dict()}, ensure_ascii=False))
            else:
                click.echo((f"{photo}\n" if len(photos) > 1 else "") + str(result) + ("\n" if len(photos) > 1 else ""))
    if failed:
        sys.exit(1)


@main.command()
@click.argument("photo")
@click.option("--node", help="What to find the evidence for: an id or name of the tree; the model's answer unless given.")
@click.option("--model", type=click.Path(), help="A .derm file; without it, the starter model.")
@click.option("--fitzpatrick", help="Skin type of the person, 1 to 6 or I to VI; leave out when unknown.")
@click.option("--out", "-o", type=click.Path(dir_okay=False), required=True, help="The picture to write, a PNG.")
@click.option("--seen", is_flag=True, help="Draw over what the network sees, instead of over the whole photo.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def explain(
    photo: str, node: str | None, model: str | None, fitzpatrick: str | None, out: str, seen: bool, as_json: bool
) -> None:
    """Draw where in a PHOTO the model sees the evidence for a node of its tree.

    A coarse map, learnt from labels of whole photos: it is no outline of a lesion and proves nothing.
    """
    from PIL import Image

    from .files import replacing

    digit = fitzpatrick is not None and re.fullmatch("[1-6]", fitzpatrick)
    skin_type = check_fitzpatrick(int(fitzpatrick) if fitzpatrick and digit else fitzpatrick)
    bundle = read_bundle(starter_path() if model is None else model)
    click.echo(NOTICE, err=True)
    with _open(bundle) as classifier, _without_greeting():
        found = classifier.explain(photo, node, fitzpatrick=skin_type)
    picture = found.overlay(None if seen else photo)
    with replacing(out) as file:
        Image.fromarray(picture).save(file, "PNG")
    if as_json:
        click.echo(json.dumps({"photo": photo, **found.to_dict()}, ensure_ascii=False))
    else:
        click.echo(f"{found} -> {out}")


@main.command()
@click.argument("file", required=False)
@click.option("--json", "as_json", is_flag=True, help="The whole manifest as JSON.")
@click.option("--card", is_flag=True, help="The model card, Markdown.")
def inspect(file: str | None, as_json: bool, card: bool) -> None:
    """Show what is in a .derm FILE (without one, in the starter model)."""
    bundle = read_bundle(starter_path() if file is None else file)
    if card:
        click.echo(bundle.card)
    elif as_json:
        click.echo(json.dumps({"digest": bundle.digest, **bundle.manifest}, indent=1, ensure_ascii=False))
    else:
        click.echo(_summary(bundle))


@main.command()
@click.argument("file", required=False)
def verify(file: str | None) -> None:
    """Check every digest of a .derm FILE (without one, of the starter model) and load its graphs."""
    bundle = read_bundle(starter_path() if file is None else file)
    with _open(bundle) as classifier:
        size = bundle.preprocessing.size
        black = np.zeros((size, size, 3), np.uint8)
        classifier.logits(black)
        with _without_greeting():
            classifier.evidence(black)
        click.echo(f"whole: {bundle.manifest['id']} {bundle.manifest['version']}, sha256 {bundle.digest}")


@main.command()
@click.argument("file", required=False)
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
def selftest(file: str | None, as_json: bool) -> None:
    """Does this device answer as the maker of a .derm FILE saw it? Exit code 1 if not.

    Drawn pictures inside the file go the photo's way; each stage is compared with what was recorded when the file was made.
    Without FILE, the starter model is tested.
    """
    with _open(read_bundle(starter_path() if file is None else file)) as classifier:
        tested = classifier.selftest()
    click.echo(json.dumps(tested.to_dict(), indent=1, ensure_ascii=False) if as_json else str(tested))
    if not tested.passed:
        sys.exit(1)


@main.command()
@click.argument("file", required=False)
@click.option("--photo", type=click.Path(), help="The picture to measure with; a drawn JPEG of 12 megapixels unless given.")
@click.option("--against", type=click.Path(), help="A second .derm file, measured in turn with the first.")
@click.option("--threads", type=click.IntRange(1, 64), help="Try up to so many; the processors, at most 4, unless given.")
@click.option("--repeats", type=click.IntRange(2, 10_000), default=30, show_default=True, help="Measurements of each step.")
@click.option("--json", "as_json", is_flag=True, help="The measurement as JSON.")
def bench(
    file: str | None, photo: str | None, against: str | None, threads: int | None, repeats: int, as_json: bool
) -> None:
    """Measure what a .derm FILE (without one, the starter model) costs on this device, step by step, and what limits it."""
    from .bench import comparison, measure

    models = [starter_path() if file is None else file, *([] if against is None else [against])]
    with _without_greeting():
        found = measure(models, photo, threads=threads, repeats=repeats)
    if as_json:
        click.echo(json.dumps([each.to_dict() for each in found], indent=1, ensure_ascii=False))
        return
    click.echo("\n\n".join(map(str, found)))
    if len(found) == 2:
        click.echo("\n" + comparison(*found))


@main.command()
def doctor() -> None:
    """Check this installation: packages, compiled core, preprocessing, the starter model; exit code 1 if one fails."""
    failed = False
    checks: tuple[tuple[str, Callable[[], str]], ...] = (
        ("python", lambda: f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("numpy", lambda: np.__version__),
        ("pillow", _pillow_version),
        ("runtime", lambda: load_interpreter()[1]),
        ("native core", lambda: "compiled" if preprocess.native else "absent: preprocessing works, but slower"),
        ("preprocessing", _check_preprocessing),
        ("starter", _check_starter),
    )
    for name, check in checks:
        try:
            click.echo(f"{name:<15}{check()}")
        except (DermError, ImportError) as error:
            click.echo(f"{name:<15}FAILED: {error}")
            failed = True
    if failed:
        sys.exit(1)


def _open(bundle: Bundle, threads: int = 1, routing: str = "all", prior: Mapping[str, float] | None = None) -> Classifier:
    """Opens a bundle without the greeting that LiteRT's C++ code prints; its errors arrive as exceptions all the same."""
    with _without_greeting():
        return Classifier(bundle, threads=threads, routing=routing, prior=prior)


@contextlib.contextmanager
def _without_greeting() -> Iterator[None]:
    """Hides what C++ code prints to stderr; Python's errors still rise."""
    try:
        kept = os.dup(2)
    except OSError:  # stderr is closed: nobody is greeted
        yield
        return
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _summary(bundle: Bundle) -> str:
    manifest, taxonomy, shape = bundle.manifest, bundle.taxonomy, bundle.preprocessing
    lines = [
        f"{manifest['name']}, version {manifest['version']} ({manifest['kind']}), made with {manifest['created_with']}",
        f"sha256 of the manifest: {bundle.digest}",
        f"size: {bundle.size_bytes / 1e6:.2f} MB in {len(bundle.graphs)} graph{'s' * (len(bundle.graphs) != 1)}",
        f"photos: {shape.fit} to {shape.size} x {shape.size}{', large JPEGs decoded at less' * (shape.decode == 'reduced')}",
        "skin type: " + ("used where it is given" if bundle.takes_skin_type else "not used; it is recorded with the result"),
        "labels: " + ", ".join(f"{len(taxonomy.at(level))} of level {level}" for level in taxonomy.levels),
        f"licence of the weights: {manifest['licence']}",
        f"intended use: {manifest['intended_use']}",
        *(f"WARNING: {warning}" for warning in bundle.warnings),
    ]
    for graph in bundle.graphs:
        kinds = ", ".join(tensor.kind for tensor in graph.inputs)
        below = f"below {graph.given}" if graph.given else "for the whole tree"
        size = len(bundle.graph_data[graph.id]) / 1e3
        lines.append(f"  {graph.id}: {kinds} -> {len(graph.labels)} labels {below}, {graph.output.dtype}, {size:.0f} kB")
    return "\n".join(lines)


def _drawn_photo() -> Pixels:
    """A drawn test picture, uint8 [48, 80, 3]: a gradient with a disc."""
    y, x = np.mgrid[0:48, 0:80]
    disc = (x - 40) ** 2 + (y - 24) ** 2 < 200
    return np.stack([np.where(disc, 90, 150 + x), np.where(disc, 40, 100 + x), 60 + 2 * y], axis=2).astype(np.uint8)


def _check_preprocessing() -> str:
    prepared = preprocess.prepare(_drawn_photo(), 64, "pad", tuple(preprocess.INPUT_CHANNELS))
    digest = hashlib.sha256(b"".join(array.tobytes() for array in prepared.values())).hexdigest()
    if digest != _PROBE_SHA256:
        raise DermError(f"the prepared bytes are not those of version {preprocess.PREPROCESSING_VERSION} ({digest})")
    return f"version {preprocess.PREPROCESSING_VERSION}, the same bytes as everywhere"


def _check_starter() -> str:
    start = time.perf_counter()
    with _open(read_bundle(starter_path())) as classifier:
        opened = time.perf_counter()
        classifier.classify(_drawn_photo())
        done = time.perf_counter()
        name = classifier.bundle.manifest["id"]
    return f"{name}: opened in {1e3 * (opened - start):.0f} ms, one photo in {1e3 * (done - opened):.0f} ms"


def _pillow_version() -> str:
    import PIL

    return str(PIL.__version__)
