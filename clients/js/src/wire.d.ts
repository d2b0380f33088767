/**
 * The wire in types: the nouns of REST and the frames of `assistdeck.v1`. Hand-kept beside the
 * contract; no code comes from here, so that browsers load nothing of it.
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
