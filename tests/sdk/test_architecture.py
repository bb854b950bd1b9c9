"""The laws of the house that imports can break."""

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import derm_sdk

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {"derm_sdk": set(), "toolkit": {"derm_sdk"}, "converters": {"derm_sdk", "derm_toolkit"}}
OURS = {"derm_sdk", "derm_toolkit", "derm_converters"}


def imports(path: Path) -> set[str]:
    """Top-level names of every absolute import in a file, deferred ones too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_one_way(room):
    for path in (ROOT / room).rglob("*.py"):
        assert imports(path) & OURS <= ROOMS[room], path


def test_importing_derm_sdk_loads_no_training_library_no_opencv_and_no_click():
    code = "import sys, derm_sdk; print(*(m for m in sys.modules if '.' not in m))"
    loaded = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
    assert "numpy" in loaded
    assert not loaded & {"tensorflow", "keras", "torch", "jax", "cv2", "click", "PIL", "ai_edge_litert", "sklearn"}


def test_public_names_are_the_list_and_the_list_is_sorted():
    assert sorted(derm_sdk.__all__) == derm_sdk.__all__
    public = {name for name, value in vars(derm_sdk).items() if not name.startswith("_") and not _is_module(value)}
    assert public == set(derm_sdk.__all__)


def test_every_package_folder_is_listed_for_installation():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    rooms = {"derm_sdk": "derm_sdk", "toolkit": "derm_toolkit", "converters": "derm_converters"}
    found = set()
    for folder, name in rooms.items():
        for path in (ROOT / folder).rglob("__init__.py"):
            found.add(".".join([name, *path.parent.relative_to(ROOT / folder).parts]))
    assert listed == found


def test_every_file_beside_the_modules_is_installed_with_them():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    rooms = {"derm_sdk": "derm_sdk", "toolkit": "derm_toolkit", "converters": "derm_converters"}
    for folder, name in rooms.items():
        patterns = [each.strip() for each in config["options.package_data"].get(name, "").split(",")]
        installed = {path for pattern in patterns if pattern for path in (ROOT / folder).glob(pattern)}
        beside = {path for path in (ROOT / folder).rglob("*") if path.suffix not in (".py", ".pyc", ".so", ".pyd")}
        files = {path for path in beside - installed if path.is_file() and "native" not in path.relative_to(ROOT).parts}
        assert files == set()


def test_the_device_takes_at_most_four_packages():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config["options"]["install_requires"].split("\n")
    names = {line.split()[0] for line in lines if line.strip()} - {"tflite-runtime"}  # it replaces ai-edge-litert on armv7l
    assert len(names) <= 4


def test_every_requirement_and_its_marker_can_be_read():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    extras = config["options.extras_require"].values()
    lines = "\n".join([config["options"]["install_requires"], *extras]).split("\n")
    assert len([Requirement(line) for line in lines if line.strip()]) > 10


def test_the_version_is_the_same_everywhere():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert config["metadata"]["version"] == derm_sdk.__version__


def _is_module(value: object) -> bool:
    return type(value).__name__ == "module"
