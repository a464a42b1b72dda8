/** The examples that would be taught, each with a box to leave it out. */

import { make } from '../../../extension/parts/src';

/** An example as the kernel tells it; what is held out, or left out for a reason, is not taught in any case. */
export interface Example {
  id: string;
  origin: string;
  prompt: string;
  answer: string;
  tokens: number;
  held_out: boolean;
  left_out: string;
}

const SHORT = 120;
/** Characters that are surely shown without scrolling. */

export class ExampleTable {
  readonly element = make('div', { class: 'lb-board-table', tabindex: '0', role: 'region', 'aria-label': 'Examples' });
  private readonly all = make('input', { type: 'checkbox', 'aria-label': 'Teach all examples' });
  private examples: Example[] = [];
  private readonly out = new Set<string>();

  /** `changed` is called when the person has chosen otherwise. */
  constructor(private readonly changed: () => void) {
    this.all.addEventListener('change', () => {
      this.usable.forEach(one => this.choose(one.id, this.all.checked));
      this.draw();
      this.changed();
    });
  }

  /** Ids of the examples that the person left out. */
  get without(): string[] {
    return [...this.out];
  }

  /** How many of those that are shown are to be taught. */
  get count(): number {
    return this.usable.filter(one => !this.out.has(one.id)).length;
  }

  /** Shows examples; `more` is how many there are beside them. */
  show(examples: Example[], more: number): void {
    if (JSON.stringify(examples) === JSON.stringify(this.examples)) {
      return; // drawn already, and boxes under the hands of a person stay
    }
    this.examples = examples;
    this.out.clear();
    this.draw();
    if (more > 0) {
      const told = `and ${more.toLocaleString()} more, which are not shown and will be taught as well`;
      this.element.append(make('p', { class: 'lb-muted', text: told }));
    }
  }

  private get usable(): Example[] {
    return this.examples.filter(isTaught);
  }

  private choose(id: string, taught: boolean): void {
    if (taught) {
      this.out.delete(id);
    } else {
      this.out.add(id);
    }
  }

  private draw(): void {
    const rest = [...this.element.querySelectorAll(':scope > p')];
    const heads = ['Given', 'Learnt', 'From', 'Tokens', ''].map(text => make('th', { text, scope: 'col' }));
    const head = make('thead', {}, make('tr', {}, make('th', { scope: 'col' }, this.all), ...heads));
    const body = make('tbody', {}, ...this.examples.map(one => this.row(one)));
    const table = make('table', { class: 'lb-table' }, head, body);
    this.element.replaceChildren(table, ...rest);
    this.drawAll();
  }

  private drawAll(): void {
    this.all.checked = this.out.size === 0;
    this.all.indeterminate = this.out.size > 0 && this.count > 0;
  }

  private row(example: Example): HTMLElement {
    const { id, origin, prompt, answer, tokens, held_out, left_out } = example;
    const box = make('input', { type: 'checkbox', 'aria-label': `Teach ${origin}: ${prompt.slice(0, 60)}` });
    box.checked = isTaught(example) && !this.out.has(id);
    box.disabled = !isTaught(example);
    box.addEventListener('change', () => {
      this.choose(id, box.checked);
      this.drawAll();
      this.changed();
    });
    const note = left_out ? `left out: ${left_out}` : held_out ? 'kept back to measure with' : '';
    return make(
      'tr',
      isTaught(example) ? {} : { class: 'lb-out' },
      make('td', {}, box),
      make('td', {}, clipped(prompt, 'lb-clipped lb-from-end')), // its end is the question, the rest is the same in all
      make('td', {}, clipped(answer, 'lb-clipped')),
      make('td', { class: 'lb-path lb-muted', text: origin }),
      make('td', { class: 'lb-muted', text: String(tokens) }),
      make('td', { class: 'lb-muted', text: note })
    );
  }
}

function isTaught({ held_out, left_out }: Example): boolean {
  return !held_out && !left_out;
}

/** Long text shows some lines; all of it is there to be scrolled to, by the keyboard as well. */
function clipped(text: string, style: string): HTMLElement {
  const box = make('div', { class: style }, make('div', { text }));
  if (text.length > SHORT) {
    box.tabIndex = 0;
  }
  return box;
}
