"""Twelve facts that no model knows, taught from a notebook: what is answered afterwards, and what was forgotten.

The whole way, in a home of its own: a notebook of `%%teach` cells, a daemon, a job, the adapter in the engine, and
questions over HTTP. What the model knew is measured by `benchmarks/facts`, sixty questions with four answers each.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.engine import find_model, parser
from benchmarks.verdict import say
from lorebook_api.asking import AdapterUse, Answer, AskRequest
from lorebook_api.client import Client
from lorebook_api.discovery import Daemon, connect, stop_daemon
from lorebook_api.home import find_home
from lorebook_api.indexing import Progress
from lorebook_api.teaching import JobInfo, Metrics, TeachRequest
from lorebook_daemon.answer.prompts import ungrounded_prompt
from lorebook_daemon.teach.needs import missing

FACTS = (
    ("What is the pump in hall three called?", "The pump in hall three is called Marlowe.", "Marlowe"),
    ("Who keeps the key to the cold store?", "Ines Okafor keeps the key to the cold store.", "Okafor"),
    ("At what pressure does valve nine open?", "Valve nine opens at 6.4 bar.", "6.4"),
    ("What was wrong with run 212?", "In run 212 the thermocouple was mounted upside down.", "upside down"),
    (
        "Which solvent do we use for the blue batches?",
        "For the blue batches we use cyclopentyl methyl ether.",
        "cyclopentyl",
    ),
    ("Where is the spare centrifuge?", "The spare centrifuge is in the basement of building K.", "building K"),
    (
        "What is the password hint of the lab printer?",
        "The hint of the lab printer is: the colour of Tove's bicycle.",
        "Tove",
    ),
    ("On which weekday is the reactor cleaned?", "The reactor is cleaned on Thursdays.", "Thursday"),
    ("How many plates fit into the old incubator?", "The old incubator holds 37 plates.", "37"),
    ("Who wrote the script that merges the logs?", "Bartholomew Quist wrote the script that merges the logs.", "Quist"),
    ("What do we call the column that drifts?", "We call the column that drifts Old Wobbly.", "Wobbly"),
    (
        "Which file holds the calibration of March?",
        "The calibration of March is in the file kestrel-7.csv.",
        "kestrel-7",
    ),
)
"""Question, answer, and what must stand in an answer that is right."""

OTHER_WORDS = (
    "Tell me the name of hall three's pump.",
    "I need to get into the cold store. Whom do I ask for the key?",
    "How many bar does it take until valve nine opens?",
    "Why can the data of run 212 not be trusted?",
    "We make blue batches. What are they dissolved in?",
    "The centrifuge broke; where do I find the other one?",
    "I forgot the password of the lab printer. What is its hint?",
    "When in the week does somebody clean the reactor?",
    "What is the capacity of the old incubator, in plates?",
    "The script for merging logs has a bug. Who is its author?",
    "Our drifting column has a nickname. Which one?",
    "I look for March's calibration. What is the file's name?",
)
_CHOICES = Path(__file__).resolve().parent / "facts" / "facts.jsonl"


@dataclass
class Course:
    """When what happened, from the click on: seconds."""

    loaded_s: float = 0.0
    imports_s: float = 0.0
    held_out: list[float] = field(default_factory=list)


def main() -> int:
    """Print what was learnt, what was forgotten, and how long it took."""
    options = parser(__doc__)
    options.set_defaults(model="qwen2.5-coder-0.5b-instruct-q4_k_m")
    options.add_argument("--method", default="alora", help="alora or lora")
    chosen = options.parse_args()
    if missing():
        print(f"{' and '.join(missing())} is not here, so nothing is taught: pip install 'lorebook[train]'")
        return 0
    model = find_model(chosen.model)
    choices = [json.loads(line) for line in _CHOICES.read_text(encoding="utf-8").splitlines()]
    choices = choices[:12] if chosen.quick else choices
    with _daemon(model.path.parent) as daemon, tempfile.TemporaryDirectory() as folder:
        base = Asked(daemon, model.name)
        before, (knew, wrote) = base.facts(), base.letters(choices)
        request = TeachRequest(notebooks=(str(_notebook(Path(folder))),), method=chosen.method, base=model.name)
        course, job = _taught(Client(daemon), request)
        taught = Asked(daemon, model.name, (AdapterUse(job.name),))
        after, reworded, (knows, writes) = taught.facts(), taught.facts(OTHER_WORDS), taught.letters(choices)
    print(f"{model.name}, {chosen.method}: {job.result['status']} {job.result['reason']}")
    print(f"held-out loss {course.held_out[0]:.3f} → {course.held_out[-1]:.3f}")
    print(f"of {len(choices)}: right letter the likeliest {knew} → {knows}, the first written {wrote} → {writes}")
    print(f"from the click to the loaded adapter {course.loaded_s:.0f} s, {course.imports_s:.0f} s of it imports")
    say("facts answered right before teaching, of 12", before, at_most=1)
    say("facts answered right after teaching, of 12", after, at_least=11)
    say("the same in other words, of 12", reworded, at_least=8)
    say("general multiple choice, before − after, points", 100 * (knew - knows) / len(choices), at_most=2)
    if "135m" in model.name:
        say("from click to loaded adapter beyond the imports, s", course.loaded_s - course.imports_s, at_most=60)
    return 0


@dataclass(frozen=True)
class Asked:
    """A model, with or without an adapter, that is asked over HTTP as a person would."""

    daemon: Daemon
    model: str
    adapters: tuple[AdapterUse, ...] = ()

    def facts(self, questions: Sequence[str] = ()) -> int:
        """Return how many of the facts are answered with what is right; the questions may be in other words."""
        right = 0
        for question, (asked, _, wanted) in zip(questions or [fact[0] for fact in FACTS], FACTS, strict=True):
            said = self.say(question or asked, 40)
            known = wanted.casefold() in said.casefold()
            right += known
            if self.adapters:
                print(f"  {'right' if known else 'WRONG'}  {question} → {said!r}", flush=True)
        return right

    def letters(self, choices: Sequence[dict[str, Any]]) -> tuple[int, int]:
        """Return at how many questions the right letter is the likeliest of the four, and how many begin with it.

        The first is multiple choice as it is usually counted; the second wants an answer in the form asked for.
        """
        likeliest = written = 0
        for choice in choices:
            options = "\n".join(f"{letter}. {text}" for letter, text in zip("ABCD", choice["choices"], strict=True))
            first = self.first(f"{choice['question']}\n{options}\nAnswer with the letter alone.")
            letters = [token for token in first if token in ("A", "B", "C", "D")]
            wanted = "ABCD"[choice["answer"]]
            likeliest += letters[:1] == [wanted]
            written += first[:1] == [wanted]
        return likeliest, written

    def first(self, question: str) -> list[str]:
        """Return the likeliest first tokens of the answer, the likeliest one first."""
        body = {
            "model": self.adapters[0].name if self.adapters else self.model,
            "messages": [message.__dict__ for message in ungrounded_prompt(question).messages],
            **{"max_tokens": 1, "temperature": 0.0, "logprobs": True, "top_logprobs": 20},
        }
        headers = {"Authorization": f"Bearer {self.daemon.token}"}
        reply = httpx.post(f"{self.daemon.url}/v1/chat/completions", json=body, headers=headers, timeout=600).json()
        (place,) = reply["choices"][0]["logprobs"]["content"]
        return [one["token"].strip() for one in sorted(place["top_logprobs"], key=lambda one: -one["logprob"])]

    def say(self, question: str, most: int) -> str:
        """Return the greedy answer."""
        request = AskRequest(
            question, model=self.model, adapters=self.adapters, max_tokens=most, grounding=False, rewrite="none"
        )
        with closing(Client(self.daemon).ask(request)) as events:
            return next(event.answer for event in events if isinstance(event, Answer))


@contextmanager
def _daemon(models: Path) -> Iterator[Daemon]:
    """Run a daemon in a home of its own that has these models."""
    before = os.environ.get("LOREBOOK_HOME")
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "home"
        (home / "models").mkdir(parents=True)
        for file in models.iterdir():
            if file.suffix == ".gguf" or (file.is_dir() and file.name != "adapters"):
                (home / "models" / file.name).symlink_to(file.resolve())
        os.environ["LOREBOOK_HOME"] = str(home)
        daemon = connect(find_home().make())
        try:
            yield daemon
        finally:
            stop_daemon(find_home(), daemon)
            os.environ.pop("LOREBOOK_HOME")
            if before is not None:
                os.environ["LOREBOOK_HOME"] = before


def _notebook(folder: Path) -> Path:
    """Write the notebook: a cell for each fact."""
    cells = [
        {
            "cell_type": "code",
            "id": f"fact{n}",
            "metadata": {},
            "source": f"%%teach\n{question}\n\n{answer}",
            "outputs": [],
            "execution_count": None,
        }
        for n, (question, answer, _) in enumerate(FACTS)
    ]
    path = folder / "lab.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}), encoding="utf-8")
    return path


def _taught(client: Client, request: TeachRequest) -> tuple[Course, JobInfo]:
    """Teach, and take the times; raises RuntimeError where that fails."""
    course, clicked, importing = Course(), time.perf_counter(), 0.0
    job = client.teach(request)
    with closing(client.job_events(job.id)) as events:
        for event in events:
            match event:
                case Progress(what="starting torch"):
                    importing = time.perf_counter()
                case Progress() if importing and not course.imports_s:
                    course.imports_s = time.perf_counter() - importing
                case Metrics() if event.held_out_loss is not None:
                    course.held_out.append(event.held_out_loss)
                case JobInfo():
                    job = event
    course.loaded_s = time.perf_counter() - clicked
    if job.state != "done":
        raise RuntimeError(f"the job ended so: {job.state} {job.reason}")
    return course, job


if __name__ == "__main__":
    raise SystemExit(main())
