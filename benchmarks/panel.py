"""How quick the panel is in a real JupyterLab: ready, first token drawn, a very long answer; and clicks after reloads.

`python -m benchmarks panel [--quick]`. The daemon is a fake one that sends as fast as HTTP takes it: the page is what
is measured, with Jupyter Server's forwarding in between.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from benchmarks.verdict import say, spread
from lorebook_api.asking import Answer, Citation, Claim, Timings
from lorebook_api.indexing import RootInfo
from tests.browser.jupyter import (
    CHAT,
    FLAGS,
    Lab,
    ask_chat,
    find_chromium,
    run_command,
    running_lab,
    show_chat,
    wait_until_ready,
    write_notebook,
)
from tests.fake_daemon import FakeDaemon

TOKENS = 10_000
BLOCK = (
    "The readings of well {n} are **checked** before they are used, "
    "and `flag_columns` says why one is not.\n\n",
    "- a gap of more than two days stays open\n- a spike is flagged and never repaired\n- a dip is never edited\n\n",
    "```python\nrows = by_well(readings)[{n}]\nflags = flag_columns(rows, [row.pressure for row in rows])\n"
    "print(tally(flags))\n```\n\n",
)  # fmt: skip

CLOCK = """
window.lorebookTimes = {};
new MutationObserver((_, observer) => {
  if (document.querySelector('#lorebook-panel .lb-box')) {
    window.lorebookTimes.panel = performance.now();
    observer.disconnect();
  }
}).observe(document, { childList: true, subtree: true });
const timer = setInterval(() => {
  if (window.jupyterapp) {
    clearInterval(timer);
    window.jupyterapp.restored.then(() => { window.lorebookTimes.lab = performance.now(); });
  }
}, 2);
"""
"""Notes when the panel is in the page, and when JupyterLab says that it is up."""

OPENING = """async () => {
  const begun = performance.now();
  await window.jupyterapp.commands.execute('lorebook:open');
  while (!document.activeElement?.classList.contains('lb-box')) {
    await new Promise(requestAnimationFrame);
  }
  return performance.now() - begun;
}"""

DRAWN = """() => new Promise(resolve => {
  const look = () => {
    const text = document.querySelector('#lorebook-panel .lb-streaming')?.textContent?.trim();
    if (!text) {
      return;
    }
    observer.disconnect();
    requestAnimationFrame(() => resolve(performance.timeOrigin + performance.now() - Number(text.split(' ')[0])));
  };
  const observer = new MutationObserver(look);
  observer.observe(document.querySelector('#lorebook-panel'), { childList: true, subtree: true, characterData: true });
})"""
"""Milliseconds from the time that the first token tells, which is when it was sent, to the frame that shows it."""

WATCH = """() => {
  window.lorebookTasks = [];
  new PerformanceObserver(list => window.lorebookTasks.push(...list.getEntries().map(one => one.duration)))
    .observe({ type: 'longtask' });
}"""


END = "This is the end of it."
WHOLE = f"""() => [...document.querySelectorAll('#lorebook-panel .lb-answer')].some(
  answer => answer.textContent.includes('{END}') && answer.querySelector('.lb-summary') !== null
)"""
"""Whether the very long answer is there to its last word, with what is told of the whole."""


def stamped() -> Iterator[Any]:
    """Yield an answer whose first token is the time of its sending, in milliseconds."""
    time.sleep(0.2)  # the page has begun to wait
    yield ("token", {"text": f"{time.time() * 1000:.1f} and more. "})
    time.sleep(0.2)
    yield ("answer", asdict(whole("and more.", ())))


def long_answer() -> Iterator[Any]:
    """Yield an answer of `TOKENS` tokens as fast as they are taken: prose, lists, code, every block cited."""
    tokens: list[str] = []
    blocks: list[str] = []
    while len(tokens) < TOKENS:
        block = BLOCK[len(blocks) % len(BLOCK)].format(n=len(blocks))
        blocks.append(block)
        # About four characters a token, as of English and code.
        tokens += [block[at : at + 4] for at in range(0, len(block), 4)]
    blocks.append(END)
    tokens.append(END)
    for token in tokens:
        yield ("token", {"text": token})
    yield ("answer", asdict(whole("".join(blocks), tuple(blocks))))


def whole(text: str, blocks: tuple[str, ...]) -> Answer:
    """Return the answer; each block of prose is a claim, every other one supported."""
    quote = "LOGGER_ZONE = timezone(timedelta(hours=1))"
    cited = Citation(1, "wellwatch/readings.py", 17, 17, quote, "0" * 64, 0.9)
    prose = [block.strip() for block in blocks if not block.startswith("`")]
    claims = tuple(Claim(block, (1,) if at % 2 else (), 0.9 if at % 2 else 0.1) for at, block in enumerate(prose))
    timings = Timings(1.0, 1.0, 1.0)
    return Answer(text, False, 0.5, (cited,), claims, (), "echo-1b", timings=timings, retrieval="hybrid")


def open_page(browser: Browser, lab: Lab, path: str = "") -> Page:
    """Open JupyterLab in a browser context of its own, with `CLOCK` in the page."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.add_init_script(CLOCK)
    page = context.new_page()
    page.goto(lab.address(path))
    wait_until_ready(page, path)
    return page


def measure_ready(browser: Browser, lab: Lab, rounds: int) -> bool:
    """Print how long the panel takes to be there and to be opened; return whether both are quick enough."""
    late, opened = [], []
    for _ in range(rounds):
        page = open_page(browser, lab)
        page.wait_for_function("window.lorebookTimes.lab && window.lorebookTimes.panel")
        late.append(max(0.0, page.evaluate("window.lorebookTimes.panel - window.lorebookTimes.lab")))
        opened.append(page.evaluate(OPENING))
        page.context.close()
    print(f"in the page, after JupyterLab is up {spread(late)}\nopened, until it can be typed into {spread(opened)}")
    ready = say("panel ready after JupyterLab is up, ms, the worst", max(late), at_most=300)
    return say("panel opened and in focus, ms, the worst", max(opened), at_most=300) and ready


def measure_first_token(page: Page, daemon: FakeDaemon, rounds: int) -> bool:
    """Print the time from the daemon's sending of a first token to the frame that shows it."""
    times = []
    for _ in range(rounds):
        run_command(page, "lorebook:new-conversation")
        daemon.scripts.ask = stamped()
        box = page.get_by_role("textbox", name="Question")
        box.fill("Why?")
        waiting = page.evaluate_handle(f"() => ({{ drawn: ({DRAWN})() }})")
        box.press("Enter")
        times.append(waiting.evaluate("waiting => waiting.drawn"))
        expect(page.locator("#lorebook-panel .lb-answer")).to_be_visible()
    print(f"first token {spread(times)}")
    return say("first token drawn after it was sent, ms, median", sorted(times)[rounds // 2], at_most=50)


def measure_long_answer(page: Page, daemon: FakeDaemon, rounds: int) -> bool:
    """Print the longest task of the page while it shows a very long answer, from its first token to its last mark."""
    page.evaluate(WATCH)
    for _ in range(rounds):
        run_command(page, "lorebook:new-conversation")
        daemon.scripts.ask = long_answer()
        box = page.get_by_role("textbox", name="Question")
        box.fill("Tell me everything.")
        begun = time.perf_counter()
        box.press("Enter")
        page.wait_for_function(WHOLE, timeout=240_000, polling=100)
        took = time.perf_counter() - begun
        page.wait_for_timeout(1500)
        tasks = page.evaluate("window.lorebookTasks")
        print(f"{TOKENS} tokens in {took:.1f} s; so far {len(tasks)} tasks above 50 ms")
    longest = max(tasks, default=0.0)
    return say(f"longest task during an answer of {TOKENS} tokens, ms", longest, at_most=100)


def measure_reloads(browser: Browser, lab: Lab, daemon: FakeDaemon, reloads: int) -> bool:
    """Print how many questions to the chat widget were lost, each asked right after the page was loaded again."""
    daemon.scripts.ask = [("answer", asdict(whole("Yes.", ())))]
    name = write_notebook(lab, *CHAT)
    page = open_page(browser, lab, name)
    show_chat(page)
    run_command(page, "docmanager:save")
    before = len(daemon.of("/api/ask"))
    for n in range(reloads):
        page.reload()
        wait_until_ready(page, name)
        chat = page.locator(".jp-OutputArea .lb-widget")
        expect(chat).to_be_visible(timeout=30_000)
        ask_chat(chat, f"question {n}?")
        expect(chat.locator(".lb-answer")).to_have_count(n + 1, timeout=60_000)
    asked = [call.body["question"] for call in daemon.of("/api/ask")[before:]]
    lost = sum(asked.count(f"question {n}?") != 1 for n in range(reloads))
    return say(f"messages lost or doubled in {reloads} reloads", lost, at_most=0)


def measure(browser: Browser, folder: Path, quick: bool) -> bool:
    """Measure everything; return whether all was reached."""
    with running_lab(folder) as lab, FakeDaemon(lab.home / "runtime") as daemon:
        root = RootInfo(str(lab.work.resolve()), 14, 120, 120, time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()))
        daemon.roots = (root,)
        reached = [measure_ready(browser, lab, 2 if quick else 10)]
        page = open_page(browser, lab)
        run_command(page, "lorebook:open")
        reached.append(measure_first_token(page, daemon, 3 if quick else 20))
        reached.append(measure_long_answer(page, daemon, 1 if quick else 3))
        page.context.close()
        reached.append(measure_reloads(browser, lab, daemon, 3 if quick else 50))
    return all(reached)


def main() -> int:
    """Run the benchmark; returns 1 where there is no browser, else 0, whatever was reached."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks panel")
    parser.add_argument("--quick", action="store_true", help="few rounds, to see that it works")
    parser.add_argument("--model", help="is not used: the daemon is a fake one")
    options = parser.parse_args()
    chromium = find_chromium()
    if chromium is None:
        print("There is no Chromium. Type: sudo apt install chromium", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        measure(browser, Path(folder), options.quick)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
