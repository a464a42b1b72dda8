import { expect, test, vi } from 'vitest';

import index from '../src/index';
import search from '../src/search';
import { el, kernel, show } from './page';

const RESULT = {
  ...{ rank: 1, path: 'src/fare.py', start_line: 10, end_line: 12, kind: 'code', score: 0.5, text: 'def fare(km):' },
  ...{ cell_id: null, cell_index: null, execution_count: null, root: '/data' }
};

test('a search is sent once when the typing rests, and its passages are shown', () => {
  show(search, { roots: ['/data'], query: '', kind: '', kinds: ['code', 'notebook'], results: [], told: '' });
  const box = el.querySelector('input') as HTMLInputElement;
  expect(box.placeholder).toBe('Search data');
  for (const text of ['f', 'fa', 'fare']) {
    box.value = text;
    box.dispatchEvent(new Event('input'));
    vi.advanceTimersByTime(50);
  }
  vi.advanceTimersByTime(1000);
  expect(kernel.sent).toEqual([{ type: 'search', query: 'fare', kind: null }]);
  kernel.set({ query: 'fare', results: [RESULT], told: '1 passage · 3 ms' });
  expect(el.querySelector('.lb-results')?.textContent).toContain('src/fare.py:10-12');
  expect(el.querySelector('[role="status"]')?.textContent).toBe('1 passage · 3 ms');
  const kind = el.querySelector('select') as HTMLSelectElement;
  kind.value = 'notebook';
  kind.dispatchEvent(new Event('change'));
  vi.advanceTimersByTime(10);
  expect(kernel.sent[1]).toEqual({ type: 'search', query: 'fare', kind: 'notebook' });
});

test('text of files is shown, never acted on', () => {
  show(search, { roots: ['/data'], query: 'x', kind: '', kinds: [], results: [], told: '' });
  kernel.set({ results: [{ ...RESULT, text: '<img src=x onerror=alert(1)>', path: '<b>.py' }] });
  expect(el.querySelector('img, .lb-results b')).toBeNull();
  expect(el.textContent).toContain('<img src=x');
});

const INDEX = {
  roots: ['/data'],
  infos: [{ root: '/data', files: 3, passages: 17, vectors: 9, updated: '2030-01-01T00:00:00+00:00' }],
  work: [],
  paused: false,
  watched: [],
  reports: [
    {
      ...{ root: '/data', added: 2, changed: 1, removed: 0, seconds: 0.4, notices: [] },
      skipped: [{ path: 'big.csv', why: '120 MB' }]
    }
  ],
  updating: false,
  progress: null
};

test('what is indexed, what was left out and why; update and pause', () => {
  show(index, INDEX);
  expect(el.textContent).toContain('17 passages, 9 of them by meaning so far');
  expect(el.querySelector('summary')?.textContent).toBe('1 file was left out');
  expect(el.querySelector('table')?.textContent).toContain('120 MB');
  const [update, , pause] = [...el.querySelectorAll('button')];
  update?.click();
  pause?.click();
  expect(kernel.sent).toEqual([{ type: 'update' }, { type: 'pause' }]);
  kernel.set({ paused: true, updating: true, progress: { what: 'reading files', done: 1, total: 4 } });
  expect(update?.disabled).toBe(true);
  expect(pause?.textContent).toBe('Go on');
  expect(el.querySelector('[role="status"]')?.textContent).toBe('reading files 25 % · Indexing is paused.');
});

test('an opened list of what was left out stays open over a new drawing', () => {
  show(index, INDEX);
  const fold = el.querySelector('details') as HTMLDetailsElement;
  fold.open = true;
  fold.dispatchEvent(new Event('toggle'));
  kernel.set({ paused: true });
  expect(el.querySelector('details')?.open).toBe(true);
});
