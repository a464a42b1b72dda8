/** A chat: the turns, the context bar, the composer, and the questions that travel through a door. */

import type { Actions } from './actions';
import type { Attachment } from './attachment';
import { Composer } from './composer';
import { ContextBar } from './contextbar';
import { Failure, type Door, type Message, type Opinion, type Question } from './door';
import { make } from './element';
import { exportMarkdown } from './export';
import { newId } from './id';
import type { Citation } from './schema';
import { Transcript } from './transcript';
import type { Turn, TurnDeeds, TurnView } from './turn';

const BUSY_MS = 20;
/** After so long with events the page gets its turn. */

/** What a chat needs from where it stands. */
export interface ChatParts {
  door: Door;
  actions: Actions;
  /** Fields of every question, such as `roots` and `model`, as they are when it is sent. */
  choices(): Partial<Question>;
  /** Called after every change that is worth keeping, with all turns. */
  changed?(turns: Turn[]): void;
  /** Called before a turn and all after it go, because its question is asked again, edited or not. */
  cut?(turn: Turn): Promise<void>;
  /** Asked before each question; false leaves it in the box. */
  mayAsk?(): Promise<boolean>;
  /** What is shown before the first question. */
  welcome: Node;
}

export class Chat {
  readonly element = make('section', { class: 'lb-root lb-chat', 'aria-label': 'lorebook' });
  readonly context = new ContextBar('');
  readonly composer: Composer;
  private readonly transcript: Transcript;
  private readonly deeds: TurnDeeds;
  private running: { turn: Turn; abort: AbortController } | null = null;
  private editing: Turn | null = null;

  constructor(private readonly parts: ChatParts) {
    this.deeds = { retry: turn => void this.retry(turn), edit: turn => this.edit(turn) };
    this.transcript = new Transcript(parts.welcome, parts.actions, this.deeds);
    this.composer = new Composer({
      send: text => void this.ask(text),
      stop: () => this.stop(),
      recall: () => this.transcript.turns.at(-1)?.question ?? ''
    });
    this.element.append(this.transcript.element, this.context.element, this.composer.element);
  }

  get turns(): Turn[] {
    return this.transcript.turns;
  }

  get isRunning(): boolean {
    return this.running !== null;
  }

  /** Shows turns that were kept; one that was running then was stopped by whatever ended the page. */
  restore(turns: Turn[]): void {
    this.stop();
    this.transcript.clear();
    for (const turn of turns) {
      this.transcript.add({ ...turn, state: turn.state === 'running' ? 'stopped' : turn.state });
    }
  }

  /** Forgets all turns. */
  clear(): void {
    this.restore([]);
    this.parts.changed?.([]);
  }

  /** Asks, with what stands in the context bar; resolves when the answer is whole or has failed. */
  async ask(question: string): Promise<void> {
    if (this.running || (this.parts.mayAsk && !(await this.parts.mayAsk()))) {
      return;
    }
    const attachments = this.context.attachments;
    this.context.clear();
    this.composer.text = '';
    const { editing } = this;
    this.editing = null;
    await this.begin(question, attachments, editing);
  }

  /** Takes the running question back, in both ways that there are. */
  stop(): void {
    if (this.running) {
      const { turn, abort } = this.running;
      // Only a hint to the daemon: the hang-up stops it as well, and the person has seen it stop already.
      this.parts.door.cancel(turn.id).catch(() => undefined);
      abort.abort(new Failure('The question was taken back.', '', 'cancelled'));
    }
  }

  /** Returns the conversation as Markdown. */
  exportMarkdown(): string {
    return exportMarkdown(this.turns);
  }

  /** Shows thumbs below the answers where `kept`: where the door takes them and the daemon keeps them. */
  takeVotes(kept: boolean): void {
    const taken = kept && this.parts.door.feedback !== undefined;
    if (taken === Boolean(this.deeds.vote)) {
      return;
    }
    if (taken) {
      this.deeds.vote = (turn, opinion) => void this.vote(turn, opinion);
      this.deeds.opened = (turn, citation) => void this.tellOpened(turn, citation);
    } else {
      delete this.deeds.vote;
      delete this.deeds.opened;
    }
    this.transcript.redraw();
  }

  focus(): void {
    this.composer.focus();
  }

  attach(attachment: Attachment): void {
    this.context.attach(attachment);
  }

  private async retry(turn: Turn): Promise<void> {
    if (!this.running) {
      await this.begin(turn.question, turn.attachments, turn);
    }
  }

  private async vote(turn: Turn, opinion: Opinion): Promise<void> {
    const { question, answer } = turn;
    if (answer) {
      const { citations, request_id } = answer;
      const view = this.transcript.viewOf(turn);
      try {
        await this.parts.door.feedback?.({ ...opinion, question, answer: answer.answer, citations, request_id });
        view?.voted(opinion.rating);
      } catch (error) {
        view?.complain(error);
      }
    }
  }

  /** The person wanted to read, not to be told of this: what goes wrong here stays unsaid. */
  private async tellOpened(turn: Turn, citation: Citation): Promise<void> {
    if (turn.answer) {
      const { answer, request_id } = turn.answer;
      const told = { rating: 'opened' as const, question: turn.question, answer, citations: [citation], request_id };
      await this.parts.door.feedback?.(told).catch(() => undefined);
    }
  }

  /** Asks in a turn of its own, in the place of `instead` where there is one. */
  private async begin(question: string, attachments: Attachment[], instead: Turn | null): Promise<void> {
    const turn: Turn = { id: newId(), question, attachments, state: 'running', text: '' };
    const abort = new AbortController();
    this.running = { turn, abort };
    if (instead) {
      this.transcript.cutFrom(instead);
      await this.parts.cut?.(instead);
    }
    await this.run(this.transcript.add(turn), abort);
  }

  private edit(turn: Turn): void {
    if (!this.running) {
      this.editing = turn;
      this.composer.text = turn.question;
      this.context.clear();
      turn.attachments.forEach(attachment => this.context.attach(attachment));
      this.focus();
    }
  }

  private async run(view: TurnView, abort: AbortController): Promise<void> {
    const { turn } = view;
    this.composer.setRunning(true);
    this.parts.changed?.(this.turns);
    let rested = performance.now();
    try {
      for await (const event of this.parts.door.ask(this.questionOf(turn), abort.signal)) {
        view.hear(event);
        this.transcript.follow();
        if (performance.now() - rested > BUSY_MS) {
          await new Promise(resolve => setTimeout(resolve)); // many events may have come at once
          rested = performance.now();
        }
      }
      if (turn.state === 'running') {
        throw new Failure('The answer broke off.', 'Ask again.');
      }
    } catch (error) {
      view.fail(abort.signal.aborted ? abort.signal.reason : error);
    } finally {
      this.running = null;
      this.composer.setRunning(false);
      this.transcript.follow();
      this.parts.changed?.(this.turns);
    }
  }

  private questionOf(turn: Turn): Question {
    const { question, attachments, id } = turn;
    const choices = this.parts.choices();
    // The daemon has the history of a conversation that it keeps.
    const history = choices.conversation ? [] : this.historyBefore(turn);
    return { ...choices, question, attachments, request_id: id, history };
  }

  private historyBefore(turn: Turn): Message[] {
    const before = this.turns.slice(0, this.turns.indexOf(turn)).filter(one => one.answer);
    return before.flatMap(one => [
      { role: 'user' as const, content: one.question },
      { role: 'assistant' as const, content: one.answer?.answer ?? '' }
    ]);
  }
}
