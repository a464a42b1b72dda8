/** The conversation in the panel: the daemon keeps it, the workspace remembers which one it was. */

import type { IStateDB } from '@jupyterlab/statedb';

import { asFailure, newId, type Turn } from '../../parts/src';
import type { Exchange, HttpDoor } from './httpdoor';

const KEY = 'lorebook:conversation';

/** What the workspace keeps: the conversation, and the question in hand, which the daemon notes only when it ends. */
interface Kept {
  id: string;
  running: { id: string; question: string } | null;
}

export class Conversation {
  private kept: Kept = { id: newId(), running: null };

  constructor(
    private readonly state: IStateDB | null,
    private readonly door: HttpDoor
  ) {}

  get id(): string {
    return this.kept.id;
  }

  /** Returns the turns of the conversation that this workspace had; none where it had none, or it was deleted. */
  async load(): Promise<Turn[]> {
    const kept = (await this.state?.fetch(KEY)) as unknown as Kept | undefined;
    if (!kept) {
      return [];
    }
    this.kept = kept;
    const turns = (await this.exchanges()).map(asTurn);
    const { running } = kept;
    if (running && !turns.some(turn => turn.id === running.id)) {
      turns.push({ ...running, attachments: [], state: 'stopped', text: '' });
    }
    return turns;
  }

  /** Begins a new one; the old one stays with the daemon. */
  begin(): void {
    this.keep({ id: newId(), running: null });
  }

  /** Notes which question is in hand. */
  note(turns: Turn[]): void {
    const last = turns.at(-1);
    this.keep({ id: this.id, running: last?.state === 'running' ? { id: last.id, question: last.question } : null });
  }

  /** Takes a turn and those after it out of what the daemon keeps. */
  async cut(turn: Turn): Promise<void> {
    try {
      await this.door.cut(this.id, turn.id);
    } catch {
      // It was never kept, or the daemon is gone, which the question that follows will tell.
    }
  }

  private async exchanges(): Promise<Exchange[]> {
    try {
      return await this.door.exchanges(this.id);
    } catch (error) {
      if (asFailure(error).type === 'not_found_error') {
        return [];
      }
      throw error;
    }
  }

  private keep(kept: Kept): void {
    this.kept = kept;
    void this.state?.save(KEY, { ...kept });
  }
}

/** Returns what the daemon keeps as the panel shows it. */
export function asTurn(exchange: Exchange): Turn {
  const { id, question, attachments, text, answer, error, stopped } = exchange;
  const shown = { id, question, attachments, text };
  if (answer) {
    return { ...shown, state: 'done', answer };
  }
  const failure = { message: error, hint: '', type: 'internal_error' };
  return stopped ? { ...shown, state: 'stopped' } : { ...shown, state: 'failed', failure };
}
