"""`Page`: a report as one file that needs no other."""

from __future__ import annotations

import html
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ddcore.ground.tensorfile import write_atomically
from ddcore.report.chapter import Chapter
from ddcore.report.render import rendered
from ddcore.report.told import head_figures
from ddcore.version import __version__

HEIGHT = 720


@dataclass(frozen=True, eq=False)
class Page:
    """What `ddcore.report` made. A notebook shows it.

    Attributes:
        chapters: one per summary.
    """

    chapters: tuple[Chapter, ...]

    @cached_property
    def html(self) -> str:
        """The page: styles, pictures, charts and their code are inside."""
        return rendered(self.chapters)

    def save(self, path: str | Path) -> Path:
        """Write the page to a file; its folder is made."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, self.html.encode())
        return path

    def as_text(self) -> str:
        """Return the head figures as text for a terminal, a line for each summary."""
        lines = []
        for chapter in self.chapters:
            figures = ", ".join(f"{name} {value}" for name, value, _ in head_figures(chapter))
            lines.append(f"{chapter.title}: {figures}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return what the page tells as JSON data, without examples."""
        return {"schema": 1, "ddcore": __version__, "summaries": [chapter.to_json() for chapter in self.chapters]}

    def _repr_html_(self) -> str:
        return (
            f'<iframe title="report" srcdoc="{html.escape(self.html)}" sandbox="allow-scripts allow-same-origin" '
            f'style="width:100%;height:{HEIGHT}px;border:0"></iframe>'
        )

    def __repr__(self) -> str:
        titles = ", ".join(chapter.title for chapter in self.chapters)
        return f"Page({titles}: {len(self.html.encode()) / 1e6:.2f} MB; .save('report.html') writes it)"
