import { join } from 'node:path';
import type { Contender, Task } from '../contender.js';
import { startEmbedded } from '../embedded.js';
import { startLinkProcess } from '../link.js';
import type { Requests } from '../link-process.js';

/** The requests that the library sends for the same pulls, sent by a bare client over as many connections. */
export function bareRequests(name: string, title: string): Contender {
  return {
    name,
    title,
    isOurs: false,
    controlOf: null,
    missing: () => null,
    run: async (task) => {
      const { lines, connections } = await listen(task);
      const origin = `http://${task.hosts.A}`;
      await using client = await startEmbedded({ kind: 'requests', origin, connections }, 'GET /v2/');
      // Once before, as the library does: so all connections are there.
      const before = await client.pull(lines, connections, task.capSeconds);
      if (before.ending !== 'done') return before;
      const { complaint, ending, seconds, amounts } = await client.pull(lines, connections, task.capSeconds);
      const { cpuSeconds = 0 } = amounts;
      return { complaint, ending, seconds, amounts: { cpuSeconds } };
    },
  };
}

/** What the library asks of registry A for the pulls that are measured. */
async function listen({ hosts, first, images, warmUp, scratch, atOnce, capSeconds }: Task): Promise<Requests> {
  await using process = startLinkProcess();
  const link = await process.open(`http://${hosts.A}`, { bandwidth: {}, faults: [], redirecting: null });
  try {
    await using embedded = await startEmbedded(
      {
        kind: 'library',
        into: { layout: join(scratch, 'layout') },
        registries: [{ prefix: `${link.host}/bench` }],
        transfer: {},
      },
      warmUp,
    );
    for (const one of first) await embedded.pull([`${link.host}/${one.name}`], 1, capSeconds);
    const before = await link.read();
    const names = images.map(({ name }) => `${link.host}/${name}`);
    const { ending, complaint } = await embedded.pull(names, atOnce, capSeconds);
    if (ending !== 'done') throw new Error(`the requests are not known: ${ending} ${complaint}`);
    const { lines, connections } = await link.read();
    return { lines: lines.slice(before.lines.length), connections };
  } finally {
    await link.close();
  }
}
