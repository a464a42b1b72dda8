/** A conversation as a Markdown document. */

import { quoteAttachment } from './attachment';
import { namePlace } from './place';
import type { Answer } from './schema';
import type { Turn } from './turn';

/** Returns the turns as Markdown: each question as a heading, its answer, its citations with the lines they quote. */
export function exportMarkdown(turns: Turn[]): string {
  return `${turns.map(exportTurn).join('\n\n')}\n`;
}

function exportTurn(turn: Turn): string {
  const [first = '', ...rest] = turn.question.split('\n');
  const asked = [`## ${first}`, rest.join('\n').trim(), ...turn.attachments.map(quoteAttachment)];
  const came = turn.answer ? exportAnswer(turn.answer) : (turn.failure?.message ?? `${turn.text}\n\n*Stopped.*`);
  return [...asked, came].filter(Boolean).join('\n\n');
}

function exportAnswer(answer: Answer): string {
  const quotes = answer.citations.map(citation => {
    const lines = citation.quote.split('\n').map(line => `    ${line}`);
    return `[${citation.n}] ${namePlace(citation)}\n\n${lines.join('\n')}`;
  });
  return [answer.answer, ...quotes].join('\n\n');
}
