/** A widget that is one set of values: the kernel tells them, the widget draws them. */

import { asFailure, errorNotice, Failure, make } from '../../../extension/parts/src';
import { Channel, type Hearer, type Message } from './channel';
import type { Model } from './model';

/** Every board may be told what went wrong with the work that a person waits for. */
export interface Told {
  failure?: object | null;
}

export abstract class Board<Values extends object> implements Hearer {
  readonly element: HTMLElement;
  protected readonly notices = make('div', { class: 'lb-notices' });
  protected values: Values & Told;
  private readonly silence = errorNotice(
    new Failure('The kernel does not answer.', 'After a restart of the kernel, run the cell again.')
  );
  private readonly channel: Channel;

  /** `values` are shown until the kernel tells others. */
  constructor(model: Model, name: string, values: Values) {
    this.values = values;
    this.element = make('section', {
      class: 'lb-root lb-widget lb-board',
      'aria-label': name,
      'data-lm-suppress-shortcuts': 'true' // keys typed here are no commands to the notebook
    });
    this.channel = new Channel(model, this, () => this.waiting());
  }

  close(): void {
    this.channel.close();
  }

  state(state: Record<string, unknown>): void {
    this.take(state as Partial<Values & Told>);
  }

  message(message: Message): void {
    if (message.type === 'set') {
      this.take(message.values as Partial<Values & Told>);
    } else if (message.type === 'notice') {
      this.notices.replaceChildren(errorNotice(asFailure({ error: message.failure })));
    }
  }

  reachable(reachable: boolean): void {
    if (reachable) {
      this.silence.remove();
    } else {
      this.notices.replaceChildren(this.silence);
    }
  }

  private take(values: Partial<Values & Told>): void {
    this.values = { ...this.values, ...values };
    this.draw();
    if ('failure' in values) {
      const { failure } = values;
      this.notices.replaceChildren(...(failure ? [errorNotice(asFailure({ error: failure }))] : []));
    }
  }

  protected send(message: Message): void {
    this.notices.replaceChildren();
    this.channel.send(message);
  }

  /** Whether the kernel is about to tell more. */
  protected abstract waiting(): boolean;

  /** Shows the values. */
  protected abstract draw(): void;
}
