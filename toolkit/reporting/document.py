"""A page in the style of the reports: one file that asks nothing of any network and runs no script."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources

from .markup import Html, tag

NOT_A_DEVICE = "The Derm SDK is a research tool, not a medical device."


def document(title: str, body: Html) -> str:
    """The text of an HTML file: `title` for its tab, `body` the whole <body> element."""
    return f'<!doctype html>\n<html lang="en">{_head(title)}{body}</html>\n'


def _head(title: str) -> Html:
    style = resources.files(__package__).joinpath("report.css").read_text("utf-8").replace("\r\n", "\n")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("link", rel="icon", href="data:,"),
        tag("style", Html(style)),
    )
