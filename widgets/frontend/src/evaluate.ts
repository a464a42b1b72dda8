/** The evaluate widget: what was measured, as a leaderboard with intervals, and two of its rows item by item. */

import { make, wordButton } from '../../../extension/parts/src';
import { Board } from './board';
import type { View } from './model';
import { drawInterval, short } from './plot';
import './widgets.css';

/** A value with its 95% interval. */
interface Figure {
  value: number;
  low: number;
  high: number;
}

interface Row {
  id: string;
  label: string;
  created: string;
  n: number;
  figures: Record<string, Figure>;
  notes: string[];
}

/** Runs that measured the same thing. */
interface Group {
  name: string;
  figures: string[];
  rows: Row[];
}

interface Comparison {
  first: string;
  second: string;
  changed: string[];
  notices: string[];
  figures: { name: string; first: number; second: number; difference: Figure; verdict: string }[];
}

interface Values {
  groups: Group[];
  comparison: Comparison | null;
  told: string;
  measuring: boolean;
}

/** The keyboard must be able to scroll a table, so it can be reached. */
const SCROLLED = { class: 'lb-board-table', tabindex: '0', role: 'region' };

export class EvaluateView extends Board<Values> {
  private readonly group = make('select', { class: 'lb-select', 'aria-label': 'What was measured' });
  private readonly told = make('p', { class: 'lb-told', role: 'status' });
  private readonly place = make('div', { ...SCROLLED, 'aria-label': 'Runs' });
  private readonly compared = make('div', { ...SCROLLED, 'aria-label': 'Two runs compared' });
  private readonly compare = wordButton('Compare two', () => this.ask());
  private readonly stop = wordButton('Stop', () => this.send({ type: 'stop' }));
  private figure = '';
  private falling = true;
  private chosen: string[] = [];

  constructor(model: View['model']) {
    super(model, 'What was measured', { groups: [], comparison: null, told: '', measuring: false });
    this.group.addEventListener('change', () => {
      this.chosen = [];
      this.draw();
    });
    const refresh = wordButton('Look again', () => this.send({ type: 'refresh' }));
    const deeds = make('div', { class: 'lb-board-deeds' }, this.compare, refresh, this.stop);
    this.element.append(this.group, this.told, this.place, deeds, this.notices, this.compared);
    this.draw();
  }

  protected waiting(): boolean {
    return this.values.measuring;
  }

  protected draw(): void {
    const { groups, told, comparison } = this.values;
    this.drawGroups(groups);
    const group = groups[Math.max(0, this.group.selectedIndex)];
    this.told.textContent = told;
    this.place.replaceChildren(...(group ? [this.table(group)] : []));
    this.compared.replaceChildren(...(comparison ? comparisonParts(comparison) : []));
    this.drawDeeds();
  }

  private drawGroups(groups: Group[]): void {
    if ([...this.group.options].map(one => one.text).join() !== groups.map(one => one.name).join()) {
      this.group.replaceChildren(...groups.map(({ name }) => make('option', { value: name, text: name })));
    }
    this.group.hidden = groups.length < 2;
  }

  private drawDeeds(): void {
    this.stop.hidden = !this.values.measuring;
    this.compare.disabled = this.chosen.length !== 2;
    this.compare.hidden = this.values.groups.every(group => group.rows.length < 2);
  }

  private table(group: Group): HTMLElement {
    const figure = group.figures.includes(this.figure) ? this.figure : (group.figures[0] ?? '');
    const span = spanOf(group, figure);
    const heads = group.figures.map(name => this.head(name, figure));
    const plain = ['Measured', 'Items'].map(text => make('th', { scope: 'col', text }));
    const head = make('tr', {}, make('th', { scope: 'col', text: '' }), make('th', { scope: 'col', text: 'What' }));
    head.append(...heads, make('th', { scope: 'col', text: `${figure}, 95 %` }), ...plain);
    const sign = this.falling ? -1 : 1;
    const rows = [...group.rows].sort((a, b) => sign * (valueOf(a, figure) - valueOf(b, figure)));
    const body = make('tbody', {}, ...rows.map(row => this.row(row, group.figures, figure, span)));
    return make('table', { class: 'lb-table' }, make('thead', {}, head), body);
  }

  /** A figure's name sorts by it; pressed again, the other way round. */
  private head(name: string, figure: string): HTMLElement {
    const button = make('button', { type: 'button', class: 'lb-place', text: name, title: `Sort by ${name}` });
    button.addEventListener('click', () => {
      this.falling = name === figure ? !this.falling : true;
      this.figure = name;
      this.draw();
    });
    const sorted = name !== figure ? {} : { 'aria-sort': this.falling ? 'descending' : 'ascending' };
    return make('th', { scope: 'col', ...sorted }, button);
  }

  private row(row: Row, figures: string[], figure: string, [low, high]: [number, number]): HTMLElement {
    const box = make('input', { type: 'checkbox', 'aria-label': `Compare ${row.label}` });
    box.checked = this.chosen.includes(row.id);
    box.addEventListener('change', () => {
      this.chosen = [...this.chosen.filter(id => id !== row.id), ...(box.checked ? [row.id] : [])].slice(-2);
      this.draw();
    });
    const known = row.figures[figure];
    const plot = make('td');
    if (known) {
      plot.append(drawInterval(known.value, [known.low, known.high], low, high));
    }
    const what = make('td', { class: 'lb-path' }, row.label);
    if (row.label !== row.id) {
      what.append(make('span', { class: 'lb-muted', text: ` ${row.id}` }));
    }
    what.append(...row.notes.map(text => make('p', { class: 'lb-muted', text })));
    return make(
      'tr',
      {},
      make('td', {}, box),
      what,
      ...figures.map(name => figureCell(row.figures[name])),
      plot,
      make('td', { class: 'lb-muted lb-when', text: when(row.created) }),
      make('td', { class: 'lb-muted', text: String(row.n) })
    );
  }

  private ask(): void {
    const [first, second] = this.chosen;
    this.send({ type: 'compare', first, second });
  }
}

function when(moment: string): string {
  return new Date(moment).toLocaleString(undefined, { dateStyle: 'short', timeStyle: 'short' });
}

function valueOf(row: Row, figure: string): number {
  return row.figures[figure]?.value ?? -Infinity;
}

/** Returns the least and the greatest end of a figure's intervals. */
function spanOf(group: Group, figure: string): [number, number] {
  const known = group.rows.flatMap(row => row.figures[figure] ?? []);
  return [Math.min(...known.map(one => one.low)), Math.max(...known.map(one => one.high))];
}

function figureCell(figure: Figure | undefined): HTMLElement {
  if (!figure) {
    return make('td', { class: 'lb-muted', text: '–' });
  }
  const title = `${short(figure.low)} to ${short(figure.high)}`;
  return make('td', { class: 'lb-figure-cell', text: short(figure.value), title });
}

function comparisonParts({ first, second, changed, notices, figures }: Comparison): HTMLElement[] {
  const heads = ['', first, second, 'Difference', '95 %', ''].map(text => make('th', { scope: 'col', text }));
  const rows = figures.map(one =>
    make(
      'tr',
      {},
      make('th', { scope: 'row', text: one.name }),
      make('td', { text: short(one.first) }),
      make('td', { text: short(one.second) }),
      make('td', { text: signed(one.difference.value) }),
      make('td', { class: 'lb-muted', text: `${signed(one.difference.low)} to ${signed(one.difference.high)}` }),
      make('td', { class: VERDICTS[one.verdict] ?? 'lb-muted', text: one.verdict })
    )
  );
  const table = make('table', { class: 'lb-table' }, make('thead', {}, make('tr', {}, ...heads)));
  table.append(make('tbody', {}, ...rows));
  const words = changed.length > 0 ? `What differs: ${changed.join(', ')}` : 'Both were set in the same way.';
  const remarks = notices.map(text => make('p', { class: 'lb-notice', text }));
  return [make('p', { class: 'lb-muted', text: words }), ...remarks, table];
}

const VERDICTS: Record<string, string> = { better: 'lb-better-word', worse: 'lb-worse-word' };

function signed(value: number): string {
  return value > 0 ? `+${short(value)}` : short(value);
}

export default {
  render({ model, el }: View): () => void {
    const view = new EvaluateView(model);
    el.append(view.element);
    return () => view.close();
  }
};
