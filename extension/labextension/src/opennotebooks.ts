/** Tells the daemon which notebooks are open, and what stands in them unsaved, so that a search finds that too. */

import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import { Debouncer } from '@lumino/polling';

import type { Workspace } from './workspace';

/** A change is told once nothing else has changed for so long. */
const QUIET_MS = 500;
/** Characters of a notebook: of a longer one what was saved is searched, as packing it would be felt while typing. */
const MOST = 4_000_000;

/** A notebook that is open, by its path in `root`: `lorebook_api.indexing.OpenRequest`. */
export interface OpenNote {
  root: string;
  path: string;
  contents?: string;
  closed?: boolean;
}

export interface OpenDoor {
  /** Resolves to whether a daemon was told: where none runs, one is started only if it `mayStart`. */
  noteOpen(note: OpenNote, mayStart: boolean): Promise<boolean>;
}

/** What JupyterLab's tracker tells of its notebooks. */
export type Notebooks = Pick<INotebookTracker, 'forEach' | 'widgetAdded'>;

export class OpenNotebooks {
  private readonly open = new Set<OpenNotebook>();

  constructor(
    notebooks: Notebooks,
    private readonly door: OpenDoor,
    private readonly workspace: Workspace
  ) {
    notebooks.widgetAdded.connect((_, panel) => this.follow(panel));
    notebooks.forEach(panel => this.follow(panel));
  }

  /** Resolves once the daemon has heard of everything that is unsaved: a question that follows is about that. */
  async settle(): Promise<void> {
    await Promise.all([...this.open].map(one => one.settle()));
  }

  private follow(panel: NotebookPanel): void {
    const one = new OpenNotebook(panel, this.door, this.workspace);
    this.open.add(one);
    panel.disposed.connect(() => this.open.delete(one));
  }
}

/** One of them. What is told is told in order; what fails is told with the next change. */
class OpenNotebook {
  private readonly pause = new Debouncer(() => this.due && this.tell(false), QUIET_MS);
  private line: Promise<void> = Promise.resolve();
  private path: string;
  private due = true;
  private tooLong = false;

  constructor(
    private readonly panel: NotebookPanel,
    private readonly door: OpenDoor,
    private readonly workspace: Workspace
  ) {
    const { context } = panel;
    this.path = context.path;
    void context.ready.then(() => this.begin());
    panel.disposed.connect(() => {
      this.pause.dispose();
      this.send({ closed: true }, false);
    });
  }

  /** Tells what is unsaved and was not told yet, and waits for it; a daemon that sleeps is woken. */
  async settle(): Promise<void> {
    if (this.due && this.panel.context.isReady && this.panel.context.model.dirty) {
      this.tell(true);
    }
    await this.line;
  }

  private begin(): void {
    const { context } = this.panel;
    if (this.panel.isDisposed) {
      return;
    }
    this.tell(false);
    context.model.contentChanged.connect(() => {
      this.due = true;
      void this.pause.invoke();
    });
    context.saveState.connect((_, state) => {
      if (state === 'completed') {
        this.tooLong = false;
        this.tell(false);
      }
    });
    context.pathChanged.connect(() => {
      this.send({ closed: true }, false);
      this.path = context.path;
      this.tell(false);
    });
  }

  private tell(mayStart: boolean): void {
    const { model } = this.panel.context;
    const contents = model.dirty && !this.tooLong ? model.toString() : null;
    this.tooLong ||= contents !== null && contents.length > MOST;
    this.due = false;
    this.send(contents !== null && !this.tooLong ? { contents } : {}, mayStart);
  }

  private send(note: Pick<OpenNote, 'contents' | 'closed'>, mayStart: boolean): void {
    const place = this.workspace.placeOf(this.path);
    if (place) {
      this.line = this.line.then(async () => {
        const taken = await this.door.noteOpen({ ...place, ...note }, mayStart).catch(() => false);
        this.due ||= !taken;
      });
    }
  }
}
