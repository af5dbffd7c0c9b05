import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createControls } from '../../lib/health/control/controls.js';
import { followControlFile } from '../../lib/health/control/follow-control-file.js';
import { runHere, useDesk } from './support/command-line.js';

const quay = 'quay.io/aptible';
const hub = 'docker.io/aptible';

interface Written {
  readonly version: number;
  readonly controls: readonly Readonly<Record<string, unknown>>[];
}

describe('pull-failover switch', function () {
  this.timeout(30_000);
  const desk = useDesk();
  const file = (): string => join(desk.directory, 'control.json');
  const written = async (): Promise<Written> => JSON.parse(await readFile(file(), 'utf8'));
  const run = (...args: readonly string[]): ReturnType<typeof runHere> =>
    runHere(['switch', ...args, '--control-file', file()]);

  it('puts a registry first for one kind of operation, and says how to end that', async () => {
    const beforeMs = Date.now();
    const { exitCode, stdout, stderr } = await run(
      'database',
      hub,
      '--for',
      '2h',
      '--reason',
      'Quay is ill',
      '--actor',
      'ann',
    );
    expect({ exitCode, stderr }).to.deep.equal({ exitCode: 0, stderr: '' });
    const { version, controls } = await written();
    expect(version).to.equal(1);
    const [control] = controls;
    expect(control).to.deep.include({
      act: 'prefer',
      registry: hub,
      scope: { operationKind: 'database' },
      reason: 'Quay is ill',
      actor: 'ann',
    });
    expect(control?.['sinceMs']).to.be.within(beforeMs, Date.now());
    expect(Date.parse(String(control?.['until']))).to.equal(Number(control?.['sinceMs']) + 7_200_000);
    expect(stdout).to.include('docker.io/aptible comes first for database pulls until 20');
    expect(stdout).to.include('(ann: Quay is ill)');
    expect(stdout).to.include(`pull-failover switch --release ${String(control?.['id'])} --control-file ${file()}`);
  });

  it('says how to end it in words that a shell takes, wherever the file is', async () => {
    const odd = join(desk.directory, "ann's control.json");
    const { stdout } = await runHere(['switch', 'all', hub, '--control-file', odd]);
    const [, command = ''] = /to end it: pull-failover (.*)/.exec(stdout) ?? [];
    const words = execFileSync('sh', ['-c', `printf '%s\\n' ${command}`], { encoding: 'utf8' })
      .trimEnd()
      .split('\n');
    expect((await runHere(words)).stdout).to.equal('released docker.io/aptible comes first\n');
  });

  it('is obeyed by a host that watches the file, until it is released', async () => {
    const controls = createControls({
      replicaSets: [{ name: 'default', registries: [quay, hub] }],
      onChanged: () => {},
    });
    const followed = followControlFile(file(), controls);
    try {
      const query = { registry: quay, replicaSet: 'default', operationKind: 'database', phase: 'layers' } as const;
      await run('database', quay, '--ban', '--phase', 'layers', '--finish');
      await followed.look();
      expect(controls.effectOn(query).banned).to.include({ inFlight: 'finish', origin: 'file', untilMs: null });
      expect(controls.effectOn({ ...query, operationKind: 'app' }).banned).to.equal(null);
      expect(controls.effectOn({ ...query, phase: 'metadata' }).banned).to.equal(null);
      const { stdout } = await run('--release', controls.list()[0]?.id ?? '');
      expect(stdout).to.equal('released quay.io/aptible is not asked for layers of database pulls\n');
      await followed.look();
      expect(controls.list()).to.deep.equal([]);
    } finally {
      followed.close();
      controls.close();
    }
  });

  it('writes whom it concerns, as it was said', async () => {
    await run('all', hub, '--replica-set', 'images');
    await run('all', quay, '--hold', 'open', '--phase', 'layers');
    await run('app', quay, '--ban', '--force');
    const { controls } = await written();
    expect(
      controls.map(({ act, scope, as, force, actor }) => ({ act, scope, as, force, hasActor: typeof actor })),
    ).to.deep.equal([
      { act: 'prefer', scope: { replicaSet: 'images' }, as: undefined, force: undefined, hasActor: 'string' },
      { act: 'hold', scope: { phase: 'layers' }, as: 'open', force: undefined, hasActor: 'string' },
      { act: 'ban', scope: { operationKind: 'app' }, as: undefined, force: true, hasActor: 'string' },
    ]);
  });

  it('said again begins again, instead of twice', async () => {
    await run('database', hub, '--for', '2h');
    await run('database', 'index.docker.io/aptible', '--for', '5m', '--reason', 'shorter');
    const { controls } = await written();
    expect(controls.map(({ reason, registry }) => [reason, registry])).to.deep.equal([['shorter', hub]]);
  });

  it('lists what is in the file', async () => {
    expect((await run('--list')).stdout).to.match(/nothing/);
    await run('database', hub, '--for', '2h', '--reason', 'Quay is ill', '--actor', 'ann');
    const { stdout } = await run('--list');
    expect(stdout).to.match(
      /docker\.io\/aptible comes first for database pulls +in (?:2 h|1 h 59 min) +ann: Quay is ill +prefer-[0-9a-f]{12}/,
    );
    const { stdout: json } = await run('--list', '--json');
    expect(JSON.parse(json)).to.deep.equal({ controlFile: file(), ...(await written()) });
  });

  it('finds the file, and what is not a registry, in the configuration', async () => {
    const config = join(desk.directory, 'config.json');
    await writeFile(config, JSON.stringify({ controlFile: file(), registries: [quay, hub] }));
    expect((await runHere(['switch', 'all', hub, '--config', config])).exitCode).to.equal(0);
    const { exitCode, stderr } = await runHere(['switch', 'all', 'docker.io/aptibel', '--config', config]);
    expect(exitCode).to.equal(2);
    expect(stderr).to.match(/docker\.io\/aptibel.*there are: quay\.io\/aptible, docker\.io\/aptible/);
    expect((await written()).controls).to.have.length(1);
  });

  it('does not take the last registry away, as far as the configuration tells', async () => {
    const config = join(desk.directory, 'config.json');
    await writeFile(config, JSON.stringify({ controlFile: file(), registries: [quay, hub] }));
    const ban = (...args: readonly string[]): ReturnType<typeof runHere> =>
      runHere(['switch', 'all', ...args, '--ban', '--config', config]);
    await ban(quay);
    const { exitCode, stderr } = await ban(hub);
    expect({ exitCode, stderr }).to.deep.equal({
      exitCode: 2,
      stderr:
        "error: nobody else would be left for the manifests of pulls of the replica set 'default'; --force bans it all the same\n",
    });
    expect((await ban(hub, '--force')).exitCode).to.equal(0);
    expect((await written()).controls).to.have.length(2);
  });

  for (const [what, args, problem] of [
    ['nothing to do', [], /say one of: a kind and a registry, --release with an id, --list/],
    ['two things to do', ['all', quay, '--list'], /say one of/],
    ['no registry', ['database'], /the registry is missing: switch <kind> <prefix>/],
    ['a malformed registry', ['all', 'https://quay.io'], /must be the prefix of a registry/],
    ['a malformed time', ['all', quay, '--for', '2 hours'], /--for.*90s, 30m, 2h/s],
    ['a time of more than a year', ['all', quay, '--for', '999999999d'], /--for.*at most 366d/s],
    ['a ban that is a hold', ['all', quay, '--ban', '--hold', 'open'], /cannot be used with/],
    ['a hold for a kind', ['database', quay, '--hold', 'open'], /--hold is for all kinds/],
    ['a hold for a set', ['all', quay, '--hold', 'open', '--replica-set', 'x'], /--replica-set is not for --hold/],
    ['force without a ban', ['all', quay, '--force'], /--force is for --ban/],
    ['an unknown phase', ['all', quay, '--phase', 'extract'], /Allowed choices are metadata, layers/],
    ['an unknown id', ['--release', 'ban-x'], /--release ban-x is not in .*control\.json; nothing is/],
  ] as const) {
    it(`refuses ${what} with 2, and writes nothing`, async () => {
      const { exitCode, stdout, stderr } = await run(...args);
      expect({ exitCode, stdout }).to.deep.equal({ exitCode: 2, stdout: '' });
      expect(stderr).to.match(problem);
      expect(await readFile(file(), 'utf8').catch(() => null)).to.equal(null);
    });
  }

  it('refuses to work without a file', async () => {
    const { exitCode, stderr } = await runHere(['switch', 'all', quay]);
    expect(exitCode).to.equal(2);
    expect(stderr).to.match(/--control-file, or a --config with a controlFile, is missing/);
  });

  it('leaves a broken file as it is, and says what is wrong with it', async () => {
    await writeFile(file(), '{"version":1,"controls":[{"act":"kill"}]}');
    for (const args of [['all', quay], ['--list'], ['--release', 'x']]) {
      const { exitCode, stderr } = await run(...args);
      expect(exitCode).to.equal(2);
      expect(stderr).to.match(/controls\[0\]\.act must be one of/);
    }
    expect(await readFile(file(), 'utf8')).to.equal('{"version":1,"controls":[{"act":"kill"}]}');
  });

  it('says why the file cannot be written', async () => {
    await writeFile(file(), '');
    const { exitCode, stderr } = await runHere(['switch', 'all', quay, '--control-file', join(file(), 'x.json')]);
    expect(exitCode).to.equal(2);
    expect(stderr).to.match(/--control-file .*cannot be written \((?:ENOTDIR|EEXIST)\)/);
  });

  it('shows no terminal what a file or a flag would make it do', async () => {
    await run('all', quay, '--reason', 'red\u001b[31m alert\u0007');
    const { stdout } = await run('--list');
    // oxlint-disable-next-line no-control-regex
    expect(stdout).to.not.match(/[\u0007\u001b]/);
  });
});
