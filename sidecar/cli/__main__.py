"""`python -m sidecar.cli` is `zmban`."""

from sidecar.cli import main

main()
