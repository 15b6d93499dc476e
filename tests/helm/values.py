"""Sets of values: those of helm/zmban/ci, and mistakes with what helm answers to them."""

from __future__ import annotations

from typing import Any

import yaml

from tests.helm.conftest import CHART

SETS: dict[str, dict[str, Any]] = {
    file.name.removesuffix("-values.yaml"): yaml.safe_load(file.read_text(encoding="utf-8"))
    for file in sorted((CHART / "ci").glob("*-values.yaml"))
}
EVERYTHING, SPARSE = SETS["everything"], SETS["sparse"]

# Refused by the schema.
TYPOS: dict[str, dict[str, Any]] = {
    "an unknown value": {"dryrun": True},
    "an unknown value further in": {"image": {"tagg": "1"}},
    "a probe of another kind": {"livenessProbe": {"exec": {"command": ["true"]}}},
    "a port that is a name": {"http": {"port": "http"}},
    "a port out of range": {"metrics": {"port": 70000}},
    "another address than loopback and the node's": {"metrics": {"bind": "0.0.0.0"}},
    "a relative path": {"logs": {"zimbra": {"hostPath": "opt/zimbra/log"}}},
    "a path that climbs": {"state": {"hostPath": "/var/lib/../../etc"}},
    "a pattern that climbs": {"logs": {"own": {"kubelet": "*/../../x", "options": {"zimbra_log": "x"}}}},
    "a pattern that Fail2Ban would fill in": {
        "logs": {"own": {"stdout": True, "options": {"zimbra_log": "%(x)s"}}}
    },
    "a pattern that would be two lines": {
        "logs": {"own": {"stdout": True, "options": {"zimbra_log": "x\n[y]"}}}
    },
    "no logs at all": {"logs": {"zimbra": None, "syslog": None}},
    "a jail file that Fail2Ban would not read": {"jails": {"zimbra": "[zimbra-smtp]\n"}},
    "a jail file elsewhere": {"jails": {"../zmban.conf": "[zimbra-smtp]\n"}},
    "a jail that is no text": {"jails": {"zimbra.local": {"maxretry": 5}}},
    "an unknown section": {"settings": {"trusted": {}}},
    "an unknown key": {"settings": {"trust": {"proxy": ["10.0.0.5"]}}},
    "a webhook that is none": {"settings": {"notify": {"webhooks": ["ftp://x/"]}}},
    "an event that is none": {"settings": {"notify": {"events": ["bans"]}}},
    "an action for nested names that is none": {"settings": {"domains": {"nested": "drop"}}},
    "a protected name that is no domain": {"settings": {"domains": {"protect": ["com"]}}},
    "a Redis with a password in its address": {"cluster": {"url": "redis://:secret@redis:6379"}},
    "a Redis of another scheme": {"settings": {"cluster": {"url": "http://redis:6379"}}},
    "a mail server without a scheme": {"settings": {"notify": {"smtp": "mail.example.com:25"}}},
    "a word for the table": {"settings": {"kernel": {"table": "local"}}},
    "a prefix longer than an address": {"settings": {"kernel": {"widest_ipv4": 33}}},
    "an address that the probes would not find": {"settings": {"serve": {"listen": "0.0.0.0:80"}}},
    "a surge on the host's own ports": {"updateStrategy": {"rollingUpdate": {"maxSurge": 1}}},
    "a taint effect that is none": {"tolerations": [{"operator": "Exists", "effect": "NoShedule"}]},
    "an affinity that is misspelt": {"affinity": {"nodeAffinity": {"requiredDuringScheduling": {}}}},
    "a label that is no text": {"nodeSelector": {"zimbra": True}},
    "a variable without a name": {"extraEnv": [{"value": "x"}]},
    "an argument that is a command": {"extraArgs": ["flush"]},
    "an interval without a unit": {"serviceMonitor": {"interval": "30"}},
    "more rights": {"securityContext": {"privileged": True}},
    "another end of an installation": {"uninstall": "delete"},
    "a ConfigMap laid elsewhere": {
        "existingConfigMaps": [{"name": "x", "items": [{"key": "a", "path": "../a"}]}]
    },
}

# Refused by templates/_refusals.tpl, with a sentence that names the value and the cure.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no image": ({"image": {"repository": ""}}, "image.repository is empty: build the image"),
    "a label of the chart": (
        {"podLabels": {"app.kubernetes.io/instance": "x"}},
        "podLabels: app.kubernetes.io/instance is set by the chart or by Kubernetes; use a name of your own",
    ),
    "a label of Kubernetes": ({"podLabels": {"controller-revision-hash": "x"}}, "use a name of your own"),
    "a log from nowhere": (
        {"logs": {"own": {"mountPath": "/logs"}}},
        "logs.own has 0 places (): give exactly one of hostPath, persistentVolumeClaim, kubelet, stdout",
    ),
    "a log from two places": (
        {"logs": {"zimbra": {"stdout": True, "options": {"zimbra_log": "x"}}}},
        "logs.zimbra has 2 places (hostPath, stdout)",
    ),
    "a log without a place to mount it": (
        {"logs": {"own": {"hostPath": "/srv/log"}}},
        "logs.own has no mountPath: give the path that the jails name",
    ),
    "a log that no jail would read": (
        {"logs": {"own": {"stdout": True}}},
        "logs.own has no options, so no jail",
    ),
    "the root as a mount path": (
        {"logs": {"own": {"hostPath": "/srv", "mountPath": "/"}}},
        "/ would hide /etc/zmban, which zmban needs; mount it elsewhere",
    ),
    "a mount over the program": (
        {"logs": {"own": {"hostPath": "/srv", "mountPath": "/opt/zmban/bin"}}},
        "/opt/zmban/bin would hide /opt/zmban",
    ),
    "a mount over the configuration": (
        {"logs": {"own": {"hostPath": "/srv", "mountPath": "/etc/"}}},
        "/etc would hide /etc/zmban",
    ),
    "a mount over the shipped filters": (
        {"extraVolumeMounts": [{"name": "x", "mountPath": "/usr/share/zmban"}]},
        "extraVolumeMounts[0]: /usr/share/zmban would hide /usr",
    ),
    "two logs in one place": (
        {"logs": {"own": {"hostPath": "/srv", "mountPath": "/var/log/"}}},
        "/var/log is mounted twice",
    ),
    "a volume of the chart": (
        {"extraVolumes": [{"name": "state", "emptyDir": {}}]},
        "extraVolumes: state is a volume of the chart; choose another name",
    ),
    "the address that the probes ask": (
        {"extraEnv": [{"name": "ZMBAN_SERVE_LISTEN", "value": "0.0.0.0:80"}]},
        "ZMBAN_SERVE_LISTEN is set by the chart; use http.port",
    ),
    "both value and valueFrom": (
        {"extraEnv": [{"name": "TZ", "value": "UTC", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]},
        "TZ has both value and valueFrom; keep one of them",
    ),
    "neither value nor valueFrom": ({"extraEnv": [{"name": "TZ"}]}, "TZ has neither value nor valueFrom"),
    "a variable twice": (
        {"extraEnv": [{"name": "TZ", "value": "UTC"}, {"name": "TZ", "value": "CET"}]},
        "TZ is given twice",
    ),
    "an argument that a value has": (
        {"extraArgs": ["--listen=0.0.0.0:80"]},
        "--listen is set by the chart; use http.port",
    ),
    "the kernel's table 0": ({"settings": {"kernel": {"table": 0}}}, "0 is one of the kernel's own tables"),
    "the kernel's table 253": (
        {"settings": {"kernel": {"table": 253}}},
        "write an unused number such as 2520",
    ),
    "the kernel's table 255": (
        {"settings": {"kernel": {"table": 255}}},
        "write an unused number such as 2520",
    ),
    "a name for a network": (
        {"settings": {"trust": {"admins": ["office.example.com"]}}},
        "settings.trust.admins: office.example.com is not a network; write an address or ADDRESS/LENGTH",
    ),
    "an octet out of range": ({"settings": {"trust": {"nodes": ["192.0.2.256"]}}}, "is not a network"),
    "a prefix out of range": ({"settings": {"trust": {"own": ["192.0.2.0/33"]}}}, "is not a network"),
    "an IPv6 prefix out of range": ({"settings": {"trust": {"own": ["2001:db8::/129"]}}}, "is not a network"),
    "an IPv6 address that is none": ({"settings": {"trust": {"own": ["2001:db8:::1"]}}}, "is not a network"),
    "a timeout over the interval": (
        {"serviceMonitor": {"interval": "1m", "scrapeTimeout": "90s"}},
        "serviceMonitor.scrapeTimeout 90s is longer than the interval 1m",
    ),
    "a monitor of the loopback": (
        {"serviceMonitor": {"enabled": True}},
        "serviceMonitor.enabled needs metrics.enabled: true and metrics.bind: hostIP",
    ),
    "a monitor with nothing to scrape": (
        {"podMonitor": {"enabled": True}, "metrics": {"enabled": False}},
        "podMonitor.enabled needs metrics.enabled: true",
    ),
    "two monitors": (
        {"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}, "metrics": {"bind": "hostIP"}},
        "would be scraped twice; disable one of them",
    ),
    "TLS for the loopback": (
        {"metrics": {"webConfig": {"existingSecret": "x"}}},
        "metrics.webConfig needs metrics.bind: hostIP",
    ),
    "one port twice": (
        {"metrics": {"bind": "hostIP", "port": 9177}},
        "http.port and metrics.port are both 9177",
    ),
    "settings twice": (
        {
            "settings": {"trust": {"ask_zimbra": True}},
            "existingConfigMaps": [{"name": "x", "items": [{"key": "t", "path": "zmban.toml"}]}],
        },
        "settings and an existing zmban.toml are both given; keep one of them",
    ),
    "a jail file twice": (
        {
            "jails": {"a.local": "[zimbra-smtp]\n"},
            "existingSecrets": [{"name": "x", "items": [{"key": "a", "path": "jail.d/a.local"}]}],
        },
        "x: jail.d/a.local is given already by jails; rename one of them",
    ),
}
