/** What a person thinks of an answer: a thumb up or down, and after one down the answer as it should have been. */

import { iconButton, wordButton } from './button';
import type { Opinion, Rating } from './door';
import { make } from './element';
import { remark } from './notice';

export class Thumbs {
  /** The two buttons. */
  readonly element = make('span', { class: 'lb-thumbs' });
  /** What stands below the answer once it was called bad. */
  readonly better = make('div', { class: 'lb-better' });
  private readonly up = iconButton('up', 'Good answer', () => this.tell({ rating: 'up' }));
  private readonly down = iconButton('down', 'Bad answer', () => this.tell({ rating: 'down' }));

  /** `given` is what was thought of it before; `tell` hears of every opinion. */
  constructor(
    given: Rating | undefined,
    private readonly tell: (opinion: Opinion) => void
  ) {
    this.element.append(this.up, this.down);
    this.show(given);
  }

  /** Shows an opinion that was kept. */
  show(given: Rating | undefined): void {
    mark(this.up, given === 'up');
    mark(this.down, given === 'down' || given === 'edited');
    if (given === 'edited') {
      this.better.replaceChildren(remark('Kept, to learn from.'));
    } else {
      this.better.replaceChildren(...(given === 'down' ? this.form() : []));
    }
  }

  private form(): HTMLElement[] {
    const label = 'What it should have said';
    const box = make('textarea', { class: 'lb-box', rows: '2', placeholder: `${label} (to learn from)` });
    box.setAttribute('aria-label', label);
    const keep = wordButton('Keep', () => {
      if (box.value.trim()) {
        this.tell({ rating: 'edited', edited: box.value.trim() });
      }
    });
    return [box, keep];
  }
}

function mark(button: HTMLButtonElement, pressed: boolean): void {
  button.setAttribute('aria-pressed', String(pressed));
  button.classList.toggle('lb-pressed', pressed);
}
