"""Metadata is in setup.cfg; this file only names the optional compiled preprocessing, which setup.cfg cannot.

DERM_SDK_PURE=1 in the environment leaves it out, for the wheel that runs everywhere: docs/install.md.
"""

import os
import sys

from setuptools import Extension, setup

FLAGS = (
    ["/std:c++17", "/O2", "/fp:strict"]
    if sys.platform == "win32"
    else ["-std=c++17", "-O3", "-ffp-contract=off", "-fvisibility=hidden"]
)

CORE = Extension(
    "derm_sdk._native",
    sources=["derm_sdk/native/src/preprocess.cpp", "derm_sdk/native/src/python_binding.cpp"],
    include_dirs=["derm_sdk/native/src"],
    depends=["derm_sdk/native/src/preprocess.h"],
    define_macros=[("Py_LIMITED_API", "0x030B0000")],
    extra_compile_args=FLAGS,
    language="c++",
    py_limited_api=True,
    optional=True,  # without a compiler the NumPy definition does the work, slower
)

setup(
    ext_modules=[] if os.environ.get("DERM_SDK_PURE") == "1" else [CORE],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
