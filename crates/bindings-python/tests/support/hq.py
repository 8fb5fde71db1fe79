"""HQ as it is: the program `leasehold serve` on a database of its own, on the server that DATABASE_URL names."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from .desk import STREAM, Desk, program

_CONFIG = """listen = "127.0.0.1:0"
trust = "trust.json"
[publisher]
fleet_key = "fleet.key"
certificate = "fleet.cert"
"""


class Hq:
    """With the example's definitions in force."""

    def __init__(self, folder: Path) -> None:
        self._server = os.environ.get("DATABASE_URL", "")
        assert self._server, (
            "DATABASE_URL names no server: run this below `private_cluster`, as `cargo xtask test` does"
        )
        self.desk = Desk.open(folder)
        self._database = f"leasehold_python_{uuid.uuid4().hex}"
        self._in_database(f"CREATE DATABASE {self._database}")
        # The host may be a folder, which no URL of the web has.
        self.desk.environment["DATABASE_URL"] = re.sub(r"/[^/?]*(?=\?|$)", f"/{self._database}", self._server, count=1)
        self.process: subprocess.Popen[str] | None = None
        self._staff: str | None = None
        try:
            self._publish()
            self._serve()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Hq:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _in_database(self, statement: str) -> None:
        subprocess.run(["psql", "--quiet", "--no-psqlrc", self._server, "--command", statement], check=True)

    def _publish(self) -> None:
        self.desk.does("db migrate")
        self.desk.does("db import -d definitions --by ada")
        binding = json.loads(self.desk.does("db propose First --by ada --json"))["binding"]
        self.desk.does(f"db approve 1 --binding {binding} --by ben")
        self.desk.does("db publish 1 --fleet fleet.key --certificate fleet.cert --by ben")

    def _serve(self) -> None:
        self.desk.at("leasehold.toml").write_text(_CONFIG)
        self.process = subprocess.Popen(
            [program, "serve", "--config", "leasehold.toml"],
            cwd=self.desk.folder,
            env=self.desk.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        lines = self.process.stdout
        assert lines is not None
        said: list[str] = []
        address = password = None
        while address is None or password is None:
            line = lines.readline()
            assert line, f"HQ ended: {''.join(said)}"
            said.append(line)
            address = address or (json.loads(line).get("address") if line.startswith("{") else None)
            found = re.match(r" *password +(\S+)", line)
            password = password or (found and found[1])
        # What else it says fills no pipe.
        threading.Thread(target=lines.read, name="hq-says", daemon=True).start()
        self.url = f"http://{address}"
        self._staff = self.asks("POST", "/v1/sessions", {"staff": "admin", "password": password})["token"]

    def options(self, engine_id: str) -> dict[str, Any]:
        """What an engine needs to follow it."""
        scopes = ["snapshots:read", "engines:report"]
        secret = self.asks("POST", "/v1/tokens", {"name": engine_id, "scopes": scopes, "region": STREAM})["secret"]
        return {"url": self.url, "token": secret, "trust": self.desk.trust, "engine_id": engine_id}

    def asks(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Any:
        told = {"content-type": "application/json", **(headers or {})}
        if self._staff is not None:
            told["authorization"] = f"Bearer {self._staff}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, told, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from None
        return json.loads(text) if text else None

    def change_plan(self, tenant: str, phase: str, plan: str) -> int:
        """Moves a tenant of the example to another plan; gives the revision that has it."""
        since = (datetime.now(timezone.utc) - timedelta(seconds=1)).isoformat(timespec="milliseconds")
        put = {"kind": "paid", "plan": plan, "from": since.replace("+00:00", "Z")}
        path = f"/v1/tenants/{tenant}/subscriptions/{phase}"
        revision: int = self.asks("PUT", path, put, {"idempotency-key": str(uuid.uuid4())})["revision"]
        return revision

    def kill(self) -> None:
        """Ends it at once, as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            if self.process.stdout is not None:
                self.process.stdout.close()
        self._in_database(f"DROP DATABASE {self._database} WITH (FORCE)")
