"""Whatever the path, nothing above the open routes is reached; whatever the query, Jupyter's login stays out."""

import posixpath
from urllib.parse import parse_qsl, unquote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_api.errors import NotFound
from lorebook_extension.route import find_target, pick_answer_headers, pick_request_headers

PIECES = st.sampled_from(
    ["api", "v1", "health", "docs", "..", ".", "%2e", "%2E.", "%2f", "/", "//", "\\", "%5c", "x", "?"]
)


@given(st.lists(PIECES, max_size=8).map("".join))
def test_no_path_climbs(path):
    try:
        target = find_target(path, "")
    except NotFound:
        return
    assert target == f"/{path}"
    for spelled in (target, unquote(target)):
        assert posixpath.normpath(spelled.replace("\\", "/")).lstrip("/").split("/")[0] in {"api", "v1", "health"}


@given(st.lists(st.tuples(st.sampled_from(["k", "token", "_xsrf", "tok en", "Token"]), st.text(max_size=5))))
def test_the_query_keeps_all_but_the_login(pairs):
    target = find_target("api/x", urlencode(pairs))
    kept = [(name, value) for name, value in pairs if name not in {"token", "_xsrf"}]
    assert parse_qsl(target.partition("?")[2], keep_blank_values=True) == kept


def test_the_login_is_known_in_any_spelling():
    assert find_target("api/x", "%74oken=1&_x%73rf=2&a=1") == "/api/x?a=1"


@pytest.mark.parametrize("path", ["health", "api", "api/", "api/models/a%2Fb", "v1/models", "api/x..y"])
def test_what_is_open(path):
    assert find_target(path, "") == f"/{path}"


def test_a_header_that_connection_names_is_of_one_connection():
    given_headers = [("Connection", "close, X-Hop"), ("X-Hop", "1"), ("X-Kept", "2"), ("Transfer-Encoding", "chunked")]
    assert pick_answer_headers(given_headers) == [("x-kept", "2")]


def test_the_daemon_is_not_asked_to_pack():
    assert pick_request_headers({"accept": "a", "cookie": "c"}) == {"accept": "a", "accept-encoding": "identity"}
