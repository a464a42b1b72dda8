/** The index widget: what is indexed, what was left out and why; update, index anew, pause. */

import { make, wordButton, type Progress, type RootInfo } from '../../../extension/parts/src';
import { Board } from './board';
import type { View } from './model';
import './widgets.css';

const GLANCE_MS = 3000;
/** How often the daemon is looked at while the widget is in sight. */

interface Report {
  root: string;
  added: number;
  changed: number;
  removed: number;
  skipped: { path: string; why: string }[];
  seconds: number;
  notices: string[];
}

interface Work {
  root: string;
  progress: Progress;
  seconds_left: number | null;
  held: string;
}

interface Values {
  roots: string[];
  infos: RootInfo[];
  work: Work[];
  paused: boolean;
  watched: string[];
  reports: Report[];
  updating: boolean;
  progress: Progress | null;
}

const NOTHING: Values = {
  roots: [],
  infos: [],
  work: [],
  paused: false,
  watched: [],
  reports: [],
  updating: false,
  progress: null
};

export class IndexView extends Board<Values> {
  private readonly list = make('div', { class: 'lb-roots' });
  private readonly progress = make('p', { class: 'lb-told', role: 'status' });
  private readonly update = wordButton('Update', () => this.send({ type: 'update' }));
  private readonly anew = wordButton('Index anew', () => this.send({ type: 'full' }));
  private readonly pause = wordButton('Pause', () => this.send({ type: this.values.paused ? 'resume' : 'pause' }));
  private readonly glances: ReturnType<typeof setInterval>;
  private readonly open = new Set<string>();

  constructor(model: View['model']) {
    super(model, 'The index of your files', NOTHING);
    const deeds = make('div', { class: 'lb-board-deeds' }, this.update, this.anew, this.pause);
    this.element.append(this.list, this.notices, this.progress, deeds);
    this.glances = setInterval(() => this.glance(), GLANCE_MS);
    this.draw();
  }

  override close(): void {
    clearInterval(this.glances);
    super.close();
  }

  protected waiting(): boolean {
    return this.values.updating;
  }

  protected draw(): void {
    const { roots, updating, paused } = this.values;
    this.list.replaceChildren(...roots.map(root => this.root(root)));
    this.progress.textContent = this.told();
    this.update.disabled = this.anew.disabled = updating;
    this.pause.textContent = paused ? 'Go on' : 'Pause';
  }

  private glance(): void {
    if (document.visibilityState === 'visible' && this.element.offsetParent && !this.values.updating) {
      this.send({ type: 'refresh' });
    }
  }

  private root(root: string): HTMLElement {
    const { infos, reports, watched } = this.values;
    const info = infos.find(one => one.root === root);
    const report = reports.find(one => one.root === root);
    const section = make('section', { class: 'lb-index-root' }, make('h3', { text: root }));
    section.append(make('p', { class: 'lb-muted', text: info ? counts(info) : 'Not indexed yet.' }));
    if (report) {
      const { added, changed, removed, seconds } = report;
      const words = `Last update: ${added} added, ${changed} changed, ${removed} removed, ${seconds.toFixed(1)} s`;
      section.append(make('p', { class: 'lb-muted', text: words }));
      section.append(...report.notices.map(text => make('p', { class: 'lb-notice', text })), this.skipped(report));
    }
    if (watched.includes(root)) {
      section.append(make('p', { class: 'lb-muted', text: 'Changes are followed as they happen.' }));
    }
    return section;
  }

  private skipped({ root, skipped }: Report): HTMLElement {
    const rows = skipped.map(({ path, why }) =>
      make('tr', {}, make('td', { class: 'lb-path', text: path }), make('td', { text: why }))
    );
    const count = skipped.length === 1 ? '1 file was left out' : `${skipped.length} files were left out`;
    if (rows.length === 0) {
      return make('p', { class: 'lb-muted', text: 'Nothing was left out.' });
    }
    const head = make('thead', {}, make('tr', {}, make('th', { text: 'File' }), make('th', { text: 'Why' })));
    const table = make('table', { class: 'lb-table' }, head, make('tbody', {}, ...rows));
    const fold = make('details', { class: 'lb-fold' }, make('summary', { text: count }), table);
    fold.open = this.open.has(root);
    fold.addEventListener('toggle', () => (fold.open ? this.open.add(root) : this.open.delete(root)));
    return fold;
  }

  private told(): string {
    const { work, progress, updating, paused } = this.values;
    const parts = work.map(one => `${far(one.progress)}${left(one.seconds_left)}${one.held ? ` · ${one.held}` : ''}`);
    if (parts.length === 0 && updating && progress) {
      parts.push(far(progress));
    }
    return [...parts, ...(paused ? ['Indexing is paused.'] : [])].join(' · ');
  }
}

function counts({ files, passages, vectors, updated }: RootInfo): string {
  const known = vectors < passages ? `, ${number(vectors)} of them by meaning so far` : '';
  const time = updated ? ` · ${new Date(updated).toLocaleString()}` : '';
  return `${number(files)} files, ${number(passages)} passages${known}${time}`;
}

function number(count: number): string {
  return count.toLocaleString();
}

function far({ what, done, total }: Progress): string {
  return total > 0 ? `${what} ${Math.floor((100 * done) / total)} %` : `${what} …`;
}

function left(seconds: number | null): string {
  if (seconds === null) {
    return '';
  }
  return seconds < 90 ? `, ${Math.ceil(seconds)} s left` : `, ${Math.ceil(seconds / 60)} min left`;
}

export default {
  render({ model, el }: View): () => void {
    const view = new IndexView(model);
    el.append(view.element);
    return () => view.close();
  }
};
