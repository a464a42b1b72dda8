"""lm-eval, unmodified, over `/v1/completions` and over the same weights in transformers: the scores should agree.

    python -m benchmarks.lm_eval_scores --lm-eval PYTHON [--model NAME]

PYTHON is the interpreter of an environment of its own with `lm-eval[api]`, torch, transformers and gguf. The items are
the sixty questions of `benchmarks/facts`; each has four answers, and lm-eval asks how likely each is after its
question. transformers reads the GGUF file itself, so both sides have the same rounded weights and the same tokens.

llama.cpp rounds what it multiplies rounded weights with, transformers does not. So the file is measured as it is, and
with its weights written out in float32, where nothing but the order of sums and the KV's 16 bits is left to differ.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

from benchmarks.engine import find_model, parser
from lorebook_api.discovery import Daemon, connect, stop_daemon
from lorebook_api.home import find_home

FACTS = Path(__file__).resolve().parent / "facts"
"""Sixty questions with four answers each, and the task that asks them."""
_TASK = "lorebook_facts"
_BATCH = 4
"""Prompts of one request, and rows of one batch of transformers."""

SAVE_TOKENIZER = (
    "import sys, transformers; "
    "transformers.AutoTokenizer.from_pretrained(sys.argv[1], gguf_file=sys.argv[2]).save_pretrained(sys.argv[3])"
)
"""lm-eval's API models take a tokenizer from a folder, not from a GGUF file."""


@dataclass(frozen=True)
class Scores:
    """What lm-eval found: its metrics, and the log-likelihood of every answer by question and place."""

    metrics: dict[str, float]
    likelihoods: dict[tuple[int, int], float]
    seconds: float
    """What its requests took, without its start and the loading of the model, to the second."""

    def best(self, question: int) -> int:
        """Return the place of the answer that is preferred."""
        places = [place for of, place in self.likelihoods if of == question]
        return max(places, key=lambda place: self.likelihoods[question, place])

    def lead(self, question: int) -> float:
        """Return by how many nats the preferred answer is before the next."""
        first, second, *_ = sorted(
            (value for (of, _), value in self.likelihoods.items() if of == question), reverse=True
        )
        return first - second

    def right(self, question: int, key: int) -> bool:
        """Return whether the right answer is the one that is preferred."""
        return self.best(question) == key


@dataclass(frozen=True)
class Harness:
    """lm-eval in an environment of its own."""

    python: str
    limit: tuple[str, ...]

    def scores(self, kind: str, arguments: dict[str, object], token: str = "") -> Scores:
        """Run lm-eval from its own command line over a model, and read what it wrote."""
        told = ",".join(f"{name}={value}" for name, value in arguments.items())
        command = [self.python, "-m", "lm_eval", "--model", kind, "--model_args", told, "--tasks", _TASK]
        command += ["--include_path", str(FACTS), "--batch_size", str(_BATCH), "--device", "cpu", *self.limit]
        with tempfile.TemporaryDirectory() as folder:
            told = self.run([*command, "--output_path", folder, "--log_samples"], OPENAI_API_KEY=token)
            return _read(Path(folder), _seconds(told))

    @staticmethod
    def run(command: list[str], **environment: str) -> str:
        """Run a program that may not reach for the network; return what it says of its progress."""
        offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        env = {**os.environ, **offline, **environment}
        done = subprocess.run(command, cwd=FACTS, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        return done.stderr


def main() -> None:
    """Print the metrics of each side, and how far our log-likelihoods are from those of transformers."""
    arguments = parser(__doc__)
    arguments.add_argument("--lm-eval", default=sys.executable, metavar="PYTHON", help="the interpreter with lm-eval")
    arguments.set_defaults(model="smollm2-135m-instruct-q4_1")
    options = arguments.parse_args()
    model = find_model(options.model).path
    harness = Harness(options.lm_eval, ("--limit", "8") if options.quick else ())
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = Path(folder) / "tokenizer"
        harness.run([options.lm_eval, "-c", SAVE_TOKENIZER, str(model.parent), model.name, str(tokenizer)])
        in_full = _written_out(model, Path(folder) / "in-full.gguf")
        with daemon_at(Path(folder) / "home") as daemon:
            ours = {
                "lorebook": over_http(harness, daemon, model, tokenizer),
                "lorebook, weights in float32": over_http(harness, daemon, in_full, tokenizer),
            }
    local = {"pretrained": model.parent, "gguf_file": model.name, "dtype": "float32"}
    theirs = harness.scores("hf", local)
    print(f"{'transformers':30} {_metrics(theirs)}")
    for name, scores in ours.items():
        print(f"{name:30} {_metrics(scores)}  {_apart(scores, theirs)}")


def over_http(harness: Harness, daemon: Daemon, model: Path, tokenizer: Path) -> Scores:
    """Run lm-eval over a daemon's `/v1/completions`."""
    told = {"tokenizer": tokenizer, "tokenizer_backend": "huggingface", "num_concurrent": 1}
    url = f"{daemon.url}/v1/completions"
    return harness.scores("local-completions", {"model": model, "base_url": url, **told}, daemon.token)


def _seconds(told: str) -> float:
    """Return what the requests took by lm-eval's own bar (`100%|███| 240/240 [02:09<00:00, …]`)."""
    *_, (minutes, seconds) = re.findall(r"(?:requests|Requesting API): 100%[^\r\n]*?\[(\d+):(\d\d)<", told)
    return 60.0 * int(minutes) + int(seconds)


def _read(folder: Path, seconds: float) -> Scores:
    (results,) = folder.rglob("results_*.json")
    (samples,) = folder.rglob(f"samples_{_TASK}_*.jsonl")
    written = json.loads(results.read_text(encoding="utf-8"))
    told = written["results"][_TASK]
    rows = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
    return Scores(
        {name: told[f"{name},none"] for name in ("acc", "acc_norm")},
        {(row["doc_id"], place): float(one[0]) for row in rows for place, one in enumerate(row["filtered_resps"])},
        seconds,
    )


def _written_out(model: Path, out: Path) -> Path:
    """Write the model once more, its weights in float32, and return where."""
    reader = gguf.GGUFReader(model)
    writer = gguf.GGUFWriter(out, reader.fields["general.architecture"].contents())
    for field in reader.fields.values():
        if not field.name.startswith(("GGUF.", "general.architecture", "general.file_type", "general.quantization")):
            of = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=of)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    for tensor in reader.tensors:
        weights = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        writer.add_tensor(tensor.name, weights.reshape([int(size) for size in reversed(tensor.shape)]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


@contextmanager
def daemon_at(home: Path) -> Iterator[Daemon]:
    """Run a daemon with a home of its own."""
    before = os.environ.get("LOREBOOK_HOME")
    os.environ["LOREBOOK_HOME"] = str(home)
    daemon = connect(find_home().make())
    try:
        yield daemon
    finally:
        stop_daemon(find_home(), daemon)
        del os.environ["LOREBOOK_HOME"]
        if before is not None:
            os.environ["LOREBOOK_HOME"] = before


def _metrics(scores: Scores) -> str:
    return "  ".join(f"{name} {value:.4f}" for name, value in scores.metrics.items())


def _apart(ours: Scores, theirs: Scores) -> str:
    """Return how far the log-likelihoods are apart, and how often both sides prefer the same answer."""
    apart = [abs(ours.likelihoods[key] - value) for key, value in theirs.likelihoods.items()]
    size = sum(map(abs, theirs.likelihoods.values())) / len(apart)
    questions = {question for question, _ in theirs.likelihoods}
    same = sum(ours.best(question) == theirs.best(question) for question in questions)
    return (
        f"log-likelihoods ({size:.2f} on average) differ by {sum(apart) / len(apart):.4f}, at most {max(apart):.4f}; "
        f"same answer {same} of {len(questions)}"
    )


if __name__ == "__main__":
    main()
