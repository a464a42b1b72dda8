"""Markdown as a notebook renders it: with HTML let through."""

from html.parser import HTMLParser

from markdown_it import MarkdownIt


class Tags(HTMLParser):
    """Collects the tags, and the text, of what a renderer made."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def render(markdown: str) -> Tags:
    renderer = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return Tags(renderer.render(markdown))
