"""The shapes of the JSON that the API answers, for its OpenAPI document. Times are epoch seconds."""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict

from sidecar.store.rows import Past


class BanAnswer(TypedDict):
    """An active ban. `row`: its place in the list; `folded`: the number of banned networks inside;
    `folded_into`: a wider banned network around it."""

    network: str
    jail: str
    since: float
    until: float | None
    count: int
    origin: str
    reason: str
    by: str
    enforced: bool
    suspended: str | None
    dry: bool
    failures: int
    folded: int
    folded_into: str | None
    row: NotRequired[int]
    evidence: NotRequired[list[str]]


class BansAnswer(TypedDict):
    """A part of a list of bans, newest first. `total` and `offset` count networks."""

    bans: list[BanAnswer]
    total: int
    offset: int
    next: int | None
    view: str


class Others(TypedDict):
    """Other banned networks: how many, and the first of them."""

    network: str
    total: int
    bans: list[BanAnswer]


class Kernel(TypedDict):
    """Whether the kernel refuses packets to a network now, and why not."""

    refused: bool
    told: str


class Account(TypedDict):
    """An account, and the number of lines that name it."""

    account: str
    lines: int


class Failing(TypedDict):
    """The failures of a network in a jail."""

    network: str
    jail: str
    failures: int
    maxretry: int


class SubjectAnswer(TypedDict):
    """All that is known of one network."""

    network: str
    bans: list[BanAnswer]
    covering: list[BanAnswer]
    inside: Others
    neighbours: Others
    accounts: list[Account]
    failures: list[Failing]
    protected: list[str]
    kernel: Kernel
    covers: dict[str, int]
    history: list[Past]


class JailAnswer(TypedDict):
    """A running jail. `switched`: dry run as switched at run time, None as configured; `near_misses`:
    networks with one failure less than maxretry. The counters count since the start."""

    jail: str
    state: str
    why: list[str]
    banned: int
    dry_bans: int
    failing: int
    near_misses: int
    maxretry: int
    findtime: float
    bantime: float | None
    dry_run: bool
    switched: bool | None
    logs: list[str]
    matches: int
    failures: int
    bans: int
    refused: dict[str, int]


class StoppedJail(TypedDict):
    """An enabled jail that cannot run."""

    jail: str
    why: str


class JailsAnswer(TypedDict):
    """All enabled jails."""

    jails: list[JailAnswer]
    stopped: list[StoppedJail]


class Setting(TypedDict):
    """An option of a jail as its files say it; `file` None: nothing sets it."""

    option: str
    value: str
    file: str | None
    line: int | None


class RegexHits(TypedDict):
    """A failregex, where it stands, and the number of lines that it matched since the start."""

    regex: str
    file: str
    line: int
    hits: int


class OneJailAnswer(JailAnswer):
    """A jail with its settings, regexes and near misses."""

    missed: list[Failing]
    settings: list[Setting]
    regexes: list[RegexHits]


class LogAnswer(TypedDict):
    """A log that a jail names. `lag`: seconds between the writing of the last block and its reading."""

    source: str
    up: bool
    followed: bool
    lines: int
    candidates: int
    bytes: int
    last_line: float | None
    lag: float | None
    zone: str | None
    zone_learnt: bool
    caught_up: bool
    error: str | None
    jails: list[str]


class LogsAnswer(TypedDict):
    """All logs."""

    logs: list[LogAnswer]


class AllowedAnswer(TypedDict):
    """A network that an administrator exempted from bans."""

    network: str
    since: float
    until: float | None
    reason: str
    by: str


class AllowedListAnswer(TypedDict):
    """All networks that are exempted from bans by hand."""

    allowed: list[AllowedAnswer]


class Acted(TypedDict):
    """The result for one network; `reason` says why it was refused, or repeats the reason given."""

    network: str
    result: str
    reason: NotRequired[str]
    covers: NotRequired[dict[str, int]]
    why: NotRequired[list[str]]
    still_covered_by: NotRequired[list[str]]
    suspended: NotRequired[int]
    enforced: NotRequired[int]


class ActedAnswer(TypedDict):
    """One result per network."""

    answers: list[Acted]


class Hit(TypedDict):
    """A line that a failregex matched, and whom it blames. `framed`: the server names another client."""

    line: str
    host: str | None
    framed: bool


class Host(TypedDict):
    """A network that a failregex would count failures for."""

    network: str
    failures: int
    known_good: bool
    protected: str | None


class TryAnswer(TypedDict):
    """What a failregex would do with the last lines of a log. `aborted`: why not all lines were read."""

    log: str
    lines: int
    matched: int
    framed: int
    hits: list[Hit]
    hosts: list[Host]
    known_good: int
    aborted: str | None
    seconds: float


class ExplainAnswer(TypedDict):
    """Why an address, a network or an account is or is not banned; or what lines of a log do."""

    subject: NotRequired[str]
    verdict: NotRequired[str]
    bans: NotRequired[list[dict[str, Any]]]
    failures: NotRequired[list[Failing]]
    protected: NotRequired[list[str]]
    kinds: NotRequired[list[str]]
    lines: NotRequired[list[dict[str, Any]]]


class SwitchAnswer(TypedDict):
    """Whether a jail runs dry, and whether that was switched at run time."""

    jail: str
    dry_run: bool | None
    switched: bool | None


class PreviewAnswer(TypedDict):
    """What a ban of a network would do. `refused`: why it must not be banned; `confirm`: it needs `yes`."""

    network: str
    refused: str | None
    confirm: bool
    why: list[str]
    covers: dict[str, int]
