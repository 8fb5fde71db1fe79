"""What type checkers say: nothing of the package and of a program that is right; all mistakes of one that is not."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import leasehold
import pytest

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
PACKAGE = ROOT / "python" / "leasehold"
INSTALLED = Path(leasehold.__file__).resolve().parent
RIGHT, WRONG = TESTS / "typed" / "program.py", TESTS / "mistyped" / "program.py"

NAMED = ["mypy", "pyright"]
FRAMEWORKS = ["django", "fastapi", "openfeature"]

Mistakes = dict[Path, dict[int, str]]
"""What is wrong in which line of which file."""


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MYPYPATH": str(PACKAGE.parent)}
    return subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, cwd=folder, env=environment)


def mypy(files: Sequence[Path], folder: Path) -> Mistakes:
    configuration = folder / "mypy.ini"
    configuration.write_text("[mypy]\nstrict = true\npython_version = 3.10\nshow_absolute_path = true\n")
    found = run("mypy", "--config-file", str(configuration), *map(str, files), folder=folder)
    assert found.returncode in (0, 1), found.stderr + found.stdout
    mistakes: Mistakes = {}
    for file, line, what in re.findall(r"^(.+?):(\d+): error: (.*)$", found.stdout, re.MULTILINE):
        mistakes.setdefault(Path(file), {})[int(line)] = what
    assert bool(mistakes) == bool(found.returncode), found.stdout
    return mistakes


def pyright(files: Sequence[Path], folder: Path) -> Mistakes:
    configuration = folder / "pyrightconfig.json"
    told = {
        "include": [os.path.relpath(file, folder) for file in files],
        "extraPaths": [str(PACKAGE.parent)],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.10",
        # What Python calls private is private to the package here, not to a module.
        "reportPrivateUsage": PACKAGE not in files,
        # The native part's source is no Python: a tree that was just checked out holds its stub alone.
        "reportMissingModuleSource": False,
    }
    configuration.write_text(json.dumps(told))
    found = run("pyright", "-p", str(configuration), "--outputjson", "--pythonpath", sys.executable, folder=folder)
    assert found.returncode in (0, 1), found.stderr + found.stdout
    said = json.loads(found.stdout)
    assert said["summary"]["filesAnalyzed"] > 0
    mistakes: Mistakes = {}
    for one in said["generalDiagnostics"]:
        mistakes.setdefault(Path(one["file"]), {})[one["range"]["start"]["line"] + 1] = one["message"]
    return mistakes


Checker = Callable[[Sequence[Path], Path], Mistakes]
CHECKERS: dict[str, Checker] = {"mypy": mypy, "pyright": pyright}


@pytest.fixture(params=CHECKERS)
def checker(request: pytest.FixtureRequest) -> Checker:
    name: str = request.param
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    return CHECKERS[name]


def test_a_program_that_is_right(checker: Checker, tmp_path: Path) -> None:
    assert checker([RIGHT], tmp_path) == {}


def test_every_mistake_is_found_and_nothing_else(checker: Checker, tmp_path: Path) -> None:
    lines = WRONG.read_text(encoding="utf-8").splitlines()
    wanted = [number for number, line in enumerate(lines, 1) if line.endswith("# expect: error")]
    assert len(wanted) >= 60
    found = checker([WRONG], tmp_path)
    assert set(found) == {WRONG}
    missed = [f"{number}: {lines[number - 1]}" for number in wanted if number not in found[WRONG]]
    more = [f"{number}: {what}" for number, what in found[WRONG].items() if number not in wanted]
    assert (missed, more) == ([], [])


def test_the_package_itself(checker: Checker, tmp_path: Path) -> None:
    missing = [name for name in FRAMEWORKS if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"the entries for frameworks need {', '.join(missing)}")
    assert checker([PACKAGE], tmp_path) == {}


def test_the_stubs_are_those_of_the_native_part(tmp_path: Path) -> None:
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed")
    # A build that is shipped has no means to panic on purpose, so that stubs have none. Only newer checkers know how
    # a stub says that no second base of that sort is possible.
    allowed = tmp_path / "allowed"
    allowed.write_text("leasehold\\._native\\.panics\nleasehold\\._native\\.__all__\n")
    options = ["--allowlist", str(allowed), "--ignore-unused-allowlist", "--ignore-disjoint-bases"]
    found = run("mypy.stubtest", "leasehold._native", *options, folder=tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_package_says_that_it_has_types() -> None:
    assert (INSTALLED / "py.typed").is_file()
    assert (INSTALLED / "_native.pyi").is_file()
