"""Installs what maturin made where nothing else is, and asks it: `python install.py FOLDER`.

The wheel has to do without Rust; the source distribution builds with it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ASK = """
from leasehold import Engine

definitions = {"features": {"delivery": {"kind": "switch", "default": True}}, "tenants": {"t1": {"phases": []}}}
print(Engine.from_definitions(definitions))
"""


def install(distribution: Path, *, with_rust: bool) -> None:
    with tempfile.TemporaryDirectory() as made:
        venv.create(made, with_pip=True)
        python = Path(made) / "bin" / "python"
        environment = dict(os.environ)
        if not with_rust:
            environment["PATH"] = "/usr/bin:/bin"
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, distribution], check=True, env=environment)
        subprocess.run([python, "-c", ASK], check=True, cwd=made, env=environment)
    print(f"{distribution.name} installs, and answers")


def main(folder: Path) -> None:
    (wheel,) = folder.glob("*.whl")
    (source,) = folder.glob("*.tar.gz")
    install(wheel, with_rust=False)
    install(source, with_rust=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
