"""Pages that are fetched by address: what is asked for, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lorebook_api.errors import BadRequest, NotFound, StorageFailed, Unusable
from lorebook_daemon.index.split import read_passages
from lorebook_daemon.index.webpages import keep_page

PAGE = b"<html><head><title>Wells</title><link href=/style.css rel=stylesheet></head><body><h1>W3</h1>" + (
    b"<p>The pump was changed in May; <a href=/other.html>more</a>.<img src=/well.png></p></body></html>"
)


class Site:
    """A web site on this machine that notes what it is asked for."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                code, headers, body = site.answers.get(self.path, (404, {}, b""))
                self.send_response(code)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def says(self, path: str, body: bytes, media: str = "text/html", code: int = 200, **headers: str) -> str:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers[path] = (code, {"Content-Type": media, **named}, body)
        return f"{self.url}{path}"


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def keep(url: str, folder: Path, *, offline: bool = False) -> Path:
    return keep_page(url, folder / "pages", most_mb=1, offline=offline)


def texts(file: Path) -> list[str]:
    return [passage.text for passage in read_passages(file, file.name)]


def test_a_page_is_kept_with_its_address_and_nothing_it_names_is_fetched(site: Site, tmp_path: Path) -> None:
    url = site.says("/wells/w3.html?x=1", PAGE)
    file = keep(f"{url}#part", tmp_path)
    assert site.asked == ["/wells/w3.html?x=1"]
    assert file.parent.parent == tmp_path / "pages" and file.suffix == ".mhtml"
    (text,) = texts(file)
    assert text.split("\n") == [url, "Wells", "W3", "The pump was changed in May; more."]


def test_naming_it_again_fetches_it_again_into_the_same_file(site: Site, tmp_path: Path) -> None:
    first = keep(site.says("/a", PAGE), tmp_path)
    second = keep(site.says("/a", PAGE.replace(b"May", b"June")), tmp_path)
    assert first == second and "June" in texts(second)[0]
    assert [one.name for one in first.parent.iterdir()] == [first.name]
    assert keep(site.says("/a?b", PAGE), tmp_path) != first


@pytest.mark.parametrize(
    ("media", "body"),
    [
        ("text/html; charset=latin-1", "<p>Größe</p>".encode("latin-1")),
        ("text/html", '<meta charset="cp1251"><p>Größe Привет</p>'.replace("Größe ", "").encode("cp1251")),
        ("text/html", "<p>Größe</p>".encode()),
    ],
)
def test_encodings(site: Site, tmp_path: Path, media: str, body: bytes) -> None:
    text = texts(keep(site.says("/a", body, media), tmp_path))[0]
    assert text.endswith(("Größe", "Привет"))


def test_other_kinds_are_kept_as_what_they_are(site: Site, tmp_path: Path) -> None:
    assert texts(keep(site.says("/notes", b"# A\n\nwords", "text/markdown"), tmp_path)) == ["# A\n\nwords"]
    assert keep(site.says("/data.csv", b"a,b\n1,2\n", "application/octet-stream"), tmp_path).suffix == ".csv"
    with pytest.raises(Unusable, match="does not read"):
        keep(site.says("/film.mkv", b"x", "video/x-matroska"), tmp_path)


def test_a_redirect_is_followed_so_far_and_no_further(site: Site, tmp_path: Path) -> None:
    site.says("/new", PAGE)
    file = keep(site.says("/old", b"", code=301, Location="/new"), tmp_path)
    assert texts(file)[0].startswith(f"{site.url}/new\n")
    with pytest.raises(NotFound, match="cannot be fetched"):
        keep(site.says("/round", b"", code=302, Location="/round"), tmp_path)
    assert site.asked.count("/round") == 6
    with pytest.raises(BadRequest, match="no address of a web page"):
        keep(site.says("/file", b"", code=302, Location="file:///etc/passwd"), tmp_path)


@pytest.mark.parametrize("url", ["ftp://example.org/a", "file:///etc/passwd", "example.org/a", "http://", "", "a b"])
def test_what_is_no_web_address_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="no address"):
        keep(url, tmp_path)


def test_offline_only_this_machine_is_asked(site: Site, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="stay offline"):
        keep("http://192.0.2.1/a", tmp_path, offline=True)
    with pytest.raises(BadRequest, match="stay offline"):
        keep(site.says("/out", b"", code=302, Location="http://192.0.2.1/a"), tmp_path, offline=True)
    assert keep(site.says("/a", PAGE), tmp_path, offline=True).is_file()


def test_what_does_not_come_or_is_too_large_leaves_nothing(site: Site, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="404"):
        keep(f"{site.url}/gone", tmp_path)
    with pytest.raises(Unusable, match="larger than max_file_mb = 1"):
        keep(site.says("/big", b"x" * 1_100_000), tmp_path)
    assert not (tmp_path / "pages").exists()


def test_a_folder_that_cannot_be_written_is_said(site: Site, tmp_path: Path) -> None:
    (tmp_path / "pages").write_text("a file")
    with pytest.raises(StorageFailed, match="cannot be written"):
        keep(site.says("/a", PAGE), tmp_path)
