"""Run a command and print, as JSON, what it took from its start to its end: time, peak memory, seconds of processor
(this process' own included), and its exit code.

    python -I -S launch.py COMMAND ARGUMENT ...

Linux counts the memory of the process that starts a command into that command's peak. So this one stays small.
"""

import os
import sys
import time

start = time.perf_counter()
process = os.posix_spawn(
    sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
)
_, status, usage = os.wait4(process, 0)
seconds = time.perf_counter() - start
unit = 1 if sys.platform == "darwin" else 1024
cpu = sum(os.times()[:4])
code = os.waitstatus_to_exitcode(status)
print(f'{{"seconds": {seconds}, "bytes": {usage.ru_maxrss * unit}, "cpu": {cpu}, "code": {code}}}')
