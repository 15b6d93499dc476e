"""Connects to Redis or Valkey: one server, Sentinel, or a cluster."""

from __future__ import annotations

import ssl
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError, ResponseError

from sidecar.model import ConfigError, Seconds
from sidecar.settings.schema import REDIS_SCHEMES

# What a dead or unreachable server raises.
UNREACHABLE = (RedisError, RedisClusterException, OSError, TimeoutError)
_PORT, _SENTINEL_PORT = 6379, 26379
# Of a connection, and of a command with its whole answer, which a slow link needs time for.
PATIENCE: Seconds = 10.0


class Place(NamedTuple):
    """Where Redis is. `service` is the name by which Sentinel knows it, `database` its number."""

    kind: str
    tls: bool
    nodes: tuple[tuple[str, int], ...]
    service: str = ""
    database: int = 0

    @classmethod
    def parse(cls, url: str) -> Place:
        """`redis://HOST:PORT/NUMBER`, `redis+sentinel://HOST,HOST/SERVICE`, `redis+cluster://HOST,HOST`, and
        the same with `rediss` for TLS. ValueError, which never shows a password."""
        parts = urlsplit(url)
        if parts.scheme not in REDIS_SCHEMES:
            raise ValueError(
                f"write one of {', '.join(f'{one}://' for one in REDIS_SCHEMES)} before the host"
            )
        if "@" in parts.netloc:
            raise ValueError(
                "write user and password into [cluster] user and password_file, not into the URL"
            )
        if parts.query or parts.fragment:
            raise ValueError("options behind ? or # are not known")
        scheme, _, kind = parts.scheme.partition("+")
        kind = kind or "one"
        nodes = tuple(
            _node(one, _SENTINEL_PORT if kind == "sentinel" else _PORT) for one in parts.netloc.split(",")
        )
        path = parts.path.strip("/")
        if kind == "sentinel" and not path:
            raise ValueError("write the name of the service behind the hosts: redis+sentinel://HOST/mymaster")
        if kind != "sentinel" and path and not path.isdecimal():
            raise ValueError(f"{path!r} is no number of a database")
        if kind == "one" and len(nodes) > 1:
            raise ValueError("several hosts need redis+sentinel:// or redis+cluster://")
        return cls(
            kind,
            scheme == "rediss",
            nodes,
            path if kind == "sentinel" else "",
            0 if kind == "sentinel" else int(path or 0),
        )


def _node(text: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError("the host is missing")
    return parts.hostname, parts.port or port


class RedisAccess(NamedTuple):
    """Who connects: ACL user ("": default) and password, and the certificates to trust and to show ("":
    none)."""

    user: str = ""
    password: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


def connected(place: Place, access: RedisAccess) -> Redis | RedisCluster:
    """A client, which connects with its first command. ConfigError for certificates that cannot be read."""
    options: dict[str, Any] = {
        "username": access.user or None, "password": access.password or None,
        "socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE,
    }  # fmt: skip
    # A failed command is tried again by us, with what is due by then.
    once = Retry(NoBackoff(), 0)
    secured = _tls(access) if place.tls else {}
    if place.kind == "cluster":
        nodes = [ClusterNode(host, port) for host, port in place.nodes]
        return RedisCluster(startup_nodes=nodes, **options, **secured)
    if place.kind == "sentinel":
        sentinel = Sentinel(list(place.nodes), sentinel_kwargs={**options, **secured})  # type: ignore[no-untyped-call]
        found: Redis = sentinel.master_for(place.service, retry=once, **options, **secured)
        return found
    ((host, port),) = place.nodes
    return Redis(host=host, port=port, db=place.database, retry=once, **options, **secured)


def is_foreign(error: ResponseError) -> bool:
    """Whether a key holds what no host writes there: somebody else did, and only deleting it helps."""
    return any(
        word in str(error)
        for word in ("WRONGTYPE", "wrong kind of value", "equal or smaller", "exhausted the last")
    )


def _tls(access: RedisAccess) -> dict[str, Any]:
    found: dict[str, Any] = {"ssl": True, "ssl_cert_reqs": "required", "ssl_check_hostname": True}
    files = {"ssl_ca_certs": access.ca_file, "ssl_certfile": access.cert_file, "ssl_keyfile": access.key_file}
    found |= {name: path for name, path in files.items() if path}
    where = f"ca_file {access.ca_file}"
    try:
        context = ssl.create_default_context(cafile=access.ca_file or None)
        if access.cert_file:
            where = f"cert_file {access.cert_file}, cert_key_file {access.key_file}"
            context.load_cert_chain(access.cert_file, access.key_file or None)
    except OSError as error:
        raise ConfigError(f"[cluster] {where}: {error.strerror or error}") from None
    return found
