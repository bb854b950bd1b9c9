"""A data set's fingerprint as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..data.manifest import Dataset
from .frame import framed_page
from .markup import Html, join, tag
from .parts import Section, figure, paragraph, table
from .photos import small_copy

_MOST = 60


def check_page(dataset: Dataset, found: Mapping[str, Any], name: str, *, with_photos: bool = False) -> str:
    """Builds the page.

    Args:
        dataset: that was checked.
        found: of `fingerprint`.
        name: of the data set.
        with_photos: show small copies of what was found.
    Raises:
        DermError: `with_photos`, and a photo cannot be read.
    """
    folder = dataset if with_photos else None
    sections = [
        Section("photos", "The photos", _photos(found, folder)),
        *([Section("table", "The table", _table(found["table"]))] if found["table"] else []),
        Section("labels", "Labels that the pictures speak against", _labels(found["label_errors"], folder)),
        Section("counts", "Conditions by skin type", _counts(found["counts"])),
    ]
    return framed_page(name, "check of a data set", f"{found['photos']:,} photos", sections)


def _photos(found: Mapping[str, Any], dataset: Dataset | None) -> Html:
    rows = [(each["name"], each["how"], f"{each['count']:,}", each["meaning"]) for each in found["findings"]]
    words = paragraph("What is measured is so. What is guessed is a hint to look at the photo.")
    parts: list[object] = [words, table(("", "how", "photos", "meaning"), rows, "Photos with something to remark")]
    for each in found["findings"]:
        if each["count"] and each["name"] != "broken" and dataset is not None:
            parts += [tag("h3", each["name"].capitalize()), _tiles(dataset, each["photos"], "detail")]
        elif each["count"]:
            heads, lines = ("file", "what", "score"), [(p["file"], p["detail"], p["score"]) for p in each["photos"][:_MOST]]
            listed = table(heads, lines, f"{each['name']}: {min(each['count'], _MOST)} of {each['count']:,}")
            parts.append(tag("details", tag("summary", each["name"].capitalize()), listed))
    return join(parts)


def _table(found: Mapping[str, Any]) -> Html:
    parts: list[object] = [paragraph(f"{found['table']}: {found['rows']:,} rows.")]
    if "labels" in found:
        conflicts = found["labels"]["conflicts"]
        if conflicts:
            rows = [(each["label"], each["level"], "; ".join(f"{p}: {n:,}" for p, n in each["parents"].items()))
                    for each in conflicts]  # fmt: skip
            parts.append(table(("label", "level", "parents, and rows that say so"), rows, "Labels with several parents"))
        else:
            parts.append(paragraph("The labels form a strict tree: each has one parent."))
    if "skin_types" in found:
        parts.append(_skin_types(found["skin_types"]))
    if found.get("qc"):
        parts.append(table(("qc", "rows"), [(k, f"{n:,}") for k, n in found["qc"].items()], "Rows with a quality remark"))
    told = [f"{found[key]:,} {words}" for key, words in (("repeated_photos", "rows repeat a photo"),
            ("without_url", "rows have no address")) if key in found]  # fmt: skip
    return join(parts, paragraph("; ".join(told) + ".") if told else None)


def _skin_types(found: Mapping[str, Any]) -> Html:
    first, second = found["columns"]
    if not found["both_known"]:
        return paragraph(f"No row has both {first} and {second}.")
    words = paragraph(
        f"{first} and {second} are both known in {found['both_known']:,} rows: the same in {found['same']:.1%}, "
        f"within one type in {found['within_one']:.1%}."
    )
    rows = [(f"{first} {i}", *(f"{n:,}" for n in row)) for i, row in enumerate(found["table"], start=1)]
    return join(words, table(("", *(f"{second} {i}" for i in range(1, 7))), rows, "Rows by both skin types"))


def _labels(found: Mapping[str, Any] | None, dataset: Dataset | None) -> Html:
    if found is None:
        return paragraph("Not looked for.")
    if not found["judged"]:
        return paragraph("Too few conditions with enough photos to judge.")
    words = paragraph(
        f"{found['count']:,} of {found['judged']:,} labels are suspected. The classifier that judges is right about "
        f"{found['accuracy_of_the_judge']:.1%} of the photos it was not fitted on, so this is a list of what to look at "
        "first, not of errors."
    )
    left = ", ".join(found["left_out"])
    rows = [(each["file"], each["given"], each["suggested"], f"{each['confidence_in_given']:.3f}")
            for each in found["suspects"][:_MOST]]  # fmt: skip
    listed = table(("file", "label", "suggested", "confidence in the label"), rows, f"The {len(rows)} most suspect")
    tiles = _tiles(dataset, found["suspects"], "given", "suggested") if dataset is not None else None
    return join(words, paragraph(f"Not judged, with too few photos: {left}.") if left else None, listed, tiles)


def _tiles(dataset: Dataset, photos: Sequence[Mapping[str, Any]], *told: str) -> Html:
    tiles = []
    for each in photos[:_MOST]:
        data, width, height = small_copy(dataset, each["file"])
        words = "; ".join(str(each[key]) for key in told)
        picture = tag("img", src=f"data:image/jpeg;base64,{data}", alt=words, width=width, height=height)
        tiles.append(figure(picture, caption=(tag("b", each["file"]), tag("span", words))))
    return tag("div", tiles, class_="photos")


def _counts(found: Mapping[str, Any]) -> Html:
    least = found["least_photos"]
    parts: list[object] = [
        paragraph(
            f"A share of fewer than {least} photos has a 95 % interval wider than 40 points: nothing can be claimed about "
            "such a cell. They are marked."
        )
    ]
    for level, each in found["levels"].items():
        rows = [(name, *(_cell(n, least, skin) for skin, n in row.items())) for name, row in each["cells"].items()]
        caption = f"{level}: {len(each['too_small']):,} of {each['cells_in_all']:,} cells are too small"
        heads = ("", *(f"type {s}" if s.isdigit() else s for s in next(iter(each["cells"].values()))))
        parts.append(table(heads, rows, caption))
    return join(parts)


def _cell(count: int, least: int, skin: str) -> Html:
    small = count < least and skin.isdigit()
    return tag("td", f"{count:,}", " *" if small else None, class_="n none" if small else "n")
