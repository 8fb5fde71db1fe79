"""Sends a server what its OpenAPI document allows, and what it does not.

    python suite.py PROGRAM EXAMPLES            run it; the database is in DATABASE_URL
"""

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "ofrep"))

from suite import Desk, Server  # noqa: E402 - the server is started there

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def run(program: Path, examples: str) -> int:
    with tempfile.TemporaryDirectory(prefix="leasehold-interface-") as folder:
        desk = Desk(program, Path(folder))
        desk.publish()
        with Server(desk) as server:
            signed_in = server.asks("/v1/sessions", {"staff": "admin", "password": server.password})
            command = [Path(sys.executable).with_name("schemathesis"), "run", f"{server.url}/openapi.json"]
            command += ["--header", f"Authorization: Bearer {signed_in['token']}", "--checks", CHECKS]
            command += ["--max-examples", examples, "--phases", "coverage,fuzzing", "--seed", "1", "--no-color"]
            # Events never end, and signing out ends the session.
            for path in ["/v1/snapshots/events", "/v1/tenants/{tenant}/slice/events", "/v1/sessions/current"]:
                command += ["--exclude-path", path]
            command += ["--request-timeout", "60", "--suppress-health-check", "all"]
            ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if ran.returncode != 0:
                print(ran.stdout[-20_000:], ran.stderr[-2_000:], sep="\n")
            else:
                print("\n".join(line for line in ran.stdout.splitlines() if "passed" in line or "Tested" in line))
            return ran.returncode


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]).resolve(), sys.argv[2]))
