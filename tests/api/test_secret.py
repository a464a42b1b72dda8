"""What a secret looks like, and what only looks like one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorebook_api.secret import SHAPES, found_secret


@pytest.mark.parametrize(
    "text",
    [
        'DB_PASSWORD="correct-horse"',
        "PASSWORD=hunter2x",
        "export DB_PASSWORD=correcthorse",
        "password: hunter2x",
        'OPENAI_API_KEY="abcdefgh12345678"',
        'api_key = "abcdefghijklmnop"',
        "access_token=abcdef1234567890",
        "https://x.org/a?access_token=abc123def456&x=1",
        "client_secret: 8f3kd93jdk2",
        '"client_secret": "8f3kd93jdk2"',
        "aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        'os.environ["HF_TOKEN"] = "s3cr3tvalue"',
        "os.environ['DB_PASSWORD'] = 'hunter2'",
        "Authorization: Bearer abcdefgh12345678",
        'headers = {"Authorization": "Bearer abcdefgh12345678"}',
        "-H 'Authorization: token abcdefgh12345678'",
        "glpat-abcdEFGH12345678ijkl",
        "npm_abcdefghijklmnopqrstuvwxyz0123456789",
        "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
        "sk-proj-abcDEF123_456-ghijklmnop",
        "sk-ant-api03-abcDEF123_456-ghijklmnop",
        "pypi-AgEIcHlwaS5vcmcCJDAwMDAwMDAw",
        "AccountName=x;AccountKey=abc123DEF456ghi789==;EndpointSuffix=y",
        'password: str = "hunter2x"',
        'connect(user="a", password="hunter2")',
        "Server=x;Pwd=hunter2x;",
        "x-api-key: 1234abcd5678",
        '{\\"password\\": \\"hunter2x\\"}',
        'if password == "hunter2x":',
        "KEY_ghp_0123456789abcdefghijABCDEFGHIJ012345",
        "postgres://ines:hunter22@db.example.org/lab",
        "AKIAIOSFODNN7EXAMPLE",
        "-----BEGIN RSA PRIVATE KEY-----",
        'token = "correct-horse-battery"',
    ],
)
def test_secrets_are_found(text: str) -> None:
    assert found_secret(text)
    assert found_secret(f"# set up\n{text}\nprint(1)")


@pytest.mark.parametrize(
    "text",
    [
        "token = tokenizer(x)",
        "max_tokens=512",
        "max_tokens = 123456789",
        "key=lambda row: row.name",
        "password = getpass()",
        'password=getpass.getpass("Password: ")',
        'secret = os.environ["X"]',
        'token = os.environ["HF_TOKEN"]',
        'token=os.environ.get("HF_TOKEN")',
        "api_key=settings.api_key2",
        "token=token2id_map",
        "PASSWORD=None",
        "token: Optional[str] = None",
        "password: str",
        "def f(token: Uint8Array)",
        'pad_token="<|endoftext|>"',
        "tokenizer.pad_token = tokenizer.eos_token",
        'token = "banana"',
        'token = "transformer"',
        'password_field = "password-input-1"',
        'password = "<your-password>"',
        'API_KEY="your-api-key-here1"',
        "PASSWORD=${DB_PASSWORD}",
        "PASSWORD=$DB_PASSWORD1",
        "password={password1}",
        'f"password={password1}"',
        "secret_name: my-secret-1",
        'private_key="~/.ssh/id_ed25519"',
        "The token: a piece of text that the model reads.",
        "Password: at least 12 characters.",
        'tokenizer = AutoTokenizer.from_pretrained("bert-base-uncased1")',
        "npm_config_registry_something_long",
        "hf_model_name_or_path_of_it",
        "pypi-publish-github-action",
        "sk_learn_some_long_name_here",
        "pk_customer_order_january_id",
        "ASIAPACIFICREGIONS",
        "num_tokens: 12345678",
        "token_ids = [1,2,3]",
        'password = input("Password? ")',
        "secret = secrets.token_hex(16)",
        "passed=12345abcde",
        "compass: north1234",
        "token.text=abcdef123",
        "Authorization: Bearer <token>",
        'headers = {"Authorization": f"Bearer {token}"}',
        "risk-analysis-of-something-very-long",
        "for token in doc: print(token)",
        "password = password1234",
        'tokens = ["a1b2c3d4e5f6"]',
        "https://{user}:{password}@host/x",
        "loss per token: 0.00012345",
        "next_token=next_tokens[0]",
        '{"token": "running", "pos": "VERB"}',
        'secret = hashlib.sha256(b"x")',
        "api_key: ${{ secrets.API_KEY1 }}",
        "PWD=/home/ines2024",
        'password: "********"',
    ],
)
def test_code_that_handles_secrets_is_none(text: str) -> None:
    assert not found_secret(text)
    assert not found_secret(f"# set up\n{text}\nprint(1)")


def test_it_is_told_what_was_found_but_not_the_secret() -> None:
    assert found_secret('DB_PASSWORD="correct-horse"') == "what is given as PASSWORD"
    assert found_secret("AKIAIOSFODNN7EXAMPLE") == "an access key"


@given(st.text(alphabet="ab1 A=:\"'-_.", max_size=40))
def test_a_key_is_found_wherever_it_stands(around: str) -> None:
    key = "ghp_0123456789abcdefghijABCDEFGHIJ012345"
    match = SHAPES["a token"].search(f"{around} {key} {around}")
    assert match and match[0] == key


def test_a_long_text_of_one_word_is_read_in_linear_time() -> None:
    for part in ("password=", "sk-", "a1B-", "token "):
        assert not found_secret(part * 3000 + "(")
