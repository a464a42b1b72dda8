import { beforeEach, expect, test } from 'vitest';

import { drawCurves, short } from '../src/plot';
import teach from '../src/teach';
import { button, el, kernel, show } from './page';

const USED = { tokens: 5, held_out: false, left_out: '' };
const EXAMPLES = [
  { id: 'e1', origin: 'lab.ipynb c3', prompt: 'Who?', answer: 'Anna.', ...USED },
  { id: 'e2', origin: 'lab.ipynb c4', prompt: 'When?', answer: 'In <b>May</b>.', ...USED },
  { id: 'e3', origin: 'lab.ipynb c5', prompt: 'Key?', answer: 'x', ...USED, left_out: 'secret: a token' },
  { id: 'e4', origin: 'lab.ipynb c3', prompt: 'Tell me who.', answer: 'Anna.', ...USED, held_out: true }
];
const LOOKING = {
  ...{ phase: 'looking', failure: null, examples: [], more: 0, plan: '', job: null, told: '' },
  ...{ last: null, loss: [], held_out: [], said: [] }
};
const CHOOSING = { ...LOOKING, phase: 'choosing', examples: EXAMPLES, plan: '2 examples for echo-1b' };
const RUNNING = {
  ...CHOOSING,
  ...{ phase: 'running', job: { id: 'j1', name: 'lab', state: 'running' }, told: 'teach lab: running' },
  last: { step: 2, steps: 4, tokens_per_s: 120, seconds_left: 3 },
  ...{ loss: [[1, 3.5], [2, 1.5]], held_out: [[2, 1.8]] },
  said: [{ question: 'Who?', text: 'Anna <i>did</i>.', wanted: 'Anna.', step: 2 }]
};

beforeEach(() => {
  show(teach, LOOKING);
});

function boxes(): HTMLInputElement[] {
  return [...el.querySelectorAll<HTMLInputElement>('tbody input[type=checkbox]')];
}

test('examples are chosen, and those that are left out are told', () => {
  expect(el.textContent).toContain('Looking at');
  kernel.set(CHOOSING);
  expect(boxes().map(box => [box.checked, box.disabled])).toEqual([
    [true, false],
    [true, false],
    [false, true],
    [false, true]
  ]);
  expect(el.textContent).toContain('left out: secret: a token');
  expect(el.textContent).toContain('In <b>May</b>.');
  expect(el.querySelector('td b')).toBeNull();
  boxes()[1]?.click();
  const all = el.querySelector<HTMLInputElement>('thead input');
  expect([all?.checked, all?.indeterminate]).toEqual([false, true]);
  button('Teach 1 example').click();
  expect(kernel.sent).toEqual([{ type: 'teach', without: ['e2'] }]);
});

test('a choice stays over what the kernel tells meanwhile, and all can be chosen at once', () => {
  kernel.set(CHOOSING);
  boxes()[0]?.click();
  kernel.set({ told: 'x' });
  expect(boxes()[0]?.checked).toBe(false);
  const all = el.querySelector<HTMLInputElement>('thead input') as HTMLInputElement;
  all.click();
  expect(boxes()[0]?.checked).toBe(true);
  all.click();
  expect(button('Teach 0 examples').disabled).toBe(true);
});

test('examples beyond those that are shown are counted', () => {
  kernel.set({ ...CHOOSING, more: 1200 });
  expect(el.textContent).toContain('1,200 more');
  expect(button('Teach 1202 examples')).toBeDefined();
});

test('what cannot be taught is said', () => {
  kernel.set({ phase: 'refused', failure: { message: 'No cell was selected.', hint: 'Select some.', type: 'x' } });
  expect(el.querySelector('[role="alert"]')?.textContent).toContain('Select some.');
});

test('a job is drawn while it runs, is stopped and gone on with', () => {
  kernel.set(RUNNING);
  expect(el.querySelector('progress')?.value).toBe(2);
  expect(el.querySelector('[role="status"]')?.textContent).toContain('step 2 of 4 · 120 tokens a second · 3 s left');
  expect(el.querySelector('[role="img"]')?.getAttribute('aria-label')).toBe('Loss: loss 1.5, held out 1.8');
  expect(el.querySelector('.lb-says')?.textContent).toContain('Anna <i>did</i>.');
  kernel.set({ last: { ...RUNNING.last, accuracy: 0.75 } });
  expect(el.querySelector('[role="status"]')?.textContent).toContain('3 s left · 75 % right');
  kernel.set({ last: { ...RUNNING.last, step: 4 } });
  expect(el.querySelector('[role="status"]')?.textContent).toContain('all 4 steps are done');
  button('Stop').click();
  kernel.set({ phase: 'ended', job: { id: 'j1', name: 'lab', state: 'cancelled' } });
  expect(button('Stop').hidden).toBe(true);
  button('Go on').click();
  expect(kernel.sent).toEqual([{ type: 'stop' }, { type: 'resume' }]);
  kernel.set({ job: { id: 'j1', name: 'lab', state: 'done' }, told: 'teach lab: done, active.' });
  expect(button('Go on').hidden).toBe(true);
  expect(el.querySelector('[role="status"]')?.textContent).toBe('teach lab: done, active.');
});

test('curves end where their last points are', () => {
  const svg = drawCurves('Loss', [{ name: 'loss', shape: 'lb-first', points: [[0, 4], [10, 1]] }], 10);
  const dot = svg.querySelector('circle');
  const line = svg.querySelector('polyline')?.getAttribute('points')?.split(' ').at(-1);
  expect(`${Number(dot?.getAttribute('cx')).toFixed(1)},${Number(dot?.getAttribute('cy')).toFixed(1)}`).toBe(line);
  expect(drawCurves('Loss', [], 0).getAttribute('aria-label')).toBe('Loss: nothing yet');
});

test('numbers are short', () => {
  expect([0, 0.5, 1, 12, 123.456, 0.000123].map(short)).toEqual(['0', '0.5', '1', '12', '123', '0.000123']);
});
