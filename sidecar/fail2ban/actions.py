"""What becomes of the actions that a jail names: bans become routes, no message is sent, no command run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sidecar.fail2ban.syntax.ini import Ini
from sidecar.fail2ban.syntax.naming import split_names

# Fail2Ban's own actions that refuse an address on this host, by the beginning of their names.
_BANS = (
    "apf", "blackhole", "bsd-ipfw", "firewallcmd-", "hostsdeny", "ipfilter", "ipfw", "iptables", "nftables",
    "nginx-block-map", "npf", "osx-", "pf", "route", "shorewall", "symbiosis-blacklist", "ufw", "dummy",
)  # fmt: skip
# Its own actions that write to somebody, or tell another place on the net.
_TELLS = (
    "abuseipdb", "apprise", "blocklist_de", "complain", "dshield", "ipthreat", "mail", "mynetwatchman",
    "sendmail", "smtp.py", "xarf-login-attack",
)  # fmt: skip
# What a "ban" does in a jail that opens a door for those who knock.
_LETS_IN = ("return", "accept", "allow")
_ELSEWHERE = ("cloudflare", "mikrotik", "netscaler", "nsupdate")


@dataclass(slots=True)
class Actions:
    """`bans`: whether any of them refuses the address on this host. `missing` (such as no file has), `errors`
    and `warnings` are sentences."""

    bans: bool = False
    missing: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def judge(text: str, files: Callable[[str], Ini | None]) -> Actions:
    """Read the value of `action`; `files` gives action.d/NAME of the configuration. ConfigError where the
    text is none."""
    found = Actions()
    for name, options in split_names(text):
        own = files(name)
        if _custom(name, own):
            found.errors.append(
                f"action {name} runs a command of its own, and zmban runs none for a ban: action = route "
                "refuses the address, and metrics and the service's log tell others of it"
            )
        elif name.startswith(_BANS):
            found.bans = True
            blocktype = options.get("blocktype", "").lower()
            if blocktype in _LETS_IN:
                found.errors.append(
                    f"action {name} with blocktype={blocktype.upper()} lets somebody in instead of refusing "
                    "him; a route cannot do that"
                )
        elif name.startswith(_TELLS):
            found.warnings.append(f"action {name} is not done: metrics and the service's log tell of bans")
        elif name.startswith(_ELSEWHERE):
            found.warnings.append(f"action {name} is not done: nobody is banned at another place from here")
        else:
            missing = "is not there" if own is None else "has no actionban"
            found.missing.append(f"action {name} {missing}; write action = route")
    return found


def _custom(name: str, own: Ini | None) -> bool:
    """Whether a file of the administrator's own says what to run; Fail2Ban's own files may be there too."""
    if own is None:
        return False
    known = name.startswith((*_BANS, *_TELLS, *_ELSEWHERE))
    command = own.sections.get("Definition", {}).get("actionban")
    if command is None:
        return False
    return not known or command.file.endswith(".local") or ".d/" in command.file.partition("action.d/")[2]
