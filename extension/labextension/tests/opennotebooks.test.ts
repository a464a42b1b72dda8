// @vitest-environment jsdom
import type { NotebookPanel } from '@jupyterlab/notebook';
import { Signal } from '@lumino/signaling';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { type Notebooks, type OpenDoor, type OpenNote, OpenNotebooks } from '../src/opennotebooks';
import { Workspace } from '../src/workspace';

class FakeModel {
  readonly contentChanged = new Signal<this, void>(this);
  dirty = false;
  text = '{"cells": []}';

  toString(): string {
    return this.text;
  }
}

class FakeContext {
  readonly saveState = new Signal<this, string>(this);
  readonly pathChanged = new Signal<this, string>(this);
  readonly ready = Promise.resolve();
  readonly isReady = true;
  readonly model = new FakeModel();

  constructor(public path: string) {}
}

class FakePanel {
  readonly disposed = new Signal<this, void>(this);
  readonly context: FakeContext;
  isDisposed = false;

  constructor(path: string) {
    this.context = new FakeContext(path);
  }

  type(text: string): void {
    this.context.model.text = text;
    this.context.model.dirty = true;
    this.context.model.contentChanged.emit();
  }

  save(): void {
    this.context.model.dirty = false;
    this.context.saveState.emit('completed');
  }

  close(): void {
    this.isDisposed = true;
    this.disposed.emit();
  }
}

class FakeDoor implements OpenDoor {
  readonly told: (OpenNote & { mayStart: boolean })[] = [];
  asleep = false;
  failing = false;

  noteOpen(note: OpenNote, mayStart: boolean): Promise<boolean> {
    this.told.push({ ...note, mayStart });
    return this.failing ? Promise.reject(new Error('not indexed')) : Promise.resolve(!this.asleep || mayStart);
  }
}

const PLACE = { root: '/home/a/work', path: 'lab/eda.ipynb' };

let door: FakeDoor;
let panel: FakePanel;
let open: OpenNotebooks;

async function pass(milliseconds: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(milliseconds);
}

async function opened(path = 'work/lab/eda.ipynb'): Promise<void> {
  const widgetAdded = new Signal<object, FakePanel>({});
  const tracker = { forEach: () => undefined, widgetAdded } as unknown as Notebooks;
  open = new OpenNotebooks(tracker, door, new Workspace('/home/a', ['/home/a/work']));
  panel = new FakePanel(path);
  widgetAdded.emit(panel as unknown as NotebookPanel as never);
  await pass(0);
}

beforeEach(async () => {
  vi.useFakeTimers();
  door = new FakeDoor();
  await opened();
});

afterEach(() => {
  vi.useRealTimers();
});

describe('OpenNotebooks', () => {
  it('tells that a notebook is open, and starts no daemon for that', () => {
    expect(door.told).toEqual([{ ...PLACE, mayStart: false }]);
  });

  it('tells what was typed once it is quiet, once', async () => {
    panel.type('a');
    await pass(300);
    panel.type('ab');
    await pass(400);
    expect(door.told).toHaveLength(1);
    await pass(200);
    expect(door.told.slice(1)).toEqual([{ ...PLACE, contents: 'ab', mayStart: false }]);
  });

  it('lets the file count again once it is saved, and forgets it once it is closed', async () => {
    panel.type('a');
    await pass(600);
    panel.save();
    panel.close();
    await pass(0);
    expect(door.told.slice(2)).toEqual([
      { ...PLACE, mayStart: false },
      { ...PLACE, closed: true, mayStart: false }
    ]);
  });

  it('tells what is unsaved before a question, and wakes the daemon', async () => {
    door.asleep = true;
    panel.type('a');
    await open.settle();
    expect(door.told.at(-1)).toEqual({ ...PLACE, contents: 'a', mayStart: true });
    const count = door.told.length;
    await open.settle();
    expect(door.told).toHaveLength(count);
  });

  it('says again before a question what no daemon has heard', async () => {
    door.asleep = true;
    panel.type('a');
    await pass(600);
    await open.settle();
    expect(door.told.at(-1)).toEqual({ ...PLACE, contents: 'a', mayStart: true });
  });

  it('asks nobody to wait for a notebook that is saved', async () => {
    await open.settle();
    expect(door.told).toHaveLength(1);
  });

  it('goes on after a daemon that refused', async () => {
    door.failing = true;
    panel.type('a');
    await pass(600);
    door.failing = false;
    panel.type('ab');
    await pass(600);
    expect(door.told.at(-1)).toEqual({ ...PLACE, contents: 'ab', mayStart: false });
  });

  it('follows a notebook that is renamed', async () => {
    panel.context.path = 'work/lab/model.ipynb';
    panel.context.pathChanged.emit('work/lab/model.ipynb');
    await pass(0);
    expect(door.told.slice(1)).toEqual([
      { ...PLACE, closed: true, mayStart: false },
      { ...PLACE, path: 'lab/model.ipynb', mayStart: false }
    ]);
  });

  it('sends no notebook that is very long', async () => {
    panel.type('x'.repeat(4_000_001));
    await pass(600);
    expect(door.told.at(-1)).toEqual({ ...PLACE, mayStart: false });
  });

  it('says nothing of a notebook outside of the folders', async () => {
    door.told.length = 0;
    await opened('elsewhere/eda.ipynb');
    panel.type('a');
    await pass(600);
    panel.close();
    expect(door.told).toEqual([]);
  });
});
