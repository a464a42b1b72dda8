import pytest
from starlette.testclient import TestClient

from fake_app import AUTHORIZED, HOST, client_of
from lorebook_api import errors
from lorebook_daemon.app.application import create_app


def _all(root):
    return [root, *(leaf for branch in root.__subclasses__() for leaf in _all(branch))]


@pytest.fixture
def failing(bench):
    """A client of an app with one more route, which raises what the test puts there."""
    app = create_app(bench.parts)

    @app.get("/fail")
    async def fail():
        raise app.state.error

    client = TestClient(app, base_url=f"http://{HOST}", headers=AUTHORIZED, raise_server_exceptions=False)

    def get(error):
        app.state.error = error
        return client.get("/fail")

    return get


@pytest.mark.parametrize("kind", _all(errors.LorebookError), ids=lambda kind: kind.__name__)
def test_each_class_has_its_status_and_comes_back_as_itself(failing, kind):
    response = failing(kind("what is wrong.", "what to type."))
    assert response.status_code == kind.status
    body = response.json()
    assert body == {
        "error": {"code": kind.status, "message": "what is wrong.", "type": kind.type, "hint": "what to type."}
    }
    assert type(errors.from_body(body, response.status_code)) is kind


def test_what_nobody_foresaw_is_500_with_the_next_step_and_no_detail(failing):
    response = failing(KeyError("private"))
    assert response.status_code == 500
    assert response.json()["error"]["hint"] == "See `lorebook logs`."
    assert "private" not in response.text


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/api/nothing", 404, "not_found_error"),
        ("GET", "/docs", 404, "not_found_error"),
        ("GET", "/openapi.json", 404, "not_found_error"),
        ("DELETE", "/api/status", 405, "invalid_request_error"),
    ],
)
def test_unknown_paths_and_methods_have_the_same_shape(bench, method, path, status, kind):
    client = client_of(bench)
    response = client.request(method, path)
    assert response.status_code == status
    assert response.json()["error"]["code"] == status
    assert response.json()["error"]["type"] == kind
