/**
 * Messages between this page and the kernel, of which none is lost: `lorebook/channel.py` has the other end.
 *
 * What the kernel sends is numbered: a gap makes the page tell what it has, and the kernel sends the rest. What the
 * page sends stays with it, over a reload as well, until the kernel has acknowledged it.
 */

import type { Model } from './model';

const AGAIN_MS = [400, 800, 1500, 3000, 5000];
/** How long an acknowledgement is waited for, the first time, the second and so on. */
const SILENT_TRIES = 4;
/** After so many tries in vain the person is told that the kernel does not answer. */
const GLANCE_MS = 4000;
/** How often a page asks whether it lacks something, while it waits for more. */

export type Message = { type: string } & Record<string, unknown>;

interface Pending {
  n: number;
  message: Message;
}

/** What a page does with what the kernel sends. */
export interface Hearer {
  /** Everything there is to know, in place of all before. */
  state(state: Record<string, unknown>): void;
  message(message: Message): void;
  /** Whether the kernel answers; a busy one may take its time. */
  reachable(reachable: boolean): void;
}

export class Channel {
  private have = -1;
  private page: string = crypto.randomUUID();
  private last = 0;
  private pending: Pending[] = [];
  private tries = 0;
  private again: ReturnType<typeof setTimeout> | undefined;
  private readonly glances: ReturnType<typeof setInterval>;
  private readonly hear = (content: unknown): void => this.take(content as Record<string, unknown>);

  /** `waiting` tells whether more is to come, so that the end of a stream is missed where it is lost. */
  constructor(
    private readonly model: Model,
    private readonly hearer: Hearer,
    private readonly waiting: () => boolean,
    private readonly shelf: Storage | null = sessionShelf()
  ) {
    this.adopt();
    model.on('msg:custom', this.hear);
    this.glances = setInterval(() => this.glance(), GLANCE_MS);
    this.push();
  }

  /** Sends a message, and sends it again until the kernel has it. */
  send(message: Message): void {
    this.last += 1;
    this.pending.push({ n: this.last, message });
    this.keep();
    this.tries = 0;
    this.push();
  }

  close(): void {
    this.model.off('msg:custom', this.hear);
    clearInterval(this.glances);
    clearTimeout(this.again);
  }

  private take(content: Record<string, unknown>): void {
    if (typeof content.ack === 'number') {
      if (content.page === this.page) {
        this.acknowledged(content.ack);
      }
      return;
    }
    if (typeof content.n === 'number') {
      this.answered();
      this.order(content.n, content);
    }
  }

  private order(n: number, content: Record<string, unknown>): void {
    if (content.state) {
      if (this.have < n) {
        this.have = n;
        this.hearer.state(content.state as Record<string, unknown>);
      }
    } else if (this.have >= 0 && n === this.have + 1) {
      this.have = n;
      this.hearer.message(content.message as Message);
    } else if (n > this.have) {
      this.tell();
    }
  }

  private acknowledged(n: number): void {
    this.answered();
    this.pending = this.pending.filter(one => one.n > n);
    this.keep();
  }

  private answered(): void {
    this.tries = 0;
    this.hearer.reachable(true);
  }

  /** Sends what the kernel does not have yet, and comes back to it; does nothing where there is nothing. */
  private push(): void {
    clearTimeout(this.again);
    if (this.have >= 0 && this.pending.length === 0) {
      return;
    }
    if (this.have < 0) {
      this.tell();
    }
    this.pending.forEach(({ n, message }) => this.post({ page: this.page, n, message }));
    const wait = AGAIN_MS[Math.min(this.tries, AGAIN_MS.length - 1)];
    this.again = setTimeout(() => {
      this.tries += 1;
      if (this.tries >= SILENT_TRIES) {
        this.hearer.reachable(false);
      }
      this.push();
    }, wait);
  }

  private glance(): void {
    if (this.waiting()) {
      this.tell();
    }
  }

  private tell(): void {
    this.post({ page: this.page, have: this.have });
  }

  private post(content: object): void {
    try {
      this.model.send(content);
    } catch {
      this.hearer.reachable(false); // the kernel was restarted: this widget has nobody to talk to any more
    }
  }

  /** Takes over what an earlier page of this tab had sent and did not hear of again. */
  private adopt(): void {
    const kept = this.shelf?.getItem(this.key());
    this.shelf?.removeItem(this.key());
    if (kept) {
      const { page, last, pending } = JSON.parse(kept) as { page: string; last: number; pending: Pending[] };
      Object.assign(this, { page, last, pending });
    }
  }

  private keep(): void {
    if (this.pending.length > 0) {
      const { page, last, pending } = this;
      this.shelf?.setItem(this.key(), JSON.stringify({ page, last, pending }));
    } else {
      this.shelf?.removeItem(this.key());
    }
  }

  private key(): string {
    return `lorebook:${String(this.model.get('channel_id'))}`;
  }
}

/** The tab's storage; null where the page may not use it, as in some frames. */
function sessionShelf(): Storage | null {
  try {
    return window.sessionStorage;
  } catch {
    return null;
  }
}
