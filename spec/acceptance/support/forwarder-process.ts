/**
 * Stands for `docker run --publish`: listens on the loopback of the network namespace it is started in, and hands each
 * connection to a Unix socket, behind which another namespace begins.
 */
import net from 'node:net';

const [port = '', socketPath = ''] = process.argv.slice(2);
const server = net.createServer((client) => {
  const upstream = net.connect({ path: socketPath });
  client.on('error', () => upstream.destroy());
  upstream.on('error', () => client.destroy());
  client.pipe(upstream).pipe(client);
});
server.listen(Number(port), '127.0.0.1', () => process.stdout.write('ready\n'));
// Whoever started it is gone, or has no more use for it.
process.stdin.resume().once('end', () => process.exit());
