# zmban's image: a virtual environment built in one stage, and in the other only Python and what it needs to run.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
LABEL zmban.part=build
RUN apt-get update -q \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3 python3-venv ca-certificates \
 && python3 -m venv /opt/zmban && python3 -m venv /tmp/pip
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements /src/requirements
# Every file is checked against its hash in requirements/. The pip that installs is not the image's.
RUN rm -rf /opt/zmban/lib/python3*/site-packages/* \
 && /tmp/pip/bin/pip install -q --require-hashes -r /src/requirements/build.txt \
 && /tmp/pip/bin/pip --python /opt/zmban/bin/python install -q --require-hashes --no-compile \
        -r /src/requirements/runtime.txt
COPY pyproject.toml README.md LICENSE /src/
COPY sidecar /src/sidecar
RUN cd /src && /tmp/pip/bin/pip wheel -q --no-deps --no-build-isolation -w /tmp/wheel . \
 && /tmp/pip/bin/pip --python /opt/zmban/bin/python install -q --no-deps --no-compile /tmp/wheel/zmban-*.whl \
 && cd /opt/zmban && find bin -type f ! -name 'python*' ! -name zmban -delete \
 && find . -depth -type d \( -name tests -o -name test -o -name testing \) -path '*/site-packages/*' \
        -exec rm -rf {} + \
 && find . \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.c' -o -name '*.h' \) -delete \
 && bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash lib

FROM ${BASE}
RUN apt-get update -q \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3 ca-certificates \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/debconf/*-old /var/log/*
COPY --from=build /opt/zmban /opt/zmban
COPY config /usr/share/zmban
RUN mkdir -p /var/lib/zmban /run/zmban /etc/zmban /opt/zimbra/log && chmod 700 /var/lib/zmban /run/zmban
ENV PATH=/opt/zmban/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# A compaction writes a second copy of the database into a temporary file, for which /tmp is too small.
ENV SQLITE_TMPDIR=/var/lib/zmban
ARG VERSION=dev
ARG REVISION=unknown
ARG SOURCE=
LABEL org.opencontainers.image.title="zmban" \
      org.opencontainers.image.description="Reads Zimbra's logs and makes the host's routing table refuse the attackers" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      zmban.part=sidecar
# A socket and no HTTP library: 20 ms each time. Set ZMBAN_SERVE_LISTEN where the service listens elsewhere.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["/opt/zmban/bin/python", "-ISc", \
"import os, socket; host, port = os.environ.get('ZMBAN_SERVE_LISTEN', '127.0.0.1:9177').rsplit(':', 1); \
s = socket.create_connection((host.strip('[]'), int(port)), 4); s.sendall(b'GET /healthz HTTP/1.0\\r\\n\\r\\n'); \
raise SystemExit(b' 200 ' not in s.recv(32))"]
ENTRYPOINT ["zmban"]
CMD ["run"]
