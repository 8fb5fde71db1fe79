"""Installs the clients: `python3 prepare.py CLIENTS`."""

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(clients: Path) -> int:
    try:
        import ensurepip  # noqa: F401 - Debian splits it off, and `venv` with it
        import venv
    except ImportError:
        print("this Python has no `venv`; Debian and Ubuntu have it in the package `python3-venv`", file=sys.stderr)
        return 1
    venv.create(clients / "python", clear=True, with_pip=True)
    python = clients / "python" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "--requirement", HERE / "requirements.txt"], check=True)
    node = clients / "node"
    node.mkdir(parents=True, exist_ok=True)
    for name in ["package.json", "package-lock.json"]:
        shutil.copy(HERE / name, node)
    npm = shutil.which("npm")
    if npm is None:
        print("there is no npm; Node 20 or newer is needed", file=sys.stderr)
        return 1
    return subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=node, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
