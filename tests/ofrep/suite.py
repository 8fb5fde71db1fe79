"""Starts a server on an empty database and runs the published clients against it.

    python suite.py --ready CLIENTS             whether the clients are there
    python suite.py CLIENTS PROGRAM             run them; the database is in DATABASE_URL
"""

import importlib.metadata
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
CLEANMATEX = HERE.parents[1] / "examples/cleanmatex"
ORIGIN = "https://app.example"
# Slow machines are slow; nothing here takes a tenth of it otherwise.
PATIENCE = 300


def is_ready(clients):
    lock = clients / "node/node_modules/.package-lock.json"
    if not lock.is_file() or (clients / "node/package-lock.json").read_bytes() != (HERE / "package-lock.json").read_bytes():
        return False
    for line in (HERE / "requirements.txt").read_text().split():
        name, version = line.split("==")
        try:
            if importlib.metadata.version(name) != version:
                return False
        except importlib.metadata.PackageNotFoundError:
            return False
    return True


class Desk:
    """A folder with keys, and the command line."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        named = {name: value for name, value in os.environ.items() if not name.startswith("LEASEHOLD_")}
        self.environment = named | {"LEASEHOLD_TRUST": "trust.json"}

    def does(self, line):
        command = [self.program, *line.split()]
        ran = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            raise SystemExit(f"`{' '.join(map(str, command))}` failed: {ran.stdout}{ran.stderr}")
        return ran.stdout

    def publish(self):
        self.does("keygen root --out root.key --issuer hq.example --environment test")
        self.does("keygen fleet --out fleet.key")
        self.does("certify fleet.key.pub --root root.key --out fleet.cert")
        definitions = self.folder / "definitions"
        shutil.copytree(CLEANMATEX, definitions)
        shutil.copy(HERE / "tenants.json", definitions / "tenants/ofrep.json")
        self.does("db migrate")
        self.does("db import -d definitions --by ada")
        proposed = json.loads(self.does("db propose First --by ada --json"))
        self.does(f"db approve 1 --binding {proposed['binding']} --by ben")
        self.does("db publish 1 --fleet fleet.key --certificate fleet.cert --by ben")
        return sum(len(json.loads(path.read_text())["features"]) for path in (definitions / "features").glob("*.json"))


class Server:
    """`leasehold serve`, until the end of a block."""

    def __init__(self, desk):
        (desk.folder / "leasehold.toml").write_text(
            f"""listen = "127.0.0.1:0"
trust = "trust.json"
[publisher]
fleet_key = "fleet.key"
certificate = "fleet.cert"
wait = "{PATIENCE}s"
[access]
allowed_origins = ["{ORIGIN}"]
[limits]
request = "{PATIENCE}s"
"""
        )
        self.log = queue.SimpleQueue()
        self.lines = []
        self.process = subprocess.Popen(
            [desk.program, "serve", "--config", "leasehold.toml"],
            cwd=desk.folder,
            env=desk.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        for stream in [self.process.stdout, self.process.stderr]:
            threading.Thread(target=self.read, args=[stream], daemon=True).start()
        self.url = "http://" + self.said(lambda line: line.startswith("{") and json.loads(line).get("address"))
        self.password = self.said(lambda line: line.strip().startswith("password ") and line.split()[1])
        return self

    def __exit__(self, *failure):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
        if any(failure):
            print("".join(self.lines), file=sys.stderr)

    def read(self, stream):
        for line in stream:
            self.log.put(line)
            self.lines.append(line)
        self.log.put(None)

    def said(self, found):
        """What a line says, in whichever order lines come."""
        for line in list(self.lines):
            if value := found(line):
                return value
        while (line := self.log.get(timeout=PATIENCE)) is not None:
            if value := found(line):
                return value
        raise SystemExit(f"the server ended: {''.join(self.lines)}")

    def asks(self, path, body, token=None):
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return json.load(response)

    def settings(self, features):
        staff = self.asks("/v1/sessions", {"staff": "admin", "password": self.password})["token"]

        def token(name, scope="flags:evaluate", **bound):
            return self.asks("/v1/tokens", {"name": name, "scopes": [scope], **bound}, staff)["secret"]

        return {
            "url": self.url,
            "origin": ORIGIN,
            "features": features,
            "staff": staff,
            "token": token("everybody"),
            "bound": token("bound", tenant="ofrep-full"),
            "other": token("elsewhere", tenant="ofrep-bare"),
            "powerless": token("powerless", "decisions:read"),
        }


def run(clients, program):
    node = clients / "node"
    for path in [*HERE.glob("*.mjs"), HERE / "cases.json"]:
        shutil.copy(path, node)
    with tempfile.TemporaryDirectory(prefix="leasehold-ofrep-") as folder:
        desk = Desk(program, Path(folder))
        features = desk.publish()
        with Server(desk) as server:
            environment = os.environ | {"LEASEHOLD_SUITE": json.dumps(server.settings(features)), "NO_PROXY": "127.0.0.1"}
            for command in [
                [sys.executable, HERE / "protocol.py"],
                ["node", node / "server.mjs"],
                ["node", node / "web.mjs"],
                [sys.executable, HERE / "client.py"],
            ]:
                subprocess.run(command, env=environment, check=True, timeout=2 * PATIENCE)


if __name__ == "__main__":
    if sys.argv[1] == "--ready":
        sys.exit(0 if is_ready(Path(sys.argv[2])) else 1)
    run(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
