// Node `ws`, keeping nothing: numbers a message, builds its JSON once, sends it to everyone.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const sessions = new Map();
const server = createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false });

sockets.on("connection", (socket, request) => {
  request.socket.setNoDelay(true);
  const asked = new URL(request.url, "http://localhost").searchParams;
  const [id, sender] = [asked.get("session_id"), asked.get("token")];
  if (!sessions.has(id)) sessions.set(id, { seq: 0, members: new Set() });
  const session = sessions.get(id);
  session.members.add(socket);
  socket.on("close", () => session.members.delete(socket));
  socket.on("message", (data) => {
    session.seq += 1;
    const text = JSON.stringify({
      id: randomUUID(),
      session_id: id,
      seq: session.seq,
      sender_id: sender,
      content: JSON.parse(data).content,
      is_ai_message: false,
      created_at: new Date().toISOString(),
    });
    for (const member of session.members) member.send(text, { binary: false });
  });
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
