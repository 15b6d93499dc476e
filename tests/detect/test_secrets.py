"""Secrets are redacted in evidence, and nothing else."""

import pytest

from sidecar.detect.match.secrets import without_secrets


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("cmd=ModifyDomain; zimbraAuthLdapSearchBindPassword=hunter2; x", "hunter2"),
        ('{"password":"hunter2","user":"bob"}', "hunter2"),
        ("<password>hunter2</password>", "hunter2"),
        ("GET /service/home/?auth=qp&zauthtoken=0_abcdef&fmt=x", "0_abcdef"),
        ("Cookie: ZM_AUTH_TOKEN=0_abcdef; JSESSIONID=node01", "node01"),
        ("ZM_ADMIN_AUTH_TOKEN=0_abcdef;", "0_abcdef"),
        ("Authorization: Basic Ym9iOmh1bnRlcjI=", "Ym9iOmh1bnRlcjI="),
        ('amavis: Subject: "Your invoice, for bob", Hits: 1.2', "invoice"),
        ("GET /service/preauth?account=bob&preauth=abc123&x=y", "abc123"),
    ],
)
def test_secrets_are_redacted(line: str, kept: str) -> None:
    told = without_secrets(line)
    assert kept not in told
    assert "[cut]" in told
    assert without_secrets(told) == told


@pytest.mark.parametrize(
    "line",
    [
        "warning: unknown[203.0.113.7]: SASL LOGIN authentication failed: UGFzc3dvcmQ6",
        "SoapEngine - handler exception: authentication failed for [bob], invalid password",
        "GET https://mail.example.com/etc/passwd HTTP/1.1",
        "Failed password for root from 203.0.113.7 port 22 ssh2",
    ],
)
def test_everything_else_stays(line: str) -> None:
    assert without_secrets(line) == line
