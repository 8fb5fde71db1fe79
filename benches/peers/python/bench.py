"""Leasehold's package for Python beside its published peers, all in one run: `python bench.py`.

A row of figures per comparison, as JSON: on standard output, or appended to the file that `LEASEHOLD_BENCH_ROWS` names.
See README.md for what is compared.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version

from leasehold import Engine, __version__

from measure import Ask, Figures, Questions, measure, throughput
from peers import peers
from world import definitions, fleet, is_granted, is_statically_on, questions, switches, tenants

EMPTY = "empty pyo3 call"
BESIDE = {
    "static": "the peer answers everybody the same",
    "tenant": "the peer is told the plan of the tenant",
    "entitled": "the peer is handed the tenant with its entitlements",
    "expression": "the peer is handed the expression of the switch",
}
"""What is asked of peers."""
THREADS = 4
BATCH_TENANTS = 10_000
BATCH_SWITCHES = 20

Row = dict[str, object]


class Contest:
    """Who is measured, and what is set beside what."""

    def __init__(self) -> None:
        self.asks: dict[str, Ask] = {}
        self.missing: list[str] = []
        self._comparisons: list[tuple[str, str, str, str, str]] = []

    def enter(self, name: str, ask: Ask, expected: Sequence[object]) -> None:
        """Takes in one whose every answer is right."""
        for question, answer, right in zip(ask.asked(), ask.answers(), expected, strict=True):
            if answer != right:
                raise ValueError(f"it answers {answer!r}, not {right!r}, to `{ask.expression}` with {question!r}")
        self.asks[name] = ask

    def attempt(self, name: str, ask: Ask, expected: Sequence[object]) -> str | None:
        """Takes in a peer, or says why it cannot be measured."""
        try:
            self.enter(name, ask, expected)
        except Exception as error:
            return self.left_out(name, error)
        return None

    def left_out(self, name: str, error: Exception) -> str:
        self.missing.append(f"{name}: {error}")
        return f"the peer could not be measured: {error}"

    def compare(self, id: str, what: str, ours: str, peer: str, theirs: str) -> None:
        self._comparisons.append((id, what, ours, peer, theirs))

    def rows(self, figures: dict[str, Figures]) -> list[Row]:
        def medians(name: str) -> float | None:
            return figures[name].median if name in figures else None

        return [
            row(id, what, figures[ours].median, peer, version_of(peer), medians(theirs))
            for id, what, ours, peer, theirs in self._comparisons
        ]


def row(
    id: str,
    what: str,
    ours: float,
    peer: str,
    peer_version: str | None,
    theirs: float | None,
    *,
    unit: str = "ns",
) -> Row:
    """Of times the ratio is how many times as long the peer takes; of rates, how many times as much ours does."""
    ratio = None if theirs is None else theirs / ours if unit == "ns" else ours / theirs
    return {
        "id": id,
        "runtime": "python",
        "what": what,
        "ours": ours,
        "peer": peer,
        "peer_version": peer_version,
        "theirs": theirs,
        "ratio": ratio,
        "unit": unit,
    }


def version_of(peer: str) -> str | None:
    """The version that is installed; None where it is not."""
    if peer == EMPTY:
        return __version__
    try:
        return version(peer)
    except PackageNotFoundError:
        return None


def enter_ours(contest: Contest) -> None:
    """One engine: the questions as texts and as handles, and calls beside them that do nothing."""
    engine = Engine.from_definitions(definitions(tenants))
    ids = [question.tenant.id for question in questions]
    keys = [question.key for question in questions]
    handles = [engine.tenant(id) for id in ids]
    times = [int(time.time() * 1000)] * len(questions)
    granted = [is_granted(question.tenant, question.key) for question in questions]
    always = [True] * len(questions)
    at_present: Questions = {"tenant": handles, "key": keys}
    at_a_time: Questions = {**at_present, "now": times}
    contest.enter(
        "texts", Ask("engine.is_enabled(tenant, key)", {"tenant": ids, "key": keys}, {"engine": engine}), granted
    )
    contest.enter("handle", Ask("tenant.is_enabled(key)", at_present), granted)
    contest.enter("handle now", Ask("tenant.is_enabled(key, now)", at_a_time), granted)
    contest.enter("empty", Ask("tenant._empty(key)", at_present), always)
    contest.enter("empty now", Ask("tenant._empty(key, now)", at_a_time), always)

    used = [n % 8 for n in range(len(questions))]
    inputs = [{"invoice_issued": True, "balance_due_minor": -(n % 2)} for n in range(len(questions))]
    limit = Ask('tenant.check_limit("max_users", used, 1).outcome', {"tenant": handles, "used": used})
    contest.enter("limit", limit, ["allow"] * len(questions))
    machines = {tenant.id: engine.tenant(tenant.id).machine("order") for tenant in tenants}
    moves: Questions = {"machine": [machines[id] for id in ids], "inputs": inputs}
    move = Ask('machine.check("ready", "delivered", inputs=inputs).transition', moves)
    contest.enter("move", move, ["deliver"] * len(questions))
    everything = [tuple(key for key in switches if is_granted(question.tenant, key)) for question in questions]
    contest.enter("entitlements", Ask("tenant.entitlements().features", {"tenant": handles}), everything)

    for id, what, ours, empty in (
        ("check.handle", "switch by tenant handle, now; the peer has the same arguments", "handle", "empty"),
        (
            "check.handle.now",
            "switch by tenant handle, at a time in milliseconds; the peer has the same arguments",
            "handle now",
            "empty now",
        ),
        ("check.strings", "switch by tenant and key, now; the peer has one text", "texts", "empty"),
        ("limit.check", "limit check, answered as an object; the peer has one text", "limit", "empty"),
        (
            "transition.guarded",
            "transition check, guard over two inputs, answered as an object; the peer has one text",
            "move",
            "empty",
        ),
        (
            "entitlements",
            f"all that a tenant has, of {len(switches)} switches; the peer has one text",
            "entitlements",
            "empty",
        ),
    ):
        contest.compare(id, what, ours, EMPTY, empty)


def enter_peers(contest: Contest) -> None:
    """Peers that decide."""
    granted = [is_granted(question.tenant, question.key) for question in questions]
    fixed = [is_statically_on(question.key) for question in questions]
    for peer, load in peers.items():
        says: dict[str, str] = {}
        try:
            for variant, ask in load().items():
                expected = fixed if variant == "static" else granted
                says[variant] = contest.attempt(f"{peer} {variant}", ask, expected) or BESIDE[variant]
        except Exception as error:
            says["tenant"] = contest.left_out(peer, error)
        for variant, said in says.items():
            for id, what, ours in (("handle", "tenant handle", "handle"), ("strings", "tenant and key", "texts")):
                contest.compare(f"check.{id}.{variant}", f"switch by {what}; {said}", ours, peer, f"{peer} {variant}")


def batches() -> list[Row]:
    """What threads do together, of what gives the interpreter's lock away."""
    many = fleet(BATCH_TENANTS)
    engine = Engine.from_definitions(definitions(many))
    ids, keys = [tenant.id for tenant in many], switches[:BATCH_SWITCHES]
    if engine.is_enabled_many(ids, keys) != [[is_granted(tenant, key) for key in keys] for tenant in many]:
        raise ValueError("a batch is answered wrongly")
    content = bytes(1 << 20)
    # Of what is bare computing outside of the lock, as much as the machine allows.
    works = {
        "batch": lambda: engine.is_enabled_many(ids, keys),
        "hashlib": lambda: hashlib.sha256(content),
    }
    rates = throughput(works, (1, THREADS))
    cores = f"{len(os.sched_getaffinity(0)) if sys.platform == 'linux' else os.cpu_count()} cores"
    checks = BATCH_TENANTS * BATCH_SWITCHES
    batch = f"batches of {BATCH_TENANTS:,} tenants and {BATCH_SWITCHES} switches"
    return [
        row(
            "batch.threads",
            f"switch checks a second by {THREADS} threads, {batch}, {cores}",
            rates["batch", THREADS] * checks,
            "1 thread",
            __version__,
            rates["batch", 1] * checks,
            unit="1/s",
        ),
        row(
            "batch.scaling",
            f"how many times as much {THREADS} threads do as one, {batch}, {cores}; the peer hashes 1 MiB",
            rates["batch", THREADS] / rates["batch", 1],
            "hashlib",
            python_version(),
            rates["hashlib", THREADS] / rates["hashlib", 1],
            unit="times",
        ),
    ]


def main() -> None:
    contest = Contest()
    enter_ours(contest)
    enter_peers(contest)
    figures = measure(contest.asks)
    lines = "".join(f"{json.dumps(row)}\n" for row in [*contest.rows(figures), *batches()])
    if rows_file := os.environ.get("LEASEHOLD_BENCH_ROWS"):
        with Path(rows_file).open("a", encoding="utf-8") as file:
            file.write(lines)
    else:
        sys.stdout.write(lines)
    print(f"{'ns per call':48} {'median':>12} {'least':>12}", file=sys.stderr)
    for name, figure in sorted(figures.items(), key=lambda item: item[1].median):
        print(f"{name:48} {figure.median:12.1f} {figure.least:12.1f}", file=sys.stderr)
    for line in contest.missing:
        print(f"missing: {line}", file=sys.stderr)


if __name__ == "__main__":
    main()
