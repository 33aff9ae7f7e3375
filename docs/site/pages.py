"""The site's pages: Markdown and pictures as they lie in the repository, and dbt's own page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
# `dbt docs generate --static` has written it before.
DBT_PAGE = ROOT / "dbt_project" / "target" / "docs" / "static_index.html"
_FOLDERS = (
    *("*", "benchmarks/*", "docs/*", "docs/connect/*", "docs/images/*", "docs/notebooks/*"),
    "tests/evaluation/*",
)
_SUFFIXES = (".md", ".svg", ".png", ".webp")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put pages in place of the navigation's patterns."""
    config.nav = _expanded(config.nav or [])
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Take the repository's pages and pictures for the site's, at the same places."""
    for folder in _FOLDERS:
        for path in sorted(ROOT.glob(folder)):
            if path.suffix in _SUFFIXES:
                name = path.relative_to(ROOT).as_posix()
                files.append(File.generated(config, name, abs_src_path=str(path)))
    files.append(File.generated(config, "docs/dbt.html", abs_src_path=str(DBT_PAGE)))
    return files


def _expanded(nav: list[Any]) -> list[Any]:
    entries: list[Any] = []
    for entry in nav:
        if isinstance(entry, dict):
            entries += [
                {title: _expanded(below) if isinstance(below, list) else below}
                for title, below in entry.items()
            ]
        elif "*" in entry:
            entries += [p.relative_to(ROOT).as_posix() for p in sorted(ROOT.glob(entry))]
        elif (ROOT / entry).exists():
            entries.append(entry)
    return entries
