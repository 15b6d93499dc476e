"""Hooks of the chart: a bad configuration replaces nothing, `helm test` and `helm uninstall` work on every node."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import ZMBAN
from tests.helm.conftest import CHART, ROOT, Manifest, Render, checking, container, daemon_set, hook, one
from tests.helm.values import EVERYTHING, SETS

NODES = ["192.0.2.1", "192.0.2.2"]


def weight(manifest: Manifest) -> int:
    return int(manifest["metadata"]["annotations"]["helm.sh/hook-weight"])


def policy(manifest: Manifest) -> set[str]:
    return set(manifest["metadata"]["annotations"]["helm.sh/hook-delete-policy"].split(","))


@pytest.mark.parametrize("event", ["pre-install", "pre-upgrade"])
@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_the_new_configuration_is_checked_with_the_new_image_before_anything_is_replaced(
    render: Render, values: dict[str, Any], event: str
) -> None:
    manifests = render(values)
    jobs = hook(manifests, "Job", event)
    assert len(jobs) == (1 if values.get("check", {}).get("hook", True) else 0)
    for job in jobs:
        spec = job["spec"]["template"]["spec"]
        (checked,) = spec["containers"]
        assert [*checked["command"], *checked["args"]] == ["zmban", "check"]
        assert checked["image"] == container(manifests)["image"]
        assert checked["env"] == container(manifests)["env"]
        assert spec["volumes"] == daemon_set(manifests)["spec"]["template"]["spec"]["volumes"]
        assert job["spec"]["backoffLimit"] == 0
        # It writes no routes, and none of its rights allows that.
        assert checked["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["DAC_READ_SEARCH"]}
        assert all(weight(made) < weight(job) for made in hook(manifests, "ConfigMap", event))


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_every_configmap_that_a_pod_names_is_there_before_it_and_outlives_an_upgrade(
    render: Render, values: dict[str, Any]
) -> None:
    manifests = render(values)
    volumes = daemon_set(manifests)["spec"]["template"]["spec"]["volumes"]
    (config,) = (one["projected"]["sources"] for one in volumes if one["name"] == "config")
    named = {source["configMap"]["name"] for source in config if "configMap" in source}
    theirs = {source["name"] for source in values.get("existingConfigMaps", [])}
    for event in ("pre-install", "pre-upgrade", "pre-rollback"):
        made = hook(manifests, "ConfigMap", event)
        assert named - theirs <= {m["metadata"]["name"] for m in made}
        # No hook-succeeded: they stay for pods of a former revision that start again.
        assert all(policy(m) == {"before-hook-creation"} for m in made)


def check(
    script: str, tmp_path: Path, configuration: str, jail: str = ""
) -> subprocess.CompletedProcess[str]:
    """The init container's script with the real `zmban check` over one jail file."""
    config = tmp_path / "config"
    (config / "jail.d").mkdir(parents=True, exist_ok=True)
    (config / "jail.d/own.local").write_text(jail, encoding="utf-8")
    program = tmp_path / "bin/zmban"
    program.parent.mkdir(exist_ok=True)
    program.write_text(
        f'#!/bin/sh\nexec {ZMBAN} "$@" --config {ROOT}/config --config {config}\n', encoding="utf-8"
    )
    program.chmod(0o755)
    state = tmp_path / "state"
    state.mkdir(exist_ok=True)
    variables = {"CONFIGURATION": configuration, "ZMBAN_STATE": str(state)}
    variables |= {"PATH": f"{program.parent}:/usr/bin:/bin"}
    return subprocess.run(
        ["sh", "-c", script], env=variables, capture_output=True, text=True, timeout=60, check=False
    )


BAD = "[own]\nenabled = true\nlogpath = /var/log/x\nfilter = no-such-filter\n"


def test_a_node_starts_with_a_good_configuration_and_refuses_a_bad_one(
    render: Render, tmp_path: Path
) -> None:
    (script,) = checking(render())["args"]
    done = check(script, tmp_path, "one")
    assert done.returncode == 0, done
    refused = check(script, tmp_path, "two", BAD)
    assert (refused.returncode, "helm rollback" in refused.stderr) == (78, True), refused
    assert "no-such-filter" in refused.stdout


def test_a_configuration_that_was_accepted_never_keeps_a_node_from_starting_again(
    render: Render, tmp_path: Path
) -> None:
    (script,) = checking(render())["args"]
    assert check(script, tmp_path, "one").returncode == 0
    # The node's own Fail2Ban directory became faulty meanwhile.
    again = check(script, tmp_path, "one", BAD)
    assert (again.returncode, "accepted" in again.stderr) == (0, True), again


def test_each_configuration_and_each_image_is_checked_once(render: Render) -> None:
    def named(values: dict[str, Any]) -> str:
        (found,) = (v["value"] for v in checking(render(values))["env"] if v["name"] == "CONFIGURATION")
        return str(found)

    changes: list[dict[str, Any]] = [
        {},
        {"jails": {"a.local": "[a]\n"}},
        {"settings": {"kernel": {"table": 2521}}},
        {"image": {"repository": "registry.example.com/other"}},
    ]
    assert len({named(change) for change in changes}) == len(changes)
    assert named({}) == named({"podLabels": {"a": "b"}})


@pytest.mark.parametrize(
    ("event", "work"),
    [
        ("test", ["zmban", "self-test", "198.51.100.200"]),
        ("post-delete", ["sh", "-c", "until zmban flush --uninstall; do sleep 2; done"]),
    ],
)
def test_the_work_on_every_node_ends_before_the_roll_is_called(
    render: Render, event: str, work: list[str]
) -> None:
    manifests = render(EVERYTHING)
    (workers,), (judge,) = hook(manifests, "DaemonSet", event), hook(manifests, "Pod", event)
    spec = workers["spec"]["template"]["spec"]
    (worker,) = spec["initContainers"]
    assert [*worker["command"], *worker["args"]] == work
    assert spec["hostNetwork"] is True
    assert spec["nodeSelector"] == daemon_set(manifests)["spec"]["template"]["spec"]["nodeSelector"]
    assert worker["env"] == container(manifests)["env"]
    assert worker["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN"]}
    # Helm waits for the Pod; it must come last, and know both Services.
    services = hook(manifests, "Service", event)
    assert max(map(weight, [workers, *services])) < weight(judge)
    names = {service["metadata"]["name"]: service["spec"] for service in services}
    every, ready = judge["spec"]["containers"][0]["args"][1:3]
    assert names[every]["publishNotReadyAddresses"] is True
    assert names[ready]["publishNotReadyAddresses"] is False
    labels = workers["spec"]["template"]["metadata"]["labels"]
    assert all(service["selector"].items() <= labels.items() for service in names.values())
    # All of it is deleted when all of it succeeded; the log of `helm test` stays.
    assert all("hook-succeeded" in policy(one) for one in [workers, *services])
    assert ("hook-succeeded" in policy(judge)) is (event != "test")


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_no_pod_of_a_hook_is_taken_for_one_of_the_release(render: Render, values: dict[str, Any]) -> None:
    manifests = render(values)
    selector = daemon_set(manifests)["spec"]["selector"]["matchLabels"]
    for made in hook(manifests, "DaemonSet", "test") + hook(manifests, "DaemonSet", "post-delete"):
        assert not selector.items() <= made["spec"]["template"]["metadata"]["labels"].items()
    for judge in hook(manifests, "Pod", "test"):
        assert not selector.items() <= judge["metadata"]["labels"].items()


def test_an_upgrade_waits_for_the_pods_of_the_release_where_helm_does_not(render: Render) -> None:
    assert hook(render(), "Pod", "post-upgrade") == []
    manifests = render(EVERYTHING)
    for event in ("post-install", "post-upgrade"):
        (judge,) = hook(manifests, "Pod", event)
        names = {made["metadata"]["name"]: made["spec"] for made in hook(manifests, "Service", event)}
        arguments = judge["spec"]["containers"][0]["args"]
        labels = daemon_set(manifests)["spec"]["template"]["metadata"]["labels"]
        assert set(names) == set(arguments[1:3])
        assert all(service["selector"].items() <= labels.items() for service in names.values())
        # Longer than Kubernetes pauses between two nodes.
        assert int(arguments[4]) > EVERYTHING["minReadySeconds"]


def test_routes_stay_unless_the_values_say_otherwise(render: Render) -> None:
    kinds = ("DaemonSet", "Pod", "Service")
    assert [m for kind in kinds for m in hook(render(), kind, "post-delete")] == []


def test_the_roll_is_called_with_no_rights_and_may_only_ask_dns(render: Render) -> None:
    manifests = render(EVERYTHING)
    (judge,) = hook(manifests, "Pod", "test")
    assert "hostNetwork" not in judge["spec"]
    (caller,) = judge["spec"]["containers"]
    assert caller["securityContext"]["runAsNonRoot"] is True
    assert caller["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    rule = one(manifests, "NetworkPolicy")["spec"]
    assert (
        judge["metadata"]["labels"]["app.kubernetes.io/component"]
        in rule["podSelector"]["matchExpressions"][0]["values"]
    )
    assert rule["podSelector"]["matchLabels"].items() <= judge["metadata"]["labels"].items()
    assert {port["port"] for port in rule["egress"][0]["ports"]} == {53}


class Dns:
    """Answers for the two Services, and a clock that each pause moves."""

    def __init__(self, *answers: tuple[list[str], list[str]]) -> None:
        self.answers, self.now = answers, 0.0

    def getaddrinfo(self, name: str, _: None) -> list[tuple[Any, ...]]:
        every, ready = self.answers[min(int(self.now), len(self.answers) - 1)]
        found = every if name == "every" else ready
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(socket.AF_INET, 1, 6, "", (address, 0)) for address in found]

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def call_the_roll(self, seconds: str = "60") -> int:
        space: dict[str, Any] = {"__name__": "roll_call"}
        exec(compile((CHART / "files/roll_call.py").read_text(), "roll_call.py", "exec"), space)
        space["socket"] = self
        space["time"] = type("Time", (), {"monotonic": lambda: self.now, "sleep": self.sleep})
        code: int = space["main"]("every", "ready", seconds, "15", "kubectl logs")
        return code


def test_the_roll_is_complete_when_the_same_pods_were_all_ready_for_a_while(
    capsys: pytest.CaptureFixture[str],
) -> None:
    dns = Dns(([], []), (NODES[:1], NODES[:1]), (NODES, NODES[:1]), (NODES, NODES))
    assert dns.call_the_roll() == 0
    # The first node alone was not enough: the second appeared within the time.
    assert dns.now > 15
    assert "2 of 2 nodes: 192.0.2.1, 192.0.2.2" in capsys.readouterr().out


def test_the_roll_names_the_node_that_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert Dns((NODES, NODES[:1])).call_the_roll() == 1
    said = capsys.readouterr().out
    assert "1 of 2 nodes after 60 s; not done: 192.0.2.2" in said
    assert "the reasons: kubectl logs" in said


def test_a_roll_without_a_pod_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert Dns(([], [])).call_the_roll() == 1
    assert "DNS knows no pod" in capsys.readouterr().out


def test_the_script_of_the_roll_runs_as_the_pod_runs_it(render: Render) -> None:
    (judge,) = hook(render(), "Pod", "test")
    (caller,) = judge["spec"]["containers"]
    program = [str(ZMBAN.with_name("python")), *caller["command"][1:], caller["args"][0]]
    done = subprocess.run(
        [*program, "no-such-name.invalid", "no-such-name.invalid", "0", "15", "cure"],
        capture_output=True, text=True, timeout=60, check=False, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, ""), done
    assert "0 of 0 nodes after 0 s" in done.stdout
