/** The search widget: type, and see the passages. */

import { make, pageActions, passage, type SearchResult } from '../../../extension/parts/src';
import { Board } from './board';
import type { View } from './model';
import './widgets.css';

const PAUSE_MS = 250;
/** A query is sent when no key was pressed for so long. */

interface Values {
  roots: string[];
  query: string;
  kind: string;
  kinds: string[];
  results: SearchResult[];
  told: string;
}

const NAMES: Record<string, string> = { code: 'Code', notebook: 'Notebooks', doc: 'Text', data: 'Data' };

export class SearchView extends Board<Values> {
  private readonly box = make('input', { class: 'lb-box', type: 'search', 'aria-label': 'Search' });
  private readonly kind = make('select', { class: 'lb-select', 'aria-label': 'Kind of file' });
  private readonly told = make('p', { class: 'lb-told', role: 'status' });
  private readonly list = make('ol', { class: 'lb-results', 'aria-label': 'Passages' });
  private readonly actions = pageActions();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(model: View['model']) {
    super(model, 'Search your files', { roots: [], query: '', kind: '', kinds: [], results: [], told: '' });
    this.box.addEventListener('input', () => this.soon(PAUSE_MS));
    this.box.addEventListener('keydown', event => {
      if (event.key === 'Enter') {
        this.soon(0);
      }
    });
    this.kind.addEventListener('change', () => this.soon(0));
    const head = make('div', { class: 'lb-search', role: 'search' }, this.box, this.kind);
    this.element.append(head, this.notices, this.told, this.list);
    this.draw();
  }

  protected waiting(): boolean {
    return this.values.told.startsWith('searching');
  }

  protected draw(): void {
    const { roots, query, kind, kinds, results, told } = this.values;
    this.box.placeholder = `Search ${roots.map(root => root.split(/[/\\]/).pop() ?? root).join(', ')}`;
    if (document.activeElement !== this.box) {
      this.box.value = query; // what another page searched for; never under the hands of who types here
    }
    const options = [['', 'All files'], ...kinds.map(name => [name, NAMES[name] ?? name])];
    if (this.kind.options.length !== options.length) {
      this.kind.replaceChildren(...options.map(([value, text]) => make('option', { value, text })));
    }
    this.kind.value = kind;
    this.told.textContent = told || (query ? '' : 'Type what to look for: words, names, or what it is about.');
    this.list.replaceChildren(...results.map(result => passage(result, this.actions)));
  }

  private soon(wait: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.send({ type: 'search', query: this.box.value, kind: this.kind.value || null });
    }, wait);
  }
}

export default {
  render({ model, el }: View): () => void {
    const view = new SearchView(model);
    el.append(view.element);
    return () => view.close();
  }
};
