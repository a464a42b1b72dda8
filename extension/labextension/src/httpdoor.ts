/** The daemon over HTTP: through Jupyter Server, which adds the token that the browser never sees. */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import { EventSourceParserStream } from 'eventsource-parser/stream';

import {
  asFailure,
  Failure,
  type Answer,
  type Attachment,
  type AskEvent,
  type Door,
  type Progress,
  type Question,
  type SearchResponse,
  type Status,
  type Vote
} from '../../parts/src';
import type { OpenDoor, OpenNote } from './opennotebooks';
import type { JobEvent, JobInfo, Preview, TeachDoor, TeachRequest } from './teaching';

/** What a run of the indexer tells of one root. */
export interface IndexReport {
  root: string;
  files: number;
  passages: number;
}

/** A question that the daemon keeps, and what came of it: `lorebook_api.conversation.Exchange`. */
export interface Exchange {
  id: string;
  question: string;
  answer: Answer | null;
  text: string;
  error: string;
  stopped: boolean;
  attachments: Attachment[];
}

export type IndexEvent = { event: 'progress'; data: Progress } | { event: 'report'; data: IndexReport };

/** What a request may have beside its body. */
interface Aside {
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

const NO_CONTENT = 204;
const JSON_BODY = { 'Content-Type': 'application/json' };
/** Lets a daemon that sleeps sleep on: the answer is then NO_CONTENT. */
const ASLEEP = { 'X-Lorebook-Start': 'no' };

export class HttpDoor implements Door, TeachDoor, OpenDoor {
  constructor(private readonly settings: ServerConnection.ISettings) {}

  async *ask(question: Question, signal: AbortSignal): AsyncIterable<AskEvent> {
    yield* this.events<AskEvent>(await this.post('api/ask', question, { signal }), 'answer');
  }

  /** Reads the folders that are not read yet, or have changed. */
  async *index(roots: string[], signal: AbortSignal): AsyncIterable<IndexEvent> {
    yield* this.events<IndexEvent>(await this.post('api/index', { roots }, { signal }), 'done');
  }

  async cancel(requestId: string): Promise<void> {
    await this.post('api/cancel', { request_id: requestId });
  }

  async search(query: string, k: number): Promise<SearchResponse> {
    const response = await this.post('api/search', { query, k });
    return (await response.json()) as SearchResponse;
  }

  /** Returns what was asked and answered in a conversation, oldest first. */
  async exchanges(conversation: string): Promise<Exchange[]> {
    const response = await this.request(`api/conversations/${encodeURIComponent(conversation)}`, {});
    return ((await response.json()) as { exchanges: Exchange[] }).exchanges;
  }

  /** Takes an exchange and all after it out of a conversation. */
  async cut(conversation: string, exchange: string): Promise<void> {
    await this.post(`api/conversations/${encodeURIComponent(conversation)}/cut`, { exchange });
  }

  async status(): Promise<Status> {
    return (await (await this.request('api/status', {})).json()) as Status;
  }

  /** What the daemon says of itself, null where none runs: this question starts none. */
  async glance(): Promise<Status | null> {
    const response = await this.request('api/status', { headers: ASLEEP });
    return response.status === NO_CONTENT ? null : ((await response.json()) as Status);
  }

  async noteOpen(note: OpenNote, mayStart: boolean): Promise<boolean> {
    const response = await this.post('api/open', note, { headers: mayStart ? {} : ASLEEP });
    return response.status !== NO_CONTENT;
  }

  async feedback(vote: Vote): Promise<void> {
    await this.post('api/feedback', vote);
  }

  async previewTeaching(request: TeachRequest): Promise<Preview> {
    return (await (await this.post('api/teach/preview', request)).json()) as Preview;
  }

  async teach(request: TeachRequest): Promise<JobInfo> {
    return (await (await this.post('api/teach', request)).json()) as JobInfo;
  }

  async jobs(): Promise<JobInfo[]> {
    return ((await (await this.request('api/jobs', {})).json()) as { jobs: JobInfo[] }).jobs;
  }

  async *jobEvents(id: string, signal: AbortSignal): AsyncIterable<JobEvent> {
    yield* this.events<JobEvent>(await this.request(`${jobPath(id)}/events`, { signal }), 'done');
  }

  async cancelJob(id: string): Promise<void> {
    await this.post(`${jobPath(id)}/cancel`, {});
  }

  async resumeJob(id: string): Promise<JobInfo> {
    return (await (await this.post(`${jobPath(id)}/resume`, {})).json()) as JobInfo;
  }

  private post(path: string, body: unknown, aside: Aside = {}): Promise<Response> {
    const headers = { ...JSON_BODY, ...aside.headers };
    return this.request(path, { ...aside, method: 'POST', body: JSON.stringify(body), headers });
  }

  /** Returns the answer once its head is here; rejects with a Failure for any status that is an error. */
  private async request(path: string, init: RequestInit): Promise<Response> {
    const url = URLExt.join(this.settings.baseUrl, 'lorebook', path);
    let response: Response;
    try {
      // Not 'no-store', JupyterLab's own choice: it would put the time into the query, which the daemon does not know.
      response = await ServerConnection.makeRequest(url, { cache: 'no-cache', ...init }, this.settings);
    } catch (error) {
      init.signal?.throwIfAborted();
      throw new Failure('Jupyter Server does not answer.', 'Is it still running?', asFailure(error).type);
    }
    if (!response.ok) {
      const body: unknown = await response.json().catch(() => null);
      throw body === null ? new Failure(`Jupyter Server answered HTTP ${response.status}.`) : asFailure(body);
    }
    return response;
  }

  /** Yields the events of a stream up to the one named `last`; one that is an error is thrown. */
  private async *events<T>(response: Response, last: string): AsyncGenerator<T> {
    if (!response.body) {
      throw new Failure('The browser gives no stream of the answer.');
    }
    const text = response.body.pipeThrough(new TextDecoderStream());
    const reader = text.pipeThrough(new EventSourceParserStream()).getReader();
    try {
      for (let next = await reader.read(); !next.done; next = await reader.read()) {
        const { event, data } = next.value;
        if (event === 'error') {
          throw asFailure(JSON.parse(data));
        }
        yield { event, data: JSON.parse(data) as unknown } as T;
        if (event === last) {
          return;
        }
      }
    } finally {
      reader.cancel().catch(() => undefined); // the stream may have failed already, which was thrown above
    }
    throw new Failure('The daemon ended while it was at this.', 'Ask again: it starts by itself.');
  }
}

function jobPath(id: string): string {
  return `api/jobs/${encodeURIComponent(id)}`;
}
