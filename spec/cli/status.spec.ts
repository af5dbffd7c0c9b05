import { expect } from 'chai';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createControls } from '../../lib/health/control/controls.js';
import { controlsDocument } from '../../lib/health/control/stored-controls.js';
import { openStateStore } from '../../lib/health/state-store.js';
import { runHere, useDesk } from './support/command-line.js';

const quay = 'quay.io/aptible';
const hub = 'docker.io/aptible';

describe('pull-failover status', function () {
  this.timeout(30_000);
  const desk = useDesk();
  const controlFile = (): string => join(desk.directory, 'control.json');
  const stateDir = (): string => join(desk.directory, 'state');
  const run = (...args: readonly string[]): ReturnType<typeof runHere> =>
    runHere(['status', '--control-file', controlFile(), '--state-dir', stateDir(), ...args]);

  beforeEach(() => mkdir(stateDir()));

  async function writeCircuits(...circuits: readonly object[]): Promise<void> {
    await writeFile(join(stateDir(), 'circuits.json'), JSON.stringify({ version: 1, circuits }));
  }

  const circuit = {
    registry: quay,
    phase: 'layers',
    state: 'open',
    reason: { cause: 'registry-storage', code: 'stalled', message: 'no byte of a layer for 10000 ms' },
    limitedUntilMs: null,
    openings: 1,
  };

  it('of a host on which all is well says so, and changes nothing', async () => {
    const { exitCode, stdout, stderr } = await run();
    expect({ exitCode, stderr }).to.deep.equal({ exitCode: 0, stderr: '' });
    expect(stdout.match(/nothing/g)).to.have.length(2);
    expect(stdout).to.match(/none has failed of late/);
    expect(await readdir(stateDir())).to.deep.equal([]);
  });

  it('shows what the file says, what calls said, and which registries are ill, and why', async () => {
    await runHere(['switch', 'database', hub, '--for', '2h', '--actor', 'ann', '--control-file', controlFile()]);
    const controls = createControls({
      replicaSets: [{ name: 'default', registries: [quay, hub] }],
      document: openStateStore(stateDir()).document(controlsDocument),
      onChanged: () => {},
    });
    controls.ban(quay, { reason: 'ill', actor: 'bob' });
    await controls.flush();
    controls.close();
    const nowMs = Date.now();
    await writeCircuits(
      { ...circuit, sinceMs: nowMs - 300_000, untilMs: nowMs + 60_000 },
      { ...circuit, phase: 'metadata', sinceMs: nowMs - 60_000, untilMs: nowMs - 1_000 },
      {
        ...circuit,
        registry: hub,
        state: 'closed',
        sinceMs: nowMs - 60_000,
        untilMs: null,
        reason: null,
        limitedUntilMs: nowMs + 120_000,
      },
    );
    const { stdout } = await run();
    expect(stdout).to.match(
      /the control file says +\S+control\.json\n[^]*docker\.io\/aptible comes first for database pulls +in .* ann /,
    );
    expect(stdout).to.match(/calls of the host say[^]*quay\.io\/aptible is not asked +when released +bob: ill +ban-/);
    expect(stdout).to.match(
      /quay\.io\/aptible +layers +open, tried again in (?:1 min|59 s) +5 min ago +no byte of a layer for 10000 ms/,
    );
    expect(stdout).to.match(/quay\.io\/aptible +metadata +half-open +1 min ago/);
    expect(stdout).to.match(/docker\.io\/aptible +layers +closed, to be left alone until in (?:2|1) min/);
  });

  it('prints all of it as one JSON object', async () => {
    const nowMs = Date.now();
    await writeCircuits({ ...circuit, sinceMs: nowMs - 5, untilMs: nowMs + 60_000 });
    const { stdout } = await run('--json');
    expect(JSON.parse(stdout)).to.deep.equal({
      controlFile: { path: controlFile(), controls: [], problem: null },
      state: {
        directory: stateDir(),
        controls: [],
        circuits: [{ ...circuit, sinceMs: nowMs - 5, untilMs: nowMs + 60_000 }],
        problems: [],
      },
    });
  });

  it('says which file is broken, and shows the rest', async () => {
    await writeFile(controlFile(), '{"version":1,"controls":[{"act":"kill"}]}');
    await writeFile(join(stateDir(), 'controls.json'), 'hunter2');
    await writeCircuits({ ...circuit, sinceMs: Date.now(), untilMs: Date.now() + 60_000 });
    const { exitCode, stdout } = await run();
    expect(exitCode).to.equal(0);
    expect(stdout).to.match(/refused, hosts go on with what it said before: controls\[0\]\.act must be/);
    expect(stdout).to.match(/controls\.json is broken: hosts take it for empty/);
    expect(stdout).to.match(/open, tried again/);
    expect(stdout).to.not.include('hunter2');
  });

  it('finds both places in the configuration', async () => {
    const config = join(desk.directory, 'config.json');
    await writeFile(config, JSON.stringify({ controlFile: controlFile(), stateDir: stateDir() }));
    const { stdout } = await runHere(['status', '--config', config, '--json']);
    expect(JSON.parse(stdout)).to.have.nested.property('state.directory', stateDir());
  });

  for (const [what, args, problem] of [
    ['no place', [], /say where to look: --control-file, --state-dir/],
    [
      'a directory that is not there',
      ['--state-dir', '/nowhere/state'],
      /--state-dir \/nowhere\/state is not a directory/,
    ],
    ['a file for a directory', ['--state-dir', '/etc/passwd'], /--state-dir \/etc\/passwd is not a directory/],
  ] as const) {
    it(`refuses ${what} with 2`, async () => {
      const { exitCode, stdout, stderr } = await runHere(['status', ...args]);
      expect({ exitCode, stdout }).to.deep.equal({ exitCode: 2, stdout: '' });
      expect(stderr).to.match(problem);
    });
  }
});
