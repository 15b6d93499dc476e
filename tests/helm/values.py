"""Sets of values as in real installations, by their purpose."""

from __future__ import annotations

from typing import Any

EVERYTHING: dict[str, Any] = {
    "image": {
        "repository": "registry.example.com:5000/mail/zmban",
        "digest": "sha256:" + "0123456789abcdef" * 4,
    },
    "imagePullSecrets": [{"name": "registry"}],
    "fullnameOverride": "guard",
    "dryRun": True,
    "logs": {
        "syslog": {"hostPath": "/srv/zimbra/syslog"},
        "second": {"hostPath": "/srv/b", "mountPath": "/logs/b"},
    },
    "jails": {"zimbra.local": "[zimbra-smtp]\nmaxretry = 5\nfindtime = 360000000\n"},
    "filters": {"own.conf": '[Definition]\nfailregex = ^ "x\\d+" {{ <HOST> }} é$\n'},
    "settings": {
        "trust": {
            "proxies": ["10.0.0.5", "2001:db8::/64"],
            "admins": ["192.0.2.0/24"],
            "ssh_ports": [22, 2222],
            "ask_zimbra": False,
        },
        "kernel": {"table": 3000000, "on_stop": "flush"},
        "notify": {
            "events": ["brake", "digest"],
            "webhooks": ["slack+https://hooks.example.com/x"],
            "webhooks_file": "/run/secrets/zmban/webhooks",
            "mail_to": ["postmaster@example.com"],
            "smtp": "smtp+starttls://mail.example.com:587",
        },
        "domains": {"protect": ["example.com"], "nested": "reject"},
    },
    "notifySecret": "zmban-webhooks",
    "fail2ban": {"hostPath": "/etc/fail2ban"},
    "domains": {"hostPath": "/srv/zimbra/zmban"},
    "http": {"port": 19177},
    "metrics": {"address": "[$(HOST_IP)]", "port": 19178},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}, "scrapeTimeout": "10s"},
    "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
    "dashboard": {"enabled": True},
    "nodeSelector": {"mail.example.com/zimbra": "true"},
    "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "mail", "effect": "NoSchedule"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "mail", "operator": "Exists"}]}]
            }
        }
    },
    "updateStrategy": {"rollingUpdate": {"maxUnavailable": "25%"}},
    "extraEnv": [
        {"name": "ZMBAN_TRUST_NODES", "valueFrom": {"configMapKeyRef": {"name": "site", "key": "nodes"}}},
        {"name": "TZ", "value": "Europe/Zurich"},
    ],
    "podAnnotations": {"example.com/team": "mail"},
    "podLabels": {"example.com/tier": "edge"},
}

SPARSE: dict[str, Any] = {
    "logs": {"syslog": None},
    "localtime": {"hostPath": ""},
    "metrics": {"enabled": False},
    "priorityClassName": "",
    "resources": {"limits": {"memory": "2Gi"}},
    "updateStrategy": {"type": "OnDelete", "rollingUpdate": None},
}

SETS: dict[str, dict[str, Any]] = {"defaults": {}, "everything": EVERYTHING, "sparse": SPARSE}

TYPOS: dict[str, dict[str, Any]] = {
    "an unknown value": {"dryrun": True},
    "an unknown value further in": {"image": {"tagg": "1"}},
    "a probe of another kind": {"livenessProbe": {"exec": {"command": ["true"]}}},
    "a port that is a name": {"http": {"port": "http"}},
    "a port out of range": {"metrics": {"port": 70000}},
    "a log without a place to mount it": {"logs": {"own": {"hostPath": "/var/log"}}},
    "a relative path": {"logs": {"zimbra": {"hostPath": "opt/zimbra/log"}}},
    "a path that climbs": {"state": {"hostPath": "/var/lib/../../etc"}},
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
    "a mail server without a scheme": {"settings": {"notify": {"smtp": "mail.example.com:25"}}},
    "a name for a network": {"settings": {"trust": {"admins": ["office.example.com"]}}},
    "a word for the table": {"settings": {"kernel": {"table": "local"}}},
    "an address that the probes would not find": {"settings": {"serve": {"listen": "0.0.0.0:80"}}},
    "a surge on the host's own ports": {"updateStrategy": {"rollingUpdate": {"maxSurge": 1}}},
    "a taint effect that is none": {"tolerations": [{"operator": "Exists", "effect": "NoShedule"}]},
    "a label that is no text": {"nodeSelector": {"zimbra": True}},
    "a variable without a name": {"extraEnv": [{"value": "x"}]},
    "an interval without a unit": {"serviceMonitor": {"interval": "30"}},
    "a monitor with nothing to scrape": {"serviceMonitor": {"enabled": True}, "metrics": {"enabled": False}},
}
