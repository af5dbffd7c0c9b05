import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { requireDockerd, startDockerd } from './docker-engine.js';
import { until } from './until.js';

/** Processes that were started for this folder. */
function processesOf(folder: string): readonly string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((id) => {
      try {
        return readFileSync(`/proc/${id}/cmdline`, 'utf8').includes(folder);
      } catch {
        return false;
      }
    });
}

describe('A daemon of the specs', function () {
  this.timeout(60_000);
  requireDockerd();
  const owner = fileURLToPath(new URL('private-daemon-owner.ts', import.meta.url));

  /** A process that starts one and then waits. */
  async function startOwner(): Promise<{ readonly child: ChildProcess; readonly folder: string }> {
    const child = spawn(process.execPath, ['--import=tsx', owner], { stdio: ['ignore', 'pipe', 'inherit'] });
    if (child.stdout === null) throw new Error('it has no output');
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    return { child, folder: dirname(line) };
  }

  it('ends with everything it started, and leaves no file, however its owner ends', async () => {
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      const { child, folder } = await startOwner();
      expect(processesOf(folder)).not.to.deep.equal([]);
      child.kill(signal);
      await once(child, 'exit');
      await until(() => !existsSync(folder) && processesOf(folder).length === 0);
    }
  });

  it('has its own loopback where that is wanted, and its own identity', async () => {
    await using shared = await startDockerd();
    await using apart = await startDockerd({ networkNamespace: true });
    const networkOf = (id: number): string => readFileSync(`/proc/${id}/net/dev`, 'utf8');
    expect(networkOf(shared.processId).split('\n').length).to.be.greaterThan(
      networkOf(apart.processId).split('\n').length,
    );
    const ids = await Promise.all(
      [shared, apart].map(async ({ docker }) => ((await docker.info()) as { ID: string }).ID),
    );
    expect(new Set(ids).size).to.equal(2);
    await shared.kill();
    await shared.restart();
    expect(await shared.docker.info()).to.have.property('ID', ids[0]);
  });
});
