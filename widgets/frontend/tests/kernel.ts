/** A kernel that a test speaks for. */

import type { Model } from '../src/model';

export type Content = Record<string, unknown>;

export class Kernel implements Model {
  readonly sent: Content[] = [];
  private hear: ((content: unknown) => void) | null = null;
  private n = 0;

  send(content: unknown): void {
    const { n, page, message } = content as { n?: number; page: string; message?: Content };
    if (n !== undefined && message) {
      this.sent.push(message);
      this.hear?.({ ack: n, page });
    }
  }

  on(_: string, hear: (content: unknown) => void): void {
    this.hear = hear;
  }

  get(): string {
    return 'm1';
  }

  off(): void {
    this.hear = null;
  }

  state(state: Content): void {
    this.hear?.({ n: (this.n += 1), state });
  }

  tell(message: Content): void {
    this.hear?.({ n: (this.n += 1), message });
  }

  set(values: Content): void {
    this.tell({ type: 'set', values });
  }
}
