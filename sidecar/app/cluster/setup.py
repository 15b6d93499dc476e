"""What the settings of a cluster say: name, keys, and where Redis is."""

from __future__ import annotations

import re
import socket
from typing import NamedTuple

from sidecar.cluster.host_keys import HostKeys, SharedSecret, Signer
from sidecar.cluster.redis_place import Place, RedisAccess
from sidecar.delivery.secret_file import read_secret
from sidecar.model import ConfigError
from sidecar.settings import ClusterSettings


class Membership(NamedTuple):
    """Who this host is in its group, and how it proves that."""

    host: str
    group: str
    signer: Signer
    place: Place
    access: RedisAccess


def host_name(settings: ClusterSettings) -> str:
    """The name of this host in its group."""
    return settings.host or re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:64] or "host"


def membership(settings: ClusterSettings) -> Membership:
    """Read the files that the settings name. ConfigError names the key and the cure. Blocks on the disk."""
    host = host_name(settings)
    if bool(settings.key_file) == bool(settings.shared_key_file):
        either = "[cluster] needs either key_file and trust, or shared_key_file"
        raise ConfigError(f"{either}; to make a key: zmban cluster keys --new FILE")
    try:
        place = Place.parse(settings.url)
        password = read_secret(settings.password_file).strip() if settings.password_file else ""
        signer: Signer
        if settings.shared_key_file:
            signer = SharedSecret(read_secret(settings.shared_key_file))
        else:
            trusted = dict(one.split("=", 1) for one in settings.trust)
            signer = HostKeys(host, read_secret(settings.key_file), trusted)
    except ValueError as error:
        raise ConfigError(f"[cluster] {error}") from None
    access = RedisAccess(
        settings.user, password, settings.ca_file, settings.cert_file, settings.cert_key_file
    )
    return Membership(host, settings.group, signer, place, access)
