"""Patterns that legitimate clients cause too, for which no failregex is proposed."""

from __future__ import annotations

import re
from functools import lru_cache

from sidecar.review.patterns.reading.dissection import Parts, spoken

# What the server says (lower case), and why a filter for it would ban the wrong clients.
_SAID: dict[str, tuple[tuple[str, str], ...]] = {
    "zimbra": (
        (r": 4\d\d(?: |$)", "temporary rejections also meet legitimate servers, which try again"),
        (r"does not resolve to address", "many legitimate servers have a wrong PTR record"),
        (r"sender address rejected", "forwarders relay the senders of others"),
        (r"not owned by user", "the client is a user who has logged in"),
        (r"not logged in|starttls|must issue|encryption", "users with a wrong setting cause it too"),
        (r"cannot find your (?:reverse )?hostname|not found",
         "a fault of the name server causes it for every client"),
        (r"blocked using|service unavailable|listed by", "a blocklist that fails lists every client"),
        (r"^smtpd (?:lost connection|timeout)", "connections of legitimate clients break, too"),
        (r"improper command pipelining after (?!connect)", "old clients and appliances cause it too"),
        (r"ssl_accept|tls|certificate", "old clients and appliances cause it too"),
        (r"size exceeds|too large|mailbox full|over ?quota|insufficient system", "it is no attack"),
        (r"server configuration|internal error|temporary|lookup error", "the server itself is at fault"),
        (r"sasl .*(?:connection lost|mechanism|generic|no memory|unable|expired|disabled|locked)",
         "the server or the account is at fault, not the client"),
    ),
    "mailbox": (
        (r"must change|lockout|locked|maintenance|closed|pending|expired|inactive|suspended",
         "the account is at fault, not the client"),
        (r"reason: \.", "no reason is given, and it may be an outage"),
        (r"two-factor auth required|no two-factor code", "it is the first step of a login"),
        (r"no such (?!account)|not found(?<!account not found)|permission denied|invalid request"
         r"|already exists", "programs of users cause it"),
        (r"quota|too large|timed? ?out|connection (?:reset|closed|refused)|unable to connect|ioexception|eof",
         "it is no attack"),
        (r"external ldap|directory|service exception|system failure|internal",
         "the server itself is at fault"),
        (r"[\w.]*exception\b.* at |nullpointer", "the server itself is at fault"),
    ),
    "nginx": (
        (r"timed out|connection reset|broken pipe|closed connection|prematurely|keepalive",
         "connections of legitimate clients break, too"),
        (r"no such file|is not found|not a directory",
         "any page can make a browser request what is not there"),
        (r"upstream|no live|bind\(\)|internal server error", "the server itself is at fault"),
        (r"too large body|buffered to a temporary file", "it is no attack"),
        (r"ssl|handshak|certificate", "old clients and appliances cause it too"),
        (r"limiting (?:requests|connections)", "several users behind one address cause it too"),
    ),
}  # fmt: skip
_COMPILED = {kind: tuple((re.compile(text), why) for text, why in pairs) for kind, pairs in _SAID.items()}
# First segments of paths of Zimbra, and of what browsers and phones request by themselves.
_ZIMBRAS = frozenset(
    """
    service home user zimbra zimbraadmin dav principals m h js css img skins res public mail modern
    graphql cb t zimlet zimlets messages keys certauth spnego spnegoauth help portal tiny_mce
    autodiscover ews rpc mapi oab microsoft-server-activesync content upload version.js zmailbox ws
    nginx_status robots.txt favicon.ico favicon.png apple-touch-icon.png apple-touch-icon-
    precomposed.png apple-app-site-association .well-known browserconfig.xml sitemap.xml ads.txt
    app-ads.txt manifest.json site.webmanifest security.txt crossdomain.xml autoconfig caldav
    carddav calendar contacts briefcase tasks options search shf yui tinymce ajax admin sounds
    images fonts static assets extension login logout error index.html zx zextras carbonio
    """.split()
)
_ICON = re.compile(r"apple-touch-icon|favicon|\.(?:ico|png|jpe?g|gif|svg|webp|woff2?|ttf|css|js|map)$")


# Cached, since the lines of one pattern have the same parts.
@lru_cache(1024)
def reason(parts: Parts) -> str:
    """Why legitimate clients cause such lines too; empty if that is not known."""
    if parts.kind in ("nginx-access", "access"):
        return _of_path(parts)
    said = spoken(parts)
    return next((why for text, why in _COMPILED.get(parts.kind, ()) if text.search(said)), "")


def _of_path(parts: Parts) -> str:
    first, last = parts.head[2].lower(), (parts.words or parts.head)[-1].lower()
    if not first or first in _ZIMBRAS:
        return "it is a path of Zimbra, which users request"
    if _ICON.search(first) or _ICON.search(last):
        return "any page can make a browser request such a file"
    return ""
