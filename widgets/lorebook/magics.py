"""`%ask`, `%%ask` and `%lore`; `load` brings these, and `%teach` and `%%teach`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from typing import Any

from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, no_var_expand
from traitlets import Int, Unicode

from lorebook.answer import sent_along
from lorebook.arguments import HINT, parse_options
from lorebook.asking import follow
from lorebook.cells import forget_record, record_of
from lorebook.context import Surroundings
from lorebook.fill import fill
from lorebook.live import Live, open_display
from lorebook.questions import keep_question_marks
from lorebook.reaching import reach, shown_by
from lorebook.teachmagic import HELP as TEACH_HELP
from lorebook.teachmagic import TeachMagics
from lorebook.tracebacks import Tracebacks
from lorebook_api.asking import AskRequest, Attachment
from lorebook_api.client import new_request_id
from lorebook_api.discovery import find_daemon
from lorebook_api.errors import BadRequest, DaemonUnavailable, LorebookError
from lorebook_api.home import find_home
from lorebook_api.indexing import IndexReport, IndexRequest, Progress
from lorebook_api.typed import find_model, find_roots, parse_adapter

HELP = """\
%ask which cell drops the null rows?      a question about the files of this folder
%%ask --root ../data -k 8                 the question is the cell's text; options stand on the first line
why does {Err[7]} happen?                 {name}, {In[3]}, {Out[3]}, {Err[3]} are filled in, in both forms

options of both:  --root DIR (repeatable)  --model NAME|PATH  --adapter NAME[:SCALE] (repeatable)
                  -k N  --max-tokens N  --no-grounding
                  --path GLOB  --kind KIND  --language NAME  --since 7d  --notebook NAME  --tag TAG: look there alone
                  --context cell,above,error,output   what of this notebook goes along: the cell that ran last,
                  the cells above, the last error, the last output; each is named before it is sent
                  --var NAME (repeatable)   type, shape, columns and first rows of a variable go along
The last answer is kept in `_ask`. Keep %load_ext lorebook in a cell before the first %ask: in the same cell
IPython still takes a question mark at the end of %ask for a call for help.
Defaults:         %config LoreMagics.root = "../data"    (also: model, k, max_tokens)

%lore status          the daemon, its model, its indexes
%lore models          the models on this machine
%lore index [DIR]...  bring the index of a folder up to date
%lore jobs            what is being taught, and was
%lore help            this"""

LAST = "_ask"


@magics_class
class LoreMagics(Magics):
    """The magics of lorebook, and their defaults as traits."""

    root = Unicode("", help="Folder to ask about; empty takes the current one.").tag(config=True)
    model = Unicode("auto", help="Model to answer with.").tag(config=True)
    k = Int(6, help="How many passages are read.").tag(config=True)
    max_tokens = Int(320, help="The answer's length at the most.").tag(config=True)

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self.errors = Tracebacks()

    @no_var_expand
    @line_cell_magic
    def ask(self, line: str, cell: str | None = None) -> None:
        """Ask about your files; `%lore help` shows how."""
        _guarded(lambda: self._ask(line, cell))

    @no_var_expand
    @line_magic
    def lore(self, line: str) -> None:
        """Run `%lore status`, `models`, `index`, `jobs` or `help`."""
        _guarded(lambda: self._lore(line))

    def _ask(self, line: str, cell: str | None) -> None:
        live = Live(open_display)
        request = self._request(line, cell, live)
        answer = follow(request, live)
        self.shell.user_ns[LAST] = answer
        live.finish(answer._repr_mimebundle_())

    def _request(self, line: str, cell: str | None, live: Live) -> AskRequest:
        options, rest = parse_options(line)
        question = "\n".join(filter(None, (rest, (cell or "").strip())))
        if not question:
            raise BadRequest("there is no question.", HINT)
        roots = find_roots(options.roots or ((self.root,) if self.root else ()))
        return AskRequest(
            question=fill(question, self.shell.user_ns, self.errors, shown_by(self.shell)),
            roots=roots if options.grounding else (),
            model=find_model(options.model or self.model),
            adapters=tuple(parse_adapter(adapter) for adapter in options.adapters),
            k=options.k or self.k,
            max_tokens=options.max_tokens or self.max_tokens,
            grounding=options.grounding,
            request_id=new_request_id(),
            attachments=self._along(options.context, roots[0], live),
            filters=options.filters,
        )

    def _along(self, context: tuple[str, ...], root: str, live: Live) -> tuple[Attachment, ...]:
        """Return what goes along with the question, named on the page before it is sent."""
        if not context:
            return ()
        record = record_of(self.shell)
        around = Surroundings(self.shell.user_ns, record, root, shown_by(self.shell), record.running)
        gathered = around.gather(context)
        live.note("; ".join([sent_along(gathered.attachments), *gathered.notices]))
        return gathered.attachments

    def _lore(self, line: str) -> None:
        word, *words = line.split() or ["help"]
        command = COMMANDS.get(word)
        if command is None:
            raise BadRequest(f"%lore {word} is not known; it takes {', '.join(COMMANDS)}.", HINT)
        sys.stdout.write(command(words) + "\n")


def load(shell: Any) -> None:
    """Register the magics, and remember the tracebacks of this session from now on."""
    magics = LoreMagics(shell)
    shell.register_magics(magics, TeachMagics(shell))
    shell.events.register("post_run_cell", magics.errors.record)
    shell.input_transformers_cleanup.append(keep_question_marks)
    record_of(shell)


def unload(shell: Any) -> None:
    """Stop remembering tracebacks and looking at the cells' lines; the magics themselves stay, as IPython has it."""
    magics = shell.magics_manager.registry.get(LoreMagics.__name__)
    if magics is not None and keep_question_marks in shell.input_transformers_cleanup:
        shell.events.unregister("post_run_cell", magics.errors.record)
        shell.input_transformers_cleanup.remove(keep_question_marks)
        forget_record(shell)


def _guarded(work: Callable[[], None]) -> None:
    """Tell what went wrong in one line on stderr; an interrupt ends the work, which has said so."""
    try:
        work()
    except LorebookError as error:
        sys.stderr.write(f"lorebook: {' '.join(str(error).split())}\n")
    except KeyboardInterrupt:
        sys.stderr.write("lorebook: stopped\n")


def _status(_: list[str]) -> str:
    daemon = find_daemon(find_home())
    if daemon is None:
        raise DaemonUnavailable("no daemon is running.", "It starts with the first question.")
    state = reach().status()
    roots = [
        f"  {root.root}: {root.files} files, {root.passages} passages, {root.vectors} vectors" for root in state.roots
    ]
    head = f"lorebook {state.version}, pid {state.pid}, model {state.model} ({state.engine}), queue {state.queue}"
    return "\n".join([head, *(roots or ["  no folder is indexed yet"])])


def _models(_: list[str]) -> str:
    lines = []
    for model in reach().models():
        state = "loaded" if model.loaded else "here" if model.installed else "-"
        lines.append(f"{state:<7}{model.name}  {model.size / 1e6:.0f} MB  {model.origin}")
    return "\n".join(lines)


def _index(roots: list[str]) -> str:
    request = IndexRequest(find_roots(roots))
    live = Live(open_display)
    with closing(reach(live.note).index(request)) as events:
        reports = []
        for event in events:
            if isinstance(event, IndexReport):
                reports.append(event)
            elif isinstance(event, Progress):
                live.note(event.what)
    return "\n".join(
        f"{report.root}: {report.files} files, {report.passages} passages; {report.added} added, "
        f"{report.changed} changed, {report.removed} removed, {len(report.skipped)} skipped, {report.seconds:.1f} s"
        for report in reports
    )


def _jobs(_: list[str]) -> str:
    lines = [f"{job.id}  {job.state:<12}{job.kind} {job.name}  {job.reason}".rstrip() for job in reach().jobs()]
    return "\n".join(lines) or "there is no job yet; begin one: %teach or %%teach"


COMMANDS: dict[str, Callable[[list[str]], str]] = {
    "status": _status,
    "models": _models,
    "index": _index,
    "jobs": _jobs,
    "help": lambda _: f"{HELP}\n\n{TEACH_HELP}",
}
