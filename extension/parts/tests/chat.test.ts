// @vitest-environment jsdom
import { beforeEach, describe, expect, it, vi } from 'vitest';

import type { Actions } from '../src/actions';
import { Chat, type ChatParts } from '../src/chat';
import { Failure, type AskEvent, type Door, type Question, type Vote } from '../src/door';
import { answer, citation } from './answers';

/** A door whose answers a test lets through one by one. */
class FakeDoor implements Door {
  readonly asked: Question[] = [];
  readonly cancelled: string[] = [];
  feedback?: (vote: Vote) => Promise<void>;
  script: (AskEvent | Failure | 'wait')[] = [
    { event: 'token', data: { text: 'Cell 5 ' } },
    { event: 'answer', data: answer() }
  ];

  async *ask(question: Question, signal: AbortSignal): AsyncIterable<AskEvent> {
    this.asked.push(question);
    for (const step of this.script) {
      if (step === 'wait') {
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
      } else if (step instanceof Failure) {
        throw step;
      } else {
        yield step;
      }
    }
  }

  cancel(requestId: string): Promise<void> {
    this.cancelled.push(requestId);
    return Promise.resolve();
  }

  search(): Promise<never> {
    return Promise.reject(new Failure('not here'));
  }

  status(): Promise<never> {
    return Promise.reject(new Failure('not here'));
  }
}

let door: FakeDoor;
let actions: Actions;
let openCitation: ReturnType<typeof vi.fn<Actions['openCitation']>>;

function newChat(parts: Partial<ChatParts> = {}): Chat {
  const welcome = document.createElement('p');
  const chat = new Chat({ door, actions, choices: () => ({ roots: ['/data'] }), welcome, ...parts });
  document.body.replaceChildren(chat.element);
  return chat;
}

function press(name: string): void {
  const button = document.querySelector<HTMLButtonElement>(`button[aria-label="${name}"]`);
  expect(button, name).not.toBeNull();
  button?.click();
}

function pressed(name: string): string | null {
  return document.querySelector(`button[aria-label="${name}"]`)?.getAttribute('aria-pressed') ?? null;
}

beforeEach(() => {
  door = new FakeDoor();
  openCitation = vi.fn<Actions['openCitation']>(() => Promise.resolve(''));
  actions = { openCitation };
});

describe('a chat', () => {
  it('sends the question with what the page chooses and shows the answer', async () => {
    const chat = newChat();
    await chat.ask('Which cell?');
    expect(door.asked[0]).toMatchObject({ question: 'Which cell?', roots: ['/data'], history: [], attachments: [] });
    expect(document.querySelector('.lb-answer')?.textContent).toContain('Cell 5 drops them.');
    expect(chat.turns[0]).toMatchObject({ state: 'done', text: 'Cell 5 ' });
  });

  it('sends what is attached once, and the conversation before', async () => {
    const chat = newChat();
    chat.attach({ title: 'cell 3', text: 'x = 1' });
    await chat.ask('What is x?');
    await chat.ask('And y?');
    expect(door.asked[0]?.attachments).toEqual([{ title: 'cell 3', text: 'x = 1' }]);
    expect(door.asked[1]?.attachments).toEqual([]);
    expect(door.asked[1]?.history).toEqual([
      { role: 'user', content: 'What is x?' },
      { role: 'assistant', content: 'Cell 5 drops them. [1]' }
    ]);
  });

  it('stops by cancelling and by hanging up, and keeps what came', async () => {
    door.script = [{ event: 'token', data: { text: 'Half' } }, 'wait'];
    const chat = newChat();
    const asking = chat.ask('Which?');
    await vi.waitFor(() => expect(chat.turns[0]?.text).toBe('Half'));
    press('Stop');
    await asking;
    expect(door.cancelled).toEqual([door.asked[0]?.request_id]);
    expect(chat.turns[0]?.state).toBe('stopped');
    expect(document.body.textContent).toContain('Half');
    expect(document.body.textContent).toContain('Stopped.');
    expect(chat.isRunning).toBe(false);
  });

  it('shows an error with its hint, and asks again under another id', async () => {
    door.script = [new Failure('No model.', 'Type: lorebook models pull auto')];
    const chat = newChat();
    await chat.ask('Which?');
    expect(document.querySelector('[role="alert"]')?.textContent).toContain('Type: lorebook models pull auto');
    door.script = [{ event: 'answer', data: answer() }];
    document.querySelector<HTMLButtonElement>('[role="alert"] button')?.click();
    await vi.waitFor(() => expect(chat.turns[0]?.state).toBe('done'));
    expect(chat.turns).toHaveLength(1);
    expect(door.asked[0]?.request_id).not.toBe(door.asked[1]?.request_id);
  });

  it('says so where the answer breaks off', async () => {
    door.script = [{ event: 'token', data: { text: 'Half' } }];
    const chat = newChat();
    await chat.ask('Which?');
    expect(chat.turns[0]).toMatchObject({ state: 'failed', failure: { message: 'The answer broke off.' } });
    expect(document.body.textContent).toContain('Half');
  });

  it('lets a question be edited: what came after it goes', async () => {
    const chat = newChat();
    await chat.ask('One?');
    await chat.ask('Two?');
    press('Edit the question');
    expect(chat.composer.text).toBe('One?');
    await chat.ask('One, better?');
    expect(chat.turns.map(turn => turn.question)).toEqual(['One, better?']);
  });

  it('asks nothing where it may not', async () => {
    const chat = newChat({ mayAsk: () => Promise.resolve(false) });
    await chat.ask('Which?');
    expect(door.asked).toEqual([]);
    expect(chat.turns).toEqual([]);
  });

  it('comes back as it was, an interrupted answer as stopped', async () => {
    const before = newChat();
    await before.ask('One?');
    const kept = structuredClone(before.turns);
    kept.push({ id: 'x', question: 'Two?', attachments: [], state: 'running', text: 'Hal' });
    const chat = newChat();
    chat.restore(kept);
    expect(chat.turns.map(turn => turn.state)).toEqual(['done', 'stopped']);
    expect(document.body.textContent).toContain('Hal');
  });

  it('opens a citation from its mark and shows the remark beside it', async () => {
    openCitation.mockResolvedValue('This cell has changed since it was cited.');
    await newChat().ask('Which?');
    document.querySelector<HTMLButtonElement>('.lb-mark')?.click();
    await vi.waitFor(() => expect(document.querySelector('.lb-citation .lb-notice')).not.toBeNull());
    expect(openCitation).toHaveBeenCalledWith(expect.objectContaining({ path: 'src/a.py', quote: 'df = df.dropna()' }));
    expect(document.querySelector('.lb-citation .lb-notice')?.textContent).toContain('has changed');
  });

  it('is exported with its quotes', async () => {
    door.script = [{ event: 'answer', data: answer({ citations: [citation({ quote: 'a\nb' })] }) }];
    const chat = newChat();
    await chat.ask('Which?');
    expect(chat.exportMarkdown()).toBe('## Which?\n\nCell 5 drops them. [1]\n\n[1] src/a.py:10-12\n\n    a\n    b\n');
  });

  it('shows thumbs only where what is thought of answers is kept', async () => {
    const votes: Vote[] = [];
    door.feedback = vote => Promise.resolve(void votes.push(vote));
    const chat = newChat();
    await chat.ask('Which?');
    expect(document.querySelector('.lb-thumbs')).toBeNull();
    chat.takeVotes(true);
    press('Good answer');
    await vi.waitFor(() => expect(pressed('Good answer')).toBe('true'));
    expect(votes).toEqual([
      { rating: 'up', question: 'Which?', answer: 'Cell 5 drops them. [1]', citations: [citation()], request_id: 'r' }
    ]);
    chat.takeVotes(false);
    expect(document.querySelector('.lb-thumbs')).toBeNull();
  });

  it('tells which citation was opened, where that is kept', async () => {
    const votes: Vote[] = [];
    door.feedback = vote => Promise.resolve(void votes.push(vote));
    const chat = newChat();
    await chat.ask('Which?');
    document.querySelector<HTMLButtonElement>('.lb-mark')?.click();
    chat.takeVotes(true);
    document.querySelector<HTMLButtonElement>('.lb-citation .lb-place')?.click();
    await vi.waitFor(() => expect(openCitation).toHaveBeenCalledTimes(2));
    expect(votes).toHaveLength(1);
    expect(votes[0]).toMatchObject({ rating: 'opened', question: 'Which?', citations: [citation()], request_id: 'r' });
  });

  it('asks after a bad answer what it should have said', async () => {
    const votes: Vote[] = [];
    door.feedback = vote => Promise.resolve(void votes.push(vote));
    const chat = newChat();
    chat.takeVotes(true);
    await chat.ask('Which?');
    press('Bad answer');
    await vi.waitFor(() => expect(pressed('Bad answer')).toBe('true'));
    const box = document.querySelector<HTMLTextAreaElement>('.lb-better textarea');
    const keep = document.querySelector<HTMLButtonElement>('.lb-better button');
    keep?.click();
    expect(votes).toHaveLength(1);
    box!.value = ' Cell 6. ';
    keep?.click();
    await vi.waitFor(() => expect(document.querySelector('.lb-better')?.textContent).toContain('Kept'));
    expect(votes[1]).toMatchObject({ rating: 'edited', edited: 'Cell 6.', request_id: 'r' });
    expect(chat.turns[0]?.vote).toBe('edited');
  });

  it('says below the answer where an opinion could not be kept', async () => {
    door.feedback = () => Promise.reject(new Failure('It is not kept.', 'Turn it on.'));
    const chat = newChat();
    chat.takeVotes(true);
    await chat.ask('Which?');
    press('Good answer');
    await vi.waitFor(() => expect(document.querySelector('[role="alert"]')?.textContent).toContain('Turn it on.'));
    expect(pressed('Good answer')).toBe('false');
  });

  it('tells the page of every change that is worth keeping', async () => {
    const changed = vi.fn();
    await newChat({ changed }).ask('Which?');
    expect(changed).toHaveBeenCalledTimes(2);
  });
});
