/** The chat widget: shows what the kernel tells of a conversation, and tells it what the person does. */

import {
  asFailure,
  ContextBar,
  errorNotice,
  Failure,
  make,
  pageActions,
  remark,
  type Attachment,
  type Progress,
  type Turn
} from '../../../extension/parts/src';
import { Composer } from '../../../extension/parts/src/composer';
import { Transcript } from '../../../extension/parts/src/transcript';
import type { TurnDeeds, TurnView } from '../../../extension/parts/src/turn';
import { Channel, type Hearer, type Message } from './channel';
import { ChoiceBar, type Options } from './choices';
import { cancelOverHttp, saveText } from './jupyter';
import type { View } from './model';
import { OfferMenu, type Offers } from './offers';
import { ShelfBar, type ConversationInfo } from './shelf';
import './widgets.css';

/** A turn as the kernel tells it: the parts' own, and how far its answer is. */
type Told = Omit<Turn, 'answer' | 'failure'> & {
  answer: Turn['answer'] | null;
  failure: Turn['failure'] | null;
  progress: Progress | null;
};

/** What the kernel tells beside the turns and what `FIELDS` shows at once. */
interface Values {
  conversations?: ConversationInfo[];
  conversation?: string;
  models?: string[];
  adapters?: string[];
}

const FIELDS: Record<string, (chat: ChatView, value: never) => void> = {
  options: (chat, value: Options) => chat.choices.show(value),
  offers: (chat, value: Offers) => chat.offers.show(value),
  context: (chat, value: Attachment[]) => chat.showContext(value),
  feedback: (chat, value: boolean) => chat.takeVotes(value)
};

const MESSAGES: Record<string, (chat: ChatView, message: never) => void> = {
  set: (chat, message: { values: Record<string, unknown> }) => chat.set(message.values),
  turn: (chat, message: Partial<Told> & { id: string }) => chat.hearTurn(message),
  token: (chat, message: { id: string; text: string }) => chat.hearToken(message),
  cut: (chat, message: { id: string }) => chat.cut(message.id),
  replace: (chat, message: { turns: Told[] }) => chat.showTurns(message.turns),
  notice: (chat, message: { failure?: object; remark?: string }) => chat.notice(message),
  file: (_, message: { name: string; text: string }) => saveText(message.name, message.text)
};

export class ChatView implements Hearer {
  readonly element = make('section', {
    class: 'lb-root lb-chat lb-widget',
    'aria-label': 'Chat about your files',
    'data-lm-suppress-shortcuts': 'true' // keys typed here are no commands to the notebook
  });
  readonly choices: ChoiceBar;
  readonly offers: OfferMenu;
  private readonly shelf: ShelfBar;
  private readonly context: ContextBar;
  private readonly deeds: TurnDeeds;
  private readonly composer: Composer;
  private readonly transcript: Transcript;
  private readonly notices = make('div', { class: 'lb-notices' });
  private readonly silence = errorNotice(new Failure('The kernel does not answer.', SILENT));
  private readonly channel: Channel;
  private values: Values = {};
  private editing: Turn | null = null;

  constructor(model: View['model']) {
    const send = (message: Message): void => this.channel.send(message);
    this.deeds = { retry: turn => send({ type: 'retry', id: turn.id }), edit: turn => this.edit(turn) };
    this.transcript = new Transcript(welcome(), pageActions(), this.deeds);
    this.context = new ContextBar('', attachment => send({ type: 'detach', title: attachment.title }));
    this.composer = new Composer({
      send: text => this.ask(text),
      stop: () => this.stop(),
      recall: () => this.transcript.turns.at(-1)?.question ?? ''
    });
    this.choices = new ChoiceBar(values => send({ type: 'choose', values }), () => send({ type: 'choices' }));
    this.offers = new OfferMenu(word => send({ type: 'attach', word }));
    this.shelf = new ShelfBar(send);
    const foot = make('div', { class: 'lb-foot' }, this.offers.element, this.choices.element);
    this.element.append(this.shelf.element, this.transcript.element, this.notices);
    this.element.append(this.context.element, this.composer.element, foot);
    this.channel = new Channel(model, this, () => this.running !== undefined);
  }

  close(): void {
    this.channel.close();
  }

  state(state: Record<string, unknown>): void {
    const { turns, ...values } = state;
    this.set(values);
    this.showTurns(turns as Told[]);
  }

  message(message: Message): void {
    MESSAGES[message.type]?.(this, message as never);
  }

  reachable(reachable: boolean): void {
    if (reachable) {
      this.silence.remove();
    } else {
      this.notices.replaceChildren(this.silence);
    }
  }

  set(values: Record<string, unknown>): void {
    Object.assign(this.values, values);
    for (const [name, value] of Object.entries(values)) {
      FIELDS[name]?.(this, value as never);
    }
    const { conversations, conversation, models, adapters } = this.values;
    this.shelf.show(conversations ?? [], conversation ?? '');
    this.choices.list(models ?? [], adapters ?? []);
  }

  /** Shows thumbs below the answers from now on, where what is thought of them is kept. */
  takeVotes(kept: boolean): void {
    if (kept) {
      this.deeds.vote = (turn, opinion) => this.channel.send({ type: 'vote', id: turn.id, ...opinion });
      this.deeds.opened = (turn, { n }) => this.channel.send({ type: 'opened', id: turn.id, n });
    } else {
      delete this.deeds.vote;
      delete this.deeds.opened;
    }
  }

  showContext(attachments: Attachment[]): void {
    this.context.clear();
    attachments.forEach(attachment => this.context.attach(attachment));
  }

  showTurns(turns: Told[]): void {
    this.transcript.clear();
    turns.forEach(turn => this.add(turn));
    this.composer.setRunning(this.running !== undefined);
  }

  hearTurn(told: Partial<Told> & { id: string }): void {
    const view = this.viewOf(told.id);
    if (!view) {
      this.add({ ...BLANK, ...told });
    } else if (told.vote) {
      view.voted(told.vote);
    } else if (told.answer) {
      view.hear({ event: 'answer', data: told.answer });
    } else if (told.failure) {
      view.fail(new Failure(told.failure.message, told.failure.hint, told.failure.type));
    } else if (told.state === 'stopped') {
      view.fail(new Failure('Stopped.', '', 'cancelled'));
    } else if (told.progress) {
      view.hear({ event: 'progress', data: told.progress });
    }
    this.composer.setRunning(this.running !== undefined);
    this.transcript.follow();
  }

  hearToken({ id, text }: { id: string; text: string }): void {
    this.viewOf(id)?.hear({ event: 'token', data: { text } });
    this.transcript.follow();
  }

  cut(id: string): void {
    const view = this.viewOf(id);
    if (view) {
      this.transcript.cutFrom(view.turn);
    }
  }

  notice({ failure, remark: text }: { failure?: object; remark?: string }): void {
    this.notices.replaceChildren(failure ? errorNotice(asFailure({ error: failure })) : remark(text ?? ''));
  }

  private get running(): Turn | undefined {
    return this.transcript.turns.find(turn => turn.state === 'running');
  }

  private viewOf(id: string): TurnView | undefined {
    const turn = this.transcript.turns.find(one => one.id === id);
    return turn && this.transcript.viewOf(turn);
  }

  /** Adds a turn; one that runs goes on with what it has said so far. */
  private add(told: Told): void {
    const { progress, answer, failure, ...rest } = told;
    const turn: Turn = { ...rest, ...(answer ? { answer } : {}), ...(failure ? { failure } : {}) };
    const said = turn.text;
    const view = this.transcript.add(turn);
    if (turn.state === 'running') {
      if (said) {
        view.hear({ event: 'token', data: { text: said } });
      } else if (progress) {
        view.hear({ event: 'progress', data: progress });
      }
    }
  }

  private ask(question: string): void {
    const titles = this.context.attachments.map(attachment => attachment.title);
    const after = this.editing ? { after: this.editing.id } : {};
    this.editing = null;
    this.composer.text = '';
    this.notices.replaceChildren();
    this.channel.send({ type: 'ask', id: crypto.randomUUID().replaceAll('-', ''), question, with: titles, ...after });
  }

  private edit(turn: Turn): void {
    this.editing = turn;
    if (turn.attachments.length > 0) {
      this.channel.send({ type: 'reattach', id: turn.id });
    }
    this.composer.text = turn.question;
    this.composer.focus();
  }

  private stop(): void {
    const turn = this.running;
    if (turn) {
      this.channel.send({ type: 'stop' });
      void cancelOverHttp(turn.id);
    }
  }
}

const SILENT =
  'It may be busy: what you typed is sent when it is free. After a restart of the kernel, run the cell again.';
const BLANK: Told = {
  id: '',
  question: '',
  attachments: [],
  state: 'running',
  text: '',
  answer: null,
  failure: null,
  progress: null
};

function welcome(): HTMLElement {
  return make(
    'div',
    { class: 'lb-welcome' },
    make('p', { text: 'Ask about your files. Each sentence is checked, and shows the lines that support it.' })
  );
}

export default {
  render({ model, el }: View): () => void {
    const view = new ChatView(model);
    el.append(view.element);
    return () => view.close();
  }
};
