"""Forks while another thread looks a class of answers up for the first time."""

from __future__ import annotations

import builtins
import faulthandler
import os
import sys
import threading
from typing import Any

from leasehold import Engine

tenant = Engine.from_definitions(
    {
        "features": {},
        "tenants": {
            "t1": {"name": "T", "name2": "T", "region": "R", "anchor": "2026-01-01T00:00:00Z"},
        },
    }
).tenant("t1")
really_import, looks, goes_on, parent = builtins.__import__, threading.Event(), threading.Event(), os.getpid()


def slowly(name: str, *more: Any, **others: Any) -> Any:
    if name == "leasehold.answers" and os.getpid() == parent:
        looks.set()
        goes_on.wait()
    return really_import(name, *more, **others)


builtins.__import__ = slowly
looking = threading.Thread(target=tenant.entitlements)
looking.start()
looks.wait()
child = os.fork()
if child == 0:
    faulthandler.dump_traceback_later(5, exit=True)
    tenant.entitlements()
    os._exit(0)
_, status = os.waitpid(child, 0)
goes_on.set()
looking.join()
sys.exit(os.waitstatus_to_exitcode(status))
