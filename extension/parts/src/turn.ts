/** One question and what came of it. */

import type { Actions } from './actions';
import { showAnswer } from './answer';
import { iconButton } from './button';
import type { Attachment } from './attachment';
import { copyButton } from './code';
import { asFailure, Failure, type AskEvent, type Opinion, type Rating } from './door';
import { make } from './element';
import { errorNotice, remark } from './notice';
import type { Answer, Citation, Progress } from './schema';
import { StreamingText } from './streaming';
import { Thumbs } from './thumbs';

/** A turn as it is kept: plain JSON. `text` is what was streamed where there is no answer. */
export interface Turn {
  id: string;
  question: string;
  attachments: Attachment[];
  state: 'running' | 'done' | 'stopped' | 'failed';
  text: string;
  answer?: Answer;
  failure?: { message: string; hint: string; type: string };
  /** What was thought of the answer, once that is kept. */
  vote?: Rating;
}

/** What can be done with a turn. */
export interface TurnDeeds {
  retry(turn: Turn): void;
  edit(turn: Turn): void;
  /** Absent where opinions are not kept. One that was is shown by `TurnView.voted`. */
  vote?: (turn: Turn, opinion: Opinion) => void;
  /** Hears of a citation that is opened; absent where that is not kept. */
  opened?: (turn: Turn, citation: Citation) => void;
}

/** Draws one turn, first while it runs, then as it ended. */
export class TurnView {
  readonly element = make('article', { class: 'lb-turn' });
  private readonly body = make('div', { class: 'lb-turn-body' });
  private readonly progress = make('p', { class: 'lb-progress', role: 'status' });
  private readonly stream = new StreamingText();
  private thumbs: Thumbs | null = null;

  constructor(
    readonly turn: Turn,
    private readonly actions: Actions,
    private readonly deeds: TurnDeeds
  ) {
    this.element.append(this.question(), this.body);
    if (turn.state === 'running') {
      this.begin();
    } else {
      this.settle();
    }
  }

  /** Waits for events. */
  private begin(): void {
    this.turn.text = '';
    this.body.setAttribute('aria-busy', 'true'); // read aloud once it is whole, not word by word
    this.body.replaceChildren(this.progress, this.stream.element);
    this.tell({ what: 'asking', done: 0, total: 0 });
  }

  /** Takes the next event in. */
  hear(event: AskEvent): void {
    if (event.event === 'progress') {
      this.tell(event.data);
    } else if (event.event === 'sources') {
      const count = event.data.sources.length;
      this.tell({ what: `reading ${count} ${count === 1 ? 'passage' : 'passages'}`, done: 0, total: 0 });
    } else if (event.event === 'token') {
      this.turn.text += event.data.text;
      this.stream.add(event.data.text);
      this.progress.hidden = true;
    } else {
      this.turn.answer = event.data;
      this.turn.state = 'done';
      this.settle();
    }
  }

  /** Ends the turn with an error; one that was cancelled counts as stopped. */
  fail(error: unknown): void {
    const failure = asFailure(error);
    const stopped = failure.type === 'cancelled' || failure.name === 'AbortError';
    this.turn.state = stopped ? 'stopped' : 'failed';
    if (!stopped) {
      this.turn.failure = { message: failure.message, hint: failure.hint, type: failure.type };
    }
    this.settle();
  }

  /** Draws it anew, unless it runs. */
  redraw(): void {
    if (this.turn.state !== 'running') {
      this.settle();
    }
  }

  /** Shows an opinion that was kept. */
  voted(rating: Rating): void {
    this.turn.vote = rating;
    this.thumbs?.show(rating);
  }

  /** Says below the answer that something did not work. */
  complain(error: unknown): void {
    this.body.querySelectorAll(':scope > .lb-error').forEach(notice => notice.remove());
    this.body.append(errorNotice(asFailure(error)));
  }

  private tell(progress: Progress): void {
    const far = progress.total > 0 ? ` ${Math.floor((100 * progress.done) / progress.total)} %` : '';
    this.progress.textContent = `${progress.what}${far} …`;
    this.progress.hidden = false;
  }

  private question(): HTMLElement {
    const { question, attachments } = this.turn;
    const bubble = make('div', { class: 'lb-question' }, make('div', { class: 'lb-question-text', text: question }));
    for (const attachment of attachments) {
      bubble.append(make('span', { class: 'lb-chip', text: attachment.title, title: attachment.text }));
    }
    const deeds = make('div', { class: 'lb-question-deeds' });
    deeds.append(iconButton('edit', 'Edit the question', () => this.deeds.edit(this.turn)));
    return make('div', { class: 'lb-asked' }, bubble, deeds);
  }

  /** Draws how it ended. */
  private settle(): void {
    this.stream.halt();
    this.body.removeAttribute('aria-busy');
    const { answer, failure, state, text } = this.turn;
    if (answer) {
      // What was streamed stays in sight until all of it is drawn anew.
      const drawn = (shown: HTMLElement): void => this.body.replaceChildren(shown, this.afterwards(answer.answer));
      showAnswer(answer, this.noting(answer), drawn);
      return;
    }
    const said = new StreamingText();
    said.add(text);
    said.close();
    this.body.replaceChildren(...(text ? [said.element] : []));
    if (state === 'failed' && failure) {
      const again = { words: 'Ask again', act: () => this.deeds.retry(this.turn) };
      this.body.append(errorNotice(new Failure(failure.message, failure.hint, failure.type), again));
    } else {
      this.body.append(remark('Stopped.'), this.afterwards(text));
    }
  }

  /** Returns the page's actions, which tell of an opened citation as well. */
  private noting(answer: Answer): Actions {
    const openCitation: Actions['openCitation'] = place => {
      const citation = answer.citations.find(one => one === place);
      if (citation) {
        this.deeds.opened?.(this.turn, citation);
      }
      return this.actions.openCitation(place);
    };
    return { ...this.actions, openCitation };
  }

  private afterwards(text: string): HTMLElement {
    const bar = make('div', { class: 'lb-deeds', role: 'group', 'aria-label': 'About this answer' });
    if (text) {
      bar.append(copyButton('Copy the answer', () => text));
    }
    bar.append(iconButton('retry', 'Ask again', () => this.deeds.retry(this.turn)));
    if (!this.deeds.vote || !this.turn.answer) {
      return bar;
    }
    this.thumbs = new Thumbs(this.turn.vote, opinion => this.deeds.vote?.(this.turn, opinion));
    bar.append(this.thumbs.element);
    return make('div', {}, bar, this.thumbs.better);
  }
}
