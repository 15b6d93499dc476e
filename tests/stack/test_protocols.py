"""What an attempt of the demonstration's clients counts as."""

from __future__ import annotations

import smtplib
import socket

import pytest

from demo.protocols import Result, Session, watched


@pytest.mark.parametrize(("closes", "outcome"), [(False, "blocked"), (True, "error")])
def test_an_smtp_session_that_falls_silent_is_blocked_and_one_that_is_closed_is_not(
    closes: bool, outcome: str
) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(b"220 ready\r\n")
        ours.settimeout(0.05)
        result = Result()
        result.sockets.append(ours)
        with watched(result):
            session: smtplib.SMTP = Session(ours, "client.example")
            if closes:
                theirs.close()
            session.ehlo()
    assert result.outcome == outcome
