/**
 * The client in types: its options, what it tells the application, what it takes from the
 * world outside. The wire's own forms are in `wire.d.ts`. No code comes from here.
 */

import type { ApiError } from './error.js';
import type {
  CaughtUp, ErrorFrame, FollowingFrame, Hello, Message, Presence, Read, Session, SessionActivity,
  SessionAdded, SessionEvent, SessionRemoved, Typing,
} from './wire.js';

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
  readonly error?: ApiError;
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
  /** Time for a ticket, and from opening a socket to its `hello` (10,000 each). */
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
