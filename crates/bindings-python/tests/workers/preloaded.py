"""The server that forks for `multiprocessing` imports this first, and has the engine then."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import sys
import time


def work(pipe: multiprocessing.connection.Connection) -> None:
    import serves

    pipe.send((serves.answers(), "serves" in sys.modules))
    pipe.recv()
    end = time.monotonic() + 60
    while serves.engine.snapshot().revision < 2 and time.monotonic() < end:
        time.sleep(0.005)
    pipe.send(serves.answers())


if __name__ == "__main__":
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["serves"])
    ours, theirs = context.Pipe()
    child = context.Process(target=work, args=(theirs,))
    child.start()
    print(ours.recv(), flush=True)
    sys.stdin.readline()
    ours.send("published")
    print(ours.recv(), flush=True)
    child.join()
