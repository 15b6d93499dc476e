"""`python -m sidecar.cli` runs `zmban`."""

from sidecar.cli import main

main()
