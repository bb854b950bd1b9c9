"""The whole page: one file that asks nothing of any network, runs no script, and reads well on a screen and on paper."""

from __future__ import annotations

from collections.abc import Sequence

from derm_sdk import __version__

from . import checklist, groups, making, performance, photos, trust
from .document import NOT_A_DEVICE, document
from .levels import level_answers
from .markup import Html, tag
from .parts import Section, paragraph
from .sources import Sources


def report_page(sources: Sources, *, with_photos: bool = False) -> str:
    """Builds the page; the same run gives the same text.

    Args:
        sources: of `read_sources`.
        with_photos: add small copies of the photos of the surest errors.
    Raises:
        RunError, DermError: `with_photos`, and the photos are not at hand.
    """
    levels = level_answers(sources.predictions) if sources.predictions is not None else ()
    found = [
        performance.by_level(sources),
        performance.confusions(sources, levels),
        performance.conditions(sources, levels),
        groups.skin_types(sources),
        trust.referral(sources, levels),
        trust.calibration(sources, levels),
        trust.answering(sources, levels),
        trust.sets(sources, levels),
        *([photos.errors(sources, levels)] if with_photos else []),
        making.training(sources),
        making.data(sources),
        checklist.section(sources),
        making.config(sources),
        making.environment(sources),
    ]
    title = f"{sources.name}: report of a run"
    body = tag(
        "body",
        tag("a", "Skip to the figures", href="#summary", class_="skip"),
        _head(sources),
        tag("div", _contents(found), _main(sources, performance.summary(sources, levels), found), class_="page"),
        tag("footer", paragraph(f"{NOT_A_DEVICE} Made by derm-toolkit report {__version__}.")),
    )
    return document(title, body)


def _head(sources: Sources) -> Html:
    kind = sources.config.get("model", {}).get("kind", "") if isinstance(sources.config.get("model"), dict) else ""
    size = (
        sources.config.get("preprocessing", {}).get("size")
        if isinstance(sources.config.get("preprocessing"), dict)
        else None
    )
    about = [
        f"{kind} model" if kind else "",
        f"{size} × {size} pixels" if size else "",
        f"figures of the {sources.side} split",
    ]
    digest = (sources.figures or {}).get("model_sha256")
    return tag(
        "header",
        tag("p", "Derm SDK · report of a run", class_="kicker"),
        tag("h1", sources.name),
        tag(
            "p",
            " · ".join(filter(None, about)),
            [" · model ", tag("code", str(digest)[:12])] if digest else None,
            class_="about",
        ),
        tag("p", NOT_A_DEVICE, class_="device"),
    )


def _contents(found: Sequence[Section]) -> Html:
    entries = [("summary", "Summary"), *((each.anchor, each.title) for each in found)]
    return tag(
        "nav", tag("ol", [tag("li", tag("a", title, href=f"#{anchor}")) for anchor, title in entries]), aria_label="Contents"
    )


def _main(sources: Sources, summary: Html, found: Sequence[Section]) -> Html:
    doubts = [paragraph(doubt, class_="doubt") for doubt in sources.doubts]
    head = tag(
        "section", tag("h2", "Summary", id="summary-title"), doubts, summary, id="summary", aria_labelledby="summary-title"
    )
    return tag("main", head, [each.html() for each in found])
