"""A GGUF model and its context, by llama.cpp's own calls: tokens, sequences of KV, logits. Runs in the engine's child.

The high-level `Llama` class is not used: it turns mmap off with an adapter, and knows no sequences.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import llama_cpp
import numpy as np
import numpy.typing as npt

from lorebook_api.errors import Cancelled, EngineFailed, Unusable

SEQUENCES = 8
"""Sequences that the context holds at a time."""

BATCH = 512
"""Tokens decoded in one call; a longer text is decoded in several."""

_log: deque[str] = deque(maxlen=20)


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _keep_log(level: int, text: bytes, _data: object) -> None:
    """Keep what llama.cpp says, to name the reason of a failure."""
    if level >= 3:  # GGML_LOG_LEVEL_WARN and above
        _log.append(text.decode("utf-8", "replace").strip())


class NoSlot(Exception):
    """The context has no room for these tokens beside what it holds."""


@dataclass(frozen=True)
class Piece:
    """Consecutive tokens for one sequence, from `position` on; `logits` asks for those of the last one."""

    sequence: int
    position: int
    tokens: Sequence[int]
    logits: bool = False


class Llama:
    """One model with one context. Not safe to share between threads; `stop` may be set from any."""

    def __init__(
        self,
        path: Path,
        n_ctx: int,
        threads: int,
        *,
        extra_bufts: bool = True,
        report: Callable[[float], None] | None = None,
    ) -> None:
        """Load the model (mmap) and make a context of `n_ctx` tokens; `report` hears 0.0 to 1.0 while it loads."""
        llama_cpp.llama_log_set(_keep_log, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self.path = path
        self._stop = False
        self._model = self._load(path, extra_bufts, report)
        self.vocab = llama_cpp.llama_model_get_vocab(self._model)
        self.n_vocab: int = llama_cpp.llama_vocab_n_tokens(self.vocab)
        self.n_ctx = min(n_ctx, llama_cpp.llama_model_n_ctx_train(self._model))
        self._ctx = self._context(threads)
        self._memory = llama_cpp.llama_get_memory(self._ctx)
        self._batch = llama_cpp.llama_batch_init(BATCH, 0, 1)
        self._adapters: dict[tuple[Path, int], ctypes.c_void_p] = {}
        self._abort = llama_cpp.ggml_abort_callback(lambda _data: self._stop)

    @staticmethod
    def _load(path: Path, extra_bufts: bool, report: Callable[[float], None] | None) -> ctypes.c_void_p:
        params = llama_cpp.llama_model_default_params()
        params.use_extra_bufts = extra_bufts

        def progress(done: float, _data: object) -> bool:
            if report:
                report(done)
            return True

        callback = llama_cpp.llama_progress_callback(progress)
        params.progress_callback = callback
        model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        if not model:
            raise Unusable(
                f"llama.cpp cannot load {path.name}: {_last_log()}.", "Bring it anew: lorebook models pull NAME."
            )
        return model  # type: ignore[no-any-return]

    def _context(self, threads: int) -> ctypes.c_void_p:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = self.n_ctx
        params.n_batch = params.n_ubatch = BATCH
        params.n_seq_max = SEQUENCES
        params.kv_unified = True
        params.n_threads = params.n_threads_batch = threads
        params.no_perf = True
        context = llama_cpp.llama_init_from_model(self._model, params)
        if not context:
            raise EngineFailed(
                f"no memory for a context of {self.n_ctx} tokens: {_last_log()}.",
                "Set a smaller one: LOREBOOK_N_CTX=4096.",
            )
        return context  # type: ignore[no-any-return]

    # -- text and tokens

    @property
    def chat_template(self) -> str:
        """The Jinja chat template in the GGUF, empty where there is none."""
        template = llama_cpp.llama_model_chat_template(self._model, None)
        return template.decode("utf-8", "replace") if template else ""

    @property
    def can_shift(self) -> bool:
        """Whether KV can be moved to other positions; recurrent state cannot."""
        return bool(llama_cpp.llama_memory_can_shift(self._memory))

    @property
    def bos(self) -> int:
        """The begin-of-text token."""
        return int(llama_cpp.llama_vocab_bos(self.vocab))

    def special_text(self, token: int) -> str:
        """Return how a control token is written, for the chat template."""
        return self.piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""

    @property
    def eos(self) -> int:
        """The end-of-text token."""
        return int(llama_cpp.llama_vocab_eos(self.vocab))

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Return the tokens of `text`; only with `special` may text such as `<|im_end|>` become a control token."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        tokens = (llama_cpp.llama_token * room)()
        n = llama_cpp.llama_tokenize(self.vocab, data, len(data), tokens, room, False, special)
        if n < 0:
            raise EngineFailed(f"the text could not be tokenized ({n}).")
        return list(tokens[:n])

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """Return the bytes that a token stands for, which may be half a character."""
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            n = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, room, 0, special)
            if n >= 0:
                return buffer.raw[:n]
            room = -n

    def ends(self, token: int) -> bool:
        """Whether the token ends a turn."""
        return bool(llama_cpp.llama_vocab_is_eog(self.vocab, token))

    # -- decoding

    def stop(self) -> None:
        """Make the decode that is under way end with Cancelled, at the next node of its graph."""
        self._stop = True

    def resume(self) -> None:
        """Take `stop` back."""
        self._stop = False

    def set_threads(self, threads: int) -> None:
        """Use so many threads from the next decode on."""
        llama_cpp.llama_set_n_threads(self._ctx, threads, threads)

    def decode(self, pieces: Sequence[Piece]) -> list[int]:
        """Read tokens into their sequences; return, for each piece that asked, the row for `logits`.

        All pieces that ask for logits must fit the last batch together, or be its only ones: rows of an earlier
        batch are gone. Raises Cancelled, NoSlot, EngineFailed; after the first two nothing of the failed batch is kept
        that the caller did not know of: it removes the sequences it wrote to.
        """
        flat = [
            (token, piece.sequence, piece.position + i, piece.logits and i == len(piece.tokens) - 1)
            for piece in pieces
            for i, token in enumerate(piece.tokens)
        ]
        rows: list[int] = []
        # The callback takes Python's lock at each node of the graph: worth it for a prefill, not for single tokens.
        watched = len(flat) > SEQUENCES
        if watched:
            llama_cpp.llama_set_abort_callback(self._ctx, self._abort, None)
        try:
            for start in range(0, len(flat), BATCH):
                rows = self._decode_batch(flat[start : start + BATCH])
        finally:
            if watched:
                llama_cpp.llama_set_abort_callback(self._ctx, llama_cpp.ggml_abort_callback(), None)
        return rows

    def _decode_batch(self, entries: Sequence[tuple[int, int, int, bool]]) -> list[int]:
        if self._stop:
            raise Cancelled("the request was cancelled.")
        batch = self._batch
        batch.n_tokens = len(entries)
        for i, (token, sequence, position, logits) in enumerate(entries):
            batch.token[i] = token
            batch.pos[i] = position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = logits
        code = llama_cpp.llama_decode(self._ctx, batch)
        if code == 2:
            raise Cancelled("the request was cancelled.")
        if code == 1:
            raise NoSlot
        if code:
            raise EngineFailed(
                f"llama.cpp could not decode ({code}): {_last_log()}.", "Try again; see `lorebook logs`."
            )
        return [i for i, entry in enumerate(entries) if entry[3]]

    def logits(self, row: int) -> npt.NDArray[np.float32]:
        """Return a view of the logits [n_vocab] of a row that the last decode gave."""
        pointer = llama_cpp.llama_get_logits_ith(self._ctx, row)
        return np.ctypeslib.as_array(pointer, shape=(self.n_vocab,))

    def sample(self, chain: ctypes.c_void_p, row: int) -> int:
        """Draw the next token from a row's logits."""
        return int(llama_cpp.llama_sampler_sample(chain, self._ctx, row))

    # -- sequences

    def clear(self) -> None:
        """Forget everything that was read."""
        llama_cpp.llama_memory_clear(self._memory, True)

    def remove(self, sequence: int, start: int = 0, end: int = -1) -> bool:
        """Drop positions [start, end) of a sequence; False where a recurrent state cannot be cut there."""
        return bool(llama_cpp.llama_memory_seq_rm(self._memory, sequence, start, end))

    def copy(self, source: int, target: int, end: int = -1) -> None:
        """Let `target` share the first `end` positions of `source`."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, end)

    def shift(self, sequence: int, delta: int) -> None:
        """Move a whole sequence by `delta` positions; the keys are turned at the next decode."""
        llama_cpp.llama_memory_seq_add(self._memory, sequence, 0, -1, delta)

    def save(self, sequence: int) -> bytes:
        """Return a sequence's KV."""
        size = llama_cpp.llama_state_seq_get_size(self._ctx, sequence)
        buffer = (ctypes.c_uint8 * size)()
        written = llama_cpp.llama_state_seq_get_data(self._ctx, buffer, size, sequence)
        return bytes(memoryview(buffer)[:written])

    def restore(self, sequence: int, state: bytes) -> None:
        """Put saved KV into an empty sequence, at the positions it was saved from; raises NoSlot."""
        buffer = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
        if not llama_cpp.llama_state_seq_set_data(self._ctx, buffer, len(state), sequence):
            raise NoSlot

    # -- adapters

    def use_adapters(self, adapters: Sequence[tuple[Path, float]]) -> None:
        """Switch to exactly these LoRA adapters with their scales; raises Unusable for one that does not fit."""
        handles = [self._adapter(path) for path, _ in adapters]
        array = (llama_cpp.llama_adapter_lora_p_ctypes * max(1, len(handles)))(*handles)
        scales = (ctypes.c_float * max(1, len(handles)))(*(scale for _, scale in adapters))
        if llama_cpp.llama_set_adapters_lora(self._ctx, array, len(handles), scales):
            raise EngineFailed("the adapters could not be switched on together.", "Use one at a time.")

    def _adapter(self, path: Path) -> ctypes.c_void_p:
        key = (path, path.stat().st_mtime_ns)
        if key not in self._adapters:
            handle = llama_cpp.llama_adapter_lora_init(self._model, str(path).encode())
            if not handle:
                raise Unusable(
                    f"{path.name} is no adapter for {self.path.name}: {_last_log()}.",
                    "Use one that was trained on this model.",
                )
            self._adapters[key] = handle
        return self._adapters[key]


def _last_log() -> str:
    """Return what llama.cpp said last, on one line."""
    lines = [line for line in _log if line]
    return lines[-1].rstrip(".") if lines else "it gave no reason"
