/** The menu of what can go along with a question. */

import { make } from '../../../extension/parts/src';

/** What the kernel can gather. */
export interface Offers {
  words: string[];
  variables: string[];
}

const NAMES: Record<string, string> = {
  cell: 'The cell that ran last',
  above: 'The cells above',
  error: 'The last error',
  output: 'The last output'
};

export class OfferMenu {
  readonly element = make('select', { class: 'lb-select lb-offers', 'aria-label': 'Send along with the question' });

  /** `pick` is called with a word of the kernel's, or `var:NAME`. */
  constructor(pick: (word: string) => void) {
    this.element.addEventListener('change', () => {
      const word = this.element.value;
      this.element.value = '';
      if (word) {
        pick(word);
      }
    });
    this.show({ words: [], variables: [] });
  }

  show({ words, variables }: Offers): void {
    const first = make('option', { value: '', text: '+ Send along…' });
    const groups = [group('From this notebook', words.map(word => [word, NAMES[word] ?? word]))];
    if (variables.length > 0) {
      groups.push(group('Variables: type, shape, first rows', variables.map(name => [`var:${name}`, name])));
    }
    this.element.replaceChildren(first, ...groups);
  }
}

function group(label: string, entries: [string, string][]): HTMLElement {
  return make('optgroup', { label }, ...entries.map(([value, text]) => make('option', { value, text })));
}
