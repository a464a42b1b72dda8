/** A page on which a test shows a widget: empty for each test, with a kernel that the test speaks for. */

import { afterEach, beforeEach, vi } from 'vitest';

import type { View } from '../src/model';
import { Kernel, type Content } from './kernel';

export let kernel: Kernel;
export let el: HTMLElement;
let close: () => void;

beforeEach(() => {
  vi.useFakeTimers();
  sessionStorage.clear();
  kernel = new Kernel();
  el = document.createElement('div');
  document.body.replaceChildren(el);
});
afterEach(() => {
  close();
  vi.useRealTimers();
});

/** Shows a widget in the state that its kernel tells. */
export function show(widget: { render(view: View): () => void }, state: Content): void {
  close = widget.render({ model: kernel, el });
  kernel.state(state);
}

/** Returns the button that says these words. */
export function button(words: string): HTMLButtonElement {
  return [...el.querySelectorAll('button')].find(one => one.textContent === words) as HTMLButtonElement;
}
