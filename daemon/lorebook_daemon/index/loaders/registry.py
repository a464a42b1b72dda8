"""Which loader reads which file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lorebook_daemon.index.grammars import LANGUAGES
from lorebook_daemon.index.loaders.apart import Apart
from lorebook_daemon.index.loaders.code import load_code
from lorebook_daemon.index.loaders.latex import load_latex
from lorebook_daemon.index.loaders.markdown import load_markdown
from lorebook_daemon.index.loaders.notebook import load_notebook
from lorebook_daemon.index.loaders.rst import load_rst
from lorebook_daemon.index.loaders.structured import STRUCTURED, load_structured
from lorebook_daemon.index.loaders.subtitles import load_subtitles
from lorebook_daemon.index.loaders.table import load_table
from lorebook_daemon.index.loaders.text import load_markup, load_text
from lorebook_daemon.index.passage import Unit


class Loader(Protocol):
    """Turns one file into units."""

    def __call__(self, path: Path, data: bytes) -> list[Unit]:
        """Return the file's units in its order, none for an empty file; raises Unreadable with a short reason."""


@dataclass(frozen=True, slots=True)
class BySize:
    """A loader of text: a small file is read in this process, a large one apart, so that it can fill no memory here."""

    here: Callable[[Path, bytes], list[Unit]]
    apart: Apart

    @classmethod
    def of(cls, load: Callable[[Path, bytes], list[Unit]]) -> BySize:
        """Return `load`, a function of a module beside this one, in both ways."""
        return cls(load, Apart(load.__module__.rpartition(".")[2], load.__name__))

    def __call__(self, path: Path, data: bytes) -> list[Unit]:
        """Return the file's units; raises Unreadable as the loader does, and for what exceeds the bounds of `apart`."""
        return (self.here if len(data) <= LARGE else self.apart)(path, data)


LARGE = 1_000_000
"""Bytes of a text file above which it is read apart."""

_FILES: dict[Callable[[Path, bytes], list[Unit]], str] = {
    load_notebook: ".ipynb",
    load_markdown: ".md .markdown .mdown .mkd .mdx .qmd .rmd",
    load_rst: ".rst .rest",
    load_text: ".txt .text .log .bib readme license licence notice authors contributors changelog changes todo news",
    load_latex: ".tex .latex .ltx",
    load_markup: ".adoc .asciidoc .org .sty .cls .typ",
    load_subtitles: ".srt .vtt",
    load_table: ".csv .tsv",
}
_APART: dict[Apart, str] = {
    Apart("pdf", "load_pdf"): ".pdf",
    Apart("html", "load_html"): ".html .htm .xhtml",
    Apart("rtf", "load_rtf"): ".rtf",
    Apart("docx", "load_docx"): ".docx .docm .dotx",
    Apart("pptx", "load_pptx"): ".pptx .pptm .ppsx",
    Apart("xlsx", "load_xlsx"): ".xlsx .xlsm .xltx",
    Apart("odf", "load_odf"): ".odt .ods .odp .ott",
    Apart("epub", "load_epub"): ".epub",
    Apart("message", "load_message"): ".eml",
    Apart("message", "load_mailbox"): ".mbox",
    Apart("webpage", "load_mhtml"): ".mhtml .mht",
    Apart("webpage", "load_webarchive"): ".webarchive",
    Apart("arrow", "load_parquet"): ".parquet .pq",
    Apart("arrow", "load_arrow"): ".arrow .feather .ipc",
    Apart("sqlite", "load_sqlite"): ".sqlite .sqlite3 .db .db3",
    Apart("duckdb", "load_duckdb"): ".duckdb .ddb",
    Apart("image", "load_image"): ".png .jpg .jpeg .tif .tiff .bmp .gif .webp",
}
"""Formats whose libraries a damaged file may bring down."""

LOADERS: dict[str, Loader] = {
    **dict.fromkeys(LANGUAGES, BySize.of(load_code)),
    **dict.fromkeys(STRUCTURED, BySize.of(load_structured)),
    **{name: BySize.of(load) for load, names in _FILES.items() for name in names.split()},
    **{name: loader for loader, names in _APART.items() for name in names.split()},
}
"""Loader by lower-case suffix or whole file name."""


def loader_for(path: Path) -> Loader | None:
    """Return the loader for a file, by its whole name first, then by its suffix; None where there is none."""
    return LOADERS.get(path.name.lower()) or LOADERS.get(path.suffix.lower())
