"""Markup that cannot be broken by a label: whatever is not `Html` already is escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")
_VOID = frozenset({"meta", "link", "img", "br", "hr", "input"})


class Html(str):
    """Text that is markup already. Only this module, and constants, make it out of plain text."""

    __slots__ = ()


def escape(text: object) -> Html:
    """Any value as text of a page; what is markup already stays as it is.

    Example:
        >>> escape("<script>")
        '&lt;script&gt;'
    """
    if isinstance(text, Html):
        return text
    clean = _CONTROL.sub("\ufffd", str(text)).encode("utf-8", "replace").decode("utf-8")  # lone surrogates too
    return Html(html.escape(clean))


def join(*children: object) -> Html:
    """Children one after the other: text is escaped, lists are opened, None is nothing."""
    parts: list[str] = []
    for child in children:
        if child is None:
            continue
        parts.append(escape(child) if isinstance(child, str) or not isinstance(child, Iterable) else join(*child))
    return Html("".join(parts))


def tag(_name: str, *children: object, **attributes: object) -> Html:
    """An element.

    Args:
        _name: of the element.
        children: as for `join`.
        attributes: a trailing "_" is dropped and other "_" become "-" (`class_`, `aria_label`); None and False leave an
            attribute out, True writes its name only.
    Example:
        >>> tag("td", "a < b", class_="n", colspan=2)
        '<td class="n" colspan="2">a &lt; b</td>'
    """
    written = []
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        name = name.rstrip("_").replace("_", "-")
        written.append(f" {name}" if value is True else f' {name}="{escape(str(value))}"')
    head = f"<{_name}{''.join(written)}>"
    return Html(head if _name in _VOID else f"{head}{join(*children)}</{_name}>")
