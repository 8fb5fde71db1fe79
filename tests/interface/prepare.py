"""Makes the virtual environment that the suite runs in: `python3 prepare.py FOLDER`."""

import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def main(folder: Path) -> int:
    try:
        import ensurepip  # noqa: F401 - Debian splits it off, and `venv` with it
        import venv
    except ImportError:
        print("this Python has no `venv`; Debian and Ubuntu have it in the package `python3-venv`", file=sys.stderr)
        return 1
    venv.create(folder, clear=True, with_pip=True)
    install = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return subprocess.run([*install, "--requirement", REQUIREMENTS], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
