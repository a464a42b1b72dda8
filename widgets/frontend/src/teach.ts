/** The teach widget: the examples to choose from, then how teaching them goes. */

import { make, wordButton } from '../../../extension/parts/src';
import { Board } from './board';
import { ExampleTable, type Example } from './examples';
import { cancelJobOverHttp } from './jupyter';
import type { View } from './model';
import { drawCurves, type Point } from './plot';
import './widgets.css';

interface Metrics {
  step: number;
  steps: number;
  tokens_per_s: number;
  seconds_left: number;
  /** Of a classifier: the share that it has right of what was kept back. */
  accuracy?: number | null;
}

interface Said {
  question: string;
  text: string;
  wanted: string;
  step: number;
}

interface Values {
  /** `looking` while the examples are composed, `refused` where nothing can be taught, then `choosing`, … */
  phase: 'looking' | 'refused' | 'choosing' | 'beginning' | 'running' | 'ended';
  failure: object | null;
  examples: Example[];
  /** How many examples there are beside those that are shown. */
  more: number;
  /** What the training would take, in words. */
  plan: string;
  job: { id: string; state: string } | null;
  told: string;
  last: Metrics | null;
  loss: Point[];
  held_out: Point[];
  said: Said[];
}

const NOTHING: Values = {
  phase: 'looking',
  failure: null,
  examples: [],
  more: 0,
  plan: '',
  job: null,
  told: '',
  last: null,
  loss: [],
  held_out: [],
  said: []
};
const MOVING = ['looking', 'beginning', 'running'];

export class TeachView extends Board<Values> {
  private readonly told = make('p', { class: 'lb-told', role: 'status' });
  private readonly table = new ExampleTable(() => this.drawButtons());
  private readonly bar = make('progress', { class: 'lb-progress-bar', 'aria-label': 'How far teaching is' });
  private readonly curves = make('figure', { class: 'lb-figure' });
  private readonly says = make('div', { class: 'lb-says' });
  private readonly teach = wordButton('Teach', () => this.send({ type: 'teach', without: this.table.without }));
  private readonly stop = wordButton('Stop', () => this.end());
  private readonly resume = wordButton('Go on', () => this.send({ type: 'resume' }));

  constructor(model: View['model']) {
    super(model, 'Teach', NOTHING);
    const deeds = make('div', { class: 'lb-board-deeds' }, this.teach, this.stop, this.resume);
    this.element.append(this.told, this.table.element, this.bar, this.curves, this.says, this.notices, deeds);
    this.draw();
  }

  protected waiting(): boolean {
    return MOVING.includes(this.values.phase);
  }

  protected draw(): void {
    const { phase, examples, more } = this.values;
    this.told.textContent = this.words();
    this.table.element.hidden = phase !== 'choosing' && phase !== 'beginning';
    this.table.show(examples, more);
    this.drawProgress();
    this.drawSaid();
    this.drawButtons();
  }

  private words(): string {
    const { phase, plan, told, last } = this.values;
    const words: Record<string, string> = {
      looking: 'Looking at what would be taught …',
      refused: '',
      choosing: plan,
      beginning: 'Beginning …',
      running: last ? `${told} · ${pace(last)}` : told,
      ended: told
    };
    return words[phase] ?? '';
  }

  private drawProgress(): void {
    const { phase, last, loss, held_out } = this.values;
    const shown = last !== null && (phase === 'running' || phase === 'ended');
    this.bar.hidden = phase !== 'running';
    this.bar.max = Math.max(1, last?.steps ?? 1);
    if (last) {
      this.bar.value = last.step;
    } else {
      this.bar.removeAttribute('value');
    }
    this.curves.hidden = !shown;
    if (shown) {
      const lines = [
        { name: 'loss', shape: 'lb-first', points: loss },
        { name: 'held out', shape: 'lb-second', points: held_out }
      ].filter(line => line.points.length > 0);
      const legend = lines.map(({ name, shape }) => make('span', { class: `lb-legend ${shape}`, text: name }));
      const caption = make('figcaption', { class: 'lb-muted' }, ...legend, 'by step');
      this.curves.replaceChildren(drawCurves('Loss', lines, last.steps), caption);
    }
  }

  private drawSaid(): void {
    const { said, phase } = this.values;
    this.says.hidden = said.length === 0 || phase === 'choosing';
    const rows = said.map(({ question, text, wanted, step }) =>
      make(
        'tr',
        {},
        make('td', { text: question }),
        make('td', { text }),
        make('td', { class: 'lb-muted', text: wanted }),
        make('td', { class: 'lb-muted', text: String(step) })
      )
    );
    const heads = ['Asked', 'It says', 'Taught', 'Step'].map(text => make('th', { text, scope: 'col' }));
    const table = make('table', { class: 'lb-table' }, make('thead', {}, make('tr', {}, ...heads)));
    table.append(make('tbody', {}, ...rows));
    this.says.replaceChildren(table);
  }

  private drawButtons(): void {
    const { phase, job } = this.values;
    const count = this.table.count + this.values.more;
    this.teach.hidden = phase !== 'choosing';
    this.teach.textContent = count === 1 ? 'Teach 1 example' : `Teach ${count} examples`;
    this.teach.disabled = count === 0;
    this.stop.hidden = phase !== 'running';
    this.resume.hidden = phase !== 'ended' || job === null || job.state === 'done';
  }

  private end(): void {
    this.send({ type: 'stop' });
    if (this.values.job) {
      void cancelJobOverHttp(this.values.job.id);
    }
  }
}

function pace({ step, steps, tokens_per_s, seconds_left, accuracy }: Metrics): string {
  if (step >= steps) {
    return `all ${steps} steps are done; what came of it is measured`;
  }
  const left = seconds_left < 90 ? `${Math.ceil(seconds_left)} s` : `${Math.ceil(seconds_left / 60)} min`;
  const right = typeof accuracy === 'number' ? ` · ${Math.round(100 * accuracy)} % right` : '';
  return `step ${step} of ${steps} · ${Math.round(tokens_per_s)} tokens a second · ${left} left${right}`;
}

export default {
  render({ model, el }: View): () => void {
    const view = new TeachView(model);
    el.append(view.element);
    return () => view.close();
  }
};
