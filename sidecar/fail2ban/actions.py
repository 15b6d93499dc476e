"""Checks the `action` of a jail: blocking actions become routes; notifications and commands are not run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sidecar.fail2ban.syntax.ini import Ini
from sidecar.fail2ban.syntax.naming import split_names

# Fail2Ban's actions that block an address on this host, by the prefix of their names.
_BANS = (
    "apf", "blackhole", "bsd-ipfw", "firewallcmd-", "hostsdeny", "ipfilter", "ipfw", "iptables", "nftables",
    "nginx-block-map", "npf", "osx-", "pf", "route", "shorewall", "symbiosis-blacklist", "ufw", "dummy",
)  # fmt: skip
# Fail2Ban's actions that send a notification.
_NOTIFIES = (
    "abuseipdb", "apprise", "blocklist_de", "complain", "dshield", "ipthreat", "mail", "mynetwatchman",
    "sendmail", "smtp.py", "xarf-login-attack",
)  # fmt: skip
# Block types of jails that admit an address on a "ban" (port knocking).
_ADMITTING = ("return", "accept", "allow")
_ELSEWHERE = ("cloudflare", "mikrotik", "netscaler", "nsupdate")


@dataclass(slots=True)
class Actions:
    """The result of a check. `bans`: at least one action blocks the address on this host. `missing` (actions
    without a file), `errors` and `warnings` are messages."""

    bans: bool = False
    missing: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def judge(text: str, files: Callable[[str], Ini | None]) -> Actions:
    """Check the value of `action`; `files` returns action.d/NAME of the configuration. Raises ConfigError if
    the value cannot be parsed."""
    found = Actions()
    for name, options in split_names(text):
        own = files(name)
        if _custom(name, own):
            found.errors.append(
                f"action {name} runs a custom command, and zmban runs no commands; write action = route to "
                "block the address, and use metrics or the service's log for notifications"
            )
        elif name.startswith(_BANS):
            found.bans = True
            blocktype = options.get("blocktype", "").lower()
            if blocktype in _ADMITTING:
                found.errors.append(
                    f"action {name} with blocktype={blocktype.upper()} admits the address instead of "
                    "blocking it; a route cannot do that"
                )
        elif name.startswith(_NOTIFIES):
            found.warnings.append(
                f"action {name} is not run: bans are reported in the metrics and in the service's log"
            )
        elif name.startswith(_ELSEWHERE):
            found.warnings.append(f"action {name} is not run: zmban bans on this host only")
        else:
            missing = "not found" if own is None else "has no actionban"
            found.missing.append(f"action {name} {missing}; write action = route")
    return found


def _custom(name: str, own: Ini | None) -> bool:
    """Whether the administrator's own file defines the command; Fail2Ban's stock files do not count."""
    if own is None:
        return False
    known = name.startswith((*_BANS, *_NOTIFIES, *_ELSEWHERE))
    command = own.sections.get("Definition", {}).get("actionban")
    if command is None:
        return False
    return not known or command.file.endswith(".local") or ".d/" in command.file.partition("action.d/")[2]
