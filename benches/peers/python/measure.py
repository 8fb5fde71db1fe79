"""Takes the time of several contestants in turns, so that what disturbs the machine disturbs all of them."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from statistics import median
from time import perf_counter_ns
from typing import Any

QUICK = os.environ.get("LEASEHOLD_BENCH_QUICK") == "1"
ROUNDS = 5 if QUICK else 21
WARM_UP = 1 if QUICK else 3
TURN_NS = 5_000_000 if QUICK else 25_000_000
"""How long a contestant asks at a time."""


Questions = Mapping[str, Sequence[object]]
"""What the n-th question puts into the variables of an expression, variable by variable."""


@dataclass(frozen=True)
class Ask:
    """A way to ask: an expression, so that no call of a function stands between a loop and what is measured."""

    expression: str
    questions: Questions
    names: Mapping[str, object] = field(default_factory=dict[str, object])
    """What else the expression names."""

    def asked(self) -> Iterator[tuple[object, ...]]:
        return zip(*self.questions.values(), strict=True)

    def answers(self) -> Iterator[object]:
        """The answers to all questions."""
        answers: Iterator[object] = self._compiled("for {variables} in asked:\n  yield {expression}")(self.asked())
        return answers

    def loop(self) -> Callable[[Iterator[tuple[object, ...]]], int]:
        """A loop of its own that asks, and gives the nanoseconds that it took."""
        loop: Callable[[Iterator[tuple[object, ...]]], int] = self._compiled(
            "begin = clock()\n for {variables} in asked:\n  {expression}\n return clock() - begin",
            clock=perf_counter_ns,
        )
        return loop

    def _compiled(self, body: str, **more: object) -> Any:
        names = {**self.names, **more}
        # Defaults are local variables, which are the quickest that Python has.
        parameters = ", ".join(["asked", *(f"{name}={name}" for name in names)])
        body = body.format(variables=f"({', '.join(self.questions)},)", expression=self.expression)
        made: dict[str, Any] = dict(names)
        exec(f"def function({parameters}):\n {body}", made)
        return made["function"]


@dataclass(frozen=True)
class Figures:
    """Of all rounds."""

    median: float
    least: float


class _Contestant:
    def __init__(self, ask: Ask) -> None:
        self._loop = ask.loop()
        self._asked = cycle(list(ask.asked()))
        self._times = 1
        self.taken: list[float] = []
        while self.turn() * self._times < TURN_NS:
            self._times *= 2

    def turn(self) -> float:
        """Nanoseconds per call."""
        return self._loop(islice(self._asked, self._times)) / self._times


def measure(asks: Mapping[str, Ask]) -> dict[str, Figures]:
    """Nanoseconds per call of each contestant, and of empty loops; theirs are taken off the others."""
    sizes = {name: len(ask.questions) for name, ask in asks.items()}
    empty = {size: Ask("pass", {f"variable_{at}": range(4096) for at in range(size)}) for size in set(sizes.values())}
    running = {name: _Contestant(ask) for name, ask in asks.items()}
    running |= {_loop(size): _Contestant(ask) for size, ask in empty.items()}
    _in_turns([(contestant.turn, contestant.taken) for contestant in running.values()])
    figures = {name: Figures(median(one.taken), min(one.taken)) for name, one in running.items()}
    for name, size in sizes.items():
        loop = figures[_loop(size)]
        figures[name] = Figures(figures[name].median - loop.median, figures[name].least - loop.least)
    return figures


def _loop(variables: int) -> str:
    return f"empty loop, {variables} variables"


def throughput(works: Mapping[str, Callable[[], object]], threads: Sequence[int]) -> dict[tuple[str, int], float]:
    """How often a second each work is done by so many threads at once, all together: medians."""
    rates: dict[tuple[str, int], list[float]] = {(name, count): [] for name in works for count in threads}

    with ThreadPoolExecutor(max(threads)) as pool:

        def rate(work: Callable[[], object], count: int, times: int) -> float:
            begin = perf_counter_ns()
            for worker in [pool.submit(_repeat, work, times) for _ in range(count)]:
                worker.result()
            return count * times * 1e9 / (perf_counter_ns() - begin)

        def turns() -> Iterator[tuple[Callable[[], float], list[float]]]:
            for name, work in works.items():
                times = 1
                # Longer than turns of one thread: when one of several has ended, the machine is not full any more.
                while times * 1e9 / rate(work, 1, times) < 4 * TURN_NS:
                    times *= 2
                for count in threads:
                    yield partial(rate, work, count, times), rates[name, count]

        _in_turns(list(turns()))
    return {which: median(taken) for which, taken in rates.items()}


def _repeat(work: Callable[[], object], times: int) -> None:
    for _ in range(times):
        work()


def _in_turns(running: list[tuple[Callable[[], float], list[float]]]) -> None:
    # What is there by now stays, and need not be looked at again.
    gc.collect()
    gc.freeze()
    for at in range(-WARM_UP, ROUNDS):
        for turn, taken in running:
            gc.collect()
            gc.disable()
            figure = turn()
            gc.enable()
            if at >= 0:
                taken.append(figure)
        # Nobody always follows the same one.
        running.append(running.pop(0))
    gc.unfreeze()
