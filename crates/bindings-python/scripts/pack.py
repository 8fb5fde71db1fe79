"""Packs a wheel around a native part that is built already: `python pack.py LIBRARY FOLDER`.

Releases are built by maturin. What tests and benchmarks need is the same wheel without another build of the engine.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent


def main(library: Path, out: Path) -> None:
    programs = Path(sys.executable).parent
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as made:
        contents = Path(made)
        describe = [programs / "maturin", "pep517", "write-dist-info", "--metadata-directory", contents]
        subprocess.run(describe, cwd=PACKAGE, check=True, stdout=subprocess.DEVNULL)
        unwanted = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd")
        shutil.copytree(PACKAGE / "python", contents, ignore=unwanted, dirs_exist_ok=True)
        native = "_native.pyd" if library.suffix == ".dll" else "_native.abi3.so"
        shutil.copy(library, contents / "leasehold" / native)
        pack = [programs / "wheel", "pack", contents, "--dest-dir", out]
        subprocess.run(pack, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
