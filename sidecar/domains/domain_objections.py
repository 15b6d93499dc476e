"""Which domains are not refused: public suffixes, the administrator's own, and those of big providers."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cache

from publicsuffixlist import PublicSuffixList

from sidecar.domains.domain_name import and_parents, normalised

# Where millions of people have their mailbox, or companies their newsletters sent from.
_PROVIDERS = frozenset(
    """
    gmail.com googlemail.com google.com outlook.com hotmail.com hotmail.co.uk hotmail.fr hotmail.de
    hotmail.it live.com live.co.uk msn.com microsoft.com onmicrosoft.com yahoo.com yahoo.co.uk
    yahoo.co.jp yahoo.co.in yahoo.fr yahoo.de yahoo.it yahoo.es yahoo.ca yahoo.com.br yahoo.com.ar
    yahoo.com.au ymail.com rocketmail.com aol.com icloud.com me.com mac.com apple.com gmx.de gmx.net
    gmx.at gmx.ch gmx.com web.de t-online.de freenet.de arcor.de posteo.de mailbox.org proton.me
    protonmail.com pm.me tutanota.com tuta.com zoho.com zohomail.com fastmail.com hey.com mail.com
    email.com yandex.ru yandex.com ya.ru mail.ru bk.ru inbox.ru list.ru rambler.ru ukr.net qq.com
    163.com 126.com sina.com sohu.com foxmail.com naver.com hanmail.net daum.net rediffmail.com
    orange.fr wanadoo.fr free.fr sfr.fr laposte.net libero.it virgilio.it alice.it tin.it wp.pl o2.pl
    onet.pl interia.pl seznam.cz centrum.cz uol.com.br bol.com.br terra.com.br comcast.net verizon.net
    att.net sbcglobal.net bellsouth.net cox.net charter.net shaw.ca rogers.com bigpond.com
    optusnet.com.au btinternet.com sky.com virginmedia.com bluewin.ch ziggo.nl kpnmail.nl telenet.be
    skynet.be amazonses.com amazon.com sendgrid.net mailgun.org mcsv.net mailchimpapp.net
    sparkpostmail.com mandrillapp.com facebookmail.com linkedin.com paypal.com
    """.split()
)


@cache
def _suffixes() -> PublicSuffixList:
    """The public suffix list that the package carries; loading takes a fifth of a second."""
    return PublicSuffixList()


@cache
def _registries() -> PublicSuffixList:
    """The same without the suffixes of companies, such as github.io."""
    return PublicSuffixList(only_icann=True)


def protected_domains(texts: Iterable[str]) -> frozenset[str]:
    """The domains of `[domains] protect`. ValueError with the text that is none."""
    found = set()
    for text in texts:
        try:
            found.add(normalised(text))
        except ValueError as error:
            raise ValueError(f"{text[:80]!r} {error}") from error
    return frozenset(found)


def objection(domain: str, protected: Collection[str]) -> str:
    """Why this domain is never refused, as the end of a sentence; "" if nothing speaks against it."""
    if _registries().privatesuffix(domain) is None:
        return "is a public suffix, under which anybody registers domains"
    return protection(domain, protected)


def protection(domain: str, protected: Collection[str]) -> str:
    """Why a refusal of this domain would refuse the administrator's own mail; "" if it would not."""
    for own in and_parents(domain):
        if own in protected:
            return "is protected" if own == domain else f"belongs to the protected domain {own}"
    for own in sorted(protected):
        if own.endswith(f".{domain}"):
            return f"contains the protected domain {own}"
    return ""


def doubt(domain: str) -> str:
    """Why a refusal of this domain must be confirmed, as the end of a sentence; "" if it need not."""
    if domain in _PROVIDERS:
        return "sends the mail of very many people"
    if _suffixes().privatesuffix(domain) is None:
        return "is shared by unrelated customers of a provider"
    return ""
