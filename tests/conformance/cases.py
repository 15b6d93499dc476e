"""Test cases for Fail2Ban's configuration reader, each a jail and its filter, in one directory for one call."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

_D = "[Definition]\n"
_KEYWORDS = (
    "failregex = {0} <HOST>\nprefregex = ^{0}<F-CONTENT>.+</F-CONTENT>\nignoreregex = {0}\nmaxlines = {1}\n"
    "datepattern = {0}%%Y\njournalmatch = A={0}\nusedns = {2}\n"
)
_FILTER = _KEYWORDS.format("own", 4, "no")
_JAIL = _KEYWORDS.format("jail", 7, "raw")
_GIVEN = "failregex='given <HOST>', prefregex='^given', ignoreregex=given, maxlines=9, journalmatch='A=given', usedns=yes"
_SOURCES = "failregex = %(a)s <a> %(default/a)s <default/a> <Init/a> <Definition/a> <s/a> <known/a> <HOST>\n"
_NESTED = (
    "[DEFAULT]\na = aD\nb = (bD %(a)s <a>)\n[Definition]\nfailregex = %(b)s <b> %(default/b)s <default/b> %(s/q)s <s/q>"
    " <s/b> %(s/b)s <Definition/b> <HOST>\n[s]\nq = (q %(a)s <a> %(b)s <b>)\n"
)
_INIT = "[DEFAULT]\na = D\n[Definition]\nfailregex = <p> %(a)s <c> <HOST>\nc = (c %(a)s <a>)\n"
_TWO = "[Definition]\nfailregex = <a> <b> <a.b> <a-b> <HOST>\n[Init]\na = A\nb = B\n"


@dataclass(frozen=True, slots=True)
class Case:
    """`text`: the filter's file. `jail`: lines behind `filter = NAME`. `files`: further files of the filter, by
    the end of their names, such as `.local`. `@` in a text stands for the filter's name."""

    title: str
    text: str
    jail: str = ""
    files: dict[str, str] = field(default_factory=dict)


# One line per case, so that neighbouring cases can be compared.
# fmt: off
CASES = (
    *(
        Case(f"keywords in {section}, {said}", f"{_D}x = y\n{_FILTER}" if section == "Definition" else f"{_D}x = y\n[{section}]\n{_FILTER}", jail)
        for section in ("Definition", "Init", "DEFAULT")
        for said, jail in (
            ("none given", ""),
            ("some by the jail", f"\n{_JAIL}"),
            ("some given", f"[{_GIVEN}]"),
            ("both", f"[{_GIVEN}]\n{_JAIL}"),
        )
    ),
    *(
        Case(f"a parameter in {', '.join(sources) or 'nothing'}{given}", "".join((*parts, "[s]\nq = 1\n")), given)
        for sources, parts in (
            (("DEFAULT",), ("[DEFAULT]\na = D\n", _D, _SOURCES)),
            (("DEFAULT", "Definition"), ("[DEFAULT]\na = D\n", _D, _SOURCES, "a = F\n")),
            (("DEFAULT", "Init"), ("[DEFAULT]\na = D\n", _D, _SOURCES, "[Init]\na = I\n")),
            (("DEFAULT", "Definition", "Init"), ("[DEFAULT]\na = D\n", _D, _SOURCES, "a = F\n[Init]\na = I\n")),
            (("Definition",), (_D, _SOURCES.replace("%(default/a)s", ""), "a = F\n")),
            (("Definition", "Init"), (_D, _SOURCES.replace("%(default/a)s", ""), "a = F\n[Init]\na = I\n")),
        )
        for given in ("", "[a=G]")
    ),
    *(
        Case(f"values that name others, {title}{given}", text, given)
        for title, text in (
            ("alone", _NESTED),
            ("with Definition", _NESTED.replace("failregex", "a = aF\nfailregex")),
            ("with Init", f"{_NESTED}[Init]\na = aI\n"),
            ("with their own", f"{_NESTED}a = aS\n"),
            ("in Init", f"{_INIT}[Init]\np = (%(a)s <a>)\n"),
            ("in Init with Init", f"{_INIT}[Init]\np = (%(a)s <a>)\na = I\n"),
            ("in Init with Definition", f"{_INIT}a = F\n[Init]\np = (%(a)s <a>)\n"),
        )
        for given in ("", "[a=G]", "[b=G]")
    ),
    *(
        Case(f"options {options}", _TWO, options)
        for options in (
            "[a=1,b=2]", "[a=1, b=2]", "[a=1,\n  b=2]", "[a=1\n ,b=2]", "[a= 1]", '[a=1, b= "2"]', '[a="1",b="2",]', "[]",
            "[ a=1]", "[a=1 ]", "[a=1 x]", "[a=]", "[a=,b=]", '[a=x"y"]', '[a="x,b=2]', "[a='x,b=2]", "[a='x\"y']",
            "[a.b=1,a-b=2]", '[a="x]y"]', "[a=<b>]", "[a=<known/a>x]", '[a="<known/a>|<known/b>"]', "[a=1;b=2]",
            "[b=1][a=2]", "[b=1] [a=2]", "[b=1]\n  [a=2]", "[a=1][a=2]", "[a=1,a=2]", "[a=%%]", "[a=%%(b)s]", "[a=é]",
            "[A=1]", "[a.B=1]",
        )
    ),
    *(
        Case(f"given {options}", "[DEFAULT]\na = D\n[Definition]\nfailregex = %(a)s <a> %(b)s <b> <n> <c> <HOST>\nb = B\nc = %(a)s\n", options)
        for options in ("[a='<b>']", "[a='<known/a>']", "[a='<known/b>']", "[b='<known/a>',a='<b>x']", "[n='<a>']", "[a='%%(b)s']", "[a='<known/zz>']")
    ),
    Case("a tag sixty times", f"{_D}failregex = {'<a>' * 60} <HOST>\na = x\n"),
    Case("tags in capitals", f"{_D}failregex = <word> <WORD> <Word> <HOST>\nword = w\n"),
    Case("tags in capitals, given", f"{_D}failregex = <word> <WORD> <Word> <HOST>\nword = w\n", "[Word=G]"),
    Case("doubtful tags", f"{_D}failregex = <a b> <> <a>b> <<a>> <a/> </a> <a/b> <a?x> <HOST>\na = A\n"),
    Case("a section by its tag", f"{_D}failregex = <S/q> <S/Q> <s/q> <HOST>\n[S]\nq = 1\n"),
    Case("the name of the section", f"{_D}failregex = %(__name__)s <__name__> <HOST>\n"),
    Case("the name of the jail", f"{_D}failregex = x <HOST>\n", "\nfailregex = %(__name__)s <HOST>"),
    Case("the directory", f"{_D}failregex = x <HOST>\n", "\nfailregex = %(fail2ban_confpath)s <HOST>"),
    Case("blanks that a reference leaves", f"{_D}failregex = %(e)s <HOST> %(e)s\n   <e> <HOST>\ne =\n"),
    Case("a value with lines of all kinds", f"{_D}failregex = a <HOST>\n  \n   b <HOST>   \n\n\tc <HOST>\n#x\n  # y\n  d # e <HOST>\n  f;g <HOST>\n  h <HOST> ; i\n"),
    Case("delimiters in a value", f"{_D}failregex: a <HOST>\n   : b <HOST>\n   k=v <HOST>\nx=1\n"),
    Case("the same regex twice", f"{_D}failregex = a <HOST>\n   a <HOST>\nignoreregex = b\n   b\n"),
    Case("indented sections", "  [Definition]\n  failregex = x <HOST>\n  a = 1\n"),
    Case("less indented options", "[Definition]\n   a = 1\n failregex = x%(a)s <HOST>\n"),
    Case("text behind a header", "[Definition] tail\nfailregex = x <HOST>\n"),
    Case("a section within a value", f"{_D}failregex = x <HOST>\n  [a] <HOST>\nb = 2\n"),
    Case("logtype by default", f"{_D}failregex = <logtype> <HOST>\n"),
    Case("logtype given", f"{_D}failregex = <logtype> <HOST>\n", "[logtype=journal]"),
    Case("logtype of the jail", f"{_D}failregex = <logtype> <HOST>\n", "\nlogtype = journal"),
    Case("logtype in the filter", f"{_D}failregex = <logtype> %(logtype)s <HOST>\nlogtype = D\n"),
    Case("logtype in DEFAULT", f"[DEFAULT]\nlogtype = DD\n{_D}failregex = <logtype> %(logtype)s <HOST>\n"),
    Case("logtype in Init", f"{_D}failregex = <logtype> <HOST>\n[Init]\nlogtype = I\n"),
    Case("a jail's variable is none of the filter's", f"{_D}failregex = <mode> <HOST>\nmode = fm\n", "\nmode = j"),
    Case("a jail takes up its filter's", f"{_D}failregex = x <HOST>\nmode = fm\n", "\nmode = %(known/mode)sx\nfailregex = %(mode)s <HOST>\n  %(known/failregex)s"),
    Case("an empty override", f"{_D}{_FILTER}", "\nprefregex =\nignoreregex =\nmaxlines =\ndatepattern =\njournalmatch =\n"),
    Case("a local file alone", "", files={".local": f"{_D}failregex = l <HOST>\n"}),
    Case("known, once", f"{_D}failregex = %(a)s <HOST>\na = 1\n", files={".local": f"{_D}a = %(known/a)s2\n"}),
    Case("known, after a plain one", f"{_D}failregex = %(a)s <HOST>\na = 1\n", files={".d/b.conf": f"{_D}a = 2\n", ".d/c.conf": f"{_D}a = 3%(known/a)s\n"}),
    Case("known, of another", f"{_D}failregex = %(a)s <HOST>\na = 1\nb = 2\n", files={".local": f"{_D}b = 3\na = %(known/b)s %(b)s\n"}),
    Case("known, in Init", f"{_D}failregex = <a> <HOST>\n[Init]\na = 1\n", files={".local": "[Init]\na = %(known/a)s2\n"}),
    Case("known, by a tag", f"{_D}failregex = x <HOST>\na = 1\n", files={".local": f"{_D}failregex = <known/failregex>\n  <a> <HOST>\na = <known/a>2\n"}),
    Case("known, from DEFAULT", f"[DEFAULT]\na = D\n{_D}failregex = %(a)s <HOST>\n", files={".local": f"{_D}a = %(known/a)s2\n"}),
    Case("known, of an include", f"[INCLUDES]\nbefore = @-c.conf\n{_D}failregex = %(a)s <HOST>\na = %(known/a)sf\n", files={"-c.conf": f"{_D}a = c\n"}),
    Case("an include's local file", f"[INCLUDES]\nbefore = @-c.conf\n{_D}failregex = %(a)s <HOST>\n", files={"-c.conf": f"{_D}a = c\n", "-c.local": f"{_D}a = %(known/a)sl\n"}),
    Case("an include's folder is none of it", f"[INCLUDES]\nbefore = @-c.conf\n{_D}failregex = %(a)s <HOST>\n", files={"-c.conf": f"{_D}a = c\n", "-c.d/x.conf": f"{_D}a = d\n"}),
    Case("an include after, and a local file", f"[INCLUDES]\nafter = @-c.conf\n{_D}failregex = %(a)s <HOST>\na = 1\n", files={"-c.conf": f"{_D}a = c%(known/a)s\n", ".d/l.local": f"{_D}b = l\n"}),
    Case("an include by a reference", f"[INCLUDES]\nbefore = %(x)s-c.conf\n[DEFAULT]\nx = @\n{_D}failregex = %(a)s <HOST>\n", files={"-c.conf": f"{_D}a = c\n"}),
    Case("an include that includes it", f"[INCLUDES]\nbefore = @-c.conf\n{_D}failregex = %(a)s <HOST>\n", files={"-c.conf": f"[INCLUDES]\nbefore = @.conf\n{_D}a = c\n"}),
    Case("an include in a local file", f"{_D}failregex = %(a)s <HOST>\na = 1\n", files={".local": f"[INCLUDES]\nbefore = @-c.conf\n{_D}b = 1\n", "-c.conf": f"{_D}a = c\n"}),
)
# fmt: on


def name(case: Case) -> str:
    """The jail of a case, and its filter."""
    return f"case{CASES.index(case)}"


def write(directory: Path) -> None:
    """All cases as one configuration directory."""
    (directory / "filter.d").mkdir(parents=True)
    (directory / "fail2ban.conf").write_text("[Definition]\n", encoding="utf-8")
    jails = ["[DEFAULT]\nenabled = true\nbackend = polling\nlogpath = /var/log/none.log\n"]
    for case in CASES:
        own = {".conf": case.text} if case.text else {}
        for end, text in (own | case.files).items():
            path = directory / "filter.d" / f"{name(case)}{end}"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text.replace("@", name(case)), encoding="utf-8")
        jails.append(f"[{name(case)}]\nfilter = {name(case)}{case.jail}\n")
    (directory / "jail.conf").write_text("".join(jails), encoding="utf-8")
