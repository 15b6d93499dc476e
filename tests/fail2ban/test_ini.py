"""Fail2Ban's INI dialect."""

from sidecar.fail2ban.syntax.ini import parse


def test_continuations_comments_and_both_delimiters_are_read() -> None:
    ini = parse(
        "# top\n[a]\nfailregex = one\n  # gone\n   two ; gone too\n\n   three # stays\nport: 25\n[b]\nx =\n",
        "f",
    )
    assert ini.faults == []
    assert ini.sections["a"]["failregex"].value == "one\ntwo\n\nthree # stays"
    assert ini.sections["a"]["failregex"].lines == (3, 5, 6, 7)
    assert ini.sections["a"]["port"].value == "25"
    assert ini.sections["b"]["x"].value == ""


def test_text_before_the_first_section_is_named_with_its_line_and_cure() -> None:
    (fault,) = parse("\nfailregex = x\nmore = y\n[Definition]\n", "f.conf").faults
    assert str(fault).startswith("f.conf:2: text before the first [section]")
    assert "[Definition]" in fault.message


def test_a_repeated_section_or_option_is_a_fault_of_its_jail() -> None:
    faults = parse("[a]\nx = 1\nx = 2\n[b]\n[a]\n", "f").faults
    assert [(f.line, f.jail) for f in faults] == [(3, "a"), (5, "a")]


def test_an_option_without_a_delimiter_is_a_fault_and_the_rest_is_read() -> None:
    ini = parse("[a]\nenabled\nmaxretry = 3\n", "f")
    assert [f.line for f in ini.faults] == [2]
    assert ini.sections["a"]["maxretry"].value == "3"


def test_a_dash_copied_from_a_web_page_is_pointed_out() -> None:
    (fault,) = parse("[a]\nfailregex = x \u2013 y\n", "f").faults
    assert fault.warning
    assert "web page" in fault.message


def test_a_later_file_overrides_option_by_option_and_keeps_what_was_known() -> None:
    merged = parse("[a]\nx = 1\ny = 2\n", "first")
    merged.merge(parse("[a]\nx = 3\n", "second"))
    option = merged.sections["a"]["x"]
    assert (option.value, option.file) == ("3", "second")
    assert option.known is not None
    assert option.known.value == "1"
    assert merged.sections["a"]["y"].value == "2"


def test_a_conditional_section_is_its_plain_one_with_conditional_options() -> None:
    merged = parse("[Init]\nx = 1\n", "first")
    merged.merge(parse("[Init?family=inet6]\nx = 2\n", "second"))
    assert {key: option.value for key, option in merged.sections["Init"].items()} == {
        "x": "1",
        "x?family=inet6": "2",
    }
