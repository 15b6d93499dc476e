"""Settings: the shipped file is the defaults, and every key is there."""

from pathlib import Path

import pytest

from sidecar import settings
from sidecar.model import ConfigError
from sidecar.network import Network

CONFIG = Path(__file__).parents[1] / "config"


def test_the_shipped_file_names_every_key_with_its_default() -> None:
    shipped, default = settings.load([CONFIG]), settings.load([])
    assert shipped == default
    text = (CONFIG / "zmban.toml").read_text(encoding="utf-8")
    for name in ("trust", "kernel", "serve"):
        assert f"[{name}]" in text
        for key in type(getattr(default, name)).model_fields:
            assert f"\n{key} = " in text


def test_a_later_directory_overrides_key_by_key_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "zmban.toml").write_text(
        '[kernel]\non_stop = "flush"\ntable = "main"\n[trust]\nadmins = ["203.0.113.0/24"]\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("ZMBAN_KERNEL_TABLE", "2521")
    monkeypatch.setenv("ZMBAN_TRUST_NODES", "198.51.100.1, 2001:db8::/32")
    found = settings.load([CONFIG, tmp_path])
    assert (found.kernel.table, found.kernel.on_stop, found.kernel.preference) == (2521, "flush", 252)
    assert found.trust.admins == (Network.parse("203.0.113.0/24"),)
    assert found.trust.nodes == (Network.parse("198.51.100.1"), Network.parse("2001:db8::/32"))


@pytest.mark.parametrize("name", ["ZMBAN_TRUST_PROXY", "ZMBAN_KERNEL_TABEL", "ZMBAN_TRUST"])
def test_a_misspelt_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "5")
    with pytest.raises(ConfigError, match=rf"variable {name}.*is not known"):
        settings.load([CONFIG])


def test_variables_of_other_things_are_left_alone_and_case_does_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ZMBAN_STATE", "/x")
    monkeypatch.setenv("ZMBAN_FOO_BAR", "x")
    monkeypatch.setenv("zmban_kernel_table", "77")
    assert settings.load([CONFIG]).kernel.table == 77


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[kernel]\ntabel = 1\n", "tabel"),
        ("[kernal]\ntable = 1\n", "kernal"),
        ('[serve]\nlisten = "9177"\n', "HOST:PORT"),
        ('[trust]\nown = ["10.0.0.0/40"]\n', "own"),
        ("table = 1\n", "outside a"),
        ("[kernel\n", "zmban.toml"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "zmban.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        settings.load([tmp_path])
    assert words in str(caught.value)
    assert "zmban.toml" in str(caught.value)
