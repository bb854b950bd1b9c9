"""An installed wheel, seen from outside the source tree: installed.py compiled|pure. Needs what the wheel declares, no more.

It classifies a drawn photo with the starter, runs the starter's self-test, and tells which code prepared the photo.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import derm_sdk
from derm_sdk import preprocess


def main(kind: str) -> None:
    home = Path(derm_sdk.__file__).resolve().parent
    assert Path(__file__).resolve().parents[2] / "derm_sdk" != home, "This is the source tree and not the installed wheel."
    assert (preprocess.native is not None) == (kind == "compiled"), f"The compiled core is {preprocess.native}."
    rows, columns = np.mgrid[0:300, 0:400]
    spot = ((rows - 150) ** 2 + (columns - 200) ** 2 < 3600)[..., None]
    photo = np.where(spot, np.uint8([120, 70, 60]), np.uint8([224, 172, 150])).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.png"
        Image.fromarray(photo).save(path)
        told = run("classify", str(path), "--json", cwd=folder)
        found = json.loads(derm_sdk.classify(photo).to_json())
        assert found.items() <= json.loads(told).items(), "The command answers otherwise than the library."
        print(run("selftest", str(home / "models" / "starter.derm"), cwd=folder).splitlines()[-1])
    print(f"{derm_sdk.__name__} in {home}: {kind}, the answer is {json.loads(told)['answer']}")


def run(*arguments: str, cwd: str) -> str:
    """The `derm` command beside this Python, away from the source tree."""
    command = Path(sys.executable).with_name("derm.exe" if os.name == "nt" else "derm")
    done = subprocess.run([str(command), *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


if __name__ == "__main__":
    main(*sys.argv[1:])
