import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { DrillEvent } from '../../lib/drill/drill-event.js';
import { runDrill } from '../../lib/drill/run-drill.js';

describe('a drill that does not run to its end', function () {
  this.timeout(30_000);

  // Other drills may run on this machine at the same time.
  let directory = '';
  const { TMPDIR } = process.env;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'pull-failover-desk-'));
    process.env['TMPDIR'] = directory;
  });
  after(async () => {
    if (TMPDIR === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = TMPDIR;
    await rm(directory, { recursive: true, force: true });
  });

  it('fails when every registry serves wrong bytes: nothing wrong is provisioned, and it says who served it', async () => {
    const events: DrillEvent[] = [];
    const outcome = await runDrill({ onEvent: (event) => events.push(event), sabotaged: true });
    expect(outcome.ok).to.equal(false);
    expect(outcome.operations.map(({ state }) => state)).to.deep.equal(['failed', 'failed', 'failed']);
    expect(outcome.images).to.deep.equal([]);
    expect(outcome.problems).to.have.length(3);
    for (const problem of outcome.problems) expect(problem).to.match(/do not have its digest/);
    expect(events.filter(({ type }) => type === 'drill:act-started')).to.have.length(1);
    expect(outcome.transfers.map(({ agrees }) => agrees)).to.deep.equal([null, null]);
  });

  it('rejects with the reason of its signal, whenever it comes, and clears the stage', async () => {
    for (const type of ['drill:started', 'pull:started', 'pull:progressed'] as const) {
      const abort = new AbortController();
      const reason = new Error(`enough at ${type}`);
      const drill = runDrill({
        onEvent: (event) => {
          if (event.type === type) abort.abort(reason);
        },
        signal: abort.signal,
      });
      await drill.then(
        () => expect.fail('it went on'),
        (error: unknown) => expect(error).to.equal(reason),
      );
    }
    expect(await readdir(directory)).to.deep.equal([]);
  });

  it('does not begin when its signal is aborted already', async () => {
    const events: DrillEvent[] = [];
    const reason = new Error('no');
    const drill = runDrill({ onEvent: (event) => events.push(event), signal: AbortSignal.abort(reason) });
    await drill.catch((error: unknown) => expect(error).to.equal(reason));
    expect(events).to.deep.equal([]);
  });
});
