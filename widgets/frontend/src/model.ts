/** What the widgets use of anywidget. */

export interface Model {
  send(content: unknown): void;
  on(event: 'msg:custom', hear: (content: unknown) => void): void;
  off(event: 'msg:custom', hear: (content: unknown) => void): void;
  /** The widget's own id: the same in every page that shows it, as long as its kernel runs. */
  get(name: 'channel_id'): unknown;
}

/** What anywidget hands to `render`; what `render` returns is called when the view goes. */
export interface View {
  model: Model;
  el: HTMLElement;
}
