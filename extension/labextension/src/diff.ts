/** The difference between two texts, line by line. */

import { diffLines } from 'diff';

import { make } from '../../parts/src';

const SIGNS = { added: '+', removed: '-', kept: ' ' } as const;
const WORDS = { added: 'added: ', removed: 'removed: ', kept: '' } as const;

/** Returns the difference as an element, each line with its sign; a screen reader hears what the colours say. */
export function diffElement(before: string, after: string): HTMLElement {
  const body = make('div', { class: 'lb-diff', tabindex: '0', role: 'region', 'aria-label': 'What would change' });
  for (const part of diffLines(`${before}\n`, `${after}\n`)) {
    const kind = part.added ? 'added' : part.removed ? 'removed' : 'kept';
    for (const line of part.value.replace(/\n$/, '').split('\n')) {
      const sign = make('span', { class: 'lb-diff-sign', text: SIGNS[kind], 'aria-label': WORDS[kind] });
      body.append(make('div', { class: `lb-diff-line lb-diff-${kind}` }, sign, make('span', { text: line })));
    }
  }
  return body;
}
