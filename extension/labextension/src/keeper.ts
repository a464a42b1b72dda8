/** Keeps the conversation over a reload of the page, in the workspace's own state. */

import type { IStateDB } from '@jupyterlab/statedb';
import type { ReadonlyPartialJSONValue } from '@lumino/coreutils';

import type { Turn } from '../../parts/src';

const KEY = 'lorebook:turns';
const MOST = 40;
/** Turns that are kept: a workspace's state is one file, sent whole at every change. */

export class Keeper {
  constructor(private readonly state: IStateDB | null) {}

  async load(): Promise<Turn[]> {
    const kept = (await this.state?.fetch(KEY)) as { turns?: Turn[] } | undefined;
    return kept?.turns ?? [];
  }

  async save(turns: Turn[]): Promise<void> {
    await this.state?.save(KEY, { turns: turns.slice(-MOST) } as unknown as ReadonlyPartialJSONValue);
  }
}
