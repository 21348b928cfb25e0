"""What every contestant's program does: serve requests on standard input by bursts of timed calls.

It runs in each contestant's own environment, so it knows the standard library only. A request is a line of JSON; it
holds what to do, and how long a burst lasts. The reply is a line of JSON: the seconds of each call, what the last call
returned (a count of faces), and the seconds of processor since the reply before. What a request needs (a session, a
picture) is prepared once and reused.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

Call = Callable[[], int]
"""What is timed. It returns the number of faces that it classified."""


def serve(prepare: Callable[[Mapping[str, Any]], Call]) -> None:
    """Serve until standard input ends. Libraries may print what they like: it goes to standard error."""
    with os.fdopen(os.dup(1), "w") as replies:
        os.dup2(2, 1)
        calls: dict[str, Call] = {}
        before = 0.0
        for line in sys.stdin:
            request = json.loads(line)
            seconds, least = request.pop("seconds"), request.pop("least")
            key = json.dumps(request, sort_keys=True)
            if key not in calls:
                calls[key] = prepare(request)
            reply = burst(calls[key], seconds, least)
            now = time.process_time()
            print(json.dumps({**reply, "cpu": now - before}), file=replies, flush=True)
            before = now


def burst(call: Call, seconds: float, least: int) -> dict[str, Any]:
    """Call for `seconds` seconds, and at least `least` times, after one call that is not counted."""
    call()
    times: list[float] = []
    faces = 0
    end = time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < end:
        start = time.perf_counter()
        faces = call()
        times.append(time.perf_counter() - start)
    return {"seconds": times, "faces": faces}
