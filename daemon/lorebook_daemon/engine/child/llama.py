"""A GGUF model and its context, by llama.cpp's own calls: sequences of KV, batches, logits. Runs in the engine's child.

The high-level `Llama` class is not used: it turns mmap off with an adapter, and knows no sequences.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import numpy.typing as npt

from lorebook_api.errors import EngineFailed, Unusable
from lorebook_daemon.engine.child.adapters import Adapters
from lorebook_daemon.engine.child.patience import Patience
from lorebook_daemon.engine.child.softprompt import vectors
from lorebook_daemon.engine.child.vocabulary import Vocabulary
from lorebook_daemon.engine.child.work import NoSlot, Piece
from lorebook_daemon.engine.kvtype import KV_TYPE

BATCH = 256
"""Tokens decoded in one call: as fast as more of them, and a request that comes meanwhile waits less."""

MOST_LOGITS = 128
"""Tokens of one batch whose logits can be wanted; llama.cpp reserves memory for the logits of each."""

_SEQUENCES, _STATES = 16, 8
"""Sequences at a time; of a model whose state has a fixed size, which is reserved for each, fewer."""

_WATCHED = 16
"""A batch of more tokens is watched for `stop`: that takes Python's lock at each node of the graph."""

_PATIENCE = 10.0
"""Seconds for one token under a grammar, which takes milliseconds; the others wait so long at the most, and once."""

_SHIFT_NODES = 8
"""Nodes of a layer at the most in the graph that turns the keys of what was moved; llama.cpp has one to five."""

_TYPES = {"f16": llama_cpp.GGML_TYPE_F16}

_log: deque[str] = deque(maxlen=20)


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _keep_log(level: int, text: bytes, _data: object) -> None:
    """Keep what llama.cpp says, to name the reason of a failure."""
    if level >= 3:  # GGML_LOG_LEVEL_WARN and above
        _log.append(text.decode("utf-8", "replace").strip())


class Stopped(Exception):
    """The batch was given up; its pieces must be taken back and may be decoded again."""


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
        self.vocabulary = Vocabulary(self._model)
        self.recurrent = bool(
            llama_cpp.llama_model_is_recurrent(self._model) or llama_cpp.llama_model_is_hybrid(self._model)
        )
        """Whether it keeps a state of fixed size, in some layers at least, that can be neither cut nor moved."""
        self.sequences = _STATES if self.recurrent else _SEQUENCES
        """Sequences that the context holds at a time."""
        self.n_ctx = min(n_ctx, llama_cpp.llama_model_n_ctx_train(self._model))
        self._ctx = self._context(threads)
        self._memory = llama_cpp.llama_get_memory(self._ctx)
        self.can_shift = not self.recurrent and bool(llama_cpp.llama_memory_can_shift(self._memory))
        """Whether KV can be cut anywhere and moved to other positions."""
        self._batch = llama_cpp.llama_batch_init(BATCH, 0, 1)
        self._soft_batch: Any = None
        self.adapters = Adapters(self._model, self._ctx)
        self._abort = llama_cpp.ggml_abort_callback(self._stops)
        self._moved = False
        self._nodes_left = 0
        self.patience = Patience(_PATIENCE)
        """What calls are made by that may not end."""

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
        params.n_seq_max = self.sequences
        params.n_outputs_max = params.n_outputs_max_per_seq = MOST_LOGITS
        params.type_k = params.type_v = _TYPES[KV_TYPE]
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

    # -- decoding

    def stop(self) -> None:
        """Make the batch that is being decoded end with Stopped, at the next node of its graph."""
        self._stop = True

    def resume(self) -> None:
        """Take `stop` back."""
        self._stop = False

    def set_threads(self, threads: int) -> None:
        """Use so many threads from the next batch on."""
        llama_cpp.llama_set_n_threads(self._ctx, threads, threads)

    def decode(self, pieces: Sequence[Piece]) -> list[list[int]]:
        """Read up to BATCH tokens into their sequences, all under one adapter set; return the rows of their logits.

        All pieces or none want hidden states: llama.cpp then gives the logits of every token.

        Raises NoSlot where they find no room, Stopped, EngineFailed. After Stopped some of the tokens may have been
        read: the caller takes the pieces back.
        """
        self.adapters.use(pieces[0].adapters)
        for piece in pieces:
            if self._is_soft(piece):
                self._read_vectors(piece)
        n, rows = 0, list[list[int]]()
        batch = self._batch
        for piece in pieces:
            if self._is_soft(piece):
                rows.append([])
                continue
            silent = len(piece.tokens) - piece.logits
            rows.append(list(range(n + silent, n + len(piece.tokens))))
            for i, token in enumerate(piece.tokens):
                batch.token[n] = token
                batch.pos[n] = piece.position + i
                batch.n_seq_id[n] = 1
                batch.seq_id[n][0] = piece.sequence
                batch.logits[n] = i >= silent
                n += 1
        if not n:
            return rows
        batch.n_tokens = n
        llama_cpp.llama_set_embeddings(self._ctx, pieces[0].hidden)
        # Recurrent state cannot be taken back: such a batch runs to its end.
        code = self._decode_watched(batch) if n > _WATCHED and self.can_shift else self._decode(batch)
        self._moved = False
        self._check(code)
        return rows

    def _is_soft(self, piece: Piece) -> bool:
        """Return whether a piece is vectors of a soft prompt, not tokens: a segment is all of one kind."""
        return bool(piece.tokens) and piece.tokens[0] >= self.vocabulary.size

    def _read_vectors(self, piece: Piece) -> None:
        """Read the vectors that a piece's numbers stand for into its sequence."""
        wanted = vectors(piece.adapters)[[number - self.vocabulary.size for number in piece.tokens]]
        batch, width = self._vectors_batch(), wanted.shape[1]
        ctypes.memmove(batch.embd, np.ascontiguousarray(wanted).ctypes.data, 4 * width * len(wanted))
        for n in range(len(wanted)):
            batch.pos[n] = piece.position + n
            batch.n_seq_id[n] = 1
            batch.seq_id[n][0] = piece.sequence
            batch.logits[n] = False
        batch.n_tokens = len(wanted)
        llama_cpp.llama_set_embeddings(self._ctx, False)
        code = self._decode(batch)
        self._moved = False
        self._check(code)

    def _vectors_batch(self) -> Any:
        """Return a batch for vectors, which is made when it is first wanted: few ever want it."""
        if self._soft_batch is None:
            self._soft_batch = llama_cpp.llama_batch_init(BATCH, llama_cpp.llama_model_n_embd(self._model), 1)
        return self._soft_batch

    def _decode(self, batch: object) -> int:
        return int(llama_cpp.llama_decode(self._ctx, batch))

    def _decode_watched(self, batch: object) -> int:
        self._nodes_left = _SHIFT_NODES * llama_cpp.llama_model_n_layer(self._model) if self._moved else 0
        llama_cpp.llama_set_abort_callback(self._ctx, self._abort, None)
        try:
            return self._decode(batch)
        finally:
            llama_cpp.llama_set_abort_callback(self._ctx, llama_cpp.ggml_abort_callback(), None)

    def _stops(self, _data: object) -> bool:
        """Tell llama.cpp after a node of a graph whether to give up.

        Not among the first nodes after a move, which turn the keys: given up there, it would turn those of some layers
        again with the next batch.
        """
        self._nodes_left -= 1
        return self._stop and self._nodes_left < 0

    @staticmethod
    def _check(code: int) -> None:
        if code == 2:
            raise Stopped
        if code == 1:
            raise NoSlot
        if code:
            raise EngineFailed(
                f"llama.cpp could not decode ({code}): {_last_log()}.", "Try again; see `lorebook logs`."
            )

    def logits(self, row: int) -> npt.NDArray[np.float32]:
        """Return a view of the logits [vocabulary's size] of a row that the last batch gave."""
        pointer = llama_cpp.llama_get_logits_ith(self._ctx, row)
        return np.ctypeslib.as_array(pointer, shape=(self.vocabulary.size,))

    def hidden(self, row: int) -> npt.NDArray[np.float32]:
        """Return a view of the hidden state [width], after the last norm, of a row of a batch that wanted them."""
        pointer = llama_cpp.llama_get_embeddings_ith(self._ctx, row)
        return np.ctypeslib.as_array(pointer, shape=(llama_cpp.llama_model_n_embd(self._model),))

    def margin(self, row: int) -> float:
        """Return by how much the best token's logit is above the second one's."""
        logits = self.logits(row)
        best = int(logits.argmax())
        value, logits[best] = float(logits[best]), -np.inf
        second = float(logits.max())
        logits[best] = value
        return value - second

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
        """Let `target` share the first `end` positions of `source`, all by default."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, end)

    def shift(self, sequence: int, delta: int) -> None:
        """Move a whole sequence by `delta` positions; the keys are turned at the next decode."""
        llama_cpp.llama_memory_seq_add(self._memory, sequence, 0, -1, delta)
        self._moved = True

    def save(self, sequence: int) -> bytes:
        """Return a sequence's KV or state."""
        size = llama_cpp.llama_state_seq_get_size(self._ctx, sequence)
        buffer = (ctypes.c_uint8 * size)()
        written = llama_cpp.llama_state_seq_get_data(self._ctx, buffer, size, sequence)
        return bytes(memoryview(buffer)[:written])

    def restore(self, sequence: int, state: bytes) -> None:
        """Put what was saved into an empty sequence, at the positions it was saved from; raises NoSlot."""
        buffer = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
        if not llama_cpp.llama_state_seq_set_data(self._ctx, buffer, len(state), sequence):
            raise NoSlot


def _last_log() -> str:
    """Return what llama.cpp said last, on one line."""
    lines = [line for line in _log if line]
    return lines[-1].rstrip(".") if lines else "it gave no reason"
