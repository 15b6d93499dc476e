# Each target installs what it needs.
# Two workers: most tests wait for a kernel, a server or a timer. Which worker runs which test: tests/conftest.py.
PARALLEL := -n 2

.PHONY: help up down demo test check unit chart stack conformance venv test-blame test-faults lock clean screenshots bench bench-scan bench-kernel bench-page bench-review bench-cluster test-cluster demo-cluster

help:
	@echo "make up            start the demonstration in containers and show the bans"
	@echo "make down          stop it"
	@echo "make demo-cluster  run three hosts that share bans in network namespaces, with one attacker"
	@echo "make demo          run the demonstration without Docker, in network namespaces, in under a minute"
	@echo "make venv          create .venv/bin/zmban"
	@echo "make test          run all checks and tests"
	@echo "make check         check format, lint, types and import layers"
	@echo "make unit          run the tests that need no containers"
	@echo "make chart         run the tests of the Helm chart"
	@echo "make stack         run the tests against mail servers in containers"
	@echo "make test-faults   test 5,000 rotation sequences, 100 kills, disk faults, 1,000 damaged databases, a soak of 1,000,000 bans"
	@echo "make test-cluster  test several hosts: 500 random sequences of faults against a model, rogue hosts, failovers"
	@echo "make test-blame    test each shipped filter with a million forged lines"
	@echo "make conformance   test the matcher with Fail2Ban's sample logs"
	@echo "make bench         measure lines per second, bans per second and packets, in a few minutes"
	@echo "make bench-scan    compare scanning with fail2ban, sshguard, ripgrep: docs/benchmarks.md (ARGS=--help)"
	@echo "make bench-kernel  compare bans with ip, nft, ipset, fail2ban: docs/benchmarks.md (ARGS=--help)"
	@echo "make bench-page    measure bans while a crowd is at the page: docs/benchmarks.md (ARGS=--help)"
	@echo "make bench-review  measure the daily review beside pflogsumm: docs/benchmarks.md (ARGS=--help)"
	@echo "make bench-cluster measure several hosts that share bans and counts: docs/benchmarks.md (ARGS=--help)"
	@echo "make screenshots  make the pictures of the page under docs/"
	@echo "make lock          update the locked dependencies"
	@echo "make clean         remove everything that these targets created"

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

# Debian's fail2ban is fetched first: a test in a network namespace reaches no mirror.
unit: venv
	@sh scripts/tools.sh
	@sh scripts/fail2ban.sh >/dev/null || true
	.venv/bin/pytest -q $(PARALLEL) -m "not stack"

chart: venv
	.venv/bin/pytest -q $(PARALLEL) tests/helm

stack: venv
	@sh scripts/tools.sh
	@sh scripts/engine.sh
	.venv/bin/pytest -q -m stack

conformance: venv
	.venv/bin/python -m tests.conformance.run

test-blame: venv
	.venv/bin/python -m tests.blame $(LINES)

demo-cluster: venv
	@sh scripts/tools.sh
	.venv/bin/python -m demo.cluster

test-faults: venv
	@sh scripts/tools.sh
	ZMBAN_MODELS=$${ZMBAN_MODELS:-5000} .venv/bin/pytest -q tests/sources/test_rotation_model.py
	ZMBAN_KILLS=$${ZMBAN_KILLS:-100} .venv/bin/pytest -q -s tests/faults

test-cluster: venv
	@sh scripts/tools.sh
	ZMBAN_MODELS=$${ZMBAN_MODELS:-500} .venv/bin/pytest -q tests/cluster tests/app/cluster

test: check
	@sh scripts/tools.sh
	@sh scripts/fail2ban.sh >/dev/null || true
	@sh scripts/engine.sh
	.venv/bin/pytest -q $(PARALLEL)

bench: venv
	@sh scripts/tools.sh ipset
	.venv/bin/python -m bench.scan --quick
	.venv/bin/python -m bench.kernel --quick

bench-kernel: venv
	@sh scripts/tools.sh ipset
	.venv/bin/python -m bench.kernel $(ARGS)

bench-page: venv
	@sh scripts/tools.sh
	.venv/bin/python -m bench.clients $(ARGS)

bench-review: venv
	@sh scripts/tools.sh
	.venv/bin/python -m bench.review $(ARGS)

bench-cluster: venv
	@sh scripts/tools.sh
	.venv/bin/python -m bench.cluster $(ARGS)

bench-scan: venv
	@sh scripts/tools.sh
	.venv/bin/python -m bench.scan $(ARGS)

screenshots: venv
	@sh scripts/tools.sh
	.venv/bin/python -m bench.screenshots

lock: venv
	@sh scripts/lock.sh

clean:
	@sh scripts/clean.sh
