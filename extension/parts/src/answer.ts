/** An answer that is whole: its text with marks, what supports it, how far it is grounded, what it was written from. */

import type { Actions } from './actions';
import { drawText, type AnswerText } from './answertext';
import { citationList, openPlace, sourceList } from './citations';
import { make } from './element';
import { namePlace } from './place';
import { remark } from './notice';
import type { Answer, Citation, Cut } from './schema';

/** Calls `ready` with the answer as an element once it is drawn: at once, unless it is very long. */
export function showAnswer(answer: Answer, actions: Actions, ready: (element: HTMLElement) => void): void {
  const checked = answer.retrieval !== 'none' && !answer.abstained;
  const citations = citationList(answer.citations, actions);
  const press = (citation: Citation): void => {
    const item = citations.querySelector(`[data-n="${citation.n}"]`) ?? citations;
    void openPlace(citation, item, actions);
  };
  const claims = checked ? answer.claims : [];
  drawText({ ...answer, claims }, actions, press, text => ready(frame(answer, text, citations, actions, checked)));
}

function frame(
  answer: Answer,
  { element: body, unplaced }: AnswerText,
  citations: HTMLElement,
  actions: Actions,
  checked: boolean
): HTMLElement {
  const element = make('div', { class: 'lb-answer' }, ...answer.notices.map(remark), body);
  if (unplaced.length > 0) {
    element.append(make('p', { class: 'lb-muted', text: 'No passage supports:' }));
    element.append(make('ul', {}, ...unplaced.map(claim => make('li', { class: 'lb-unsupported', text: claim.text }))));
  }
  if (answer.citations.length > 0) {
    element.append(citations);
  }
  if (answer.sources.length > 0) {
    element.append(folded(answer, actions));
  }
  element.append(summary(answer, checked));
  return element;
}

function folded(answer: Answer, actions: Actions): HTMLElement {
  const count = answer.sources.length;
  const read = count === 1 ? '1 passage read' : `${count} passages read`;
  const nearest = count === 1 ? 'The nearest passage' : `The nearest ${count} passages`;
  const list = sourceList(answer.sources, answer.abstained ? nearest : read, actions);
  list.toggleAttribute('open', answer.abstained);
  return list;
}

function summary(answer: Answer, checked: boolean): HTMLElement {
  const line = make('div', { class: 'lb-summary' });
  if (checked) {
    line.append(groundedness(answer.grounded));
  } else if (answer.retrieval === 'none') {
    line.append(make('span', { text: 'from the model alone, nothing is cited' }));
  }
  const adapters = answer.adapters.map(use => ` + ${use.name}${use.scale === 1 ? '' : `:${use.scale}`}`).join('');
  line.append(make('span', { text: `${answer.model}${adapters}` }));
  line.append(make('span', { text: `${(answer.timings.total_ms / 1000).toFixed(1)} s` }));
  if (answer.context.budget > 0) {
    line.append(contextSpan(answer));
  }
  return line;
}

/** Returns the share of the answer that is supported, as a bar and in words. */
function groundedness(grounded: number): HTMLElement {
  const percent = Math.round(grounded * 100);
  const level = grounded >= 0.8 ? 'high' : grounded >= 0.5 ? 'middle' : 'low';
  const bar = make('span', { class: 'lb-bar', 'aria-hidden': 'true' });
  const fill = make('span', { class: 'lb-bar-fill' });
  fill.style.width = `${percent}%`;
  bar.append(fill);
  const title = 'How far the sentences are supported';
  return make('span', { class: `lb-grounded lb-${level}`, title }, bar, `grounded ${percent} %`);
}

function contextSpan(answer: Answer): HTMLElement {
  const { used, budget, cut } = answer.context;
  const words = `${used} of ${budget} tokens${cut.length > 0 ? `, ${cut.length} left out` : ''}`;
  return make('span', { text: words, title: cut.map(nameCut).join('\n') || 'Nothing was left out' });
}

function nameCut(cut: Cut): string {
  return `${namePlace(cut)}: ${cut.why}`;
}
