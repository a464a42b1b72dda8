/** The bodies on the wire about teaching and about jobs: `lorebook_api/teaching.py` says what each field means. */

import type { Progress } from '../../parts/src';

/** What is taught: cells of a notebook by their ids. Fields that are left out take the daemon's defaults. */
export interface TeachRequest {
  notebooks: string[];
  ids: string[];
  name?: string;
  base?: string;
}

/** A piece of an example as the model reads it; it learns the pieces that are `learnt`. */
export interface Segment {
  text: string;
  tokens: number;
  learnt: boolean;
}

export interface PreviewExample {
  origin: string;
  segments: Segment[];
  tokens: number;
  held_out: boolean;
  left_out: string;
}

export interface Preview {
  examples: PreviewExample[];
  base: string;
  epochs: number;
  steps: number;
  seconds: number;
  memory_mb: number;
  /** Of all examples, of which the first 200 are shown: learnt from, kept back, left out. */
  taught: number;
  held_out: number;
  left_out: number;
}

export interface Metrics {
  step: number;
  steps: number;
  loss: number;
  held_out_loss: number | null;
  tokens_per_s: number;
  seconds_left: number;
}

export interface Said {
  question: string;
  text: string;
  wanted: string;
  step: number;
}

export interface TeachResult {
  adapter: string;
  status: 'active' | 'candidate' | 'failed' | 'cancelled';
  examples: number;
  seconds: number;
  reason: string;
}

export interface JobInfo {
  id: string;
  kind: string;
  name: string;
  state: 'waiting' | 'running' | 'done' | 'failed' | 'cancelled' | 'interrupted' | 'prepared';
  reason: string;
  result: Partial<TeachResult>;
}

/** What a job tells; `done` is the last, however it ended. */
export type JobEvent =
  | { event: 'progress'; data: Progress }
  | { event: 'metrics'; data: Metrics }
  | { event: 'said'; data: Said }
  | { event: 'done'; data: JobInfo };

/** The part of the daemon that teaches. Every method rejects with a `Failure`. */
export interface TeachDoor {
  /** Returns what a request would teach; nothing is kept. */
  previewTeaching(request: TeachRequest): Promise<Preview>;
  /** Begins to teach. */
  teach(request: TeachRequest): Promise<JobInfo>;
  jobs(): Promise<JobInfo[]>;
  /** Yields what happened in a job and what happens now, until it has ended; who aborts only stops watching. */
  jobEvents(id: string, signal: AbortSignal): AsyncIterable<JobEvent>;
  cancelJob(id: string): Promise<void>;
  /** Goes on with a job that did not get to its end. */
  resumeJob(id: string): Promise<JobInfo>;
}
