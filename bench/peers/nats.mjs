// NATS: its own protocol, in frames of a WebSocket. Subjects, no stream: nothing is kept.
import { writeFileSync } from "node:fs";
import { freePort, start } from "./start.mjs";

const [program, folder] = process.argv.slice(2);
const port = await freePort();
writeFileSync(
  `${folder}/nats.conf`,
  `host: 127.0.0.1
port: -1
websocket { host: 127.0.0.1, port: ${port}, no_tls: true, compression: false }
`,
);
await start(program, ["-c", `${folder}/nats.conf`], port);
