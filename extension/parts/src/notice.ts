/** Something the person is told: an error with its hint, or a remark. */

import { wordButton } from './button';
import type { Failure } from './door';
import { make } from './element';

/** What may be done about it. */
export interface Remedy {
  words: string;
  act: () => void;
}

/** Returns a remark, which is read aloud when it appears. */
export function remark(text: string): HTMLElement {
  return make('p', { class: 'lb-notice', role: 'status', text });
}

/** Returns an error: what is wrong, what to do next, and a button where the page can do it. */
export function errorNotice(failure: Failure, remedy?: Remedy): HTMLElement {
  const notice = make('div', { class: 'lb-notice lb-error', role: 'alert' }, make('p', { text: failure.message }));
  if (failure.hint) {
    notice.append(make('p', { class: 'lb-hint', text: failure.hint }));
  }
  if (remedy) {
    notice.append(wordButton(remedy.words, remedy.act));
  }
  return notice;
}
