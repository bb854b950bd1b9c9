"""Derm SDK: photos of skin in, calibrated hierarchical predictions out. A research tool, not a medical device.

    import derm_sdk
    print(derm_sdk.classify("photo.jpg"))

These are the public names, all of them.
"""

from .bundle import Bundle, read_bundle, write_bundle
from .classifier import Classifier, classify
from .errors import (
    BundleError,
    DermError,
    FileError,
    ImageError,
    OptionError,
    RuntimeMissingError,
    TaxonomyError,
)
from .explanation import Explanation
from .preprocess import prepare
from .result import Prediction, Quality, Result
from .selftest import SelfTest
from .taxonomy import Node, Taxonomy

__version__ = "0.1.0"

__all__ = [
    "Bundle",
    "BundleError",
    "Classifier",
    "DermError",
    "Explanation",
    "FileError",
    "ImageError",
    "Node",
    "OptionError",
    "Prediction",
    "Quality",
    "Result",
    "RuntimeMissingError",
    "SelfTest",
    "Taxonomy",
    "TaxonomyError",
    "classify",
    "prepare",
    "read_bundle",
    "write_bundle",
]
