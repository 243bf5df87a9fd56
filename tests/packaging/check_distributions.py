"""What the wheel and the sdist hold: ``python check_distributions.py DIST_FOLDER``."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

IN_WHEEL = ("captum_ilin/__init__.py", "captum_ilin/py.typed", "captum_ilin/rules/__init__.py")
NOT_IN_WHEEL = ("tests/", "comparisons/", "docs/")
IN_SDIST = ("README.md", "LICENSE", "CITATION.cff", "CHANGELOG.md", "pyproject.toml")
FOLDERS_IN_SDIST = ("captum_ilin/", "comparisons/", "docs/", "tests/")


def main(folder: Path) -> None:
    wheel, sdist = next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    _require(wheel, [name for name in IN_WHEEL if name not in names], "lacks")
    _require(wheel, [name for name in names if name.startswith(NOT_IN_WHEEL)], "holds")
    if not any(name.endswith("licenses/LICENSE") for name in names):
        _require(wheel, ["LICENSE"], "lacks")
    with tarfile.open(sdist) as tarball:
        files = [name.partition("/")[2] for name in tarball.getnames()]
    _require(sdist, [name for name in IN_SDIST if name not in files], "lacks")
    _require(
        sdist,
        [folder for folder in FOLDERS_IN_SDIST if not any(f.startswith(folder) for f in files)],
        "lacks",
    )
    print(f"{wheel.name} ({len(names)} files) and {sdist.name} ({len(files)}) are complete")


def _require(archive: Path, wrong: list[str], verb: str) -> None:
    if wrong:
        sys.exit(f"{archive.name} {verb} {', '.join(wrong)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
