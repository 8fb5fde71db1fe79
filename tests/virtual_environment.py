"""Makes a virtual environment with what a suite needs: `python3 virtual_environment.py FOLDER REQUIREMENTS`."""

import shutil
import subprocess
import sys
from pathlib import Path


def main(folder: Path, requirements: Path) -> int:
    try:
        import ensurepip  # noqa: F401 - Debian splits it off, and `venv` with it
        import venv
    except ImportError:
        print("this Python has no `venv`; Debian and Ubuntu have it in the package `python3-venv`", file=sys.stderr)
        return 1
    venv.create(folder, clear=True, with_pip=True)
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    status = subprocess.run([*install, "--requirement", requirements], check=False).returncode
    if status == 0:
        # Which ones are in it: it is made anew for others.
        shutil.copy(requirements, folder / "requirements.txt")
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
