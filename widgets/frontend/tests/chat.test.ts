import { beforeEach, expect, test, vi } from 'vitest';

import widget from '../src/chat';
import { el, kernel, show } from './page';

const ANSWER = {
  answer: 'Cell 5 drops them. [1] It rained.',
  abstained: false,
  grounded: 0.5,
  citations: [
    {
      ...{ n: 1, path: 'clean.ipynb', start_line: 2, end_line: 3, quote: 'df.dropna()', sha256: '', support: 0.97 },
      ...{ cell_id: 'c5', cell_index: 5, execution_count: 7, root: '/data' }
    }
  ],
  claims: [
    { text: 'Cell 5 drops them.', citations: [1], support: 0.97 },
    { text: 'It rained.', citations: [], support: 0.1 }
  ],
  sources: [],
  model: 'echo-1b',
  adapters: [],
  usage: { prompt_tokens: 1, cached_tokens: 0, completion_tokens: 1 },
  timings: { retrieve_ms: 1, ttft_ms: 1, total_ms: 1 },
  context: { budget: 100, used: 50, cut: [] },
  retrieval: 'hybrid',
  notices: [],
  request_id: 'q1'
};
const RUNNING = {
  id: 'q1',
  question: 'which cell?',
  attachments: [],
  state: 'running',
  text: '',
  progress: { what: 'asking', done: 0, total: 0 },
  answer: null,
  failure: null
};
const EMPTY = {
  options: { roots: ['/data'], model: 'auto', adapters: [], grounding: true },
  offers: { words: ['cell', 'error'], variables: ['df'] },
  context: [],
  conversations: [],
  models: [],
  adapters: [],
  turns: []
};

beforeEach(() => {
  show(widget, EMPTY);
});

function box(): HTMLTextAreaElement {
  return el.querySelector('textarea') as HTMLTextAreaElement;
}

function type(text: string): void {
  box().value = text;
  box().dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', cancelable: true }));
}

function press(label: string): void {
  (el.querySelector(`[aria-label="${label}"]`) as HTMLElement).click();
}

test('a question goes to the kernel, and its answer is drawn as it comes', () => {
  type('which cell?');
  expect(kernel.sent[0]).toMatchObject({ type: 'ask', question: 'which cell?', with: [] });
  kernel.tell({ type: 'turn', ...RUNNING });
  kernel.tell({ type: 'token', id: 'q1', text: 'Cell 5 **drops** them.' });
  vi.advanceTimersByTime(500);
  expect(el.querySelector('.lb-text strong')?.textContent).toBe('drops');
  kernel.tell({ type: 'turn', id: 'q1', state: 'done', answer: ANSWER, text: ANSWER.answer, progress: null });
  expect(el.querySelector('.lb-mark')?.textContent).toContain('1');
  expect(el.querySelector('.lb-unsupported')?.textContent).toContain('It rained.');
  expect(el.querySelector('.lb-send')?.getAttribute('aria-label')).toBe('Send');
});

test('a page that is loaded in mid-stream shows what was said and goes on', () => {
  kernel.state({ ...EMPTY, turns: [{ ...RUNNING, text: 'so far ' }] });
  kernel.tell({ type: 'token', id: 'q1', text: 'and on' });
  vi.advanceTimersByTime(500);
  expect(el.querySelector('.lb-streaming')?.textContent.trim()).toBe('so far and on');
  press('Stop');
  expect(kernel.sent[0]).toEqual({ type: 'stop' });
  kernel.tell({ type: 'turn', id: 'q1', state: 'stopped', progress: null });
  expect(el.textContent).toContain('Stopped.');
  press('Ask again');
  expect(kernel.sent[1]).toEqual({ type: 'retry', id: 'q1' });
});

test('an edited question takes the place of the old one', () => {
  kernel.state({ ...EMPTY, turns: [{ ...RUNNING, state: 'done', answer: ANSWER }] });
  press('Edit the question');
  expect(box().value).toBe('which cell?');
  type('which cell, then?');
  expect(kernel.sent[0]).toMatchObject({ type: 'ask', question: 'which cell, then?', after: 'q1' });
  kernel.tell({ type: 'cut', id: 'q1' });
  expect(el.querySelectorAll('.lb-turn')).toHaveLength(0);
});

test('what went along with a question goes along with it again when it is edited', () => {
  const attachments = [{ title: 'cell 3', text: 'x = 1' }];
  kernel.state({ ...EMPTY, turns: [{ ...RUNNING, state: 'done', answer: ANSWER, attachments }] });
  press('Edit the question');
  expect(kernel.sent.at(-1)).toEqual({ type: 'reattach', id: 'q1' });
  kernel.set({ context: attachments });
  type('better');
  expect(kernel.sent.at(-1)).toMatchObject({ type: 'ask', question: 'better', after: 'q1', with: ['cell 3'] });
});

test('what goes along is shown before it is sent, and can be taken out', () => {
  const menu = el.querySelector('[aria-label="Send along with the question"]') as HTMLSelectElement;
  menu.value = 'var:df';
  menu.dispatchEvent(new Event('change'));
  expect(kernel.sent[0]).toEqual({ type: 'attach', word: 'var:df' });
  const context = [
    { title: 'variable df', text: 'df: DataFrame', language: '' },
    { title: 'the last error', text: 'KeyError', language: '' }
  ];
  kernel.tell({ type: 'set', values: { context } });
  expect(el.querySelector('.lb-attached pre')?.textContent).toBe('df: DataFrame');
  press('Do not send the last error');
  expect(kernel.sent[1]).toEqual({ type: 'detach', title: 'the last error' });
  type('why?');
  expect(kernel.sent[2]).toMatchObject({ type: 'ask', with: ['variable df'] });
});

test('errors of the kernel and of the daemon are shown with what to do', () => {
  kernel.tell({ type: 'notice', failure: { message: 'There is no variable.', hint: 'Name one.', type: 'x' } });
  expect(el.querySelector('[role="alert"]')?.textContent).toContain('Name one.');
  kernel.tell({ type: 'turn', ...RUNNING });
  const failure = { message: 'It died.', hint: 'Ask again.', type: 'x' };
  kernel.tell({ type: 'turn', id: 'q1', state: 'failed', failure });
  expect(el.querySelector('.lb-turn [role="alert"]')?.textContent).toContain('It died.');
});

test('another conversation, its title, and its end at the second press', () => {
  const known = [{ id: 'c1', title: 'Nulls', updated: '' }];
  kernel.tell({ type: 'set', values: { conversations: known, conversation: 'c1' } });
  press('Rename this conversation');
  const title = el.querySelector('[aria-label="Title of the conversation"]') as HTMLInputElement;
  expect(title.value).toBe('Nulls');
  title.value = 'Null rows';
  title.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter' }));
  expect(kernel.sent[0]).toEqual({ type: 'rename', id: 'c1', title: 'Null rows' });
  press('Delete this conversation');
  expect(kernel.sent).toHaveLength(1);
  press('Press again to delete it for good');
  expect(kernel.sent[1]).toEqual({ type: 'delete', id: 'c1' });
});

test('a citation asks the page to open it, and says so where the page cannot', async () => {
  kernel.state({ ...EMPTY, turns: [{ ...RUNNING, state: 'done', answer: ANSWER }] });
  (el.querySelector('.lb-mark') as HTMLElement).click();
  await vi.advanceTimersByTimeAsync(10);
  expect(el.querySelector('.lb-citation [role="alert"]')?.textContent).toContain('/data/clean.ipynb');
});

test('thumbs are shown where they are kept, and stay pressed', () => {
  kernel.tell({ type: 'turn', ...RUNNING, state: 'done', answer: ANSWER });
  expect(el.querySelector('.lb-thumbs')).toBeNull();
  kernel.state({ ...EMPTY, feedback: true, turns: [{ ...RUNNING, state: 'done', answer: ANSWER }] });
  press('Bad answer');
  expect(kernel.sent.at(-1)).toEqual({ type: 'vote', id: 'q1', rating: 'down' });
  expect(el.querySelector('[aria-label="Bad answer"]')?.getAttribute('aria-pressed')).toBe('false');
  kernel.tell({ type: 'turn', id: 'q1', vote: 'down' });
  expect(el.querySelector('[aria-label="Bad answer"]')?.getAttribute('aria-pressed')).toBe('true');
  (el.querySelector('.lb-better textarea') as HTMLTextAreaElement).value = 'Cell 6.';
  (el.querySelector('.lb-better button') as HTMLButtonElement).click();
  expect(kernel.sent.at(-1)).toEqual({ type: 'vote', id: 'q1', rating: 'edited', edited: 'Cell 6.' });
  kernel.state({ ...EMPTY, feedback: true, turns: [{ ...RUNNING, state: 'done', answer: ANSWER, vote: 'up' }] });
  expect(el.querySelector('[aria-label="Good answer"]')?.getAttribute('aria-pressed')).toBe('true');
});
