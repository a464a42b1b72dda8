/** The parts that the JupyterLab panel and the widgets share. Nothing here knows JupyterLab or a kernel. */

export type { Actions, Target } from './actions';
export { showAnswer } from './answer';
export type { Attachment } from './attachment';
export { iconButton, wordButton } from './button';
export { Chat, type ChatParts } from './chat';
export { openPlace, passage } from './citations';
export { codeBlock } from './code';
export { ContextBar } from './contextbar';
export { asFailure, Failure, type AskEvent, type Door, type Message, type Opinion, type Question } from './door';
export type { Rating, Vote } from './door';
export { make } from './element';
export { newId } from './id';
export { icon, type IconName } from './icon';
export { renderMarkdown } from './markdown';
export { errorNotice, remark } from './notice';
export { offerActions, pageActions } from './pageactions';
export { namePlace } from './place';
export type * from './schema';
export { StreamingText } from './streaming';
export type { Turn } from './turn';
