"""The examples in docstrings run as they are written."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

PACKAGES = ("derm_sdk", "derm_toolkit", "derm_converters")


def modules() -> list[str]:
    names = list(PACKAGES)
    for package in PACKAGES:
        path = importlib.import_module(package).__path__
        names += [found.name for found in pkgutil.walk_packages(path, f"{package}.") if "._" not in found.name]
    return names


@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings_print_what_they_say(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0


def test_there_are_examples_at_all():
    assert sum(doctest.testmod(importlib.import_module(name)).attempted for name in modules()) >= 4
