/** The bodies on the wire, as the daemon sends them: the files of `lorebook_api/` say what each field means. */

export type Kind = 'code' | 'notebook' | 'doc' | 'data';

/** A stretch of a file: lines are 1-based and inclusive; in a notebook they count inside the cell. */
export interface Place {
  path: string;
  start_line: number;
  end_line: number;
  cell_id: string | null;
  cell_index: number | null;
  execution_count: number | null;
  root: string;
}

export interface Source extends Place {
  kind: Kind;
  score: number;
  text: string;
}

export interface Citation extends Place {
  n: number;
  quote: string;
  sha256: string;
  support: number;
}

export interface Claim {
  text: string;
  citations: number[];
  support: number;
}

export interface AdapterUse {
  name: string;
  scale: number;
}

export interface Usage {
  prompt_tokens: number;
  cached_tokens: number;
  completion_tokens: number;
}

export interface Timings {
  retrieve_ms: number;
  ttft_ms: number;
  total_ms: number;
}

/** A passage, or a part of one, that did not go to the model, and why. */
export interface Cut extends Place {
  tokens: number;
  why: string;
}

/** The prompt's budget in tokens, what was used of it, and what was cut. */
export interface Context {
  budget: number;
  used: number;
  cut: Cut[];
}

export interface Answer {
  answer: string;
  abstained: boolean;
  grounded: number;
  citations: Citation[];
  claims: Claim[];
  sources: Source[];
  model: string;
  adapters: AdapterUse[];
  usage: Usage;
  timings: Timings;
  context: Context;
  retrieval: 'hybrid' | 'lexical' | 'none';
  notices: string[];
  request_id: string;
}

export interface SearchResult extends Source {
  rank: number;
}

export interface SearchResponse {
  results: SearchResult[];
  took_ms: number;
  notices: string[];
}

/** How far long work is; `total` 0: its end is not known yet. */
export interface Progress {
  what: string;
  done: number;
  total: number;
}

export interface RootInfo {
  root: string;
  files: number;
  passages: number;
  vectors: number;
  updated: string;
}

export interface Status {
  version: string;
  model: string;
  engine: string;
  queue: number;
  roots: RootInfo[];
  memory_mb: number;
  indexing: string[];
  /** Whether what is thought of answers is kept, and learnt from. */
  feedback: 'off' | 'keep' | 'learn';
}
