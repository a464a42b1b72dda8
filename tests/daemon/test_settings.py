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
        ("ENGINE", "telepathy"),
        ("ENGINE_URL", "localhost:8000"),
        ("ENGINE_URL", "ftp://localhost"),
        ("ENGINE_URL", "http://"),
        ("ENGINE_URL", "http://host:99999"),
        ("ENGINE_URL", "http://[::1"),
        ("ENGINE_URL", "http://host/v1?key=1"),
        ("ENGINE_URL", "http://me:secret@host"),
        ("ENGINE_KEY", "one two"),
        ("ENGINE_KEY", "schlüssel"),
    ],
)
def test_a_value_of_another_type_is_refused(home: Home, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"LOREBOOK_{name}", value)
    with pytest.raises(BadRequest, match=name.lower()):
        load_settings(home)


@pytest.mark.parametrize("text", [b"colour = 'red'", b"n_ctx = [", b"\xff\xfe"])
def test_a_file_that_is_wrong_is_named(home: Home, text: bytes) -> None:
    (home.config / "config.toml").write_bytes(text)
    with pytest.raises(BadRequest, match=r"config\.toml"):
        load_settings(home)


@pytest.mark.parametrize("text", ["n_ctx = 4.5", "n_ctx = true", "n_ctx = [1]", "n_ctx = inf", "n_ctx = nan"])
def test_no_number_is_cut_to_fit(home: Home, text: str) -> None:
    (home.config / "config.toml").write_text(text)
    with pytest.raises(BadRequest, match="n_ctx is"):
        load_settings(home)


def test_texts_are_taken_as_they_are(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOREBOOK_MODEL", "mine.gguf")
    monkeypatch.setenv("LOREBOOK_CROSS_ENCODER", "7")
    settings = load_settings(home)
    assert (settings.model, settings.cross_encoder) == ("mine.gguf", "7")


@pytest.mark.parametrize(("said", "meant"), [("1", True), ("yes", True), ("False", False), ("off", False)])
def test_switches_are_read_as_people_write_them(
    home: Home, monkeypatch: pytest.MonkeyPatch, said: str, meant: bool
) -> None:
    monkeypatch.setenv("LOREBOOK_OFFLINE", said)
    assert load_settings(home).offline is meant


@pytest.mark.parametrize(
    "said", ["http://host:8000", "http://host:8000/", "http://host:8000/v1", "http://host:8000/v1/"]
)
def test_the_engine_s_address_is_taken_with_and_without_its_end(
    home: Home, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setenv("LOREBOOK_ENGINE_URL", said)
    assert load_settings(home).engine_url == "http://host:8000"


def test_the_key_is_never_shown(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOREBOOK_ENGINE_KEY", "sk-secret")
    settings = load_settings(home)
    assert settings.engine_key == "sk-secret"
    assert "secret" not in f"{settings!r} {settings}"
    for name, value in (("ENGINE_KEY", "sk-secret one"), ("ENGINE_URL", "http://me:sk-secret@host")):
        monkeypatch.setenv(f"LOREBOOK_{name}", value)
        with pytest.raises(BadRequest) as refused:
            load_settings(home)
        assert "secret" not in str(refused.value)
        monkeypatch.delenv(f"LOREBOOK_{name}")
