"""Finds the logins from banned networks in logs, and the mail exchanged with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import tzinfo
from itertools import takewhile
from typing import NamedTuple

from sidecar.detect import grammar
from sidecar.detect.grammar import Trust
from sidecar.detect.grammar.addresses import address
from sidecar.detect.grammar.login_lines import lines_with
from sidecar.detect.login_notes import NoteReader
from sidecar.detect.prefilter.multipattern import Engine, Text, engine, refused
from sidecar.detect.prefilter.prefilter import Sifted
from sidecar.model import Instant
from sidecar.network import Network
from sidecar.offline.compare.ban_diff import BanDiff
from sidecar.offline.scan import parallel_scan

# Literals of a search: more take long to compile.
_MOST_LITERALS = 20_000
# A longer line shows no login.
_LONGEST = 4096
# Accounts remembered for each network.
_MOST_ACCOUNTS = 200


class Known(NamedTuple):
    """The accounts that logged in from a network, and whether it is a mail server with which mail was
    exchanged."""

    accounts: tuple[str, ...] = ()
    mail_server: bool = False

    def __bool__(self) -> bool:
        return bool(self.accounts) or self.mail_server


_NOT_KNOWN = Known()


class LoginSieve:
    """Finds the lines with one of the markers of logins that may contain an address of these networks."""

    def __init__(self, markers: Sequence[bytes], texts: Sequence[Text] | None) -> None:
        self._markers = tuple(markers)
        self._engine = engine(texts) if texts and refused() is None else None

    def sift(self, data: bytes) -> Sifted:
        """The wanted lines of a block of whole lines."""
        found = lines_with(data, self._markers) if self._engine is None else self._hit(data, self._engine)
        return Sifted(0, len(data), [(line, ()) for line in found])

    def _hit(self, data: bytes, searched: Engine) -> Iterator[bytes]:
        stop = -1
        for end, _ in searched.hits(data):
            if end > stop:
                begin, stop = data.rfind(b"\n", 0, end) + 1, data.find(b"\n", end)
                if stop < 0:
                    stop = len(data)
                line = data[begin:stop]
                if len(line) <= _LONGEST and any(marker in line for marker in self._markers):
                    yield line


def literals(networks: Callable[[], Iterable[Network]]) -> list[Text] | None:
    """Beginnings of addresses of which each address of these networks has one, whoever writes it: of up to
    four octets or groups. None if there are none, or too many."""
    for parts in (4, 3, 2):
        found: set[bytes] = set()
        for network in networks():
            found.add(_beginning(network, parts))
            if len(found) > _MOST_LITERALS:
                break
        else:
            return None if b"" in found else [Text(text, caseless=True) for text in found]
    return None


def _beginning(network: Network, parts: int) -> bytes:
    """How the addresses of a network begin; empty if they have nothing in common."""
    packed = network.packed
    if network.version == 4:
        octets = packed[: min(parts, network.length // 8)]
        text = ".".join(map(str, octets))
        return (text if len(octets) == 4 else f"{text}." if text else "").encode()
    # From the first zero on, an address may be written in several ways.
    groups = [f"{packed[i] << 8 | packed[i + 1]:x}" for i in range(0, network.length // 16 * 2, 2)]
    common = list(takewhile(lambda group: group != "0", groups[:parts]))
    return "".join(f"{group}:" for group in common).encode()


class KnownGoodHits:
    """The banned networks from which an account logged in, or with which mail was exchanged."""

    def __init__(self, bans: BanDiff) -> None:
        self._bans = bans
        # Per banned network the time of the last login of each account; "" is a mail server.
        self._seen: dict[Network, dict[str, Instant]] = {}

    def read(
        self,
        logs: Mapping[str, str],
        zone: tzinfo,
        trusts: Sequence[Trust],
        now: Instant,
        advance: Callable[[int], None],
    ) -> None:
        """Read logs: path, and the file name that selects the grammar. A login counts if one of `trusts`
        names its client. SourceError if a log cannot be read."""
        shown = {path: name for path, name in logs.items() if grammar.shows_logins(name)}
        count, texts = parallel_scan.processes(shown), literals(self._bans.networks)
        readers = [NoteReader(zone, trust, relays=0) for trust in trusts]
        for path, name in shown.items():
            kind = grammar.of_log(name) or ""
            sieve = LoginSieve(grammar.GRAMMARS[kind].logins, texts)
            for sifted in parallel_scan.prefiltered(path, sieve, count):
                data = b"\n".join(line for line, _ in sifted.candidates)
                for reader in readers:
                    for note in reader.of(path, data, now, name, everything=True):
                        # What a suspected proxy reports is not trusted.
                        if not note.through:
                            self._learn(note.client, note.account.casefold(), note.at)
                advance(sifted.bytes)

    def _learn(self, client: str, account: str, at: Instant) -> None:
        network = address(client)
        for banned in self._bans.around(network) if network is not None else ():
            accounts = self._seen.setdefault(banned, {})
            if account in accounts or len(accounts) < _MOST_ACCOUNTS:
                accounts[account] = max(at, accounts.get(account, at))

    def of(self, network: Network, since: Instant) -> Known:
        """Who logged in from a banned network since then."""
        if network not in self._seen:
            return _NOT_KNOWN
        recent = sorted(account for account, at in self._seen[network].items() if at > since)
        return Known(tuple(filter(None, recent)), "" in recent)
