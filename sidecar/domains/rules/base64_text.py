"""A regex for a text inside of base64, in which Postfix cannot look otherwise."""

from __future__ import annotations

import string

_ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
# What may stand behind an address in a name.
_BEHIND = " \"'>)],;:"
_SEXTET, _OCTET, _QUANTUM = 6, 8, 24
_ANY = "."


def pattern(text: str) -> str:
    """Matches the base64 of any text that contains this ASCII text with a blank, a quote, a bracket or a
    separator behind it, or at its end (then with the `?=` of an encoded word). In this case only.

    Each character of base64 holds six bits, so a text has three forms, by its place modulo three; the first
    and the last character also hold bits of what stands around it.

    >>> import base64, re
    >>> forms = (base64.b64encode(b"x" * n + b"@a.example, Bob").decode() for n in range(9))
    >>> all(re.search(pattern("@a.example"), form) for form in forms)
    True
    """
    return f"(?-i:{'|'.join(_form(text, place) for place in range(3))})"


def _form(text: str, place: int) -> str:
    bits = _ANY * _OCTET * place + _bits(text)
    # The characters that hold bits of the text only, or of what stands before it.
    whole = len(bits) // _SEXTET * _SEXTET
    head = "".join(_character(bits[n : n + _SEXTET]) for n in range(0, whole, _SEXTET))
    rest = bits[whole:]
    tails = {_followed(rest + _bits(one)) for one in _BEHIND}
    padding = -len(bits) % _QUANTUM // _OCTET
    last = _character(rest.ljust(_SEXTET, "0")) if rest else ""
    tails.add(f"{last}{'=' * padding}\\?=")
    return f"{head.lstrip(_ANY)}(?:{'|'.join(sorted(tails))})"


def _followed(bits: str) -> str:
    """The characters for the rest of the text and one byte behind it; the bits behind that may be any."""
    return "".join(
        _character(bits[n : n + _SEXTET].ljust(_SEXTET, _ANY)) for n in range(0, len(bits), _SEXTET)
    )


def _bits(text: str) -> str:
    return "".join(f"{byte:08b}" for byte in text.encode("ascii"))


def _character(bits: str) -> str:
    """The characters of base64 with these six bits, of which some may be any."""
    if bits == _ANY * _SEXTET:
        return _ANY
    fitting = "".join(
        character
        for number, character in enumerate(_ALPHABET)
        if all(wanted in (_ANY, bit) for wanted, bit in zip(bits, f"{number:06b}", strict=True))
    )
    escaped = fitting.replace("/", r"\/").replace("+", r"\+")
    return escaped if len(fitting) == 1 else f"[{escaped}]"
