// For servers that are programs of their own: finds a free port, starts the program, prints the
// address once it accepts connections, and ends it with this script.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

export async function start(program, args, port) {
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] });
  child.on("error", (error) => {
    throw error;
  });
  child.on("exit", (code) => process.exit(code ?? 1));
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  while (!(await accepts(port))) await sleep(50);
  console.log(`http://127.0.0.1:${port}`);
}

async function accepts(port) {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
