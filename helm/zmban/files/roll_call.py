"""Waits until every pod of a DaemonSet is ready, as two headless Services tell by DNS.

Arguments: the Service with every pod, that with the ready ones, seconds until it fails, seconds for which all
must be ready, and the command that shows the reasons.
"""

import socket
import sys
import time

PAUSE_SECONDS = 1.0


def addresses(service: str) -> set[str]:
    """The addresses of a Service, none if DNS knows none."""
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(service, None)}
    except OSError:
        return set()


def main(every: str, ready: str, seconds: str, steady_for: str, cure: str) -> int:
    """The exit code: 0 if the same pods were all ready for this long, because some get their address later;
    1 if that did not happen in time."""
    begun = steady = time.monotonic()
    before: set[str] = set()
    while True:
        wanted, done, now = addresses(every), addresses(ready), time.monotonic()
        if not wanted or wanted - done or wanted != before:
            steady = now
        before = wanted
        if now - steady >= float(steady_for):
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
