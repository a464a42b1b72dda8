/** The status bar's item: the model, how fresh the index is, what the daemon does. */

import { Poll } from '@lumino/polling';
import { Widget } from '@lumino/widgets';

import { asFailure, make, type Status } from '../../parts/src';
import type { HttpDoor } from './httpdoor';
import type { Workspace } from './workspace';

const SECONDS = 10;

/** What the panel knows beside the daemon: what it is at, which adapters the person has chosen. */
export interface Own {
  doing: string;
  adapters: string[];
}

export class StatusItem extends Widget {
  private readonly button = make('button', { type: 'button', class: 'lb-status' });
  private readonly poll: Poll;
  private last: Status | null = null;

  /** `own` tells what the panel knows; `press` is what a click does. */
  constructor(
    door: HttpDoor,
    private readonly workspace: Workspace,
    private readonly own: () => Own,
    press: () => void
  ) {
    super();
    this.node.append(this.button);
    this.button.addEventListener('click', press);
    this.tell('lorebook', 'lorebook');
    this.poll = new Poll({
      auto: false,
      factory: async () => {
        this.last = await door.glance();
        this.redraw();
      },
      frequency: { interval: SECONDS * 1000, backoff: true, max: 60_000 },
      standby: 'when-hidden'
    });
    this.poll.ticked.connect((_, state) => {
      if (state.phase === 'rejected') {
        this.tell('lorebook: no answer', asFailure(state.payload).message);
      }
    });
    void this.poll.start();
  }

  /** Looks anew at once: something has just begun or ended. */
  refresh(): void {
    void this.poll.refresh();
  }

  override dispose(): void {
    this.poll.dispose();
    super.dispose();
  }

  /** Shows what the panel knows now beside what the daemon last said. */
  redraw(): void {
    const { last: status, workspace } = this;
    if (status === null) {
      this.tell('lorebook: asleep', 'No daemon runs. It starts with the first question.');
    } else {
      this.tell(`lorebook: ${headline(status, workspace, this.own())}`, details(status, workspace));
    }
  }

  private tell(words: string, title: string): void {
    this.button.textContent = words;
    this.button.title = title;
  }
}

/** Returns the most important thing in a few words: work that is going on, else model and index. */
export function headline(status: Status, workspace: Workspace, own: Own, now = Date.now()): string {
  if (own.doing) {
    return own.doing;
  }
  if (status.indexing.length > 0) {
    return 'indexing …';
  }
  if (status.queue > 0) {
    return 'answering …';
  }
  const updated = status.roots.find(root => workspace.roots.includes(root.root))?.updated;
  const index = updated ? `index ${ago(now - Date.parse(updated))}` : 'not indexed';
  const adapters = own.adapters.map(name => ` + ${name}`).join('');
  return status.model ? `${shortName(status.model)}${adapters} · ${index}` : index;
}

/** A model that was given by its file is called as the file is. */
function shortName(model: string): string {
  return (model.split(/[/\\]/).pop() ?? model).replace(/\.gguf$/, '');
}

function details(status: Status, workspace: Workspace): string {
  const roots = status.roots.filter(root => workspace.roots.includes(root.root));
  return [
    `Model: ${status.model || 'none loaded'}, ${status.engine}`,
    ...roots.map(root => `${root.root}: ${root.files} files, ${root.passages} passages`),
    ...status.indexing.map(root => `Indexing ${root}`),
    `Memory: ${Math.round(status.memory_mb)} MB`
  ].join('\n');
}

/** Returns a time span in words. */
export function ago(milliseconds: number): string {
  const minutes = Math.floor(milliseconds / 60_000);
  if (minutes < 1) {
    return 'just now';
  }
  if (minutes < 60) {
    return `${minutes} min ago`;
  }
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h ago` : `${Math.floor(minutes / 1440)} days ago`;
}
