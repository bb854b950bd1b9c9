"""The command `derm-toolkit explain`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from derm_sdk.image import Decoded, Pixels

    from .explainer import Explainer

_FOLDER = click.Path(file_okay=False, path_type=Path)
_METHODS = ("grad-cam", "cam", "feature-maps")
_MAX_SIDE = 1280


@click.command()
@click.argument("run", type=_FOLDER)
@click.argument("photos", nargs=-1, required=True, metavar="PHOTO...")
@click.option("--node", help="What to find the evidence for: an id or name of the tree; the model's answer unless given.")
@click.option("--method", type=click.Choice(_METHODS), default="grad-cam", show_default=True, help="How to look.")
@click.option("--graph", help="Which network to ask: unless given, the one that tells the node from its relatives.")
@click.option("--layer", help="Which of its maps to look at: unless given, the last.")
@click.option("--channels", type=click.IntRange(1, 400), default=16, show_default=True, help="How many feature maps.")
@click.option("--fitzpatrick", help="Skin type, 1 to 6 or I to VI; leave out when unknown.")
@click.option("--out", "-o", type=_FOLDER, required=True, help="Folder for the pictures.")
@click.option("--overwrite", is_flag=True, help="Replace pictures that are there already.")
def explain(
    run: Path,
    photos: tuple[str, ...],
    node: str | None,
    method: str,
    graph: str | None,
    layer: str | None,
    channels: int,
    fitzpatrick: str | None,
    out: Path,
    overwrite: bool,
) -> None:
    """Show where the networks of a RUN see the evidence for a node of the tree, on one photo or more.

    For each photo: NAME.seen.png, the heat map over what the network saw; NAME.photo.png, the same over the whole photo; and
    NAME.json. With '--method feature-maps' instead NAME.png, the strongest channels of a layer. What such maps show, and
    what they do not, is in docs/explain.md.
    """
    from derm_sdk.cli import NOTICE
    from derm_sdk.errors import DermError, OptionError
    from derm_sdk.fitzpatrick import check_fitzpatrick

    from ..training.run import read_run

    if method == "feature-maps" and node is not None:
        raise OptionError("Feature maps are about no node; leave --node out.")
    digit = fitzpatrick is not None and len(fitzpatrick) == 1 and fitzpatrick in "123456"
    skin_type = check_fitzpatrick(int(fitzpatrick) if fitzpatrick and digit else fitzpatrick)
    trained = read_run(run)
    asked = "answer" if node is None else trained.taxonomy.node(node).id
    parts = [method, *([asked] if method != "feature-maps" else []), *(part for part in (graph, layer) if part)]
    names = [f"{name}.{'.'.join(parts)}" for name in _names(photos)]
    suffixes = (".png", ".json") if method == "feature-maps" else (".seen.png", ".photo.png", ".json")
    taken = [out / f"{name}{suffix}" for name in names for suffix in suffixes if (out / f"{name}{suffix}").exists()]
    if taken and not overwrite:
        raise OptionError(f"{str(taken[0])!r} exists already; name another folder with -o, or add --overwrite.")

    from ..training.backend import load_keras

    load_keras()
    from .explainer import Explainer

    click.echo(NOTICE, err=True)
    explainer = Explainer(trained)
    failed = False
    for photo, name in zip(photos, names, strict=True):
        try:
            seen = explainer.read(photo)
        except DermError as error:
            click.echo(f"Error: {error}", err=True)
            failed = True
            continue
        if method == "feature-maps":
            found = explainer.feature_maps(seen, graph, layer, count=channels, skin_type=skin_type)
            _write_png(out / f"{name}.png", found.picture)
            _write_json(out / f"{name}.json", _record(explainer, photo, found.layer, found.graph, list(found.channels)))
            click.echo(f"{photo}: {len(found.channels)} channels of {found.layer} of {found.graph} -> {out / name}.png")
        else:
            click.echo(_explain(explainer, photo, seen, node, method, graph, layer, skin_type, out / name))
    if failed:
        sys.exit(1)


def _explain(
    explainer: Explainer,
    photo: str,
    seen: Decoded,
    node: str | None,
    method: str,
    graph: str | None,
    layer: str | None,
    skin_type: int | None,
    base: Path,
) -> str:
    """Explains one photo, writes its files, and says what was found in a line."""
    from derm_sdk.heat import overlay

    found, layer = explainer.explain(seen, node, method=method, graph=graph, layer=layer, skin_type=skin_type)
    small, zoom = _smaller(seen)
    box = None if found.box is None else tuple(round(edge * zoom) for edge in found.box)
    _write_png(Path(f"{base}.seen.png"), found.overlay())
    _write_png(Path(f"{base}.photo.png"), overlay(small, found.heat, found.frame, box))  # type: ignore[arg-type]
    record = _record(explainer, photo, layer, found.graph) | found.to_dict() | {"fitzpatrick": skin_type}
    record |= {"heat": [[round(float(value), 4) for value in row] for row in found.heat]} if found.heat.size <= 400 else {}
    _write_json(Path(f"{base}.json"), record)
    return f"{photo}: {found} -> {base}.*.png"


def _names(photos: tuple[str, ...]) -> list[str]:
    """A name for each photo's files: its own without ending, with a number behind it where two are the same."""
    found: list[str] = []
    for photo in photos:
        stem, number = Path(photo).stem, 2
        name = stem
        while name in found:
            name, number = f"{stem}-{number}", number + 1
        found.append(name)
    return found


def _record(explainer: Explainer, photo: str, layer: str, graph: str, channels: list[int] | None = None) -> dict[str, Any]:
    run = explainer.run
    record = {"photo": Path(photo).name, "run": run.folder.resolve().name, "model": run.model_digest}
    return record | {"graph": graph, "layer": layer} | ({} if channels is None else {"channels": channels})


def _smaller(photo: Decoded) -> tuple[Pixels, float]:
    """A copy of a photo for the eye, at most 1,280 pixels along a side, and its scale to the whole photo."""
    import cv2

    pixels = photo.pixels
    shrink = min(1.0, _MAX_SIDE / max(pixels.shape[:2]))
    if shrink < 1.0:
        size = (max(1, round(pixels.shape[1] * shrink)), max(1, round(pixels.shape[0] * shrink)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    return pixels, pixels.shape[1] / photo.width


def _write_png(path: Path, picture: Pixels) -> None:
    from PIL import Image

    from derm_sdk.files import replacing

    with replacing(path) as file:
        Image.fromarray(picture).save(file, "PNG")


def _write_json(path: Path, record: dict[str, Any]) -> None:
    import json

    from derm_sdk.files import write_text

    write_text(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
