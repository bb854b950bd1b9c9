"""What can go wrong, as a tree. Every message is one sentence or two: what is wrong, with which value, what is right.

    DermError
    |-- ImageError     (ValueError)    the picture cannot be used: no image, truncated, too large, wrong dtype or shape
    |-- OptionError    (ValueError)    an argument is out of range: skin type, routing, size, an unknown node
    |-- TaxonomyError  (ValueError)    the labels form no tree
    |-- BundleError    (ValueError)    the .derm file is damaged, too new, or not what it says it is
    |-- FileError      (OSError)       a file cannot be read or written
    `-- RuntimeMissingError (RuntimeError)  no LiteRT interpreter, or it refuses the graph

Each is also the built-in in brackets, so `except ValueError` works for people who never import this module.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DermError(Exception):
    """Base of every error that this SDK raises on purpose."""


class ImageError(DermError, ValueError):
    """The picture cannot be used."""


class OptionError(DermError, ValueError):
    """An argument is out of its range."""


class TaxonomyError(DermError, ValueError):
    """The labels form no tree, or a label is not in it."""


class BundleError(DermError, ValueError):
    """A .derm file is damaged, too new, or not what it says it is."""


class FileError(DermError, OSError):
    """A file cannot be read or written."""


class RuntimeMissingError(DermError, RuntimeError):
    """No interpreter for the graphs is installed, or it refuses one."""


def closest(word: object, known: Iterable[str]) -> str:
    """Ends a message about an unknown word: the known ones, and the one that was probably meant.

    Args:
        word: what the user wrote.
        known: the words that would have been right.
    Returns:
        " Known: a, b. Did you mean 'b'?", to be put behind a sentence.
    """
    names = list(known)
    near = difflib.get_close_matches(str(word), names, n=1)
    listed = ", ".join(names[:12]) + (f", ... ({len(names)} in all)" if len(names) > 12 else "")
    return f" Known: {listed}." + (f" Did you mean {near[0]!r}?" if near else "")
