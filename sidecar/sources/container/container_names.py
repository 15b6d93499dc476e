"""The names of logs `cri:PATH`: the path in them, whose log it is, and what a pattern names now."""

from __future__ import annotations

import os
import re
from collections.abc import Collection

from sidecar.sources.log_lookup import Answer, look_up

CONTAINER = "cri"
_PREFIX = f"{CONTAINER}:"
# The kubelet's names: a link of each container, and the file it leads to. The names of pods and namespaces
# hold no underscore.
_LINK = re.compile(r".*/(?P<pod>[^/_]+)_(?P<namespace>[^/_]+)_(?P<container>[^/_]+)-[0-9a-f]{8,}\.log")
_FILE = re.compile(r".*/(?P<namespace>[^/_]+)_(?P<pod>[^/_]+)_[^/_]+/(?P<container>[^/_]+)/\d+\.log")


def file_of(name: str) -> str:
    """The path or glob in the name of a log of this kind."""
    return name.removeprefix(_PREFIX)


def container_label(name: str) -> str:
    """Whose log it is: NAMESPACE/POD/CONTAINER; the name itself where the path does not say it.

    >>> container_label("cri:/var/log/containers/mta-0_zimbra_postfix-0123456789abcdef.log")
    'zimbra/mta-0/postfix'
    """
    path = file_of(name)
    found = _LINK.fullmatch(path) or _FILE.fullmatch(path)
    return f"{found['namespace']}/{found['pod']}/{found['container']}" if found else name


def grammar_name(name: str) -> str:
    """The name by which the grammar of a log is chosen: of a file that is no container's, its own."""
    label = container_label(name)
    return file_of(name) if label == name else label


def look_up_containers(pattern: str, known: Collection[str]) -> Answer:
    """As `look_up`, with the prefix of the kind. A link whose file is gone is a log that is gone: the kubelet
    removes it within minutes."""
    answer = look_up(file_of(pattern), [file_of(name) for name in known])
    dead = {path for path, key in answer.found.items() if key and _leads_nowhere(path)}
    found = {
        _PREFIX + path: None if path in dead else key
        for path, key in answer.found.items()
        if path not in dead or _PREFIX + path in known
    }
    why = answer.why
    if dead and not any(found.values()):
        link = min(dead)
        target = os.path.realpath(link)
        why = f"{link} is a link to {target}, which is not there: mount the directory it lies in too"
    return Answer(found, why)


def _leads_nowhere(path: str) -> bool:
    return os.path.islink(path) and not os.path.exists(path)  # noqa: PTH114, PTH110 - a text, not a Path
