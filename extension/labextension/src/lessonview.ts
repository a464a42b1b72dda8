/** What the panel shows of teaching: the examples, how the training goes. */

import { make } from '../../parts/src';
import type { Metrics, Preview, PreviewExample, Said } from './teaching';

/** What a training has told so far. */
export interface Seen {
  note: string;
  metrics: Metrics[];
  said: Said | null;
}

export const NOTHING_SEEN: Seen = { note: '', metrics: [], said: null };

const WIDTH = 240;
const HEIGHT = 48;
const MOST_SHOWN = 100;
/** Examples that are drawn at the most: the rest is counted. */

/** Returns the examples that are taught; those that are left out say why, those kept back are counted. */
export function exampleList({ examples, taught, held_out, left_out }: Preview): HTMLElement {
  const shown = examples.filter(example => !example.held_out || example.left_out).slice(0, MOST_SHOWN);
  const list = make('ol', { class: 'lb-lesson-examples', 'aria-label': 'Examples' }, ...shown.map(exampleItem));
  const more = taught - shown.filter(example => !example.left_out).length;
  const less = left_out - shown.filter(example => example.left_out).length;
  const notes = [
    ...(more > 0 ? [`${more} more are not shown and are taught as well.`] : []),
    ...(less > 0 ? [`${less} more are left out and not shown.`] : []),
    ...(held_out > 0 ? [`${count(held_out, 'question')} kept back to measure with.`] : [])
  ];
  return make('div', {}, list, ...notes.map(text => make('p', { class: 'lb-muted', text })));
}

function exampleItem(example: PreviewExample): HTMLElement {
  const { origin, segments, tokens, left_out } = example;
  const pieces = segments.map(({ text, learnt }) => make('span', learnt ? { class: 'lb-learnt' } : {}, text));
  const text = make('pre', { tabindex: '0', role: 'region', 'aria-label': `Example from ${origin}` }, ...pieces);
  const learnt = segments.filter(one => one.learnt).map(one => one.text);
  const told = left_out ? `left out: ${left_out}` : `${tokens} tokens`;
  const first = (learnt.join(' ') || segments.map(one => one.text).join(' ')).trim().split('\n')[0] ?? '';
  const name = make('span', { class: 'lb-lesson-first', text: first });
  const head = make('summary', {}, name, make('span', { class: 'lb-muted', text: told }));
  const fold = make('details', { class: 'lb-fold' }, head, make('p', { class: 'lb-muted', text: origin }), text);
  return make('li', left_out ? { class: 'lb-left-out' } : {}, fold);
}

/** Returns what training would take, in words. */
export function plan(preview: Preview): string {
  const { base, epochs, steps, seconds, memory_mb } = preview;
  const memory = `${(memory_mb / 1024).toFixed(1)} GB of memory`;
  return `${base} reads each ${count(epochs, 'time')}: ${count(steps, 'step')}, about ${duration(seconds)}, ${memory}.`;
}

/** Returns how far the training is, with the curve of its loss and what the model says by now. */
export function progressView({ note, metrics, said }: Seen): HTMLElement {
  const last = metrics.at(-1);
  const bar = make('progress', { class: 'lb-lesson-bar', 'aria-label': 'How far the training is' });
  if (last) {
    bar.max = Math.max(1, last.steps);
    bar.value = last.step;
  }
  const view = make('div', {}, bar, make('p', { class: 'lb-muted', text: note || far(last) }));
  if (metrics.length > 1) {
    view.append(lossCurve(metrics));
  }
  if (said) {
    const asked = make('p', { class: 'lb-muted', text: said.question });
    view.append(make('div', { class: 'lb-lesson-said' }, asked, make('p', { text: said.text || '…' })));
  }
  return view;
}

function far(last: Metrics | undefined): string {
  if (!last) {
    return 'waiting for its turn …';
  }
  const { step, steps, tokens_per_s, seconds_left } = last;
  return `step ${step} of ${steps}, ${Math.round(tokens_per_s)} tokens a second, ${duration(seconds_left)} left`;
}

/** Draws the loss over the steps: from 0 at the bottom to its highest value at the top. */
function lossCurve(metrics: Metrics[]): HTMLElement {
  const losses = metrics.map(one => one.loss);
  const top = Math.max(...losses, 1e-9);
  const points = losses.map((loss, n) => `${(WIDTH * n) / (losses.length - 1)},${HEIGHT * (1 - loss / top)}`).join(' ');
  const last = losses.at(-1) ?? 0;
  const drawing = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const told = `Loss, now ${last.toFixed(2)}, at first ${(losses[0] ?? 0).toFixed(2)}`;
  const shape = { viewBox: `0 -2 ${WIDTH} ${HEIGHT + 4}`, preserveAspectRatio: 'none', class: 'lb-lesson-curve' };
  const attributes = { ...shape, role: 'img', 'aria-label': told };
  Object.entries(attributes).forEach(([name, value]) => drawing.setAttribute(name, value));
  const line = document.createElementNS('http://www.w3.org/2000/svg', 'polyline');
  line.setAttribute('points', points);
  drawing.append(line);
  const kept = metrics.filter(one => one.held_out_loss !== null).at(-1)?.held_out_loss ?? null;
  const words = `loss ${last.toFixed(2)}${kept === null ? '' : `, on what is kept back ${kept.toFixed(2)}`}`;
  return make('figure', { class: 'lb-lesson-figure' }, drawing, make('figcaption', { class: 'lb-muted', text: words }));
}

/** Returns seconds in words. */
export function duration(seconds: number): string {
  if (seconds < 90) {
    return `${Math.max(1, Math.round(seconds))} s`;
  }
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** Returns a number with its noun. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
