"""Writes sections and options as an INI file, in various styles."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st

# Option to value, with newlines in a multi-line value; the writer adds comments and empty lines.
Section = dict[str, str]


@dataclass(slots=True)
class File:
    """One file: its includes, and its sections in order."""

    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    sections: dict[str, Section] = field(default_factory=dict)

    def put(self, section: str, option: str, value: str) -> None:
        """Set an option; creates its section if it is missing."""
        self.sections.setdefault(section, {})[option] = value


_DELIMITERS = ("=", " = ", " =", "= ", ":", ": ", " : ", "\t=\t", "  =   ")
_COMMENTS = ("# a comment", "; a comment", "#", ";", "  # indented = yes", "\t; [section]")
_INLINE = ("", "", "", " ; and why", "\t; x = y", "  ;", "   ")
# Options whose value may begin on the next line. Fail2Ban does not find a filter that is named so.
_LISTS = ("failregex", "ignoreregex", "datepattern", "journalmatch", "ignoreip", "logpath")
_INSIDE = ("", "# out of it", "; so is this", "   # indented", "  ", "\t")


def plain(file: File) -> st.SearchStrategy[str]:
    """In a regular style."""
    lines: list[str] = []
    for name, section in _all(file).items():
        lines.append(f"[{name}]")
        for option, value in section.items():
            first, *rest = value.split("\n")
            lines += [f"{option} = {first}".rstrip(), *(f"    {line}" for line in rest)]
    return st.just("\n".join(lines) + "\n")


@st.composite
def untidy(draw: st.DrawFn, file: File) -> str:
    """With both delimiters, comments, empty lines, irregular indentation, capitals, values that begin on the next line."""
    end = draw(st.sampled_from(("\n", "\n", "\r\n")))
    lines: list[str] = draw(st.lists(st.sampled_from(_COMMENTS), max_size=1))
    for name, section in _all(file).items():
        lines.append(f"[{name}]" + draw(st.sampled_from(("", "", " ", " ; why", " # why"))))
        indent = draw(st.sampled_from(("", "", " ", "   ")))
        for option, value in section.items():
            lines += draw(_option(option, value, indent))
            lines += draw(st.lists(st.sampled_from((*_COMMENTS, "", " ")), max_size=1))
    return end.join(lines) + draw(st.sampled_from((end, "")))


@st.composite
def _option(draw: st.DrawFn, option: str, value: str, indent: str) -> list[str]:
    first, *rest = value.split("\n")
    name = option.upper() if draw(st.integers(0, 5)) == 0 else option
    deeper = indent + draw(st.sampled_from((" ", "    ", "\t", "            ")))
    # For a single-line regex, an empty first line would add a second, empty regex.
    if first and option in _LISTS and draw(st.integers(0, 4)) == 0:
        rest, first = [first, *rest], ""
    inline = st.sampled_from(_INLINE)
    lines = [indent + name + draw(st.sampled_from(_DELIMITERS)) + first + draw(inline)]
    for line in rest:
        lines += draw(st.lists(st.sampled_from(_INSIDE), max_size=1))
        lines.append((deeper + line if line else "") + (draw(inline) if line else ""))
    return lines


def _all(file: File) -> dict[str, Section]:
    includes: Section = {}
    if file.before:
        includes["before"] = "\n".join(file.before)
    if file.after:
        includes["after"] = "\n".join(file.after)
    return ({"INCLUDES": includes} if includes else {}) | file.sections
