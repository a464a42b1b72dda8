import { expect, test } from 'vitest';

import arena from '../src/arena';
import evaluate from '../src/evaluate';
import type { Content } from './kernel';
import { button, el, kernel, show } from './page';

const RUN = { created: '2030-01-01T00:00:00+00:00', n: 40, notes: [] };
const ROWS = [
  { ...RUN, id: 'r1', label: 'k 6', figures: figures(0.5, 0.8) },
  { ...RUN, id: 'r2', label: 'k 12', notes: ['2 left out'], figures: figures(0.7, 0.6) }
];
const GROUPS = [
  { name: 'rag questions.jsonl', figures: ['right', 'groundedness'], rows: ROWS },
  { name: 'mc mmlu.csv', figures: ['acc'], rows: [{ ...ROWS[0], id: 'r3', label: 'echo-1b', figures: {} }] }
];

function figures(right: number, groundedness: number): Content {
  const figure = (value: number): Content => ({ value, low: value - 0.1, high: value + 0.1, n: 40 });
  return { right: figure(right), groundedness: figure(groundedness) };
}

function labels(): (string | null)[] {
  return [...el.querySelectorAll('tbody tr .lb-path')].map(cell => cell.firstChild?.textContent ?? null);
}

test('the best run stands first, by the figure that was pressed', () => {
  show(evaluate, { groups: GROUPS, comparison: null, told: '' });
  expect(labels()).toEqual(['k 12', 'k 6']);
  expect(el.textContent).toContain('2 left out');
  button('groundedness').click();
  expect(labels()).toEqual(['k 6', 'k 12']);
  expect(el.querySelector('[aria-sort]')?.textContent).toBe('groundedness');
  button('groundedness').click();
  expect(labels()).toEqual(['k 12', 'k 6']);
  const group = el.querySelector('select') as HTMLSelectElement;
  group.value = 'mc mmlu.csv';
  group.dispatchEvent(new Event('change'));
  expect(labels()).toEqual(['echo-1b']);
  expect(el.textContent).toContain('–');
});

test('two runs are compared, with what differs', () => {
  show(evaluate, { groups: GROUPS, comparison: null, told: '' });
  expect(button('Compare two').disabled).toBe(true);
  for (const name of ['Compare k 6', 'Compare k 12']) {
    el.querySelector<HTMLInputElement>(`[aria-label="${name}"]`)?.click();
  }
  button('Compare two').click();
  expect(kernel.sent).toEqual([{ type: 'compare', first: 'r1', second: 'r2' }]);
  const difference = { value: 0.2, low: 0.05, high: 0.35, n: 40 };
  const right = { name: 'right', first: 0.5, second: 0.7, difference, verdict: 'better' };
  kernel.set({ comparison: { first: 'r1', second: 'r2', changed: ['k: 6, then 12'], notices: [], figures: [right] } });
  expect(el.textContent).toContain('What differs: k: 6, then 12');
  expect(el.textContent).toContain('+0.2');
  expect(el.querySelector('.lb-better-word')?.textContent).toBe('better');
});

test('where nothing was measured it says how to begin', () => {
  show(evaluate, { groups: [], comparison: null, told: 'Nothing was measured yet.' });
  expect(el.querySelector('[role="status"]')?.textContent).toBe('Nothing was measured yet.');
  expect(button('Compare two').hidden).toBe(true);
});

const RESTING = {
  ...{ phase: 'resting', question: '', a: '', b: '', names: null, winner: '' },
  ...{ standings: [], votes: 0, remarks: [] }
};

test('a vote comes before the names', () => {
  show(arena, RESTING);
  const box = el.querySelector('textarea') as HTMLTextAreaElement;
  box.value = 'Why?';
  box.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', cancelable: true }));
  expect(kernel.sent[0]).toEqual({ type: 'ask', question: 'Why?' });
  kernel.set({ phase: 'asking', question: 'Why?' });
  expect(el.querySelector('.lb-duel')?.hasAttribute('hidden')).toBe(true);
  kernel.set({ phase: 'voting', a: 'Because **it** is.', b: '<img src=x onerror=alert(1)>' });
  expect(el.querySelector('.lb-side strong')?.textContent).toBe('it');
  expect(el.querySelector('img')).toBeNull();
  expect([...el.querySelectorAll('h3')].map(one => one.textContent)).toEqual(['A', 'B']);
  button('B is better').click();
  expect(kernel.sent[1]).toEqual({ type: 'vote', winner: 'b' });
  kernel.set({ phase: 'told', names: { a: 'auto', b: 'auto+mine' }, winner: 'b' });
  expect(el.querySelector('.lb-won h3')?.textContent).toBe('B · auto+mine · your choice');
  const strength = { value: 1020, low: 980, high: 1060, n: 4 };
  const standing = { name: 'auto+mine', elo: 1002, strength, styled: null, wins: 3, losses: 1, ties: 0 };
  kernel.set({ standings: [standing], votes: 4, remarks: ['Too few votes.'] });
  expect(el.textContent).toContain('4 votes');
  expect(el.textContent).toContain('980 to 1060');
  expect(el.textContent).toContain('Too few votes.');
});
