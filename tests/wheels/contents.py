"""What a wheel and a source distribution must hold, and must not: contents.py WHEEL SDIST. Prints the largest parts."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"derm_sdk": "derm_sdk", "toolkit": "derm_toolkit", "converters": "derm_converters"}
ENDINGS = {".py", ".derm", ".txt", ".md", ".toml", ".csv", ".css", ".typed"}


def tracked() -> list[Path]:
    """The files of the repository; where it is none, as in an unpacked source distribution, those that lie here."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return [Path(line) for line in done.stdout.splitlines() if (ROOT / line).is_file()]
    return [path.relative_to(ROOT) for folder in PACKAGES for path in (ROOT / folder).rglob("*") if path.is_file()]


def expected_in_wheel(files: list[Path]) -> set[str]:
    inside = [path for path in files if path.parts[0] in PACKAGES and "native" not in path.parts]
    return {"/".join([PACKAGES[path.parts[0]], *path.parts[1:]]) for path in inside if path.suffix in ENDINGS}


def check_wheel(path: Path, files: list[Path]) -> list[str]:
    with zipfile.ZipFile(path) as wheel:
        sizes = {each.filename: each.file_size for each in wheel.infolist()}
    code = {name for name in sizes if ".dist-info/" not in name}
    compiled = {name for name in code if name.endswith((".so", ".pyd"))}
    wanted = expected_in_wheel(files)
    problems = [f"lacks {name}" for name in sorted(wanted - code)]
    problems += [f"holds {name}, which is no part of a package" for name in sorted(code - compiled - wanted)]
    if len(compiled) != (0 if "none-any" in path.name else 1):
        problems.append(f"holds the compiled files {sorted(compiled)}")
    told = {name.rpartition("/")[2] for name in sizes if ".dist-info/" in name}
    problems += [f"lacks the licence {name}" for name in ("LICENSE", "LICENSE-starter.txt") if name not in told]
    largest = sorted(sizes, key=lambda name: -sizes[name])[:3]
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, {len(sizes)} files; largest "
          + ", ".join(f"{name} {sizes[name] / 1e6:.2f} MB" for name in largest))  # fmt: skip
    return problems


def check_sdist(path: Path, files: list[Path]) -> list[str]:
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    hidden = {path for path in files if any(part.startswith(".") for part in path.parts)}
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, {len(names)} files")
    return [f"lacks {path}" for path in files if path not in hidden and path.as_posix() not in names]


def main(wheel: str, sdist: str) -> None:
    files = tracked()
    problems = [f"{wheel} {each}." for each in check_wheel(Path(wheel), files)]
    problems += [f"{sdist} {each}." for each in check_sdist(Path(sdist), files)]
    sys.exit("\n".join(problems) if problems else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
