/** An answer to show, as the daemon would send it. */

import type { Answer, Citation } from '../src/schema';

export function citation(changes: Partial<Citation> = {}): Citation {
  return {
    ...{ n: 1, path: 'src/a.py', start_line: 10, end_line: 12, quote: 'df = df.dropna()', sha256: '', support: 0.97 },
    ...{ cell_id: null, cell_index: null, execution_count: null, root: '/data' },
    ...changes
  };
}

export function answer(changes: Partial<Answer> = {}): Answer {
  return {
    answer: 'Cell 5 drops them. [1]',
    abstained: false,
    grounded: 1,
    citations: [citation()],
    claims: [{ text: 'Cell 5 drops them.', citations: [1], support: 0.97 }],
    sources: [],
    model: 'echo-1b',
    adapters: [],
    usage: { prompt_tokens: 812, cached_tokens: 790, completion_tokens: 41 },
    timings: { retrieve_ms: 6, ttft_ms: 410, total_ms: 2300 },
    context: { budget: 4096, used: 812, cut: [] },
    retrieval: 'hybrid',
    notices: [],
    request_id: 'r',
    ...changes
  };
}
