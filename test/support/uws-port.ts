/** An app of uWebSockets.js alone, on a port of its own until the tests of the file are over. */
import { type TemplatedApp, us_listen_socket_close, us_socket_local_port } from "uWebSockets.js";
import { after } from "node:test";

export async function listen(app: TemplatedApp): Promise<number> {
  return new Promise((resolve, reject) => {
    app.listen("127.0.0.1", 0, (socket) => {
      if (socket === false) reject(new Error("it cannot listen"));
      else resolve(us_socket_local_port(socket as Parameters<typeof us_socket_local_port>[0]));
      after(() => us_listen_socket_close(socket as Parameters<typeof us_listen_socket_close>[0]));
    });
  });
}
