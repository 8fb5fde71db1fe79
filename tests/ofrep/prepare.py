"""Installs the clients: `python3 prepare.py CLIENTS`."""

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(clients: Path) -> int:
    environment = [sys.executable, HERE.parent / "virtual_environment.py"]
    subprocess.run([*environment, clients / "python", HERE / "requirements.txt"], check=True)
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
