/** The arena: two answers by nobody knows whom, a vote, and what all votes say. */

import { make, renderMarkdown, wordButton, type Progress } from '../../../extension/parts/src';
import { Composer } from '../../../extension/parts/src/composer';
import { Board } from './board';
import type { View } from './model';
import { drawInterval } from './plot';
import './widgets.css';

type Winner = 'a' | 'b' | 'tie' | 'both bad';

interface Standing {
  name: string;
  elo: number;
  strength: { value: number; low: number; high: number; n: number };
  wins: number;
  losses: number;
  ties: number;
}

interface Values {
  phase: 'resting' | 'asking' | 'voting' | 'keeping' | 'told';
  question: string;
  a: string;
  b: string;
  /** Who they were, once there is a vote. */
  names: { a: string; b: string } | null;
  winner: Winner | '';
  progress: Progress | null;
  standings: Standing[];
  votes: number;
  remarks: string[];
}

const NOTHING: Values = {
  phase: 'resting',
  question: '',
  a: '',
  b: '',
  names: null,
  winner: '',
  progress: null,
  standings: [],
  votes: 0,
  remarks: []
};
const VOTES: [Winner, string][] = [
  ['a', 'A is better'],
  ['b', 'B is better'],
  ['tie', 'As good'],
  ['both bad', 'Both bad']
];

export class ArenaView extends Board<Values> {
  private readonly composer = new Composer(
    {
      send: question => this.ask(question),
      stop: () => this.send({ type: 'stop' }),
      recall: () => this.values.question
    },
    'Ask both'
  );
  private readonly told = make('p', { class: 'lb-told', role: 'status' });
  private readonly answers = make('div', { class: 'lb-duel' });
  private readonly deeds = make('div', { class: 'lb-board-deeds', role: 'group', 'aria-label': 'Vote' });
  private readonly standings = make('div', { class: 'lb-board-table' });
  private drawn = '';

  constructor(model: View['model']) {
    super(model, 'Two answers, one vote', NOTHING);
    this.deeds.append(...VOTES.map(([winner, words]) => wordButton(words, () => this.send({ type: 'vote', winner }))));
    this.element.append(this.told, this.answers, this.deeds, this.notices, this.composer.element, this.standings);
    this.draw();
  }

  protected waiting(): boolean {
    return this.values.phase === 'asking' || this.values.phase === 'keeping';
  }

  protected draw(): void {
    const { phase } = this.values;
    this.told.textContent = this.words();
    this.composer.setRunning(phase === 'asking');
    this.deeds.hidden = phase !== 'voting';
    this.drawAnswers();
    this.drawStandings();
  }

  private words(): string {
    const { phase, question, winner, progress } = this.values;
    const words = {
      resting: 'Ask, and two sides answer. You vote before you know which is which.',
      asking: `${question} · ${progress?.what ?? 'Both are answering'} …`,
      voting: question,
      keeping: question,
      told: `${question} · Your vote: ${VOTES.find(([one]) => one === winner)?.[1] ?? ''}`
    };
    return words[phase];
  }

  private drawAnswers(): void {
    const { phase, a, b, names, winner } = this.values;
    const shown = phase === 'voting' || phase === 'keeping' || phase === 'told';
    this.answers.hidden = !shown;
    const key = JSON.stringify([a, b, names, winner]);
    if (shown && key !== this.drawn) {
      this.drawn = key;
      this.answers.replaceChildren(
        side('A', a, names?.a ?? '', winner === 'a'),
        side('B', b, names?.b ?? '', winner === 'b')
      );
    }
  }

  private drawStandings(): void {
    const { standings, votes, remarks } = this.values;
    const low = Math.min(...standings.map(one => one.strength.low));
    const high = Math.max(...standings.map(one => one.strength.high));
    const rows = standings.map(({ name, elo, strength, wins, losses, ties }) =>
      make(
        'tr',
        {},
        make('td', { class: 'lb-path', text: name }),
        make('td', { text: strength.value.toFixed(0) }),
        make('td', {}, drawInterval(strength.value, [strength.low, strength.high], low, high)),
        make('td', { class: 'lb-muted', text: `${strength.low.toFixed(0)} to ${strength.high.toFixed(0)}` }),
        make('td', { class: 'lb-muted', text: elo.toFixed(0) }),
        make('td', { class: 'lb-muted', text: `${wins} / ${ties} / ${losses}` })
      )
    );
    const heads = ['Side', 'Bradley–Terry', '', '95 %', 'Elo', 'Won / tied / lost'];
    const head = make('tr', {}, ...heads.map(text => make('th', { scope: 'col', text })));
    const table = make('table', { class: 'lb-table' }, make('thead', {}, head), make('tbody', {}, ...rows));
    const count = make('p', { class: 'lb-muted', text: votes === 1 ? '1 vote' : `${votes} votes` });
    const told = remarks.map(text => make('p', { class: 'lb-notice', text }));
    this.standings.replaceChildren(...(standings.length > 0 ? [count, table, ...told] : []));
  }

  private ask(question: string): void {
    this.composer.text = '';
    this.send({ type: 'ask', question });
  }
}

function side(letter: string, text: string, name: string, won: boolean): HTMLElement {
  const head = make('h3', { text: name ? `${letter} · ${name}${won ? ' · your choice' : ''}` : letter });
  const named = { tabindex: '0', role: 'region', 'aria-label': `Answer ${letter}` };
  const body = make('div', { class: 'lb-text lb-duel-text', ...named });
  body.append(renderMarkdown(text));
  return make('section', { class: won ? 'lb-side lb-won' : 'lb-side' }, head, body);
}

export default {
  render({ model, el }: View): () => void {
    const view = new ArenaView(model);
    el.append(view.element);
    return () => view.close();
  }
};
