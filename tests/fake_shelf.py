"""Files of passages to find hits in, as the index cuts them."""

from pathlib import Path

from lorebook_daemon.answer.retrieved import RootHit
from lorebook_daemon.index.passage import Passage
from lorebook_daemon.index.split import read_passages


class Files:
    """Files by name, cut into passages."""

    def __init__(self, **texts: str) -> None:
        self.texts = {name if "." in name else name.replace("__", "."): text for name, text in texts.items()}
        self.passages = {name: read_passages(Path(name), name, text.encode()) for name, text in self.texts.items()}

    def beside(self, root: str, path: str) -> list[Passage]:
        return self.passages.get(path, [])

    def hits(self, path: str, *places: int) -> list[RootHit]:
        """Return passages of a file as hits, the first the best."""
        chosen = [self.passages[path][place] for place in places]
        return [RootHit("/root", passage, 1 / (rank + 1)) for rank, passage in enumerate(chosen)]

    def lines(self, passage: Passage) -> str:
        """Return the lines that a passage says it is, from the file's text."""
        return "\n".join(self.texts[passage.path].split("\n")[passage.start_line - 1 : passage.end_line])


def hit(text: str, path: str = "a.md", score: float = 1.0, line: int = 1) -> RootHit:
    return RootHit("/root", Passage(path, line, line + text.count("\n"), text, "doc"), score)


def nothing(root: str, path: str) -> list[Passage]:
    return []
