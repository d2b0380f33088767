// nchan: nginx with a module that passes each message of a socket on to all sockets of the same
// channel, as it came. One worker, and nothing is kept.
import { writeFileSync } from "node:fs";
import { freePort, start } from "./start.mjs";

const [program, module, folder] = process.argv.slice(2);
const port = await freePort();
const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
writeFileSync(
  `${folder}/nginx.conf`,
  `load_module ${module};
user root;
worker_processes 1;
daemon off;
pid ${folder}/nginx.pid;
error_log stderr error;
events { worker_connections 8192; }
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${folder}/${name};`).join("\n  ")}
  server {
    listen 127.0.0.1:${port};
    tcp_nodelay on;
    location = /ws {
      nchan_pubsub websocket;
      nchan_channel_id $arg_session_id;
      nchan_store_messages off;
      nchan_subscriber_timeout 0;
    }
  }
}
`,
);
await start(program, ["-e", "stderr", "-c", `${folder}/nginx.conf`], port);
