"""A folder with keys and definitions, and the command line of HQ."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from leasehold.follow.folder import Folder

STREAM = "GCC-OM"
TENANT = "om-muscat-sparkle"
SWITCH = "sso"
"""A switch that the tenant does not have at first."""

_root = Path(__file__).resolve().parents[4]
program = os.environ.get("LEASEHOLD_BIN") or str(_root / "target/debug/leasehold")


class Desk:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        own = {name: value for name, value in os.environ.items() if not name.startswith("LEASEHOLD_")}
        self.environment = {**own, "LEASEHOLD_TRUST": "trust.json"}

    @classmethod
    def open(cls, folder: Path) -> Desk:
        """With keys, and with the definitions of the example, which are published at revision 1, and as a pack."""
        folder.mkdir(exist_ok=True)
        desk = cls(folder)
        desk.does(f"keygen root --out root.key --issuer hq.example --environment test --stream {STREAM}")
        desk.does("keygen fleet --out fleet.key")
        desk.does("certify fleet.key.pub --root root.key --out fleet.cert")
        shutil.copytree(_root / "examples/cleanmatex", folder / "definitions")
        desk.build(f"--pack oman.pack --stream {STREAM}")
        return desk

    def copied(self, folder: Path) -> Desk:
        """One that others may change."""
        shutil.copytree(self.folder, folder)
        return Desk(folder)

    def at(self, *names: str) -> Path:
        return self.folder.joinpath(*names)

    @property
    def snapshots(self) -> Path:
        """What is published."""
        return self.at("snapshots")

    @property
    def trust(self) -> str:
        return self.at("trust.json").read_text()

    def does(self, line: str) -> str:
        run = subprocess.run(
            [program, *line.split(" ")], cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        assert run.returncode == 0, f"{line}: {run.stderr}"
        return run.stdout

    def edit(self, name: str, change: Callable[[Any], object]) -> None:
        """Changes one file of definitions."""
        path = self.at("definitions", name)
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document, indent=2))

    def build(self, more: str = "", out: str = "snapshots") -> None:
        """Publishes the definitions as they are."""
        self.does(f"build -d definitions --out {out} --fleet fleet.key --certificate fleet.cert {more}".strip())

    def publish(self, is_on: bool, out: str = "snapshots") -> int:
        """Publishes that the tenant has the switch, or has not; gives the revision that has it."""
        put = {"feature": SWITCH, "op": "set", "value": is_on, "reason": "for a test", "actor": "ada"}
        self.edit(
            "tenants/gcc-om.json",
            lambda file: file["tenants"][TENANT].setdefault("overrides", {}).update(python=put),
        )
        self.build(out=out)
        return revision_of(Folder(self.at(out)).head(STREAM))


def revision_of(head: bytes) -> int:
    """The revision that a head is of: of the documents in it, the last is the head itself."""
    revision: int = json.loads(head.splitlines()[-1])["revision"]
    return revision
