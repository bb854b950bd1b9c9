"""The frame of a page that reports on photos instead of a run: head, contents, sections."""

from __future__ import annotations

from collections.abc import Sequence

from derm_sdk import __version__

from .document import NOT_A_DEVICE, document
from .markup import tag
from .parts import Section, paragraph


def framed_page(title: str, kind: str, about: str, sections: Sequence[Section]) -> str:
    """Builds an HTML file.

    Args:
        title: of the page.
        kind: what it is, such as "duplicates of a data set"; stands above the title.
        about: a line below the title.
        sections: at least one; the first is what people come for.
    """
    links = [tag("li", tag("a", each.title, href=f"#{each.anchor}")) for each in sections]
    parts = [each.html() for each in sections]
    head = tag(
        "header",
        tag("p", f"Derm SDK · {kind}", class_="kicker"),
        tag("h1", title),
        tag("p", about, class_="about"),
        tag("p", NOT_A_DEVICE, class_="device"),
    )
    body = tag(
        "body",
        tag("a", "Skip to the figures", href=f"#{sections[0].anchor}", class_="skip"),
        head,
        tag("div", tag("nav", tag("ol", links), aria_label="Contents"), tag("main", parts), class_="page"),
        tag("footer", paragraph(f"{NOT_A_DEVICE} Made by derm-toolkit {__version__}.")),
    )
    return document(f"{title}: {kind}", body)
