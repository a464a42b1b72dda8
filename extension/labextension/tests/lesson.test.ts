// @vitest-environment jsdom
import { beforeEach, describe, expect, it, vi } from 'vitest';

import { Failure } from '../../parts/src';
import { Lesson } from '../src/lesson';
import type { JobEvent, JobInfo, Preview, PreviewExample, TeachDoor, TeachRequest } from '../src/teaching';

const ASKED: TeachRequest = { notebooks: ['/data/lab.ipynb'], ids: ['c1', 'c2'] };
const JOB: JobInfo = { id: 'j1', kind: 'teach', name: 'lab', state: 'running', reason: '', result: {} };

function example(learnt: string, more: Partial<PreviewExample> = {}): PreviewExample {
  const segments = [
    { text: 'What is it? ', tokens: 4, learnt: false },
    { text: learnt, tokens: 2, learnt: true }
  ];
  return { origin: 'lab.ipynb, cell c1', segments, tokens: 6, held_out: false, left_out: '', ...more };
}

const PREVIEW: Preview = {
  examples: [example('A well.'), example('A well.', { left_out: 'duplicate' }), example('kept', { held_out: true })],
  base: 'smollm2',
  epochs: 2,
  steps: 4,
  seconds: 40,
  memory_mb: 1536,
  taught: 1,
  held_out: 1,
  left_out: 1
};

class FakeDoor implements TeachDoor {
  readonly taught: TeachRequest[] = [];
  readonly cancelled: string[] = [];
  preview: Preview | Failure = PREVIEW;
  running: JobInfo[] = [];
  events: (JobEvent | Failure | Promise<void>)[] = [];

  previewTeaching(): Promise<Preview> {
    return this.preview instanceof Failure ? Promise.reject(this.preview) : Promise.resolve(this.preview);
  }

  teach(request: TeachRequest): Promise<JobInfo> {
    this.taught.push(request);
    return Promise.resolve(JOB);
  }

  jobs(): Promise<JobInfo[]> {
    return Promise.resolve(this.running);
  }

  async *jobEvents(): AsyncIterable<JobEvent> {
    for (const step of this.events) {
      if (step instanceof Failure) {
        throw step;
      } else if (step instanceof Promise) {
        await step;
      } else {
        yield step;
      }
    }
  }

  cancelJob(id: string): Promise<void> {
    this.cancelled.push(id);
    return Promise.resolve();
  }

  resumeJob(): Promise<JobInfo> {
    return Promise.resolve(JOB);
  }
}

function metrics(step: number, loss: number): JobEvent {
  const data = { step, steps: 4, loss, held_out_loss: null, tokens_per_s: 120, seconds_left: 12 };
  return { event: 'metrics', data };
}

function done(status: 'active' | 'candidate', reason = ''): JobEvent {
  const result = { adapter: 'lab', status, examples: 1, seconds: 35, reason };
  return { event: 'done', data: { ...JOB, state: 'done', result } };
}

let door: FakeDoor;
let lesson: Lesson;
const choose = vi.fn<(adapter: string) => Promise<void>>();

function propose(): Promise<void> {
  return lesson.propose('Teach 2 cells of lab.ipynb', () => Promise.resolve(ASKED));
}

function press(words: string): void {
  const found = [...lesson.element.querySelectorAll('button')].find(button => button.textContent === words);
  expect(found, words).toBeDefined();
  found?.click();
}

function text(): string {
  return lesson.element.textContent ?? '';
}

beforeEach(() => {
  door = new FakeDoor();
  choose.mockReset().mockResolvedValue();
  lesson = new Lesson({ door, choose, changed: () => undefined });
  document.body.replaceChildren(lesson.element);
});

describe('a lesson', () => {
  it('counts the examples that it does not show, whether they came along or not', async () => {
    const examples = Array.from({ length: 200 }, (_, n) => example(`Answer ${n}.`));
    door.preview = { ...PREVIEW, examples, taught: 431, held_out: 48, left_out: 7 };
    await propose();
    expect(lesson.element.querySelectorAll('.lb-lesson-examples li')).toHaveLength(100);
    expect(text()).toContain('331 more are not shown and are taught as well.');
    expect(text()).toContain('7 more are left out and not shown.');
    expect(text()).toContain('48 questions kept back');
    expect(document.activeElement?.textContent).toBe('Teach 431 examples');
  });

  it('shows what would be learnt before anything is taught', async () => {
    expect(lesson.element.hidden).toBe(true);
    await propose();
    expect(lesson.element.hidden).toBe(false);
    expect(text()).toContain('smollm2 reads each 2 times: 4 steps, about 40 s, 1.5 GB of memory.');
    expect(text()).toContain('left out: duplicate');
    expect(text()).toContain('1 question kept back');
    const learnt = [...lesson.element.querySelectorAll('.lb-learnt')];
    expect(learnt.map(one => one.textContent)).toEqual(['A well.', 'A well.']);
    expect(document.activeElement?.textContent).toBe('Teach 1 example');
    expect(door.taught).toEqual([]);
    press('Cancel');
    expect(lesson.element.hidden).toBe(true);
  });

  it('teaches under the name that was typed, shows how it goes, and chooses the adapter', async () => {
    let go: () => void = () => undefined;
    door.events = [metrics(1, 3), metrics(2, 1.5), new Promise<void>(resolve => (go = resolve)), done('active')];
    await propose();
    const name = lesson.element.querySelector('input');
    expect(name).not.toBeNull();
    name!.value = ' wells ';
    press('Teach 1 example');
    await vi.waitFor(() => expect(text()).toContain('step 2 of 4, 120 tokens a second, 12 s left'));
    expect(door.taught).toEqual([{ ...ASKED, name: 'wells' }]);
    expect(lesson.doing).toBe('teaching 50 %');
    expect(lesson.element.querySelector('svg')?.getAttribute('aria-label')).toBe('Loss, now 1.50, at first 3.00');
    await propose(); // nothing comes between
    expect(text()).toContain('step 2 of 4');
    go();
    await vi.waitFor(() => expect(text()).toContain('lab has learnt from 1 example in 35 s.'));
    expect(choose).toHaveBeenLastCalledWith('lab');
    expect(lesson.doing).toBe('');
    press('Answer without it');
    expect(choose).toHaveBeenLastCalledWith('');
  });

  it('does not choose an adapter that did not pass, unless the person does', async () => {
    door.events = [done('candidate', 'it forgot too much')];
    await propose();
    press('Teach 1 example');
    await vi.waitFor(() => expect(text()).toContain('It is not used: it forgot too much'));
    expect(choose).not.toHaveBeenCalled();
    press('Use it all the same');
    await vi.waitFor(() => expect(choose).toHaveBeenCalledWith('lab'));
  });

  it('says what is wrong with what would be taught', async () => {
    door.preview = new Failure('Teaching needs torch.', "pip install 'lorebook[train]'");
    await propose();
    expect(lesson.element.querySelector('[role=alert]')?.textContent).toContain("pip install 'lorebook[train]'");
    door.preview = PREVIEW;
    press('Try again');
    await vi.waitFor(() => expect(text()).toContain('Teach 1 example'));
  });

  it('offers nothing to begin where no cell teaches anything', async () => {
    door.preview = { ...PREVIEW, examples: [], taught: 0 };
    await propose();
    const begin = [...lesson.element.querySelectorAll('button')].find(one => one.textContent === 'Teach 0 examples');
    expect(begin?.disabled).toBe(true);
  });

  it('stops, and goes on with what was stopped', async () => {
    door.events = [metrics(1, 3), { event: 'done', data: { ...JOB, state: 'cancelled' } }];
    await propose();
    press('Teach 1 example');
    await vi.waitFor(() => expect(text()).toContain('The training was cancelled.'));
    door.events = [metrics(3, 1), new Promise<void>(() => undefined)];
    press('Go on');
    await vi.waitFor(() => expect(text()).toContain('step 3 of 4'));
    press('Stop');
    expect(door.cancelled).toEqual(['j1']);
  });

  it('finds a training again that goes on, and looks again where it lost sight of it', async () => {
    door.running = [{ ...JOB, state: 'done' }, JOB];
    door.events = [metrics(1, 3), new Failure('The daemon ended.')];
    await lesson.pickUp();
    expect(text()).toContain('The daemon ended.');
    door.events = [done('active')];
    press('Look again');
    await vi.waitFor(() => expect(text()).toContain('lab has learnt'));
  });
});
