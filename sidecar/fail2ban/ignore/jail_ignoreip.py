"""The `ignoreip` of a jail, with what its invalid entries, lost references and misspelt options mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from difflib import get_close_matches

from sidecar.fail2ban.ignore import ignoreip
from sidecar.fail2ban.ignore.ignoreip import Ignored
from sidecar.fail2ban.jail_options import Options
from sidecar.network import meant

_MOST_OPTIONS = 20
_REFERENCE = re.compile(r"%\(([^)]*)\)s?")
_SPACED_SLASH = re.compile(r"\s*/\s*")


def ignored(options: Options, misspelt: Iterable[str], spared: Ignored) -> Ignored:
    """The hosts a jail ignores, plus `spared`. `misspelt` are options that probably mean ignoreip.

    Invalid entries and references, and misspelt options, count as far as a network can be recognised in them:
    a typing error must not get anybody banned.
    """
    found, wrong = ignoreip.read(ignoreip.words(options.text("ignoreip")))
    for word in wrong:
        text = f"ignoreip: {word[:100]!r} is not an address, network, host name or file:PATH"
        options.fault("ignoreip", text + ignoreip.instead(word))
    raw = list(_raw_values(options, ("ignoreip", *misspelt)))
    also, _ = ignoreip.read(word for text in raw for word in ignoreip.words(text))
    if "/" in wrong:
        joined = (_SPACED_SLASH.sub("/", text) for text in raw)
        also = replace(also, networks=(*also.networks, *(n for text in joined for n in meant(text))))
    more = dict.fromkeys((*spared.networks, *also.networks))
    return Ignored(
        (*found.networks, *(network for network in more if network not in found.networks)),
        tuple(dict.fromkeys((*found.names, *spared.names))),
        tuple(dict.fromkeys((*found.files, *spared.files))),
    )


def _raw_values(options: Options, keys: Iterable[str]) -> Iterator[str]:
    """The raw values of these options and of all options that they refer to, also by a misspelt name."""
    known, waiting = set[str](), list(keys)
    while waiting and len(known) < _MOST_OPTIONS:
        key = waiting.pop()
        option = options.values.option(key)
        if option is None:
            near = get_close_matches(key, options.values.keys(), 1, 0.6)
            option = options.values.option(near[0]) if near else None
        if option is not None and key not in known:
            known.add(key)
            yield _REFERENCE.sub(" ", option.value)
            waiting += (name.lower().rpartition("/")[2] for name in _REFERENCE.findall(option.value))


def filled(options: Options, found: Ignored, text_of: Callable[[str], str | None]) -> Ignored:
    """`found` with the current entries of its files; invalid entries are reported."""
    for path in found.files:
        text = text_of(path)
        if text is None:
            options.fault("ignoreip", f"ignoreip: file:{path[:200]} cannot be read")
        for word in ignoreip.read(ignoreip.lines(text or ""))[1]:
            wrong = f"{path[:200]}: {word[:100]!r} is not an address, network or host name"
            options.fault("ignoreip", wrong + ignoreip.instead(word))
    return ignoreip.filled(found, text_of)
