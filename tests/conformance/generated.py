"""Generates small configuration directories: jails, filters, includes, overrides, references, parameters.

Directories are valid by construction as far as possible, because Fail2Ban rejects a directory as a whole: a name
refers only to names of lower rank, so there are no cycles, and every regex has one <HOST>.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from tests.conformance.words import (
    ADDRESSES,
    BLOCKS,
    DATES,
    JOURNAL,
    LINES,
    LITERALS,
    MODES,
    TIMES,
    UNCERTAIN,
    VALUES,
)
from tests.conformance.writing import File, plain, untidy


@dataclass(frozen=True, slots=True)
class Features:
    """The features that a directory may use."""

    untidy: bool = False
    layers: bool = False
    references: bool = False
    tags: bool = False
    jails: bool = False


EVERYTHING = Features(untidy=True, layers=True, references=True, tags=True, jails=True)


@st.composite
def directories(draw: st.DrawFn, features: Features) -> dict[str, str]:
    """The text of each file, by its path in the directory."""
    files: dict[str, File] = {}
    names = [f"f{number}" for number in range(draw(st.integers(1, 2)))]
    for name in names:
        draw(_filter(name, features, files))
    draw(_jails(names, features, files))
    write = untidy if features.untidy else plain
    return {path: draw(write(file)) for path, file in files.items()}


def write(texts: dict[str, str], directory: Path) -> None:
    """Write the files to disk, byte for byte."""
    for name, text in texts.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    (directory / "fail2ban.conf").write_text("[Definition]\n", encoding="utf-8")


@st.composite
def _fragment(draw: st.DrawFn, rank: int, features: Features) -> str:
    """A part of one line: a literal, or a reference to a name of lower rank."""
    forms = ["literal", "literal"]
    if rank:
        forms += ["reference", "reference"] * features.references + ["tag", "tag"] * features.tags
    form = draw(st.sampled_from(forms))
    if form == "literal":
        # A jail that uses %(known/failregex)s resolves the filter's regexes a second time.
        return draw(st.sampled_from([text for text in LITERALS if "%" not in text or not features.jails]))
    name = draw(st.sampled_from(LINES[:rank]))
    if form == "tag":
        return draw(
            st.sampled_from(
                (
                    f"<{name}>",
                    f"<{name}>",
                    f"<{name.upper()}>",
                    f"<lt_<mode>/{name}>",
                    "<lt_extra/own>",
                    f"<default/{name}>",
                )
            )
        )
    shapes = (f"%({name})s", f"%({name})s", f"%({name.upper()})s", f"%(default/{name})s", "%(lt_normal/own)s")
    return draw(st.sampled_from(shapes))


@st.composite
def _line(draw: st.DrawFn, rank: int, features: Features) -> str:
    parts = draw(st.lists(_fragment(rank, features), min_size=0, max_size=3))
    return draw(st.sampled_from(("", " "))).join(parts).strip()


@st.composite
def _block(draw: st.DrawFn, features: Features) -> str:
    """Several regexes, one per line, each with one <HOST>."""
    rank = len(LINES)
    lines = [
        f"{draw(_fragment(rank, features))} <HOST>{draw(_line(rank, features))}"
        for _ in range(draw(st.integers(1, 3)))
    ]
    return "\n".join(lines)


@st.composite
def _filter(draw: st.DrawFn, name: str, features: Features, files: dict[str, File]) -> None:
    """The files of a filter; later ones override options of earlier ones."""
    own = files.setdefault(f"filter.d/{name}.conf", File())
    paths = [f"filter.d/{name}.conf"]
    default = own
    if features.layers:
        paths += draw(_layers(name, own, files))
        default = files[draw(st.sampled_from([p for p in paths if p not in UNCERTAIN]))]
    for rank, line in enumerate(LINES):
        # Options in [DEFAULT] can be referenced everywhere.
        default.put("DEFAULT", line, draw(_line(rank, features)))
    own.put("DEFAULT", "mode", draw(st.sampled_from(MODES)))
    for mode in MODES:
        own.put(f"lt_{mode}", "own", draw(_fragment(0, features)))
        own.put("Definition", f"mdre-{mode}", draw(_block(features)))
    own.put("Definition", "failregex", draw(_failregex(features)))
    for option, value in draw(_keywords(features)).items():
        own.put(draw(st.sampled_from(("Definition", "Definition", "Init", "DEFAULT"))), option, value)
    for _ in range(draw(st.integers(0, 4)) if features.layers or features.tags else 0):
        draw(_override([files[path] for path in paths], features))


@st.composite
def _layers(draw: st.DrawFn, name: str, own: File, files: dict[str, File]) -> list[str]:
    """Further files of a filter, read before and after it."""
    paths: list[str] = []
    if draw(st.booleans()):
        own.before = ["common.conf", *draw(st.lists(st.just("missing.conf"), max_size=1))]
        files.setdefault("filter.d/common.conf", File())
        paths.append("filter.d/common.conf")
        if draw(st.booleans()):
            files["filter.d/common.conf"].before = ["deep/base.conf"]
            files.setdefault("filter.d/deep/base.conf", File())
            paths.append("filter.d/deep/base.conf")
    if draw(st.booleans()):
        own.after = ["over.conf"]
        paths.append("filter.d/over.conf")
    for path in (
        f"filter.d/{name}.local",
        f"filter.d/{name}.d/50.conf",
        f"filter.d/{name}.d/60.local",
        "filter.d/common.local",
    ):
        if draw(st.integers(0, 2)) == 0:
            paths.append(path)
    for path in paths:
        files.setdefault(path, File())
    return paths


@st.composite
def _failregex(draw: st.DrawFn, features: Features) -> str:
    lines = [draw(_block(features))]
    if features.references:
        lines += draw(st.lists(st.sampled_from(("%(mdre-normal)s", "%(MDRE-extra)s")), max_size=1))
    if features.tags:
        lines += draw(st.lists(st.sampled_from(("<mdre-<mode>>", "<mdre-normal>")), max_size=1))
    return "\n".join(draw(st.permutations(lines)))


@st.composite
def _keywords(draw: st.DrawFn, features: Features) -> dict[str, str]:
    """Options of a filter that a jail may override, except failregex."""
    some: dict[str, st.SearchStrategy[str]] = {
        "ignoreregex": st.one_of(st.just(""), _line(len(LINES), features)),
        "prefregex": _line(len(LINES), features).map(
            lambda t: f"^<F-MLFID>a</F-MLFID>{t}<F-CONTENT>.+</F-CONTENT>$"
        ),
        "datepattern": st.lists(st.sampled_from(DATES), min_size=1, max_size=2, unique=True).map("\n".join),
        "maxlines": st.integers(1, 9).map(str),
        "journalmatch": st.sampled_from(JOURNAL),
        "usedns": st.sampled_from(("yes", "no", "warn", "raw")),
    }
    return {option: draw(value) for option, value in some.items() if draw(st.integers(0, 2)) == 0}


@st.composite
def _override(draw: st.DrawFn, files: list[File], features: Features) -> None:
    """Set an option of the filter again, possibly with a reference to its previous value."""
    file = draw(st.sampled_from(files))
    # Not [Init?family=inet6], which is for actions: in a filter, Fail2Ban then leaves some tags unresolved.
    section = draw(st.sampled_from(("Definition", "Init", "DEFAULT")))
    option = draw(st.sampled_from((*LINES, "mode", *BLOCKS, "failregex")))
    if option in file.sections.get(section, {}) or (option not in LINES and section != "Definition"):
        return
    if option == "mode":
        value = draw(st.sampled_from(MODES))
    elif option in LINES:
        # Init is resolved separately: only literals are certain to be found.
        rank = 0 if section.startswith("Init") else LINES.index(option)
        value = draw(_line(rank, features))
        # Not both: Fail2Ban gives a jail's <known/x> another value if x contains %(known/x)s. Nobody writes this.
        if section == "Definition" and features.references and not features.tags and draw(st.booleans()):
            value = f"{value}%(known/{option})s"
    else:
        value = draw(_block(features))
        shapes = [f"%(known/{option})s"] * features.references + [f"<known/{option}>"] * features.tags
        if shapes and file is not files[0] and draw(st.booleans()):
            value = "\n".join(draw(st.permutations((value, draw(st.sampled_from(shapes))))))
    file.put(section, option, value)


@st.composite
def _parameter(draw: st.DrawFn) -> str:
    """One `opt="value"`, quoted in any valid way. Release 1.0 accepts no space before the `=`."""
    option = draw(st.sampled_from((*LINES, "mode", "logtype", "new", "Cap")))
    # <known/x> is tested in cases.py: with several files, Fail2Ban uses sometimes x's value, sometimes [DEFAULT]'s.
    value = draw(st.sampled_from(MODES if option == "mode" else VALUES))
    bare = [""] if not set(value) & set(",]\"' ") else []
    quote = draw(st.sampled_from([q for q in ('"', "'") if q not in value] + bare))
    return f"{option}={quote}{value}{quote}"


@st.composite
def _parameters(draw: st.DrawFn, features: Features) -> str:
    """`[opt="value", ...]` in one group or several."""
    groups = []
    for _ in range(draw(st.integers(0, 2)) if features.tags else 0):
        parts = draw(st.lists(_parameter(), min_size=1, max_size=3))
        groups.append("[" + draw(st.sampled_from((", ", ",", ",\n"))).join(parts) + "]")
    return "".join(groups)


@st.composite
def _jails(draw: st.DrawFn, names: list[str], features: Features, files: dict[str, File]) -> None:
    main = files.setdefault("jail.conf", File())
    base = {
        "enabled": "true",
        "backend": "polling",
        "logpath": "/var/log/none.log",
        "maxretry": "5",
        "bantime": "10m",
    }
    base |= {"findtime": "10m", "maxmatches": "%(maxretry)s", "var": "v", "number": "7", "mode": "normal"}
    for option, value in base.items():
        main.put("DEFAULT", option, value)
    others = [main]
    if features.layers:
        for path in ("jail.local", "jail.d/10.conf", "jail.d/20.local"):
            if draw(st.booleans()):
                others.append(files.setdefault(path, File()))
    for jail in (*names, *(f"jail{number}" for number in range(draw(st.integers(2, 6))))):
        filter_ = jail if jail in names else draw(st.sampled_from(names))
        text = draw(st.sampled_from(("%(__name__)s", jail))) if jail in names else filter_
        draw(st.sampled_from(others)).put(jail, "filter", text + draw(_parameters(features)))
        for option, value in draw(_options(features)).items() if features.jails else ():
            draw(st.sampled_from(others)).put(
                draw(st.sampled_from((jail, jail, jail, "DEFAULT"))), option, value
            )


@st.composite
def _options(draw: st.DrawFn, features: Features) -> dict[str, str]:
    """The options of a jail, and those that it overrides in its filter."""
    some: dict[str, st.SearchStrategy[str]] = {
        "maxretry": st.sampled_from(("1", "12", "%(number)s", "007")),
        "maxmatches": st.sampled_from(("0", "3", "%(maxretry)s")),
        "findtime": st.sampled_from(TIMES),
        "bantime": st.sampled_from((*TIMES, "-1")),
        "ignoreip": st.lists(st.sampled_from(ADDRESSES), max_size=3).map(" ".join),
        "number": st.sampled_from(("8", "9")),
        "var": st.sampled_from(("w", "x y")),
        "failregex": st.sampled_from(
            ("own <HOST>", "own <HOST>\n%(known/failregex)s", "%(known/failregex)s", "%(var)s <HOST>")
        ),
    }
    some |= {name: st.just("") for name in ("ignoreregex", "datepattern")}
    some |= {
        "usedns": st.sampled_from(("yes", "no")),
        "maxlines": st.just("3"),
        "journalmatch": st.sampled_from(JOURNAL),
    }
    some |= {"prefregex": st.just("^<F-ID>a</F-ID>"), "datepattern": st.sampled_from(DATES)}
    return {option: draw(value) for option, value in some.items() if draw(st.integers(0, 3)) == 0}
