"""The random models serve tests of the engine: llama.cpp runs them, and what they say depends on what they read."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import llama_cpp
import numpy as np
import pytest

from tiny_models import (
    ARCHITECTURES,
    ATTENTION,
    HYBRID,
    RECURRENT,
    invocation,
    tiny,
    tiny_adapter,
    tiny_llama,
    token,
    vocabulary,
)

ALL = (*ATTENTION, *ARCHITECTURES)
PROMPT = (
    "<|im_start|>system\nAnswer from the sources.<|im_end|>\n"
    "<|im_start|>user\nWhat is the name of the file?<|im_end|>\n<|im_start|>assistant\n"
)


@llama_cpp.llama_log_callback
def silence(_level: int, _text: bytes, _data: object) -> None:
    """Take what llama.cpp says, for as long as the process lives."""


class Running:
    """A model in a context of its own, by llama.cpp's plain calls."""

    def __init__(self, path: Path) -> None:
        llama_cpp.llama_log_set(silence, ctypes.c_void_p(0))
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
        assert self.model, f"llama.cpp cannot load {path.name}"
        params = llama_cpp.llama_context_default_params()
        params.n_ctx, params.n_seq_max, params.kv_unified, params.n_threads = 512, 4, True, 1
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.memory = llama_cpp.llama_get_memory(self.context)

    def __enter__(self) -> Running:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        llama_cpp.llama_free(self.context)
        llama_cpp.llama_model_free(self.model)

    def tokenize(self, text: str) -> list[int]:
        room = (llama_cpp.llama_token * 512)()
        data = text.encode()
        return list(room[: llama_cpp.llama_tokenize(self.vocab, data, len(data), room, 512, False, True)])

    def text(self, tokens: Sequence[int]) -> str:
        return b"".join(map(self.piece, tokens)).decode()

    def piece(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(64)
        length = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, 64, 0, False)
        return buffer.raw[:length]

    def read(self, tokens: Sequence[int], chunk: int = 512) -> np.ndarray:
        """Read tokens after what was read before, and return the logits after the last."""
        for start in range(0, len(tokens), chunk):
            part = (llama_cpp.llama_token * len(tokens))(*tokens[start : start + chunk])
            batch = llama_cpp.llama_batch_get_one(part, len(tokens[start : start + chunk]))
            assert llama_cpp.llama_decode(self.context, batch) == 0
        size = llama_cpp.llama_vocab_n_tokens(self.vocab)
        return np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self.context, -1), (size,)).copy()

    def answer(self, prompt: str = PROMPT, count: int = 24, chunk: int = 512) -> str:
        """Return what the model says, greedily, after reading the prompt from nothing."""
        llama_cpp.llama_memory_clear(self.memory, True)
        return self.text(list(self.greedy(self.read(self.tokenize(prompt), chunk), count)))

    def greedy(self, logits: np.ndarray, count: int = 24) -> Iterator[int]:
        for _ in range(count):
            assert np.isfinite(logits).all()
            said = int(logits.argmax())
            yield said
            logits = self.read([said])


@pytest.fixture(scope="module", params=ALL)
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(architecture: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tiny(tmp_path_factory.mktemp("tiny") / "model.gguf", architecture)) as running:
        yield running


def test_llama_cpp_knows_what_it_is(architecture: str, model: Running) -> None:
    assert llama_cpp.llama_model_is_recurrent(model.model) == (architecture in RECURRENT)
    assert llama_cpp.llama_model_is_hybrid(model.model) == (architecture in HYBRID)


def test_only_attention_can_be_cut(architecture: str, model: Running) -> None:
    model.answer(count=1)
    assert llama_cpp.llama_memory_seq_rm(model.memory, 0, 10, -1) == (architecture in ATTENTION)
    # llama.cpp claims of every memory that it can be moved: whoever asks this finds nothing out.
    assert llama_cpp.llama_memory_can_shift(model.memory)


def test_it_says_the_same_however_the_prompt_is_cut(model: Running) -> None:
    said = model.answer()
    assert len(set(said)) > 4
    assert said.isascii()
    assert [model.answer(chunk=chunk) for chunk in (1, 7, 512)] == [said] * 3


def test_what_it_says_depends_on_the_whole_prompt(model: Running) -> None:
    changed = [
        PROMPT,
        PROMPT.replace("Answer", "Speak"),
        PROMPT.replace("file", "tool"),
        PROMPT.replace("sources", "x"),
    ]
    assert len({model.answer(prompt) for prompt in changed}) == len(changed)


def test_its_state_can_be_saved_and_brought_back(model: Running) -> None:
    head, tail = model.tokenize(PROMPT)[:30], model.tokenize(PROMPT)[30:]
    said = model.answer()
    llama_cpp.llama_memory_clear(model.memory, True)
    model.read(head)
    size = llama_cpp.llama_state_seq_get_size(model.context, 0)
    state = (ctypes.c_uint8 * size)()
    assert llama_cpp.llama_state_seq_get_data(model.context, state, size, 0) == size
    model.answer("something else")
    llama_cpp.llama_memory_clear(model.memory, True)
    assert llama_cpp.llama_state_seq_set_data(model.context, state, size, 0) == size
    assert model.text(list(model.greedy(model.read(tail)))) == said


def test_the_same_seed_gives_the_same_file(architecture: str, tmp_path: Path) -> None:
    first, same, other = (tiny(tmp_path / f"{n}.gguf", architecture, seed) for n, seed in enumerate((3, 3, 4)))
    assert first.read_bytes() == same.read_bytes() != other.read_bytes()
    assert first.stat().st_size < 1_000_000


@pytest.mark.parametrize("text", ["Yes", " Yes", "No", "assistant", "<|im_start|>", "<|im_end|>", "\n"])
def test_words_and_control_tokens_are_single_tokens(text: str, tmp_path: Path) -> None:
    with Running(tiny_llama(tmp_path / "model.gguf")) as model:
        assert model.tokenize(text) == [token(text)]


def test_every_text_can_be_written(tmp_path: Path) -> None:
    text = "Grüße, 世界! \t{'a': 1.5}\r\n🦙 the Yesterday nonsense"
    with Running(tiny_llama(tmp_path / "model.gguf")) as model:
        assert model.text(model.tokenize(text)) == text
        assert llama_cpp.llama_vocab_n_tokens(model.vocab) == len(vocabulary()) == len(set(vocabulary()))
        assert llama_cpp.llama_vocab_is_eog(model.vocab, token("<|im_end|>"))


def adapter_of(model: Running, path: Path) -> ctypes.c_void_p:
    adapter = llama_cpp.llama_adapter_lora_init(model.model, str(path).encode())
    assert adapter
    return adapter


def use(model: Running, *adapters: ctypes.c_void_p) -> None:
    array = (llama_cpp.llama_adapter_lora_p_ctypes * len(adapters))(*adapters)
    scales = (ctypes.c_float * len(adapters))(*[1.0] * len(adapters))
    assert llama_cpp.llama_set_adapters_lora(model.context, array, len(adapters), scales) == 0


def test_an_adapter_changes_what_every_model_says(architecture: str, tmp_path: Path) -> None:
    path = tiny(tmp_path / "model.gguf", architecture)
    with Running(path) as model:
        said = {model.answer()}
        for seed in (1, 2):
            use(model, adapter_of(model, tiny_adapter(tmp_path / f"{seed}.gguf", path, seed=seed)))
            said.add(model.answer())
        assert len(said) == 3
        use(model)
        assert model.answer() in said


def test_invocation_tokens_are_read_back(tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "model.gguf")
    with Running(path) as model:
        assert list(invocation()) == model.tokenize("<|im_start|>assistant\n")
        plain = adapter_of(model, tiny_adapter(tmp_path / "lora.gguf", path))
        activated = adapter_of(model, tiny_adapter(tmp_path / "alora.gguf", path, alora_invocation=invocation()))
        assert llama_cpp.llama_adapter_get_alora_n_invocation_tokens(plain) == 0
        count = llama_cpp.llama_adapter_get_alora_n_invocation_tokens(activated)
        tokens = llama_cpp.llama_adapter_get_alora_invocation_tokens(activated)
        assert tuple(tokens[:count]) == invocation()
