"""Runs one program and records its time and memory: `python -I -S launch.py NOTES PROGRAM ARGUMENT...`.

This is a small separate process, because the kernel includes the memory of the starting process in the peak of the
program: programs below the size of this interpreter (10 MB) are reported with that size.
"""

import json
import os
import sys
import time


def main() -> None:
    """Start it, wait for it, and write seconds, processor seconds, peak memory and exit code."""
    notes, *command = sys.argv[1:]
    begun = time.perf_counter()
    process = os.posix_spawn(command[0], command, os.environ)
    _, status, used = os.wait4(process, 0)
    wall = time.perf_counter() - begun
    with open(notes, "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib alone is half of the memory
        taken = {"wall": wall, "cpu": used.ru_utime + used.ru_stime, "rss": used.ru_maxrss * 1024}
        json.dump(taken | {"code": os.waitstatus_to_exitcode(status)}, file)


if __name__ == "__main__":
    main()
