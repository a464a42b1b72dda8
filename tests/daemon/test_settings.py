import pytest

from lorebook_api.errors import BadRequest
from lorebook_api.home import Home
from lorebook_daemon.settings import Settings, load_settings


def test_flags_win_over_environment_over_file_over_defaults(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings(home) == Settings()
    (home.config / "config.toml").write_text("n_ctx = 1\nthreads = 1\nport = 1\noffline = true\n")
    monkeypatch.setenv("LOREBOOK_THREADS", "2")
    monkeypatch.setenv("LOREBOOK_PORT", "2")
    settings = load_settings(home, port=3, model=None)
    assert (settings.n_ctx, settings.threads, settings.port, settings.offline, settings.model) == (
        1,
        2,
        3,
        True,
        "auto",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("N_CTX", "many"),
        ("N_CTX", "-1"),
        ("OFFLINE", "perhaps"),
        ("KV_REUSE", "sometimes"),
        ("IDLE_STOP_MINUTES", "nan"),
    ],
)
def test_a_value_of_another_type_is_refused(home: Home, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"LOREBOOK_{name}", value)
    with pytest.raises(BadRequest, match=name.lower()):
        load_settings(home)


@pytest.mark.parametrize("text", ["colour = 'red'", "n_ctx = ["])
def test_a_file_that_is_wrong_is_named(home: Home, text: str) -> None:
    (home.config / "config.toml").write_text(text)
    with pytest.raises(BadRequest, match=r"config\.toml"):
        load_settings(home)


@pytest.mark.parametrize(("said", "meant"), [("1", True), ("yes", True), ("False", False), ("off", False)])
def test_switches_are_read_as_people_write_them(
    home: Home, monkeypatch: pytest.MonkeyPatch, said: str, meant: bool
) -> None:
    monkeypatch.setenv("LOREBOOK_OFFLINE", said)
    assert load_settings(home).offline is meant
