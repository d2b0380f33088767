// Node `ws` on PostgreSQL with its own defaults: a message is one insert, committed and flushed
// before anyone gets it. The session's row gives the number; a pool of ten connections; the
// database listens on a socket in its own folder and ends with this program.
import { spawn, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { chownSync, mkdirSync } from "node:fs";
import pg from "pg";
import { WebSocketServer } from "ws";

const [programs, folder] = process.argv.slice(2);
const data = `${folder}/database`;
// PostgreSQL refuses to run as root.
const owner = process.getuid() === 0 ? idsOf("postgres") : {};

function idsOf(name) {
  const id = (flag) => Number(spawnSync("id", [flag, name]).stdout.toString());
  return { uid: id("-u"), gid: id("-g") };
}

mkdirSync(data, { recursive: true, mode: 0o700 });
if (owner.uid) chownSync(data, owner.uid, owner.gid);
const made = spawnSync(`${programs}/initdb`, ["-D", data, "-U", "bench", "-A", "trust"], owner);
if (made.status !== 0) throw new Error(String(made.stderr ?? made.error));
const settings = ["-D", data, "-k", data, "-c", "listen_addresses="];
const database = spawn(`${programs}/postgres`, settings, { ...owner, stdio: "ignore" });
process.on("SIGTERM", () => process.exit(0));
process.on("exit", () => database.kill("SIGINT"));

const pool = new pg.Pool({ host: data, user: "bench", database: "postgres", max: 10 });
pool.on("error", () => process.exit(1));
for (let tries = 0; ; tries += 1) {
  try {
    await pool.query(`CREATE TABLE sessions (id uuid PRIMARY KEY, seq bigint NOT NULL);
      CREATE TABLE messages (id uuid PRIMARY KEY, session_id uuid NOT NULL, seq bigint NOT NULL,
        sender_id uuid NOT NULL, content text NOT NULL, created_at timestamptz NOT NULL,
        UNIQUE (session_id, seq))`);
    break;
  } catch (error) {
    if (tries > 100) throw error;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
const insert = {
  name: "insert",
  text: `WITH numbered AS (
      INSERT INTO sessions (id, seq) VALUES ($2, 1)
      ON CONFLICT (id) DO UPDATE SET seq = sessions.seq + 1 RETURNING seq)
    INSERT INTO messages SELECT $1, $2, seq, $3, $4, $5 FROM numbered RETURNING seq`,
};

const sessions = new Map();
const server = createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false });

sockets.on("connection", (socket, request) => {
  request.socket.setNoDelay(true);
  const asked = new URL(request.url, "http://localhost").searchParams;
  const [id, sender] = [asked.get("session_id"), asked.get("token")];
  if (!sessions.has(id)) sessions.set(id, new Set());
  const members = sessions.get(id);
  members.add(socket);
  socket.on("close", () => members.delete(socket));
  socket.on("message", async (bytes) => {
    const message = {
      id: randomUUID(),
      session_id: id,
      seq: 0,
      sender_id: sender,
      content: JSON.parse(bytes).content,
      is_ai_message: false,
      created_at: new Date().toISOString(),
    };
    const values = [message.id, id, sender, message.content, message.created_at];
    const { rows } = await pool.query({ ...insert, values });
    message.seq = Number(rows[0].seq);
    const text = JSON.stringify(message);
    for (const member of members) member.send(text, { binary: false });
  });
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
