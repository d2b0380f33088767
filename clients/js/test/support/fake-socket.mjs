/**
 * The fake server's side of one `assistdeck.v1` socket.
 */

import { WebSocketServer } from 'ws';
import { Refusal } from './store.mjs';

const acceptor = new WebSocketServer({
  noServer: true,
  handleProtocols: (offered) => (offered.has('assistdeck.v1') ? 'assistdeck.v1' : false),
});

export class FakeSocket {
  followed = new Map();

  static upgrade(server, request, socket, head) {
    const url = new URL(request.url, 'http://any');
    const ticket = url.searchParams.get('ticket');
    const bearer = /bearer\.([^,\s]+)/.exec(request.headers['sec-websocket-protocol'] ?? '')?.[1];
    const userId = server.tickets.get(ticket) ?? server.store.tokens.get(bearer);
    server.tickets.delete(ticket);
    if (!server.allowsSockets || !userId) {
      socket.end(`HTTP/1.1 ${userId ? '502 Bad Gateway' : '401 Unauthorized'}\r\n\r\n`);
      return;
    }
    acceptor.handleUpgrade(request, socket, head, (raw) => new FakeSocket(server, raw, userId));
  }

  constructor(server, raw, userId) {
    Object.assign(this, { server, raw, userId });
    server.sockets.add(this);
    raw.on('close', () => server.sockets.delete(this));
    raw.on('message', (text) => this.#hear(JSON.parse(text)));
    this.send({
      type: 'hello',
      connection_id: 'c',
      user_id: userId,
      heartbeat_ms: server.heartbeatMs ?? 25000,
      token_expires_in_ms: 604800000,
      limits: { follows_max: 200, sends_in_flight_max: 32 },
    });
  }

  send(frame) {
    for (const out of this.server.onSend(frame, this)) {
      if (this.raw.readyState === 1) this.raw.send(JSON.stringify(out));
    }
  }

  close(code) {
    this.raw.close(code);
  }

  deliver(event, log) {
    const authorised = this.followed.get(log.id);
    if (authorised === undefined) return;
    this.send(event);
    const isEnd =
      event.type === 'session.deleted' ||
      (event.type === 'participant.removed' &&
        event.data.user_id === this.userId &&
        event.seq > authorised);
    if (isEnd) this.followed.delete(log.id);
  }

  #hear(frame) {
    this.server.heard.push(frame);
    if (!this.server.onHear(frame, this)) return;
    try {
      this.#take(frame);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { client_id, ref } = frame;
      this.send({
        type: 'error',
        error: 'A sentence.',
        code: error.code,
        ...(client_id && { client_id }),
        ...(ref && { ref }),
      });
    }
  }

  #take(frame) {
    const { store } = this.server;
    switch (frame.type) {
      case 'follow':
        this.#follow(frame);
        break;
      case 'leave':
        if (!this.followed.delete(frame.session_id)) throw new Refusal(400, 'not_followed_here');
        break;
      case 'message.send': {
        if (!this.followed.has(frame.session_id)) throw new Refusal(403, 'not_a_member');
        const log = store.member(this.userId, frame.session_id);
        const [message] = store.send(log, this.userId, frame);
        this.send({ type: 'message.sent', client_id: frame.client_id, message });
        break;
      }
      case 'typing':
      case 'read':
      case 'auth':
        break;
      default:
        throw new Refusal(400, 'invalid_json');
    }
  }

  #follow({ session_id, after, epoch }) {
    const { store } = this.server;
    const log = store.member(this.userId, session_id);
    const head = log.events.length;
    if (after > head || (epoch !== undefined && epoch !== store.epoch)) {
      throw new Refusal(409, 'position_unknown');
    }
    this.followed.set(session_id, head);
    const lists = after === undefined && { participants: [...log.members.values()], online: [] };
    this.send({
      type: 'following',
      session_id,
      session: store.view(log, this.userId),
      after: after ?? head,
      head,
      member_count: log.members.size,
      ...lists,
    });
    for (const event of log.events.slice(after ?? head, head)) this.send(event);
    this.send({ type: 'caught_up', session_id, seq: head });
  }
}
