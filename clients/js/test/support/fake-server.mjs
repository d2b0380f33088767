/**
 * A small server that keeps the contract's words, with faults on demand: the tests' stand-in
 * for the real one. REST and server-sent events are here, the socket in `fake-socket.mjs`.
 */

import { once } from 'node:events';
import { createServer } from 'node:http';
import { FakeSocket } from './fake-socket.mjs';
import { FakeStore, Refusal, newId } from './store.mjs';

export class FakeServer {
  store = new FakeStore();
  tickets = new Map();
  sockets = new Set();
  streams = new Set();
  /** Every REST call as `METHOD /path`. */
  calls = [];
  /** Every frame that clients sent. */
  heard = [];
  /** `(method, path) => Refusal | undefined`, asked before every REST call. */
  onCall = () => undefined;
  /** `(frame, socket) => frame[]`: what goes out instead of a frame. */
  onSend = (frame) => [frame];
  /** `(frame, socket) => boolean`: whether a client's frame is taken. */
  onHear = () => true;
  /** Whether WebSocket handshakes get through. */
  allowsSockets = true;

  static async start() {
    const server = new FakeServer();
    await server.listen(0);
    return server;
  }

  async listen(port) {
    this.store.onEvent = (event, log) => this.#deliver(event, log);
    this.http = createServer((request, response) => this.#answer(request, response));
    this.http.on('upgrade', (request, socket, head) =>
      FakeSocket.upgrade(this, request, socket, head),
    );
    this.http.listen(port, '127.0.0.1');
    await once(this.http, 'listening');
    this.url = `http://127.0.0.1:${this.http.address().port}`;
  }

  async stop() {
    for (const socket of this.sockets) socket.raw.terminate();
    this.http.closeAllConnections();
    await new Promise((done) => {
      this.http.close(done);
    });
  }

  userOf(request) {
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
    const userId = this.store.tokens.get(token);
    if (!userId) throw new Refusal(401, 'unauthorized');
    return userId;
  }

  #deliver(event, log) {
    for (const socket of [...this.sockets]) socket.deliver(event, log);
    for (const stream of [...this.streams]) stream(event);
  }

  async #answer(request, response) {
    const url = new URL(request.url, this.url);
    this.calls.push(`${request.method} ${url.pathname}`);
    try {
      let text = '';
      for await (const piece of request) text += piece;
      const refusal = this.onCall(request.method, url.pathname);
      if (refusal) throw refusal;
      const body = text ? JSON.parse(text) : undefined;
      const answer = this.#route(request, url, body, response);
      if (!answer) return;
      const [status, data, headers] = answer;
      response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
      response.end(JSON.stringify(data));
    } catch (error) {
      const { status = 500, code = String(error), headers } = error;
      response.writeHead(status, {
        'Content-Type': 'application/json',
        'X-Request-Id': 'r-1',
        ...headers,
      });
      response.end(JSON.stringify({ error: `A sentence about ${code}.`, code }));
    }
  }

  #route(request, url, body, response) {
    const { store } = this;
    const call = `${request.method} ${url.pathname.replace(/[0-9a-f-]{36}/g, ':id')}`;
    if (call === 'POST /api/register') return [201, store.addUser(body.name)];
    const userId = this.userOf(request);
    const [id, second] = [...url.pathname.matchAll(/[0-9a-f-]{36}/g)].map(([match]) => match);
    const log = () => store.member(userId, id);
    switch (call) {
      case 'POST /api/token':
        return [200, { token: store.newToken(userId), expires_in: 604800 }];
      case 'POST /api/ws-tickets': {
        const ticket = newId();
        this.tickets.set(ticket, userId);
        return [201, { ticket, expires_in: 30 }];
      }
      case 'GET /api/users/profile':
        return [200, store.users.get(userId)];
      case 'POST /api/chat/sessions':
        return [201, store.view(store.addSession(userId, body.title), userId)];
      case 'GET /api/chat/sessions':
        return this.#list(userId, url);
      case 'GET /api/chat/sessions/:id':
        return [200, store.view(log(), userId)];
      case 'POST /api/chat/sessions/:id/read':
        log().marks.set(userId, body.seq);
        return [200, { seq: body.seq }];
      case 'GET /api/chat/sessions/:id/participants':
        return [200, [...log().members.values()]];
      case 'POST /api/chat/sessions/:id/participants':
        return [201, store.addMember(log(), body.user_id)];
      case 'DELETE /api/chat/sessions/:id/participants/:id':
        store.removeMember(log(), second);
        return [200, { message: 'participant removed' }];
      case 'POST /api/chat/sessions/:id/messages': {
        const [message, isNew] = store.send(log(), userId, body);
        return [isNew ? 201 : 200, message];
      }
      case 'GET /api/chat/sessions/:id/events':
        return this.#events(log(), userId, url, request, response);
      default:
        throw new Refusal(404, 'not_found');
    }
  }

  #list(userId, url) {
    const mine = [...this.store.sessions.values()]
      .filter((log) => log.members.has(userId))
      .reverse();
    const from = mine.findIndex((log) => log.id === url.searchParams.get('before')) + 1;
    const limit = Number(url.searchParams.get('limit') ?? 1000);
    const page = mine.slice(from, from + limit).map((log) => ({
      ...this.store.view(log, userId),
      unread_count: 0,
      last_message: log.events.findLast((event) => event.type === 'message.created')?.data ?? null,
    }));
    const next = `</api/chat/sessions?limit=${limit}&before=${page.at(-1)?.id}>; rel="next"`;
    return [200, page, from + limit < mine.length ? { Link: next } : {}];
  }

  #events(log, userId, url, request, response) {
    const after = Number(url.searchParams.get('after'));
    if (after > log.events.length) throw new Refusal(409, 'position_unknown');
    if (!request.headers.accept?.includes('text/event-stream')) {
      const events = log.events.slice(after, after + Number(url.searchParams.get('limit') ?? 100));
      return [200, { epoch: this.store.epoch, head: log.events.length, events }];
    }
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    response.write(': hello\n\n');
    const write = (event) => {
      if (event.session_id !== log.id) return;
      response.write(`id: ${event.seq}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
      const isEnd =
        event.type === 'session.deleted' ||
        (event.type === 'participant.removed' && event.data.user_id === userId);
      if (isEnd && event.seq > after) response.end();
    };
    for (const event of log.events.slice(after)) write(event);
    this.streams.add(write);
    response.on('close', () => this.streams.delete(write));
    return null;
  }
}
