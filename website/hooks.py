"""What MkDocs calls while it builds the site. It puts this folder on the path."""

from __future__ import annotations

import logging
import os
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

sys.path.insert(0, str(Path(__file__).parents[1]))

from website import links, reference
from website.mathematics import Mathematics

LOG = logging.getLogger("mkdocs.website")
FILE_LINK = re.compile(r'href="(?![a-z]+:|/|#)([^"#]+\.(?:md|ipynb))(#[^"]*)?"')


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Write out what the navigation names by a pattern, and teach Markdown formulas."""
    config.nav = expanded(config.nav, Path(config.docs_dir))
    config.markdown_extensions.append(Mathematics())  # type: ignore[arg-type]
    return config


def expanded(nav: Any, docs: Path) -> Any:
    """Return the navigation with what its patterns match, `api/*.md` being the reference.

    Groups in which nothing is left are left out.
    """
    if isinstance(nav, dict):
        return {title: inner for title, entry in nav.items() if (inner := expanded(entry, docs))}
    if isinstance(nav, list):
        found = [expanded(entry, docs) for entry in nav]
        return [one for entry in found for one in (entry if isinstance(entry, list) else [entry]) if one]
    if nav == f"{reference.FOLDER}/*.md":
        return [{package: reference.place(package)} for package in reference.packages()]
    return sorted(path.relative_to(docs).as_posix() for path in docs.glob(nav)) if "*" in nav else nav


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files beside docs/ and the pages of the reference."""
    for place in links.held_files():
        file = File(place, str(links.ROOT), config.site_dir, config.use_directory_urls)
        file.inclusion = InclusionLevel.NOT_IN_NAV
        files.append(file)
    for place, text in reference.pages().items():
        files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turn the links of a page that is written in the repository."""
    path = page.file.abs_src_path
    if path is None:
        return markdown
    return links.for_site(markdown, Path(path).relative_to(links.ROOT).as_posix())


def on_page_content(html: str, page: Page, files: Files, **_: Any) -> str:
    """Turn the links of a notebook, whose Markdown is not MkDocs' own, to pages of the site."""
    if not page.file.src_uri.endswith(".ipynb"):
        return html

    def turned(match: re.Match[str]) -> str:
        place = os.path.normpath(Path(page.file.src_uri).parent / match[1])
        file = files.get_file_from_path(place)
        if file is None:
            LOG.warning("%s links %s, which the site does not hold", page.file.src_uri, match[1])
            return match.group()
        return f'href="{get_relative_url(file.url, page.url)}{match[2] or ""}"'

    return FILE_LINK.sub(turned, html)
