"""Near duplicates as a page: what was found, where labels contradict each other, and pairs side by side."""

from __future__ import annotations

from collections.abc import Sequence

from ..data.duplicates import Clusters
from ..data.manifest import Dataset, Photo
from ..data.neighbours.findings import Cluster, verdict
from ..data.neighbours.pairs import KINDS, Pair
from .frame import framed_page
from .markup import Html, join, tag
from .parts import Section, figure, paragraph, table
from .photos import small_copy

_MOST_CLUSTERS = 200


def duplicates_page(
    dataset: Dataset, found: Clusters, clusters: Sequence[Cluster], name: str, most: int, *, with_photos: bool = False
) -> str:
    """Builds the page.

    Args:
        dataset: whose photos.
        found: of `find_clusters`.
        clusters: of `clusters_of`.
        name: of the data set.
        most: pairs of each kind that are shown.
        with_photos: show small copies of the photos.
    Raises:
        DermError: `with_photos`, and a photo cannot be read.
    """
    kinds = [kind for kind in KINDS if any(pair.kind == kind for pair in found.pairs)]
    sections = [
        Section("found", "What was found", _summary(dataset, found, clusters)),
        Section("conflicts", "Clusters that contradict themselves", _conflicts(clusters)),
        *(_kind(dataset, found, kind, most, with_photos) for kind in kinds),
    ]
    return framed_page(name, "duplicates of a data set", f"{len(dataset.photos):,} photos", sections)


def _summary(dataset: Dataset, found: Clusters, clusters: Sequence[Cluster]) -> Html:
    rows = []
    for kind, meaning in KINDS.items():
        pairs = [pair for pair in found.pairs if pair.kind == kind]
        if pairs:
            photos = [(dataset.photos[pair.first], dataset.photos[pair.second]) for pair in pairs]
            labels = sum(a.leaf != b.leaf for a, b in photos)
            types = sum(verdict((a.fitzpatrick, b.fitzpatrick)) == "differ" for a, b in photos)
            apart = sum(not pair.together for pair in pairs)
            rows.append((kind, meaning, *(f"{count:,}" for count in (len(pairs), apart, labels, types))))
    heads = ("", "meaning", "pairs", "kept apart", "other condition", "other skin type")
    inside = sum(len(each.photos) for each in clusters)
    words = paragraph(
        f"{inside:,} of {len(dataset.photos):,} photos are in {len(clusters):,} clusters (method {found.method}). "
        "Pairs that are kept apart are alike two by two, but would chain clusters that are not alike on average."
    )
    return join(words, table(heads, rows, "Pairs by kind, the surest first") if rows else None)


def _conflicts(clusters: Sequence[Cluster]) -> Html:
    found = [each for each in clusters if len(each.labels) > 1 or len(each.skin_types) > 1]
    if not found:
        return paragraph("None: within every cluster the conditions and the known skin types agree.")
    rows = [
        (each.name, len(each.photos), "; ".join(each.labels), ", ".join(map(str, each.skin_types)),
         ", ".join(photo.file for photo in each.photos[:4]) + (" ..." if len(each.photos) > 4 else ""))
        for each in sorted(found, key=lambda each: -len(each.labels))[:_MOST_CLUSTERS]
    ]  # fmt: skip
    caption = f"{len(found):,} clusters with several conditions or skin types, those with most conditions first"
    return table(("cluster", "photos", "conditions", "skin types", "files"), rows, caption)


def _kind(dataset: Dataset, found: Clusters, kind: str, most: int, with_photos: bool) -> Section:
    pairs = [pair for pair in found.pairs if pair.kind == kind]
    shown = pairs[:most]
    heading = paragraph(f"{len(pairs):,} pairs: {KINDS[kind]}. Shown: {len(shown):,}; pairs.csv lists all.")
    body = _pictures(dataset, shown) if with_photos else _list(dataset, shown)
    return Section(kind.replace(" ", "-"), f"Pairs: {kind}", join(heading, body if shown else None))


def _list(dataset: Dataset, pairs: Sequence[Pair]) -> Html:
    rows = [
        (f"{pair.score:.3f}", *map(_words, _photos(dataset, pair)), _alignment(pair), "" if pair.together else "kept apart")
        for pair in pairs
    ]
    return table(("score", "first", "second", "laid over each other", ""), rows, "Pairs, the most alike first")


def _pictures(dataset: Dataset, pairs: Sequence[Pair]) -> Html:
    tiles = []
    for pair in pairs:
        for photo in _photos(dataset, pair):
            data, width, height = small_copy(dataset, photo.file)
            picture = tag("img", src=f"data:image/jpeg;base64,{data}", alt=_words(photo), width=width, height=height)
            apart = "" if pair.together else ", kept apart"
            tiles.append(figure(picture, caption=(tag("b", f"{pair.score:.3f}{apart}"), tag("span", _words(photo)))))
    warning = paragraph("Small copies without any metadata, first and second of each pair in turn. They may show people.")
    return join(warning, tag("div", tiles, class_="photos pairs-of-photos"))


def _photos(dataset: Dataset, pair: Pair) -> tuple[Photo, Photo]:
    return dataset.photos[pair.first], dataset.photos[pair.second]


def _words(photo: Photo) -> str:
    skin = "" if photo.fitzpatrick is None else f", type {photo.fitzpatrick}"
    return f"{photo.file}: {photo.labels[-1]}{skin}"


def _alignment(pair: Pair) -> str:
    how = pair.alignment
    return "" if how is None else f"{how.points} points, {how.overlap:.0%} overlap{', mirrored' if how.mirrored else ''}"
