/**
 * The fake server's truth: sessions as numbered logs in memory, as the contract says.
 */

export class Refusal extends Error {
  constructor(status, code, headers = {}) {
    super(`refused: ${code}`);
    Object.assign(this, { status, code, headers });
  }
}

const now = () => new Date().toISOString().replace('Z', '000Z');
let made = 0;
export const newId = () => `00000000-0000-7000-8000-${String(++made).padStart(12, '0')}`;

export class FakeStore {
  users = new Map();
  tokens = new Map();
  sessions = new Map();
  epoch = 'epoch-1';
  /** Told of every event. */
  onEvent = () => {};

  addUser(name) {
    const user = {
      id: newId(),
      name,
      email: `${name.toLowerCase()}@example.com`,
      kind: 'human',
      created_at: now(),
    };
    this.users.set(user.id, user);
    return { user, token: this.newToken(user.id) };
  }

  newToken(userId) {
    const token = `token-${newId()}`;
    this.tokens.set(token, userId);
    return token;
  }

  addSession(userId, title) {
    const id = newId();
    const log = {
      id,
      user_id: userId,
      title,
      created_at: now(),
      events: [],
      members: new Map([[userId, this.#row(userId, id, true)]]),
      byClientId: new Map(),
      marks: new Map(),
    };
    this.sessions.set(id, log);
    return log;
  }

  #row(userId, id, is_owner) {
    const { email, name } = this.users.get(userId);
    return { id, user_id: userId, email, name, is_owner, created_at: now() };
  }

  member(userId, sessionId) {
    const log = this.sessions.get(sessionId);
    if (!log) throw new Refusal(404, 'session_not_found');
    if (!log.members.has(userId)) throw new Refusal(403, 'not_a_member');
    return log;
  }

  view(log, userId) {
    const { id, user_id, title, created_at } = log;
    return {
      id,
      user_id,
      title,
      created_at,
      updated_at: created_at,
      last_seq: log.events.length,
      epoch: this.epoch,
      ...(userId && { is_owner: userId === user_id }),
    };
  }

  append(log, type, data) {
    const event = { type, session_id: log.id, seq: log.events.length + 1, at: now(), data };
    log.events.push(event);
    this.onEvent(event, log);
    return event;
  }

  /** Gives `[message, isNew]`. */
  send(log, userId, { content, file_url, client_id }) {
    if (typeof content !== 'string' || !content.trim()) throw new Refusal(400, 'invalid_content');
    const key = `${userId} ${client_id}`;
    const old = client_id && log.byClientId.get(key);
    if (old) {
      if (old.content !== content) throw new Refusal(409, 'client_id_reused');
      return [old, false];
    }
    const message = {
      id: newId(),
      session_id: log.id,
      seq: log.events.length + 1,
      sender_id: userId,
      content,
      ...(file_url && { file_url }),
      is_ai_message: false,
      ...(client_id && { client_id }),
      created_at: now(),
    };
    if (client_id) log.byClientId.set(key, message);
    this.append(log, 'message.created', message);
    return [message, true];
  }

  addMember(log, userId) {
    if (log.members.has(userId)) throw new Refusal(409, 'already_participant');
    const row = this.#row(userId, newId(), false);
    log.members.set(userId, row);
    this.append(log, 'participant.added', row);
    return row;
  }

  removeMember(log, userId) {
    if (userId === log.user_id || !log.members.delete(userId)) {
      throw new Refusal(404, 'participant_not_found');
    }
    this.append(log, 'participant.removed', { user_id: userId });
  }

  remove(log) {
    this.append(log, 'session.deleted', {});
    this.sessions.delete(log.id);
  }
}
