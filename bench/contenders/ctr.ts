import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { isInstalled } from '../../spec/support/real-parts.js';
import { type Contender, onlyOne, type Place, WrongContentError } from '../contender.js';
import { runProcess } from '../run-process.js';
import { engines } from './engine-choice.js';

const execute = promisify(execFile);

/** `ctr images pull --hosts-dir`: A before B, as containerd is told to survive a registry. */
export function ctr(name: string, title: string): Contender {
  const engine = engines.docker;
  return {
    name,
    title,
    isOurs: false,
    controlOf: null,
    missing: () => engine.missing() ?? (isInstalled('ctr') ? null : 'ctr (apt-get install containerd)'),
    run: async ({ hosts, images, scratch, capSeconds }) => {
      // The containerd of a daemon of ours: one less to start and to end.
      await using daemon = await engine.start({ registries: null, authorities: {} });
      const socket = `/proc/${daemon.processId}/root/run/docker/containerd/containerd.sock`;
      const hostsDirectory = join(scratch, 'hosts');
      const { name, image } = onlyOne(images);
      const reference = `${hosts.B}/${name}`;
      const run = await runProcess(
        {
          program: 'ctr',
          args: ['-a', socket, 'images', 'pull', '--hosts-dir', hostsDirectory, '--platform', 'linux/amd64', reference],
          files: { [join(hostsDirectory, hosts.B, 'hosts.toml')]: hostsFile(hosts) },
        },
        capSeconds,
      );
      if (run.ending === 'done') {
        const { stdout } = await execute('ctr', ['-a', socket, 'images', 'check', `name==${reference}`]);
        if (!stdout.includes(image.digest) || !/\bcomplete\b/.test(stdout)) {
          throw new WrongContentError(`${title}: ${stdout}`);
        }
      }
      // What the command takes is not what containerd takes.
      return { ...run, amounts: {} };
    },
  };
}

/** containerd's hosts.toml: hosts are asked in their order, and then the server itself. */
function hostsFile(hosts: Readonly<Record<Place, string>>): string {
  return `server = "http://${hosts.B}"
[host."http://${hosts.A}"]
  capabilities = ["pull", "resolve"]
`;
}
