"""A fake Docker engine with recorded responses, on a real socket."""

from __future__ import annotations

import base64
import json
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

NETWORK = {
    "Id": "n1",
    "Name": "mail_default",
    "Driver": "bridge",
    "IPAM": {"Config": [{"Subnet": "10.28.0.0/24", "Gateway": "10.28.0.1"}]},
}


def container(name: str, image: str, number: int = 2, **more: Any) -> dict[str, Any]:
    """The attributes of a container. `mounts` maps a destination to its source, with `:ro` if read-only; `paths`
    maps paths in it to their targets (None: access denied); `processes` are command lines."""
    mounts = [_mount(place, source) for place, source in more.get("mounts", {}).items()]
    address = {"NetworkID": "n1", "Gateway": "10.28.0.1", "IPAddress": f"10.28.0.{number}"}
    command = more.get("command", ["/entrypoint.sh"])
    paths = more.get("paths", ())
    return {
        "Id": f"{name}-id",
        "Name": f"/{name}",
        "State": {"StartedAt": "2026-01-05T10:00:00Z", "Status": "running"},
        "Path": command[0],
        "Args": command[1:],
        "Config": {
            "Image": image,
            "Env": more.get("env", ["PATH=/usr/bin"]),
            "Labels": more.get("labels", {}),
            "ExposedPorts": {f"{port}/tcp": {} for port in more.get("ports", ())},
            "Volumes": None,
            "WorkingDir": "",
            "User": "",
        },
        "HostConfig": {"PortBindings": {}, "Tmpfs": more.get("tmpfs")},
        "Mounts": mounts,
        "NetworkSettings": {"Networks": {"mail_default": address}, "Ports": {}},
        "inside": None
        if paths is None
        else {"/": "", **(dict.fromkeys(paths, "") if isinstance(paths, tuple) else paths)},
        "processes": more.get("processes"),
    }


def _mount(place: str, source: str) -> dict[str, Any]:
    path, readonly = source.removesuffix(":ro"), source.endswith(":ro")
    name = {} if path.startswith("/") else {"Name": path}
    source = path if path.startswith("/") else f"/var/lib/docker/volumes/{path}/_data"
    return {
        "Destination": place,
        "Source": source,
        "RW": not readonly,
        "Type": "volume" if name else "bind",
        **name,
    }


@contextmanager
def engine(
    place: Path, *containers: Mapping[str, Any], volumes: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Runs an engine with these containers; yields DOCKER_HOST. `volumes`: those bound to a directory."""
    known = {str(one["Id"]): one for one in containers}
    bound = [
        {"Name": name, "Options": {"type": "none", "o": "bind,rw", "device": device}}
        for name, device in (volumes or {}).items()
    ]

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def address_string(self) -> str:
            return ""

        def _answer(self, status: int, body: Any = None, stat: Any = None) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            if stat is not None:
                told = base64.b64encode(json.dumps(stat).encode()).decode()
                self.send_header("X-Docker-Container-Path-Stat", told)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def _container(self) -> tuple[Mapping[str, Any] | None, str]:
            path = urlsplit(self.path).path.split("/containers/", 1)[1]
            name, _, what = path.partition("/")
            return known.get(name), what

        def do_HEAD(self) -> None:
            one, _ = self._container()
            (path,) = parse_qs(urlsplit(self.path).query)["path"]
            if one is None or one["inside"] is None:
                self._answer(403)
            elif path in one["inside"]:
                self._answer(200, stat={"name": path, "linkTarget": one["inside"][path]})
            else:
                self._answer(404)

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path.endswith("/version"):
                self._answer(200, {"ApiVersion": "1.41"})
            elif path.endswith("/containers/json"):
                self._answer(200, [{"Id": name} for name in known])
            elif path.endswith("/networks"):
                self._answer(200, [NETWORK])
            elif path.endswith("/volumes"):
                self._answer(200, {"Volumes": bound})
            else:
                one, what = self._container()
                if one is None or (what == "top" and one["processes"] is None):
                    self._answer(404, {"message": "no such container, or no ps on this host"})
                elif what == "top":
                    lines = [["1", line] for line in one["processes"]]
                    self._answer(200, {"Titles": ["PID", "COMMAND"], "Processes": lines})
                else:
                    self._answer(200, dict(one))

        def do_POST(self) -> None:
            self._answer(404, {"message": "nothing can be run in it"})

    socket = place / "docker.sock"
    with socketserver.ThreadingUnixStreamServer(str(socket), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"unix://{socket}"
        finally:
            server.shutdown()
            thread.join()
