/** Teaching from the panel: what chosen cells would teach, how the training goes, and what became of it. */

import { asFailure, errorNotice, Failure, make, remark, wordButton } from '../../parts/src';
import { count, duration, exampleList, NOTHING_SEEN, plan, progressView, type Seen } from './lessonview';
import type { JobEvent, JobInfo, Preview, TeachDoor, TeachRequest } from './teaching';

const ENDED: readonly string[] = ['done', 'failed', 'cancelled', 'interrupted', 'prepared'];

/** What a lesson needs from where it stands. */
export interface LessonParts {
  door: TeachDoor;
  /** Has answers written with the adapter from now on, or without any where it is ''. */
  choose(adapter: string): Promise<void>;
  /** Called whenever it begins, ends, or gets further. */
  changed(): void;
}

export class Lesson {
  readonly element = make('section', { class: 'lb-root lb-lesson', 'aria-label': 'Teach', hidden: '' });
  private readonly body = make('div', { class: 'lb-lesson-body' });
  private readonly heading = make('h2');
  private readonly progress = make('div');
  private job: JobInfo | null = null;
  private seen: Seen = NOTHING_SEEN;
  /** Each thing that is shown has a number: what was waited for and is no longer wanted is not shown. */
  private shown = 0;

  constructor(private readonly parts: LessonParts) {
    this.element.append(this.heading, this.body);
  }

  /** What it does now in a few words, '' while nothing is taught. */
  get doing(): string {
    if (!this.job || ENDED.includes(this.job.state)) {
      return '';
    }
    const last = this.seen.metrics.at(-1);
    return last ? `teaching ${Math.floor((100 * last.step) / Math.max(1, last.steps))} %` : 'teaching …';
  }

  /** Shows what would be taught, for the person to begin; a training that is shown stays where it is. */
  async propose(title: string, prepare: () => Promise<TeachRequest>): Promise<void> {
    if (this.doing) {
      return;
    }
    const turn = this.show(title, remark('Looking at what they would teach …'), this.closing());
    try {
      const request = await prepare();
      const preview = await this.parts.door.previewTeaching(request);
      if (turn === this.shown) {
        this.offer(title, request, preview);
      }
    } catch (error) {
      if (turn === this.shown) {
        this.refuse(title, error, () => void this.propose(title, prepare));
      }
    }
  }

  /** Shows a training that goes on from before the page was loaded, if there is one. */
  async pickUp(): Promise<void> {
    const jobs = await this.parts.door.jobs();
    const job = jobs.find(one => one.kind === 'teach' && !ENDED.includes(one.state));
    if (job && !this.doing) {
      await this.follow(job);
    }
  }

  private offer(title: string, request: TeachRequest, preview: Preview): void {
    const number = preview.taught;
    const name = make('input', { class: 'lb-box', placeholder: 'as the notebook is called' });
    const begin = wordButton(`Teach ${count(number, 'example')}`, () => {
      const typed = name.value.trim();
      void this.begin(title, typed ? { ...request, name: typed } : request);
    });
    begin.disabled = number === 0;
    const named = make('label', { class: 'lb-lesson-name' }, 'Name of the adapter', name);
    const told = make('p', { class: 'lb-muted', text: plan(preview) });
    this.show(title, told, exampleList(preview), named, this.closing('Cancel', begin));
    (number > 0 ? begin : this.element.querySelector<HTMLElement>('button'))?.focus();
  }

  private async begin(title: string, request: TeachRequest): Promise<void> {
    this.show(title, remark('Beginning …'));
    try {
      await this.follow(await this.parts.door.teach(request));
    } catch (error) {
      this.refuse(title, error, () => void this.propose(title, () => Promise.resolve(request)));
    }
  }

  /** Shows a job until it has ended. */
  private async follow(job: JobInfo): Promise<void> {
    this.job = job;
    this.seen = NOTHING_SEEN;
    this.progress.replaceChildren(progressView(this.seen));
    const stop = wordButton('Stop', () => void this.deed(() => this.parts.door.cancelJob(job.id)));
    this.show(`Teaching ${job.name}`, this.progress, make('div', { class: 'lb-lesson-deeds' }, stop));
    try {
      for await (const event of this.parts.door.jobEvents(job.id, new AbortController().signal)) {
        this.hear(event);
      }
    } catch (error) {
      this.job = null;
      const { message } = asFailure(error);
      const failure = new Failure(message, 'The training may go on: look again.');
      this.refuse(`Teaching ${job.name}`, failure, () => void this.follow(job), 'Look again');
    }
  }

  private hear(event: JobEvent): void {
    if (event.event === 'done') {
      this.job = event.data;
      void this.conclude(event.data);
      return;
    }
    const { metrics } = this.seen;
    if (event.event === 'progress') {
      this.seen = { ...this.seen, note: event.data.what };
    } else if (event.event === 'metrics') {
      this.seen = { ...this.seen, note: '', metrics: [...metrics, event.data] };
    } else {
      this.seen = { ...this.seen, said: event.data };
    }
    this.progress.replaceChildren(progressView(this.seen));
    this.parts.changed();
  }

  private async conclude(job: JobInfo): Promise<void> {
    const { status, examples, seconds, reason } = job.result;
    if (job.state !== 'done') {
      const failure = new Failure(job.reason || `The training was ${job.state}.`, 'It can go on where it was left.');
      const resume = async () => this.follow(await this.parts.door.resumeJob(job.id));
      this.refuse(`Teaching ${job.name}`, failure, () => void this.deed(resume), 'Go on');
      return;
    }
    const learnt = `${job.name} has learnt from ${count(examples ?? 0, 'example')} in ${duration(seconds ?? 0)}.`;
    if (status === 'active') {
      await this.use(job.name, learnt);
    } else {
      const use = wordButton('Use it all the same', () => void this.use(job.name, learnt));
      const why = `It is not used: ${reason ?? 'it did not pass'}`;
      this.show(`Taught ${job.name}`, remark(`${learnt} ${why}`), this.closing('Close', use));
    }
  }

  /** Has answers written with the adapter, and says so. */
  private async use(name: string, learnt: string): Promise<void> {
    const without = wordButton('Answer without it', () => {
      void this.deed(() => this.parts.choose(''));
      this.close();
    });
    try {
      await this.parts.choose(name);
    } catch (error) {
      this.refuse(`Taught ${name}`, error, () => void this.use(name, learnt));
      return;
    }
    const told = remark(`${learnt} Answers are written with it from now on.`);
    this.show(`Taught ${name}`, told, this.closing('Close', without));
  }

  /** Does something, and says below what is shown what went wrong with it. */
  private async deed(act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      this.body.querySelectorAll(':scope > .lb-error').forEach(notice => notice.remove());
      this.body.append(errorNotice(asFailure(error)));
    }
  }

  private refuse(title: string, error: unknown, again: () => void, words = 'Try again'): void {
    this.show(title, errorNotice(asFailure(error), { words, act: again }), this.closing());
  }

  private closing(words = 'Close', ...before: HTMLElement[]): HTMLElement {
    return make('div', { class: 'lb-lesson-deeds' }, ...before, wordButton(words, () => this.close()));
  }

  private close(): void {
    this.shown += 1;
    this.job = null;
    this.element.hidden = true;
    this.parts.changed();
  }

  private show(title: string, ...parts: HTMLElement[]): number {
    this.heading.textContent = title;
    this.body.replaceChildren(...parts);
    this.element.hidden = false;
    this.parts.changed();
    return (this.shown += 1);
  }
}
