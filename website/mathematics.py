r"""Mathematics as MathML, which browsers draw themselves: no script, no font, no network.

Docstrings write :math:`x` and `.. math::`, pages `\(x\)` and `\[x\]`.
"""

from __future__ import annotations

import re
import textwrap
from typing import Any
from xml.etree.ElementTree import Element

import griffe
from latex2mathml.converter import convert
from markdown import Extension, Markdown
from markdown.inlinepatterns import InlineProcessor

ROLE = re.compile(r":math:`([^`]+)`")
BLOCK = re.compile(
    r"^(?P<indent> *)\.\. math::(?P<first>[^\n]*)\n(?P<rest>(?:(?:(?P=indent) +[^\n]*)?(?:\n|\Z))*)", re.M
)
DELIMITED = r"\\\((?P<inline>.+?)\\\)|\\\[(?P<block>.+?)\\\]"


def delimited(docstring: str) -> str:
    r"""Return a docstring whose mathematics stands between `\(` and `\)`, or `\[` and `\]`."""

    def block(match: re.Match[str]) -> str:
        lines = textwrap.dedent(match["rest"]).split("\n")
        text = " ".join(" ".join([match["first"], *lines]).split())
        return f"{match['indent']}\\[{text}\\]\n\n"

    return ROLE.sub(lambda match: rf"\({' '.join(match[1].split())}\)", BLOCK.sub(block, docstring + "\n"))


class Docstrings(griffe.Extension):
    """Docstrings of the reference, with their mathematics between delimiters."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change an object's docstring before it is parsed."""
        if obj.docstring is not None:
            obj.docstring.value = delimited(obj.docstring.value)


class Formulas(InlineProcessor):
    """What stands between the delimiters, as MathML."""

    def handleMatch(self, m: re.Match[str], data: str) -> tuple[str | Element, int, int]:  # type: ignore[override] # noqa: N802
        """Return the formula, kept from further processing."""
        if m["inline"]:
            drawn = convert(m["inline"], display="inline")
        else:
            drawn = f'<span class="formula">{convert(m["block"], display="block")}</span>'
        return self.md.htmlStash.store(drawn), m.start(0), m.end(0)


class Mathematics(Extension):
    """A Markdown extension: formulas before anything else reads their backslashes."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        """Add the formulas, after code and before escapes."""
        md.inlinePatterns.register(Formulas(DELIMITED, md), "formulas", 185)
