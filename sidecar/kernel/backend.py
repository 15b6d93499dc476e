"""What a ban backend is, and the values that cross its boundary; not how a backend refuses packets."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, NamedTuple, Protocol, TypeAlias

from sidecar.model import KernelError
from sidecar.network import Network


class Entry(Enum):
    """What an entry of the ban list says of its network: refuse it, or keep it reachable under a wider ban.

    The longest matching prefix applies.
    """

    BAN = "ban"
    EXEMPT = "exempt"


# One entry per network.
Entries: TypeAlias = Mapping[Network, Entry]
NOTHING: Entries = {}

# Documentation and benchmark addresses, which no host has. A host with a default route finds a route to each
# of them that is not banned: the control for `lets_through`.
STRANGERS = {
    4: tuple(map(Network.parse, ("203.0.113.254", "198.51.100.254", "192.0.2.254", "198.18.255.254"))),
    6: tuple(map(Network.parse, ("2001:db8:ffff::1", "3fff:fff::1"))),
}


class NoNetAdmin(KernelError):  # noqa: N818 - named after the capability, as people search for it
    """The process may not change the ban list; only the administrator can change that."""

    def __init__(self) -> None:
        super().__init__(
            "zmban may not write routes: add `cap_add: [NET_ADMIN]` to its service in the compose file."
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """What to write. A network whose entry changes is in both: the old entry is removed before the new one is
    added. `doubles` are networks with several entries of ours."""

    add: Entries
    remove: dict[Network, Entry]
    doubles: frozenset[Network] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.add or self.remove or self.doubles)

    def only(self, networks: Collection[Network]) -> Difference:
        """The part of it that concerns these networks."""
        add, remove = (
            {n: entry for n, entry in part.items() if n in networks} for part in (self.add, self.remove)
        )
        return Difference(add, remove, self.doubles.intersection(networks))


class EntryFault(NamedTuple):
    """An entry that is not as wanted. `code` is an errno, 0 if zmban itself refused to write the entry;
    `text` is the whole sentence, in the words of the backend."""

    network: Network
    entry: Entry
    code: int
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Count:
    """The entries of one family: all of them, the exemptions among them, and the number of refused addresses
    (nested networks counted once, exemptions subtracted)."""

    entries: int = 0
    exempt: int = 0
    addresses: int = 0


@dataclass(frozen=True, slots=True)
class Way:
    """How packets from banned senders of this family are dropped on an interface with a default route: by
    `rp_filter`, by our `rule`, or not, so that only the `reply` is dropped."""

    interface: str
    version: int
    how: Literal["rp_filter", "rule", "reply"]


@dataclass(slots=True)
class Heard:
    """What other programs changed since the last read.

    `entries` are changed entries of ours, as they are now (None: removed). `attachment`: what makes packets
    consult the list may have changed; `ingress`: something that drops incoming packets was removed; `around`:
    an address or the default route of the host changed; `lost`: more was announced than fitted into the
    buffer.
    """

    entries: dict[Network, Entry | None] = field(default_factory=dict)
    attachment: bool = False
    ingress: bool = False
    around: bool = False
    lost: bool = False


class Changes(Protocol):
    """Announcements of what other programs change. Every method may raise KernelError."""

    def filenos(self) -> Sequence[int]:
        """File descriptors; one of them becomes readable when there is something to read."""

    def read(self) -> Heard:
        """Everything announced so far; never blocks."""

    def close(self) -> None:
        """Stop listening."""


class EntryList(Protocol):
    """The entries of a backend. Every method may raise KernelError; those that write, NoNetAdmin.

    `write`, `erase`, `add` and `remove` are called from the event loop's thread, with at most 1,000 networks,
    and take milliseconds. `present` and `differs` take a second for a million entries and run in another
    thread at the same time.
    """

    @property
    def versions(self) -> tuple[int, ...]:
        """The families in which bans are enforced: (4, 6), or (4,) on a host without IPv6. No other is
        written."""

    @property
    def can_exempt(self) -> bool:
        """Whether a network can be kept reachable under a wider ban. If not, no EXEMPT is ever written."""

    def present(self) -> dict[Network, Entry]:
        """The entries as they are now."""

    def differs(self, wanted: Entries) -> Difference:
        """What must be written so that `wanted` is present, as one dump shows it. If entries are written
        meanwhile this is a suspicion, which the result of the write confirms or refutes."""

    def write(self, entry: Entry, networks: Sequence[Network]) -> Mapping[Network, int]:
        """Add these entries. Returns the errno of each that was not added: EEXIST if something is there
        already, ENOBUFS if the result is not known."""

    def erase(self, entry: Entry, networks: Sequence[Network]) -> Mapping[Network, int]:
        """Remove these entries. Returns the errno of each that was not removed: ESRCH if there was none."""

    def add(self, network: Network, entry: Entry = Entry.BAN) -> None:
        """Add one entry, in place of an entry of ours; no effect if it is there already, or if its family is
        not enforced. KernelError if something that is not ours is in the way."""

    def remove(self, network: Network) -> None:
        """Remove our entry for exactly this network; no effect if there is none."""

    def fault(self, network: Network, entry: Entry, code: int) -> EntryFault:
        """Explain why an entry cannot be written; `code` is what `write` returned, 0 for a ban that would cut
        off an exempted network because the backend cannot exempt."""


class BanBackend(EntryList, Protocol):
    """A place in the kernel that refuses packets of banned networks.

    A backend is a class that inherits from this one, and an entry in `registry.BACKENDS`; one contract test
    runs over all of them. A backend without changes or ingress inherits those methods as they are here.
    `detached`, `lets_through` and `fault` return sentences, because only the backend can name what is wrong.
    """

    @property
    def enforces(self) -> bool:
        """Whether entries refuse packets; False if bans are only remembered, as in a dry run."""
        return True

    def can_write(self) -> bool:
        """Whether the process has the rights; changes nothing."""

    def attach(self) -> tuple[int, ...]:
        """Make packets consult the list. Returns the families in which they did not before."""

    def detached(self) -> Mapping[int, str]:
        """The families in which packets do not consult the list, each with the reason."""

    def lets_through(self, network: Network) -> str | None:
        """None if packets to this single address are refused, or cannot be sent at all; else what explains
        that they are sent, or an empty text if nothing does."""

    def refuses(self, network: Network) -> bool:
        """Whether an entry, ours or not, refuses packets to this single address."""

    def ensure_ingress(self) -> int:
        """Drop incoming packets of banned senders where the list alone drops only the replies. Returns how
        many rules for it another program had removed."""
        return 0

    def dropped(self) -> int:
        """How many incoming packets were dropped since the last call."""
        return 0

    def ways(self) -> tuple[Way, ...]:
        """How incoming packets of banned senders are dropped, as of the last `ensure_ingress`."""
        return ()

    def changes(self) -> Changes | None:
        """Announcements of what other programs change; None if the backend has none."""
        return None

    def flush(self, bans: Sequence[Network] = (), *, everywhere: bool = True) -> int:
        """Remove all entries, and everything that `attach` and `ensure_ingress` made. With `everywhere` also
        what earlier runs left that had other settings. `bans` go first, in this order: that in which they
        were written is the fastest. Returns how many entries were removed from the kernel."""

    def close(self) -> None:
        """Release sockets; entries stay."""
