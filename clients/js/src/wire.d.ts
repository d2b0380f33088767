/**
 * The wire in types: the nouns of REST, the frames of `assistdeck.v1`, and the events that
 * the client makes itself. Hand-kept beside the contract; no code comes from here, so that
 * browsers load nothing of it.
 */

export type UserKind = 'human' | 'agent';

export interface User {
  id: string;
  name: string;
  email: string;
  kind: UserKind;
  created_at: string;
}

export interface FoundUser {
  id: string;
  name: string;
  email: string;
}

export interface Session {
  id: string;
  /** The owner. */
  user_id: string;
  title: string;
  created_at: string;
  /** The last event's time. */
  updated_at: string;
  /** The head: the number of the last event. */
  last_seq: number;
  /** Changes when the numbers that clients hold mean nothing any more. */
  epoch: string;
  /** Absent in events. */
  is_owner?: boolean;
}

export interface ListedSession extends Session {
  unread_count: number;
  last_message: Message | null;
}

export interface Participant {
  id: string;
  session_id: string;
  user_id: string;
  created_at: string;
}

export interface ParticipantRow {
  id: string;
  user_id: string;
  email: string;
  name: string;
  is_owner: boolean;
  created_at: string;
}

export interface Message {
  id: string;
  session_id: string;
  seq: number;
  sender_id: string;
  content: string;
  file_url?: string;
  is_ai_message: boolean;
  client_id?: string;
  created_at: string;
  edited_at?: string;
}

/** What a message is made of. */
export interface Draft {
  content: string;
  file_url?: string;
  is_ai_message?: boolean;
  /** 1 to 64 characters; a repeat with the same one never doubles. */
  client_id?: string;
}

/** One page of a list; `next` and `prev` load the neighbouring pages where there are any. */
export interface Page<T> {
  items: T[];
  next: (() => Promise<Page<T>>) | null;
  prev: (() => Promise<Page<T>>) | null;
}

interface Durable<Type extends string, Data> {
  type: Type;
  session_id: string;
  seq: number;
  at: string;
  data: Data;
}

/** A durable event: one numbered item of a session's log. */
export type SessionEvent =
  | Durable<'message.created', Message>
  | Durable<'message.updated', Message>
  | Durable<'message.deleted', { id: string }>
  | Durable<'participant.added', ParticipantRow>
  | Durable<'participant.removed', { user_id: string }>
  | Durable<'session.updated', Session>
  | Durable<'session.deleted', Record<string, never>>;

export interface EventsPage {
  epoch: string;
  head: number;
  events: SessionEvent[];
}

export interface Hello {
  type: 'hello';
  connection_id: string;
  user_id: string;
  heartbeat_ms: number;
  token_expires_in_ms?: number | null;
  limits: Record<string, number>;
}

export interface FollowingFrame {
  type: 'following';
  session_id: string;
  session: Session;
  after: number;
  head: number;
  member_count?: number;
  participants?: ParticipantRow[];
  online?: string[];
}

export interface CaughtUp {
  type: 'caught_up';
  session_id: string;
  seq: number;
}

export interface MessageSent {
  type: 'message.sent';
  client_id: string;
  message: Message;
}

export interface Presence {
  type: 'presence';
  session_id: string;
  user_id: string;
  online: boolean;
}

export interface Typing {
  type: 'typing';
  session_id: string;
  user_id: string;
  is_typing: boolean;
}

export interface Read {
  type: 'read';
  session_id: string;
  user_id: string;
  seq: number;
}

export interface SessionAdded {
  type: 'session.added';
  session: ListedSession | Session;
}

export interface SessionRemoved {
  type: 'session.removed';
  session_id: string;
}

export interface SessionActivity {
  type: 'session.activity';
  session_id: string;
  last_seq: number;
  last_message: Message | null;
}

export interface TokenExpiring {
  type: 'token_expiring';
  in_ms: number;
}

export interface ErrorFrame {
  type: 'error';
  error: string;
  code: string;
  client_id?: string;
  ref?: string;
  /** Not on the wire: seconds, where the answer came by REST. */
  retry_after?: number | null;
}

export type ServerFrame =
  | SessionEvent | Hello | FollowingFrame | CaughtUp | MessageSent | Presence | Typing | Read
  | SessionAdded | SessionRemoved | SessionActivity | TokenExpiring | ErrorFrame;

export interface MessageSend extends Draft {
  type: 'message.send';
  session_id: string;
  client_id: string;
}

export interface Follow {
  type: 'follow';
  session_id: string;
  after?: number;
  epoch?: string;
  ref?: string;
}

export type ClientFrame =
  | MessageSend
  | Follow
  | { type: 'leave'; session_id: string }
  | { type: 'typing'; session_id: string; is_typing: boolean }
  | { type: 'read'; session_id: string; seq: number }
  | { type: 'auth'; token: string };

/** How the connection is; every change is a `state` event. */
export interface State {
  state: 'connecting' | 'catching-up' | 'live' | 'offline' | 'stopped';
  /** Why it is offline or stopped, as a word. */
  reason?: string;
  /** The close code, or the HTTP status, behind the reason. */
  code?: number;
  /** When the next attempt comes. */
  retry_in_ms?: number;
  /** What carries the connection. */
  transport?: 'ws' | 'sse';
}

/** One message on its way: `pending` until the server has it, then `sent` or `failed`. */
export interface Sending {
  readonly client_id: string;
  readonly session_id: string;
  readonly content: string;
  readonly file_url?: string;
  readonly is_ai_message?: boolean;
  readonly created_at: string;
  readonly status: 'pending' | 'sent' | 'failed';
  /** The stored message, once sent. */
  readonly message?: Message;
  /** Why it failed. */
  readonly error?: import('./error.js').ApiError;
  /** Settles with the stored message or the error; nobody has to wait for it. */
  readonly done: Promise<Message>;
}

/** The session's numbers mean nothing any more: throw its copy away and load it anew. */
export interface Reset {
  session_id: string;
  session: Session;
  head: number;
}

/** The session is not followed any more, for good. */
export interface Unfollowed {
  session_id: string;
  /** `removed`, `deleted`, or the error code. */
  reason: string;
}

type EventsByType = { [E in SessionEvent as E['type']]: E };

/** What `live.on(name, …)` gives, by name. */
export interface LiveEvents extends EventsByType {
  state: State;
  hello: Hello;
  following: FollowingFrame;
  caught_up: CaughtUp;
  reset: Reset;
  unfollowed: Unfollowed;
  sending: Sending;
  /** Every durable event, before the one under its own type. */
  event: SessionEvent;
  presence: Presence;
  typing: Typing;
  read: Read;
  'session.added': SessionAdded;
  'session.removed': SessionRemoved;
  'session.activity': SessionActivity;
  /** An error frame that answers no send and no follow. */
  error: ErrorFrame;
  /** A frame of a type that this version of the client does not know. */
  unknown: Record<string, unknown>;
}

export interface ApiOptions {
  /** Where the server is; in a browser, the page's own origin unless said. */
  url?: string;
  /** The JWT, where there is one already. */
  token?: string | null;
  /** Gives a fresh token when the old one is refused or ends; `POST /api/token` otherwise. */
  getToken?: (old: string | null) => Promise<string | null> | string | null;
  /** Told of every new token (register, login, renewal, password): the place to keep it. */
  onToken?: (token: string | null) => void;
  /** How long an answer may take, in milliseconds (30,000). */
  timeoutMs?: number;
  fetch?: typeof fetch;
}

export interface LiveOptions {
  /** The ways to connect, in the order of trial; `['ws', 'sse']` unless said. */
  transports?: Array<'ws' | 'sse'>;
  /** How the socket authenticates: a single-use `ticket` (the default) or a `bearer` protocol. */
  auth?: 'ticket' | 'bearer';
  /** Failed handshakes in a row before the next transport is tried (3). */
  handshakesMax?: number;
  /** Time from opening a socket to its `hello` (10,000). */
  handshakeTimeoutMs?: number;
  /** On the fallback, how often a socket is tried again (60,000). */
  socketRetryMs?: number;
  /** On the fallback, how often the list of sessions is asked for (20,000). */
  pollMs?: number;
  /** First and longest wait of the backoff (1,000 and 30,000). */
  backoffMs?: number;
  backoffMaxMs?: number;
  /** How often silence and answers overdue are looked for (5,000). */
  tickMs?: number;
  /** How long a silent connection has to answer a probe (10,000). */
  probeWaitMs?: number;
  /** How long a follow or a send may stay without an answer on a living connection (20,000). */
  answerTimeoutMs?: number;
  /** Messages kept in the queue, the failed ones included (500). */
  queueMax?: number;
  /** For tests: the world outside. */
  environment?: Partial<Environment>;
}

/** What the client takes from the world outside. Tests bring their own. */
export interface Environment {
  WebSocket: (new (url: string, protocols: string[]) => WebSocket) | undefined;
  setTimeout: (run: () => void, ms: number) => unknown;
  clearTimeout: (timer: any) => void;
  now: () => number;
  random: () => number;
  /** `window` and `document`, where there are any. */
  window: EventTarget | undefined;
  document: (EventTarget & { visibilityState: string }) | undefined;
}
