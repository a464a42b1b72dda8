/** Which model answers, with which adapter, from the files or by itself. */

import { make } from '../../../extension/parts/src';

/** As the kernel tells them. */
export interface Options {
  roots: string[];
  model: string;
  adapters: { name: string; scale: number }[];
  grounding: boolean;
}

/** What the person changed, as the kernel takes it. */
export type Changes = { model?: string; adapters?: string[]; grounding?: boolean };

export class ChoiceBar {
  readonly element = make('div', { class: 'lb-choices', role: 'group', 'aria-label': 'How questions are answered' });
  private readonly model = make('select', { class: 'lb-select', 'aria-label': 'Model' });
  private readonly adapter = make('select', { class: 'lb-select', 'aria-label': 'Adapter' });
  private readonly source = make('select', { class: 'lb-select', 'aria-label': 'Answer from' });
  private options: Options = { roots: [], model: 'auto', adapters: [], grounding: true };
  private models: string[] = [];
  private adapters: string[] = [];

  /** `wanted` is called when the lists are about to be looked at. */
  constructor(change: (changes: Changes) => void, wanted: () => void) {
    this.model.addEventListener('change', () => change({ model: this.model.value }));
    this.adapter.addEventListener('change', () => change({ adapters: this.adapter.value ? [this.adapter.value] : [] }));
    this.source.addEventListener('change', () => change({ grounding: this.source.value === 'files' }));
    for (const list of [this.model, this.adapter]) {
      list.addEventListener('focus', wanted);
    }
    this.element.append(this.source, this.model, this.adapter);
    this.draw();
  }

  show(options: Options): void {
    this.options = options;
    this.draw();
  }

  list(models: string[], adapters: string[]): void {
    this.models = models;
    this.adapters = adapters;
    this.draw();
  }

  private draw(): void {
    const { model, adapters, grounding, roots } = this.options;
    const files = roots.map(root => root.split(/[/\\]/).pop() || root).join(', ') || 'the files';
    fill(this.source, [['files', `From ${files}`], ['model', 'From the model alone']], grounding ? 'files' : 'model');
    const names = [...new Set(['auto', ...this.models, model])];
    fill(this.model, names.map(name => [name, name === 'auto' ? 'Default model' : short(name)]), model);
    // Several that act together, or a scale, come from the call in the cell; here they are shown as they are.
    const chosen = adapters.map(use => (use.scale === 1 ? use.name : `${use.name}:${use.scale}`)).join(' + ');
    const known = [...new Set([...this.adapters, ...(chosen ? [chosen] : [])])];
    fill(this.adapter, [['', 'No adapter'], ...known.map(name => [name, short(name)] as [string, string])], chosen);
    this.adapter.hidden = known.length === 0;
  }
}

function fill(list: HTMLSelectElement, entries: [string, string][], chosen: string): void {
  const shown = [...list.options].map(one => `${one.value} ${one.text}`).join();
  if (shown !== entries.map(one => one.join(' ')).join()) {
    list.replaceChildren(...entries.map(([value, text]) => make('option', { value, text })));
  }
  list.value = chosen;
}

function short(name: string): string {
  return name.split(/[/\\]/).pop() ?? name;
}
