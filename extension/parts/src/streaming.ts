/** A text that grows: what is whole is rendered once, only its end is rendered again. */

import { make } from './element';
import { renderMarkdown } from './markdown';

const BUSY_SHARE = 5;
/** Painting takes at most one part in this many of the time, so that the page stays quick however long the text is. */

const PIECE = 4000;
/** Characters of whole blocks that are drawn in one go: what comes at once in any length holds no page up. */

export class StreamingText {
  readonly element = make('div', { class: 'lb-text lb-streaming' });
  private readonly tail = make('div');
  private text = '';
  private settled = 0;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private rest = 0;

  constructor() {
    this.element.append(this.tail);
  }

  /** All that came so far. */
  get whole(): string {
    return this.text;
  }

  /** Appends text; it is drawn at once, or as soon as the page has rested from the last drawing. */
  add(text: string): void {
    this.text += text;
    this.timer ??= setTimeout(() => this.paint(), this.rest);
  }

  /** Draws what is not drawn yet, and nothing later. */
  close(): void {
    while (this.timer !== null) {
      clearTimeout(this.timer);
      this.paint();
    }
    this.element.classList.remove('lb-streaming');
  }

  /** Draws nothing more: something else is about to take its place. */
  halt(): void {
    if (this.timer !== null) {
      clearTimeout(this.timer);
      this.timer = null;
    }
  }

  private paint(): void {
    this.timer = null;
    const begun = performance.now();
    const { whole, rest } = partBlocks(this.text.slice(this.settled));
    let piece = '';
    while (whole.length > 0 && piece.length < PIECE) {
      piece += whole.shift();
    }
    if (piece) {
      this.tail.before(renderMarkdown(piece));
      this.settled += piece.length;
    }
    this.tail.replaceChildren(...(whole.length > 0 ? [] : [renderMarkdown(rest)]));
    this.rest = (performance.now() - begun) * BUSY_SHARE;
    if (whole.length > 0) {
      this.timer = setTimeout(() => this.paint(), this.rest);
    }
  }
}

/** Parts a text after each blank line that is not inside fenced code; later text can change only the rest. */
export function partBlocks(text: string): { whole: string[]; rest: string } {
  const whole: string[] = [];
  let fence = '';
  let rest = '';
  for (const line of text.split(/(?<=\n)/)) {
    const opening = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
    rest += line;
    if (fence) {
      fence = opening?.startsWith(fence) && line.trim() === opening ? '' : fence;
    } else if (opening) {
      fence = opening;
    } else if (line.trim() === '' && line.endsWith('\n')) {
      whole.push(rest);
      rest = '';
    }
  }
  return { whole, rest };
}
