// socket.io, keeping nothing: rooms and events, over WebSocket alone.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { Server } from "socket.io";

const seqs = new Map();
const server = createServer();
const io = new Server(server, { transports: ["websocket"], perMessageDeflate: false });

io.on("connection", (socket) => {
  const { session_id: id, token: sender } = socket.handshake.query;
  socket.join(id);
  socket.on("message", ({ content }) => {
    const seq = (seqs.get(id) ?? 0) + 1;
    seqs.set(id, seq);
    io.to(id).emit("message", {
      id: randomUUID(),
      session_id: id,
      seq,
      sender_id: sender,
      content,
      is_ai_message: false,
      created_at: new Date().toISOString(),
    });
  });
});
io.engine.on("connection", (socket) => socket.request?.socket?.setNoDelay(true));
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
