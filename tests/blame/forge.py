"""Forges log lines: puts the text of every sample, with a victim's address, into every field that a client controls,
of every other sample, in the form in which the server writes it."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SAMPLES = Path(__file__).parents[1] / "samples"
ATTACKER, VICTIM = "203.0.113.7", "198.51.100.99"
ATTACKER6, VICTIM6 = "2001:db8::7", "2001:db8:99::99"
# Characters that end a value, a field or a line in some log; inserted before, behind and within forged text.
_MARKS = (
    "",
    "",
    " ",
    "]",
    "] ",
    ">",
    '"',
    '", ',
    "; ",
    ";;",
    ";",
    ", ",
    ": ",
    "> ",
    "[]",
    "] [",
    ")",
    "\n",
    "\r\n",
)

Escape = Callable[[str], str]
RuntimeOptions = tuple[int, int, Escape]


def _printable(text: str) -> str:
    """Postfix: unprintable characters become question marks."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _hostname(text: str) -> str:
    """Postfix: a reverse name is a valid host name, else "unknown"."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text)[:60].strip("-.") or "x"


def _context(text: str) -> str:
    """mailboxd: ZimbraLog.encodeArg."""
    return text.replace(";", ";;").replace("\r", " ").replace("\n", " ")


def _message(text: str) -> str:
    return text.replace("\r", " ").replace("\n", " ")


def _forwarded(text: str) -> str:
    """X-Forwarded-For of the client, to which nginx appends the client's address."""
    return _context(text) + ", "


def _identified(text: str) -> str:
    """The client's IMAP ID or POP XOIP, without a proxy of Zimbra in between."""
    return f"oip={_context(text)};via={_context(text)};"


def _url(text: str) -> str:
    """A URL: without spaces."""
    return re.sub(r"\s", "%20", text)


def _raw(text: str) -> str:
    """nginx's error log: nothing is escaped, and a newline ends the line."""
    return text.replace("\r", "").replace("\n", "")


def _variable(text: str) -> str:
    """A variable in nginx's access log."""
    return "".join(
        c if c not in '"\\' and c.isprintable() and c.isascii() else f"\\x{ord(c) & 255:02X}" for c in text
    )


def _quoted(text: str) -> str:
    """A variable in Jetty's access log."""
    return _raw(text).replace("\\", "\\\\").replace('"', '\\"')


_POSTFIX: list[tuple[str, Escape]] = [
    (r"helo=<([^>]*)>$", _printable),
    (r" from=<([^>]*)>", _printable),
    (r" to=<([^>]*)>", _printable),
    (r"non-SMTP command from \S+: (.*)$", _printable),
    (r"PREGREET [\d.]+ after [\d.]+ from \S+: (.*)$", _printable),
    (r"improper command pipelining after [A-Z]+ from \S+: (.*)$", _printable),
    (r"sasl_username=(.*)$", _printable),
    (r"(?:from |warning: |client=)([\w.-]+)\[", _hostname),
]
_LOG4J: list[tuple[str, Escape]] = [
    (r"\bua=((?:[^;]|;;)*);", _context),
    (r"\] ?\[(?:(?:[^;\]]|;;)*;)*?oip=()", _forwarded),
    (r"\[(?:Imap|Pop3)\w*-\d+\] \[ip=203\.0\.113\.7;()", _identified),
    (r"failed for \[([^\]]*)\]", _message),
    (r"\baccount=((?:[^;]|;;)*);", _context),
    (r"\[[\w-]+:(\S+)\] ?\[", _url),
]
_NGINX: list[tuple[str, Escape]] = [
    (r'request: "([^"]*)"', _raw),
    (r'host: "([^"]*)"', _raw),
    (r'referrer: "([^"]*)"', _raw),
    (r'login: "([^"]*)"', _raw),
    (r'open\(\) "([^"]*)"', _raw),
]


def _accessed(escape: Escape) -> list[tuple[str, Escape]]:
    """The fields of an access log line that a client controls."""
    return [
        (r'\] {1,2}"(?:[A-Z]+ )?(\S+) HTTP', lambda text: _url(escape(text))),
        (r'\]  ?"([^" ]+)" 400', escape),
        (r'" \d{3} \d+ "([^"]*)"', escape),
        (r'" \d{3} \d+ "[^"]*" "([^"]*)"', escape),
        (r" - (\S+) \[", escape),
    ]


FIELDS: dict[str, list[tuple[str, Escape]]] = {
    "zimbra.log": _POSTFIX,
    "mailbox.log": _LOG4J,
    "audit.log": _LOG4J,
    "nginx.log": _NGINX,
    "sync.log": _LOG4J,
    "nginx.access.log": _accessed(_variable),
    "access_log": _accessed(_quoted),
}
_USUAL = {"zimbra-smtp": "zimbra.log", "zimbra-mail": "mailbox.log", "zimbra-nginx": "nginx.log"}


@dataclass(frozen=True, slots=True)
class Sample:
    """A log line, and whether its filter finds the attacker in it."""

    log: str
    filter: str
    line: str
    found: bool
    host: str | None


@dataclass(frozen=True, slots=True)
class Forged:
    """A line of `sample` with text that its attacker inserted."""

    sample: Sample
    line: str


Finds = Callable[[Sample, str], bool]


@cache
def samples() -> list[Sample]:
    """All samples whose client, if there is one, is the attacker."""
    found = []
    for path in sorted(SAMPLES.glob("*.jsonl")):
        for text in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(text)
            log = record.get("log", _USUAL.get(path.stem, ""))
            if log in FIELDS and "options" not in record:
                host = record.get("host")
                found.append(Sample(log, path.stem, record["line"], record["found"] and bool(host), host))
    return found


def forged(count: int, seed: int, finds: Finds) -> Iterator[Forged]:
    """Generates `count` lines, the same for the same seed. `finds`: whether a filter finds the attacker of its
    sample in a line. Text that the filter needs is kept; forged text is put behind it."""
    chance = random.Random(seed)
    known = samples()
    texts = [_of_victim(sample.line) for sample in known]
    fields = {sample: _fields(sample, finds) for sample in known if VICTIM not in sample.line}
    bases = [sample for sample, places in fields.items() if places]
    for _ in range(count):
        sample = chance.choice(bases)
        line = sample.line
        places = fields[sample]
        # From the end of the line, so that earlier offsets stay valid.
        for start, end, escape in sorted(
            chance.sample(places, chance.randint(1, min(2, len(places)))), reverse=True
        ):
            line = line[:start] + escape(_text(chance, texts))[:4000] + line[end:]
        yield Forged(sample, line)


def _fields(sample: Sample, finds: Finds) -> list[RuntimeOptions]:
    places = []
    for pattern, escape in FIELDS[sample.log]:
        found = re.search(pattern, sample.line)
        if found is None:
            continue
        start, end = found.span(1)

        def with_text(text: str, start: int = start, end: int = end) -> str:
            return sample.line[:start] + text + sample.line[end:]

        if not sample.found or finds(sample, with_text("x")):
            places.append((start, end, escape))
        elif finds(sample, with_text(found[1] + "x")):
            places.append((end, end, escape))
    return places


def _text(chance: random.Random, texts: list[str]) -> str:
    """Another line, or a part of it, between separators."""
    text = chance.choice(texts)
    if chance.random() < 0.5:
        first = chance.randrange(len(text))
        text = text[first:] if chance.random() < 0.7 else text[: first + 1]
    if chance.random() < 0.2:
        text = text + chance.choice(_MARKS) + chance.choice(texts)
    return chance.choice(_MARKS) + text + chance.choice(_MARKS)


def _of_victim(line: str) -> str:
    return line.replace(ATTACKER6, VICTIM6).replace(ATTACKER, VICTIM)
