import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { runCommand, runHere, useDesk } from './support/command-line.js';

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { readonly version: string };

describe('the command line', function () {
  this.timeout(30_000);

  for (const args of [
    ['--help'],
    ['drill', '--help'],
    ['pull', '--help'],
    ['explain', '--help'],
    ['status', '--help'],
    ['switch', '--help'],
    ['incident', '--help'],
    ['help', 'pull'],
  ]) {
    it(`explains itself and its exit codes: ${args.join(' ')}`, async () => {
      const { exitCode, stdout, stderr } = await runHere(args);
      expect({ exitCode, stderr }).to.deep.equal({ exitCode: 0, stderr: '' });
      expect(stdout).to.match(/^Usage: pull-failover /);
      for (const code of [0, 1, 2, 130]) expect(stdout).to.match(new RegExp(`^  ${code} +\\S`, 'm'));
      if (args[0] !== '--help') expect(stdout).to.match(/^Examples?:\n {2}pull-failover /m);
    });
  }

  it('lists exactly the commands that there are', async () => {
    const { stdout } = await runHere(['--help']);
    const commands = [...(stdout.split('Commands:')[1] ?? '').matchAll(/^ {2}([a-z-]+) /gm)].map((match) => match[1]);
    expect(commands).to.deep.equal(['drill', 'pull', 'explain', 'status', 'switch', 'incident', 'help']);
  });

  for (const args of [['push'], ['drill', '--fast'], ['pull'], ['explain']]) {
    it(`says where to read on after a mistake: ${args.join(' ')}`, async () => {
      expect((await runHere(args)).stderr).to.match(/^error: [\s\S]*\n\(add --help for what there is\)\n$/);
    });
  }

  it('says its version', async () => {
    expect(await runHere(['--version'])).to.deep.equal({ exitCode: 0, stdout: `${version}\n`, stderr: '' });
  });

  for (const [what, args, problem] of [
    ['no command', [], /^Usage: /],
    ['an unknown command', ['push'], /unknown command 'push'/],
    ['an unknown option', ['drill', '--fast'], /unknown option '--fast'/],
    ['too many arguments', ['drill', 'now'], /too many arguments/],
    ['no image', ['pull', '--to', 'x'], /missing required argument 'image'/],
    ['an engine and a directory', ['pull', 'redis', '--to', 'x', '--route', 'load'], /--route is for an engine/],
    ['two places', ['pull', 'redis', '--to', 'x', '--docker-host', 'tcp://10.0.0.5'], /--docker-host is for an engine/],
    ['an unknown route', ['pull', 'redis', '--route', 'teleport'], /Allowed choices are auto, relay, load, direct/],
    ['a malformed engine', ['pull', 'redis', '--docker-host', 'ftp://x'], /--docker-host must begin with unix:/],
    ['a malformed engine to drill on', ['drill', '--docker-host', 'ftp://x'], /--docker-host must begin with unix:/],
    ['a malformed place for the relay', ['pull', 'redis', '--relay-listen', 'x:y'], /relay\.listen must be/],
    ['a malformed image', ['pull', 'Redis!', '--to', 'x'], /Invalid image reference "Redis!"/],
    ['a malformed image to explain', ['explain', 'a//b'], /Invalid image reference/],
    ['a malformed registry', ['explain', 'redis', '--registry', 'https://quay.io'], /Option registries\[0\].*scheme/],
    ['a registry twice', ['explain', 'redis', '--registry', 'quay.io', '--registry', 'quay.io'], /repeats/],
    ['a malformed platform', ['pull', 'redis', '--to', 'x', '--platform', '/'], /platform/],
    ['a limit of 0', ['pull', 'redis', '--to', 'x', '--stall-ms', '0'], /--stall-ms.*integer of at least 1/s],
    ['a limit that is no number', ['pull', 'redis', '--to', 'x', '--deadline-ms', '1e3'], /--deadline-ms/],
    [
      'limits that contradict',
      ['pull', 'redis', '--to', 'x', '--request-ms', '900', '--metadata-ms', '800'],
      /timeouts\.metadata\.requestMs must be at most timeouts\.metadata\.totalMs/,
    ],
    ['two ways of exhaustion', ['pull', 'redis', '--to', 'x', '--wait-ms', '9', '--use-cached'], /cannot be used with/],
    ['an unknown policy', ['pull', 'redis', '--to', 'x', '--pull-policy', 'often'], /Allowed choices are always/],
    [
      'plain HTTP for a registry that is not given',
      ['explain', 'redis', '--registry', 'quay.io', '--plain-http', '10.0.0.5:5000'],
      /--plain-http 10\.0\.0\.5:5000 is none of the registries: quay\.io/,
    ],
  ] as const) {
    it(`refuses ${what} with 2, on stderr`, async () => {
      const { exitCode, stdout, stderr } = await runHere(args);
      expect({ exitCode, stdout }).to.deep.equal({ exitCode: 2, stdout: '' });
      expect(stderr).to.match(problem);
      expect(stderr).to.not.match(/\n +at /);
    });
  }

  it('repeats no password that was put into a registry by mistake', async () => {
    const { exitCode, stderr } = await runHere(['explain', 'redis', '--registry', 'ann:hunter2-hunter2@quay.io/team']);
    expect(exitCode).to.equal(2);
    expect(stderr).to.not.include('hunter2');
  });

  it('has no flag that takes a credential', async () => {
    const { stdout } = await runHere(['pull', '--help']);
    expect(stdout).to.not.match(/--(?:user|pass|token|cred|auth)/);
  });

  describe('explain', () => {
    const registries = ['--registry', 'quay.io/team', '--registry', 'docker.io/team'];

    it('says whom a pull would ask, in which order and why', async () => {
      const { exitCode, stdout } = await runHere(['explain', 'quay.io/team/app:1', ...registries]);
      expect(exitCode).to.equal(0);
      const rows = stdout.split('\n').filter((line) => line.includes('team/app  '));
      expect(rows.map((row) => row.trim().split(/ {2,}/))).to.deep.equal([
        ['quay.io/team', 'team/app', '1, listed', '1, listed'],
        ['docker.io/team', 'team/app', '2, listed', '2, listed'],
      ]);
    });

    it('prints the plan as one JSON object', async () => {
      const { stdout } = await runHere(['explain', 'quay.io/team/app:1', ...registries, '--json']);
      const plan = JSON.parse(stdout) as { readonly image: string; readonly order: unknown };
      expect(plan.image).to.equal('quay.io/team/app:1');
      expect(plan.order).to.deep.equal({
        metadata: ['quay.io/team', 'docker.io/team'],
        layers: ['quay.io/team', 'docker.io/team'],
      });
    });

    it('says of an image in no replica set that its own registry alone is asked', async () => {
      const { stdout } = await runHere(['explain', 'redis']);
      expect(stdout).to.include('docker.io/library/redis:latest').and.include('its own registry alone');
    });

    it('needs no network', async () => {
      const { exitCode, stdout } = await runHere(['explain', 'nowhere.invalid/app', '--registry', 'nowhere.invalid']);
      expect(exitCode).to.equal(0);
      expect(stdout).to.include('nowhere.invalid');
    });
  });

  describe('in a process of its own', () => {
    const desk = useDesk();

    it('ends with the same codes', async () => {
      const [right, wrong] = await Promise.all([
        runCommand(['explain', 'redis'], desk.env),
        runCommand(['explain'], desk.env),
      ]);
      expect(right).to.deep.include({ exitCode: 0, stderr: '' });
      expect(wrong).to.deep.include({ exitCode: 2, stdout: '' });
    });
  });
});
