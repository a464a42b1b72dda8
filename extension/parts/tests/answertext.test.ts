// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { drawText, type AnswerText } from '../src/answertext';
import { renderMarkdown } from '../src/markdown';
import { answer, citation } from './answers';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const ACTIONS = { openCitation: () => Promise.resolve('') };

function draw(text: string, claims: ReturnType<typeof answer>['claims'] = []) {
  const ready = vi.fn<(text: AnswerText) => void>();
  drawText({ answer: text, citations: [citation()], claims }, ACTIONS, vi.fn(), ready);
  return ready;
}

function words(node: Node): string {
  return (node.textContent ?? '').replace(/\s+/g, ' ').trim();
}

describe('the text of an answer', () => {
  it('is there at once', () => {
    const ready = draw('It rained. [1]');
    expect(ready).toHaveBeenCalledOnce();
    expect(words(ready.mock.calls[0]![0].element)).toBe('It rained. [1]');
  });

  it('is drawn in pieces where it is very long, and comes out the same', () => {
    const rest = 'and goes on '.repeat(20);
    const blocks = Array.from({ length: 60 }, (_, n) => `Number ${n} is *there*. [1] It ${rest}.\n\n- one\n- two\n\n`);
    const long = blocks.join('');
    const claims = [0, 30, 59].map(n => ({ text: `Number ${n} is *there*.`, citations: [], support: 0 }));
    const ready = draw(long, [...claims, { text: 'Nowhere.', citations: [], support: 0 }]);
    expect(ready).not.toHaveBeenCalled();
    vi.runAllTimers();
    expect(ready).toHaveBeenCalledOnce();
    const { element, unplaced } = ready.mock.calls[0]![0];
    const whole = document.createElement('div');
    whole.append(renderMarkdown(long));
    expect(words(element)).toBe(words(whole));
    expect(element.querySelectorAll('.lb-mark')).toHaveLength(60);
    expect(unplaced.map(one => one.text)).toEqual(['Nowhere.']);
  }, 30_000); // seconds of jsdom on a machine with other work

  it('is never cut inside of a block of code', () => {
    const code = Array.from({ length: 900 }, (_, n) => `x = ${n}\n\n`).join('');
    const ready = draw(`Before.\n\n\`\`\`python\n${code}\`\`\`\n\nAfter.\n`);
    vi.runAllTimers();
    const { element } = ready.mock.calls[0]![0];
    expect(element.querySelectorAll('pre')).toHaveLength(1);
    expect(element.querySelector('pre')?.textContent).toContain('x = 899');
  });
});
