import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { Channel, type Hearer, type Message } from '../src/channel';
import type { Model } from '../src/model';

/** A kernel of which every message can be lost, either way. */
class Kernel implements Model {
  id = 'm1';
  readonly acted: string[] = [];
  readonly turns: string[] = [];
  loses = () => false;
  sent = 0;
  private hearers: ((content: unknown) => void)[] = [];
  private handled = new Map<string, number>();

  send(content: unknown): void {
    this.sent += 1;
    if (!this.loses()) {
      this.take(content as { page: string; have?: number; n: number; message: Message });
    }
  }

  on(_: string, hear: (content: unknown) => void): void {
    this.hearers.push(hear);
  }

  get(): string {
    return this.id;
  }

  off(_: string, hear: (content: unknown) => void): void {
    this.hearers = this.hearers.filter(one => one !== hear);
  }

  post(turn: string): void {
    this.turns.push(turn);
    this.tell({ n: this.turns.length, message: { type: 'turn', id: turn } });
  }

  private take({ page, have, n, message }: { page: string; have?: number; n: number; message: Message }): void {
    if (have !== undefined) {
      if (have < 0) {
        this.tell({ n: this.turns.length, state: { turns: [...this.turns] } });
      } else {
        this.turns.slice(have).forEach((id, at) => this.tell({ n: have + at + 1, message: { type: 'turn', id } }));
      }
      return;
    }
    const done = this.handled.get(page) ?? 0;
    if (n === done + 1) {
      this.handled.set(page, n);
      this.acted.push(message.what as string);
    }
    this.tell({ ack: this.handled.get(page) ?? 0, page });
  }

  private tell(content: unknown): void {
    if (!this.loses()) {
      this.hearers.forEach(hear => hear(content));
    }
  }
}

class Seen implements Hearer {
  turns: string[] = [];
  silent = false;

  state(state: Record<string, unknown>): void {
    this.turns = [...(state.turns as string[])];
  }

  message(message: Message): void {
    this.turns.push(message.id as string);
  }

  reachable(reachable: boolean): void {
    this.silent = !reachable;
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  sessionStorage.clear();
});
afterEach(() => vi.useRealTimers());

test('what is sent arrives, and what is told is seen', () => {
  const kernel = new Kernel();
  const seen = new Seen();
  const channel = new Channel(kernel, seen, () => false);
  channel.send({ type: 'click', what: 'a' });
  kernel.post('t1');
  expect(kernel.acted).toEqual(['a']);
  expect(seen.turns).toEqual(['t1']);
  const count = kernel.sent;
  vi.advanceTimersByTime(60_000);
  expect(kernel.sent).toBe(count); // nothing is repeated once it has arrived
  channel.close();
});

test('a kernel that does not answer is told of, and forgotten when it does', () => {
  const kernel = new Kernel();
  const seen = new Seen();
  kernel.loses = () => true;
  const channel = new Channel(kernel, seen, () => false);
  channel.send({ type: 'click', what: 'a' });
  vi.advanceTimersByTime(20_000);
  expect(seen.silent).toBe(true);
  kernel.loses = () => false;
  vi.advanceTimersByTime(20_000);
  expect(seen.silent).toBe(false);
  expect(kernel.acted).toEqual(['a']);
  channel.close();
});

test('the lost end of a stream is missed while more is awaited', () => {
  const kernel = new Kernel();
  const seen = new Seen();
  const channel = new Channel(kernel, seen, () => true);
  kernel.post('t1');
  kernel.loses = () => true;
  kernel.post('t2');
  kernel.loses = () => false;
  vi.advanceTimersByTime(10_000);
  expect(seen.turns).toEqual(['t1', 't2']);
  channel.close();
});

test('of 50 pages that are reloaded right after a click, with half of all messages lost, no click is lost', () => {
  const kernel = new Kernel();
  let chance = 7;
  kernel.loses = () => (chance = (chance * 16807) % 2147483647) % 2 === 0; // the same losses in every run
  const clicks: string[] = [];
  let seen = new Seen();
  for (let page = 0; page < 50; page += 1) {
    seen = new Seen();
    const channel = new Channel(kernel, seen, () => true);
    vi.advanceTimersByTime(page % 3 === 0 ? 0 : 700);
    clicks.push(`click ${page}`);
    channel.send({ type: 'click', what: `click ${page}` });
    kernel.post(`turn ${page}`);
    channel.close();
  }
  const last = new Channel(kernel, seen, () => true);
  vi.advanceTimersByTime(300_000);
  expect(kernel.acted).toEqual(clicks);
  expect(seen.turns).toEqual(kernel.turns);
  last.close();
});

test('what one widget could not send, another does not take for its own', () => {
  const kernel = new Kernel();
  kernel.loses = () => true;
  const chat = new Channel(kernel, new Seen(), () => false);
  chat.send({ type: 'click', what: 'of the chat' });
  chat.close();
  const other = new Kernel();
  other.id = 'm2';
  const board = new Channel(other, new Seen(), () => false);
  vi.advanceTimersByTime(20_000);
  expect(other.acted).toEqual([]);
  board.close();
  kernel.loses = () => false;
  const again = new Channel(kernel, new Seen(), () => false);
  expect(kernel.acted).toEqual(['of the chat']);
  again.close();
});

test('a kernel that was restarted is told of at once', () => {
  const kernel = new Kernel();
  const seen = new Seen();
  const channel = new Channel(kernel, seen, () => false);
  kernel.send = () => {
    throw new Error('Cannot send');
  };
  expect(() => channel.send({ type: 'click', what: 'a' })).not.toThrow();
  expect(seen.silent).toBe(true);
  channel.close();
});
