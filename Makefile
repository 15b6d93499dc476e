# What a person calls; each target sets up what it lacks.
# Most tests wait, for a kernel, a server or a clock; a file stays together, because the stack is one.
PARALLEL := -n 2 --dist loadfile

.PHONY: help up down demo test check unit stack conformance venv test-blame test-faults lock clean bench bench-scan bench-kernel

help:
	@echo "make up      the whole demonstration in containers: who attacks is banned before your eyes"
	@echo "make down    stop it"
	@echo "make demo    the same without Docker, in network namespaces, in under a minute"
	@echo "make test    everything: checks, unit, kernel and stack tests"
	@echo "make check   format, lint, types, floors"
	@echo "make unit    tests that need no containers"
	@echo "make stack   tests against real mail servers in containers"
	@echo "make test-faults  5,000 stories of rotation, a hundred kills, broken disks, 1,000 damaged databases"
	@echo "make test-blame  a million forged lines: found, missed, framed, innocent, of each shipped filter"
	@echo "make conformance  Fail2Ban's own sample logs through our matcher, as a table"
	@echo "make venv    .venv/bin/zmban"
	@echo "make lock    lock the dependencies anew"
	@echo "make bench   figures in a few minutes: lines a second, bans a second, packets"
	@echo "make bench-scan  scanning against fail2ban, sshguard, ripgrep, into docs/benchmarks.md (ARGS=--help)"
	@echo "make bench-kernel  bans in the kernel against ip, nft, ipset, fail2ban, into docs/benchmarks.md (ARGS=--help)"
	@echo "make clean   take all of it away again"

venv:
	@sh scripts/venv.sh

up:
	@sh scripts/up.sh

down:
	@sh scripts/down.sh

demo: venv
	@sh scripts/demo.sh

check: venv
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache >/dev/null || .venv/bin/lint-imports --no-cache

unit: venv
	@sh scripts/tools.sh
	.venv/bin/pytest -q $(PARALLEL) -m "not stack"

stack: venv
	@sh scripts/tools.sh
	@sh scripts/engine.sh
	.venv/bin/pytest -q -m stack

conformance: venv
	.venv/bin/python -m tests.conformance.run

test-blame: venv
	.venv/bin/python -m tests.blame $(LINES)

test-faults: venv
	@sh scripts/tools.sh
	ZMBAN_MODELS=$${ZMBAN_MODELS:-5000} .venv/bin/pytest -q tests/sources/test_rotation_model.py
	ZMBAN_KILLS=$${ZMBAN_KILLS:-100} .venv/bin/pytest -q -s tests/faults

test: check
	@sh scripts/tools.sh
	@sh scripts/engine.sh
	.venv/bin/pytest -q $(PARALLEL)

bench: venv
	@sh scripts/tools.sh ipset
	.venv/bin/python -m bench.scan --quick
	.venv/bin/python -m bench.kernel --quick

bench-kernel: venv
	@sh scripts/tools.sh ipset
	.venv/bin/python -m bench.kernel $(ARGS)

bench-scan: venv
	@sh scripts/tools.sh
	.venv/bin/python -m bench.scan $(ARGS)

lock: venv
	@sh scripts/lock.sh

clean:
	@sh scripts/clean.sh
