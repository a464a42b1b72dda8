/** The box that a question is typed into, with the button that sends it or stops the answer. */

import { make } from './element';
import { icon } from './icon';

/** What the composer tells. */
export interface ComposerDeeds {
  send(text: string): void;
  stop(): void;
  /** Arrow up in an empty box: the last question is wanted back. */
  recall(): string;
}

export class Composer {
  readonly element = make('form', { class: 'lb-composer' });
  private readonly box = make('textarea', {
    class: 'lb-box',
    rows: '1',
    'aria-label': 'Question'
  });
  private readonly button = make('button', { type: 'submit', class: 'lb-send' });
  private running = false;

  constructor(
    private readonly deeds: ComposerDeeds,
    placeholder = 'Ask about your files'
  ) {
    this.box.placeholder = placeholder;
    this.element.append(this.box, this.button);
    this.element.addEventListener('submit', event => {
      event.preventDefault();
      this.press();
    });
    this.box.addEventListener('keydown', event => this.key(event));
    this.box.addEventListener('input', () => this.fit());
    this.setRunning(false);
  }

  get text(): string {
    return this.box.value;
  }

  set text(text: string) {
    this.box.value = text;
    this.fit();
  }

  /** Shows whether the button sends or stops. */
  setRunning(running: boolean): void {
    this.running = running;
    const label = running ? 'Stop' : 'Send';
    this.button.replaceChildren(icon(running ? 'stop' : 'send'));
    this.button.title = running ? 'Stop (Escape)' : 'Send (Enter)';
    this.button.setAttribute('aria-label', label);
  }

  focus(): void {
    this.box.focus();
  }

  private press(): void {
    if (this.running) {
      this.deeds.stop();
    } else if (this.text.trim()) {
      this.deeds.send(this.text.trim());
    }
  }

  private key(event: KeyboardEvent): void {
    if (event.isComposing) {
      return; // Enter chooses a word of an input method
    }
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      if (!this.running) {
        this.press();
      }
    } else if (event.key === 'Escape' && this.running) {
      event.preventDefault();
      this.deeds.stop();
    } else if (event.key === 'ArrowUp' && !this.text) {
      event.preventDefault();
      this.text = this.deeds.recall();
    }
  }

  /** Makes the box as high as its text; the style sheet bounds it. */
  private fit(): void {
    this.box.style.height = 'auto';
    this.box.style.height = `${this.box.scrollHeight + 2}px`;
  }
}
