"""How the model was made: training curves, the data, the config and the machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..data.leaks import UNUSED, leak_sentence
from ..data.manifest import SPLITS, Photo, label_path
from .charts import curves
from .groups import ROMAN
from .markup import Html, join, tag
from .parts import Section, bar, figure, missing, pairs, paragraph, table, values
from .sources import Sources

SMALL = 12  # labels that a table shows without being unfolded


def training(sources: Sources) -> Section:
    """Loss and validation macro F1 of every network, epoch by epoch."""
    title = "Training"
    if not sources.history:
        body = missing("No epoch is finished yet:", f"derm-toolkit train --resume --out {sources.folder}")
        return Section("training", title, body)
    graphs: dict[str, list[Mapping[str, str]]] = {}
    for row in sources.history:
        graphs.setdefault(row["graph"], []).append(row)
    pictures, rows = [], []
    for graph, epochs in graphs.items():
        losses = {"training": _line(epochs, "loss"), "validation": _line(epochs, "validation_loss")}
        scores = _line(epochs, "validation_macro_f1")
        losses = {name: line for name, line in losses.items() if line}
        if not losses or not scores:
            continue
        best = max(scores, key=lambda point: (point[1], -point[0]))
        seconds = sum(value for _, value in _line(epochs, "seconds"))
        told = f"{len(epochs)} epochs, {_duration(seconds)}. "
        ends = "; ".join(
            f"{name} loss {line[0][1]:.3f} at first, {line[-1][1]:.3f} at last" for name, line in losses.items()
        )
        pictures.append(
            figure(
                curves(losses, "loss", f"Loss of {graph} over {len(epochs)} epochs: {ends}."),
                caption=(tag("b", f"{graph}, loss"), " ", told),
            )
        )
        label = f"Validation macro F1 of {graph}: at best {best[1]:.3f}, in epoch {best[0]:g}; {scores[-1][1]:.3f} at last."
        pictures.append(
            figure(
                curves({"macro F1": scores}, "validation macro F1", label, best, f"{best[1]:.3f}"),
                caption=(tag("b", f"{graph}, macro F1"), f" Best in epoch {best[0]:g}."),
            )
        )
        rows += [(tag("th", graph, scope="row"), row["epoch"], *(row.get(key, "") for key in _SHOWN)) for row in epochs]
    if not pictures:
        return Section("training", title, missing("history.csv holds no figures. It is written by", "derm-toolkit train"))
    told = paragraph(
        "The macro F1 is that of each network's own labels on the validation split, of the averaged weights where the "
        "config averages them; an expert is judged on the photos of its own label only."
    )
    numbers = values(("network", "epoch", *(key.replace("_", " ") for key in _SHOWN)), rows, "Every epoch")
    return Section("training", title, join(told, tag("div", pictures, class_="charts two"), numbers))


_SHOWN = ("loss", "validation_loss", "validation_accuracy", "validation_macro_f1", "learning_rate", "photos_per_second")


def data(sources: Sources) -> Section:
    """Photos by split, and within each by skin type, source, top level and condition."""
    title = "Data"
    if not sources.splits:
        return Section(
            "data", title, missing("splits.csv is missing in the run. A training writes it:", "derm-toolkit train")
        )
    sides = Counter(side for side, _ in sources.splits.values())
    clusters = {side: len({cluster for of, cluster in sources.splits.values() if of == side}) for side in SPLITS}
    total = sum(sides[side] for side in SPLITS) or 1
    rows = [
        (
            side,
            f"{sides[side]:,}",
            f"{clusters[side]:,}",
            f"{100 * sides[side] / total:.1f} %",
            tag("td", bar(sides[side] / total)),
        )
        for side in SPLITS
    ]
    rows.append(("all", f"{total:,}", f"{sum(clusters.values()):,}", "100 %", tag("td")))
    by_split = table(("split", "photos", "clusters", "share", ""), rows, "Photos by split", "plain counts")
    if sources.dataset is None:
        told = "The counts by label, skin type and source need the data set, which is not where it was; name it with"
        absent = missing(told, f"derm-toolkit report {sources.folder} --data FOLDER")
        return Section("data", title, join(_how_split(sources), by_split, absent))
    photos, taxonomy = sources.dataset.photos, sources.dataset.taxonomy
    origins = sorted({photo.source or "unknown" for photo in photos})
    small, large = [by_split], []
    small.append(_counts(sources, photos, _skin, "skin type", [*ROMAN.values(), "unknown"]))
    small.append(_counts(sources, photos, lambda photo: photo.source or "unknown", "source", origins))
    for depth, level in enumerate(taxonomy.levels):
        order = list(dict.fromkeys(label_path(taxonomy, leaf)[depth] for leaf in taxonomy.leaves))
        counted = _counts(sources, photos, _label_at(depth), level, order)
        if len(order) <= SMALL:
            small.append(counted)
        else:
            large.append(tag("details", tag("summary", f"{len(order)} {level} labels"), counted))
    return Section("data", title, join(_how_split(sources), tag("div", small, class_="tables"), large))


def config(sources: Sources) -> Section:
    """Every setting, defaults written out."""
    groups = [tag("div", tag("h3", name), pairs(rows), class_="group") for name, rows in _tables(sources.config)]
    told = paragraph(
        "Every setting of the training, with the defaults written out; config.toml in the run is the same as a file."
    )
    return Section("config", "Config", join(told, tag("div", groups, class_="columns")))


def environment(sources: Sources) -> Section:
    """The machine, the packages, and the digests of everything."""
    if sources.environment is None:
        found = missing("environment.json is missing in the run. A training writes it:", "derm-toolkit train")
        return Section("environment", "Environment", found)
    packages = sources.environment.get("packages")
    rows: list[tuple[object, object]] = [
        (name, value) for name, value in sources.environment.items() if not isinstance(value, (dict, list))
    ]
    of_packages = list(packages.items()) if isinstance(packages, Mapping) else []
    digests = [
        ("data set", sources.record.get("dataset")),
        ("split", sources.record.get("split")),
        ("model", (sources.figures or {}).get("model_sha256")),
    ]
    parts = [
        tag("div", tag("h3", "Machine"), pairs(rows), class_="group"),
        tag("div", tag("h3", "Packages"), pairs(of_packages), class_="group") if of_packages else None,
        tag(
            "div",
            tag("h3", "SHA-256"),
            pairs((name, tag("code", value)) for name, value in digests if value),
            class_="group",
        ),
    ]
    return Section("environment", "Environment", tag("div", parts, class_="columns"))


def _counts(sources: Sources, photos: Iterable[Photo], key: Callable[[Photo], str], what: str, order: Sequence[str]) -> Html:
    counted: dict[str, Counter[str]] = {name: Counter() for name in order}
    for photo in photos:
        side = sources.splits.get(photo.digest, ("", ""))[0]
        if side != UNUSED:
            counted.setdefault(key(photo), Counter())[side] += 1
    most = max((sum(each.values()) for each in counted.values()), default=1) or 1
    rows = []
    for name, each in counted.items():
        total = sum(each.values())
        rows.append((name, *(f"{each[side]:,}" for side in SPLITS), f"{total:,}", tag("td", bar(total / most))))
    return table((what, *SPLITS, "all", ""), rows, f"Photos by {what}", "plain counts")


def _label_at(depth: int) -> Callable[[Photo], str]:
    return lambda photo: photo.labels[depth]


def _how_split(sources: Sources) -> Html:
    details = sources.split_details
    duplicates = details.get("duplicates")
    told = leak_sentence(sources.record.get("leaks"))
    told = told or "No photo of a cluster of near duplicates, of a patient or of a lesion is on two sides of the split."
    unused = sum(side == UNUSED for side, _ in sources.splits.values())
    told += f" {unused:,} photos of the data set are on no side." if unused else ""
    if isinstance(duplicates, Mapping) and duplicates:
        told += (
            f" Near duplicates were found by {duplicates.get('method', 'an unnamed method')}: "
            f"{duplicates.get('clusters', '?'):,} clusters, the largest of {duplicates.get('largest_cluster', '?')} photos."
            if isinstance(duplicates.get("clusters"), int)
            else ""
        )
    else:
        told += " How near duplicates were found is not recorded."
    return paragraph(told)


def _skin(photo: Photo) -> str:
    return ROMAN[str(photo.fitzpatrick)] if photo.fitzpatrick else "unknown"


def _tables(found: Mapping[str, Any], before: str = "") -> list[tuple[str, list[tuple[object, object]]]]:
    plain: list[tuple[object, object]] = [
        (key, _setting(value)) for key, value in found.items() if not isinstance(value, Mapping)
    ]
    groups = [(before or "config", plain)] if plain else []
    for key, value in found.items():
        if isinstance(value, Mapping):
            groups += _tables(value, f"{before}.{key}" if before else key)
    return groups


def _setting(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_setting(each) for each in value) or "none"
    return "none" if value == "" else f"{value}"


def _line(epochs: Iterable[Mapping[str, str]], key: str) -> list[tuple[float, float]]:
    points = []
    for row in epochs:
        try:
            points.append((float(row["epoch"]), float(row.get(key, ""))))
        except ValueError:
            continue
    return [point for point in points if abs(point[1]) < 1e12]  # also leaves NaN out


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    return (
        f"{seconds:.0f} seconds"
        if minutes < 1.5
        else f"{minutes:.0f} minutes"
        if minutes < 90
        else f"{minutes / 60:.1f} hours"
    )
