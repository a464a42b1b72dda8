"""A model's tokens and texts, by llama.cpp's own calls."""

from __future__ import annotations

import ctypes
from functools import cached_property

import llama_cpp

from lorebook_api.errors import EngineFailed
from lorebook_daemon.engine.protocol import CALL_MARKS


class Vocabulary:
    """Text to tokens and back, and the template of a conversation, of one loaded model."""

    def __init__(self, model: ctypes.c_void_p) -> None:
        """Take the vocabulary of a llama.cpp model, which must outlive this."""
        self._model = model
        self.handle = llama_cpp.llama_model_get_vocab(model)
        self.size: int = llama_cpp.llama_vocab_n_tokens(self.handle)

    @property
    def chat_template(self) -> str:
        """The Jinja chat template in the GGUF, empty where there is none."""
        template = llama_cpp.llama_model_chat_template(self._model, None)
        return template.decode("utf-8", "replace") if template else ""

    @property
    def bos(self) -> str:
        """How the begin-of-text token is written, empty where there is none."""
        return self._control_text(llama_cpp.llama_vocab_bos(self.handle))

    @property
    def eos(self) -> str:
        """How the end-of-text token is written, empty where there is none."""
        return self._control_text(llama_cpp.llama_vocab_eos(self.handle))

    @property
    def end(self) -> int:
        """The token that ends a text."""
        return int(llama_cpp.llama_vocab_eos(self.handle))

    @property
    def starts(self) -> tuple[int, ...]:
        """What a plain text begins with: the begin-of-text token of a model that was trained with one."""
        adds = llama_cpp.llama_vocab_get_add_bos(self.handle)
        return (int(llama_cpp.llama_vocab_bos(self.handle)),) if adds else ()

    @cached_property
    def call_marks(self) -> frozenset[int]:
        """The control tokens by which this model marks calls of tools, none for most."""
        tokens = [self.tokenize(mark, special=True) for mark in CALL_MARKS]
        return frozenset(one[0] for one in tokens if len(one) == 1)

    def _control_text(self, token: int) -> str:
        return self.piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""

    def tokenize(self, text: str, special: bool) -> list[int]:
        """Return the tokens of `text`; only with `special` may text such as `<|im_end|>` become a control token."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        tokens = (llama_cpp.llama_token * room)()
        n = llama_cpp.llama_tokenize(self.handle, data, len(data), tokens, room, False, special)
        if n < 0:
            raise EngineFailed(f"the text could not be tokenized ({n}).")
        return list(tokens[:n])

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """Return the bytes that a token stands for, which may be half a character."""
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            n = llama_cpp.llama_token_to_piece(self.handle, token, buffer, room, 0, special)
            if n >= 0:
                return buffer.raw[:n]
            room = -n

    def ends(self, token: int) -> bool:
        """Whether the token ends a turn."""
        return bool(llama_cpp.llama_vocab_is_eog(self.handle, token))
