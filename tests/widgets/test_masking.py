import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook.masking import HIDDEN, is_secret_name, mask


@pytest.mark.parametrize(
    "name",
    ["api_key", "APIKEY", "DB_PASSWORD", "githubToken", "passwd", "client_secret", "pwd", "auth", "credentials"],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["df", "author", "key", "tokenizer", "tokenise", "path", "primary_key", "compass"])
def test_other_names(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "secret",
    [
        "sk-abcdefghijklmnopqrstuvwx",
        "ghp_0123456789abcdefghijABCDEFGHIJ012345",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-DEF_123",
        "xoxb-123456789012-abcdef",
        "0123456789abcdef0123456789abcdef",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY12",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_keys_are_hidden_wherever_they_stand(secret: str) -> None:
    for text in (secret, f"x = '{secret}'", f"calling with {secret} now"):
        assert secret not in mask(text) and HIDDEN in mask(text)


def test_what_is_given_to_a_secret_name_is_hidden() -> None:
    assert mask("password = 'hunter2'  # mine") == f"password = '{HIDDEN}'  # mine"
    assert mask('os.environ["API_TOKEN"] = "abc"') == f'os.environ["API_TOKEN"] = "{HIDDEN}"'
    assert mask("{'secret': \"s\", 'n': 1}") == f"{{'secret': \"{HIDDEN}\", 'n': 1}}"
    assert "hunter2" not in mask("postgres://me:hunter2@host/db") and "host/db" in mask("postgres://me:hunter2@host/db")
    assert "abcdefgh" not in mask("Authorization: Bearer abcdefgh")


@pytest.mark.parametrize(
    "text",
    [
        "df = df.dropna()\nlen(df)",
        "tokens = text.split()",
        "ValueError: could not convert string to float: 'n/a'",
        "https://example.org/a/very/long/path/that/goes/on/and/on/and/on.html",
        "a_function_with_quite_a_long_name_in_snake_case(argument)",
        "AVeryLongClassNameInCamelCaseThatGoesOnAndOn",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert mask(text) == text


@given(st.text(alphabet="abcXYZ019_-=:'\"[] \n/@.", max_size=80))
def test_masking_twice_is_masking_once(text: str) -> None:
    assert mask(mask(text)) == mask(text)
