"""semble's seconds to index a folder, in a process of its own: `python -m benchmarks.semble_index FOLDER`.

Its model comes from a hub. Where SEMBLE_MODEL names no folder that holds it, a static model of the same width with
random weights takes its place: looking up rows takes the same time whatever they hold.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

DIMENSIONS = 256
"""As many as the model has that semble brings."""


def main() -> None:
    """Print the seconds that `SembleIndex.from_path` takes with a worker for each core; its model is loaded before."""
    os.environ["SEMBLE_INDEX_WORKERS"] = str(psutil.cpu_count(logical=False) or 1)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["SEMBLE_CACHE_LOCATION"] = scratch
        from semble.index import index as semble

        folder = os.environ.get("SEMBLE_MODEL") or str(random_model(Path(scratch, "model")))
        semble.load_model(folder)
        start = time.perf_counter()
        made = semble.SembleIndex.from_path(sys.argv[1], model_path=folder)
        print(len(made.chunks), time.perf_counter() - start)


def random_model(folder: Path) -> Path:
    """Write a static model with random weights, the words of our own embedder, and semble's width."""
    from model2vec import StaticModel
    from tokenizers import Tokenizer

    from lorebook_api.home import find_home
    from lorebook_daemon.models.pull import ensure_embedder

    words = ensure_embedder(find_home(), report=lambda progress: None).path / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(words))
    weights = np.random.default_rng(1).normal(size=(tokenizer.get_vocab_size(), DIMENSIONS)).astype(np.float32)
    StaticModel(weights, tokenizer, normalize=True).save_pretrained(str(folder))
    return folder


if __name__ == "__main__":
    main()
