"""The command `derm-toolkit data prepare`."""

from __future__ import annotations

from pathlib import Path

import click

from .progress import progress_bar


@click.command("prepare")
@click.argument("folder", metavar="DATA", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--config", "name", metavar="CONFIG", help="Of which training: a TOML file, or the name of a shipped config.")
@click.option("--duplicates", type=click.Choice(["embedding", "hash"]), help="Also what near duplicates are sought by.")
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes on this machine.")
@click.option("--scheduler", metavar="ADDRESS", help="A Dask scheduler, such as tcp://host:8786, whose workers do it.")
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="Folder of the photo caches, as for train.")
def prepare_command(
    folder: Path, name: str | None, duplicates: str | None, workers: int, scheduler: str | None, cache: Path | None
) -> None:
    """Prepare the photos of DATA in parts, on several processes or machines: what train and split would make one by one.

    With --config the resized photos go into shards, from which a training with that config reads; data sets may be larger
    than memory. With --duplicates the descriptors are made by which 'data split' finds near duplicates. What is finished is
    kept; the same bytes come out of one worker and of many. Machines must see DATA and its photos in the same place.
    """
    from ..training.config import find_config, read_config
    from .manifest import read_dataset
    from .prepare import Recipe, prepare_descriptors, prepare_shards

    if name is None and duplicates is None:
        raise click.UsageError("Name what to prepare: --config, --duplicates, or both.")
    dataset = read_dataset(folder)
    root = None if cache is None else str(cache.resolve())
    place = str(folder.resolve())
    if name is not None:
        config = read_config(find_config(name))
        shape = config.preprocessing
        for margin, kind in ((None, "as the device sees them"), (config.augmentation.margin, "for augmentation")):
            recipe = Recipe(place, dataset.digest, shape.size, shape.fit, shape.decode, margin, root)
            with progress_bar("Shards") as tick:
                count = prepare_shards(recipe, workers, scheduler, tick)
            click.echo(f"{len(dataset.photos):,} photos {kind}: {count:,} shards in {recipe.cache().folder}.")
    if duplicates is not None:
        recipe = Recipe(place, dataset.digest, 64, "stretch")
        with progress_bar("Descriptors") as tick:
            count = prepare_descriptors(recipe, duplicates, workers, scheduler, tick)
        click.echo(f"{count:,} photos described in {folder / 'descriptors'}.")
