"""Waits until every pod of a DaemonSet is ready, as two headless Services tell by DNS: EVERY READY SECONDS CURE."""

import socket
import sys
import time

# Pods of other nodes may get their address some seconds later.
STEADY_SECONDS = 15.0
PAUSE_SECONDS = 1.0


def addresses(service: str) -> set[str]:
    """The addresses of a Service, none if DNS knows none."""
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(service, None)}
    except OSError:
        return set()


def main(every: str, ready: str, seconds: str, cure: str) -> int:
    """The exit code: 0 if the same pods were all ready for a while, 1 if that did not happen in this time."""
    begun = steady = time.monotonic()
    before: set[str] = set()
    while True:
        wanted, done, now = addresses(every), addresses(ready), time.monotonic()
        if not wanted or wanted - done or wanted != before:
            steady = now
        before = wanted
        if now - steady >= STEADY_SECONDS:
            print(f"{len(wanted)} of {len(wanted)} nodes: {', '.join(sorted(wanted))}")
            return 0
        if now - begun >= float(seconds):
            missing = ", ".join(sorted(wanted - done)) or "DNS knows no pod"
            print(f"{len(done & wanted)} of {len(wanted)} nodes after {seconds} s; not done: {missing}")
            print(f"the reasons: {cure}")
            return 1
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
