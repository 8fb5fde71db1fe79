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

README = Path(__file__).resolve().parent.parent / "README.md"


def install(distribution: Path, *, with_rust: bool) -> None:
    with tempfile.TemporaryDirectory() as made:
        venv.create(made, with_pip=True)
        python = Path(made) / "bin" / "python"
        environment = dict(os.environ)
        if not with_rust:
            environment["PATH"] = "/usr/bin:/bin"
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, distribution], check=True, env=environment)
        # The first example, with what it asserts.
        example = README.read_text().split("```python\n")[1].split("```")[0]
        subprocess.run([python, "-c", example], check=True, cwd=made, env=environment)
    print(f"{distribution.name} installs, and answers")


def main(folder: Path) -> None:
    (wheel,) = folder.glob("*.whl")
    (source,) = folder.glob("*.tar.gz")
    install(wheel, with_rust=False)
    install(source, with_rust=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
