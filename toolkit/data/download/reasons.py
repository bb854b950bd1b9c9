"""Why a row has no photo: every reason has a name, a meaning, and says whether another run may do better."""

from __future__ import annotations

# Known before anything is asked for, and judged anew in every run.
BEFORE = {
    "no_url": "the table has no URL for it",
    "bad_row": "the row's md5hash is not 32 hex digits",
    "bad_url": "the URL is not a plain http or https address",
    "private_address": "the host's address is not on the public internet (--allow-private permits it)",
    "robots": "the host's robots.txt asks robots not to fetch it",
    "not_in_archive": "no such photo in the folder or zip file",
    "not_tried": "not asked for yet: the run was stopped",
}
# The host has answered: asked for again only with --retry-failed.
SETTLED = {
    "not_found": "the host has no such file (404, 410)",
    "refused": "the host refuses it (another answer of the kind 4xx)",
    "redirected": "the host sends to a page instead of a photo",
    "wrong_content": "a web page, or something else that is no photo, lies under the URL",
    "not_an_image": "the body is not a whole JPEG, PNG, WebP or BMP file",
    "wrong_md5": "a photo, but not the one of the table (--keep-changed keeps it)",
    "too_large": "the body is larger than --max-mb",
}
# The next run asks again.
PASSING = {
    "timeout": "the host stopped answering",
    "cut_off": "the body ended early, every time",
    "unreachable": "no connection to the host",
    "certificate": "the host's certificate is not valid (--any-certificate takes it; the MD5 still guards the photo)",
    "server_error": "the host has a fault (5xx)",
    "busy": "the host asks to wait longer than we do",
}
REASONS = {**BEFORE, **SETTLED, **PASSING}
RETRIED = ("timeout", "cut_off", "unreachable", "server_error", "busy")  # within one run
_LONGEST_DETAIL = 200


class Refused(Exception):
    """A row cannot be had, or not now.

    Attributes:
        reason: a name out of REASONS.
        detail: one line for a person, safe to print: much of it was written by the host.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = one_line(detail)


def one_line(text: str) -> str:
    """Printable characters only, on one line, at most 200."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[:1000]).split())[:_LONGEST_DETAIL]
