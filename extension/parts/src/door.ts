/** The way from the parts to the daemon: over HTTP in the panel, through the kernel in the widgets. */

import type { Attachment } from './attachment';
import type { AdapterUse, Answer, Citation, Progress, SearchResponse, Source, Status } from './schema';

/** One turn of the conversation so far. */
export interface Message {
  role: 'user' | 'assistant';
  content: string;
}

/** What is asked: the body of `POST /api/ask`. Fields that are left out take the daemon's defaults. */
export interface Question {
  question: string;
  request_id: string;
  roots?: string[];
  model?: string;
  k?: number;
  max_tokens?: number;
  adapters?: AdapterUse[];
  history?: Message[];
  attachments?: Attachment[];
  /** Id of the conversation that the daemon keeps the question and its answer in; absent or '' keeps nothing. */
  conversation?: string;
}

/** What happens to a question, in order; `answer` is the last. */
export type AskEvent =
  | { event: 'progress'; data: Progress }
  | { event: 'sources'; data: { sources: Source[] } }
  | { event: 'token'; data: { text: string } }
  | { event: 'answer'; data: Answer };

/** What a person thinks of an answer: good, bad, or bad and put right. */
export type Rating = 'up' | 'down' | 'edited';

/** A rating, and with `edited` the answer as it should have been. */
export type Opinion = { rating: 'up' | 'down' } | { rating: 'edited'; edited: string };

/** An opinion and what it is about, or the citation that was opened: the body of `POST /api/feedback`. */
export type Vote = (Opinion | { rating: 'opened' }) & {
  question: string;
  answer: string;
  citations: Citation[];
  request_id: string;
};

/** The daemon, as the parts see it. Every method rejects with a `Failure`. */
export interface Door {
  /**
   * Yields what happens to the question. Aborting `signal` ends the stream: it throws the signal's reason, at once.
   * Whoever stops a question calls `cancel` as well, so that the engine ends even where a hang-up is not noticed.
   */
  ask(question: Question, signal: AbortSignal): AsyncIterable<AskEvent>;
  /** Takes a question back; one that has ended already is no error. */
  cancel(requestId: string): Promise<void>;
  search(query: string, k: number): Promise<SearchResponse>;
  status(): Promise<Status>;
  /** Keeps what is thought of an answer. */
  feedback?(vote: Vote): Promise<void>;
}

/** Something a person can be told: what is wrong, and what to do next. */
export class Failure extends Error {
  constructor(
    message: string,
    readonly hint = '',
    readonly type = 'internal_error'
  ) {
    super(message);
    this.name = 'Failure';
  }
}

/** Returns any error as a `Failure`; the body of the daemon's errors is understood. */
export function asFailure(error: unknown): Failure {
  if (error instanceof Failure) {
    return error;
  }
  const told = (error as { error?: { message?: unknown; hint?: unknown; type?: unknown } } | null)?.error;
  if (typeof told?.message === 'string') {
    return new Failure(told.message, textOr(told.hint, ''), textOr(told.type, 'internal_error'));
  }
  return new Failure(error instanceof Error ? error.message : String(error));
}

function textOr(value: unknown, other: string): string {
  return typeof value === 'string' ? value : other;
}
