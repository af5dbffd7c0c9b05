import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect } from 'chai';
import { encodedSecrets, indiscretions, marker } from './indiscreet-registry.js';

interface Output {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the pulls in a process whose every line, also of `DEBUG=*`, is caught. */
async function runFailingPulls(): Promise<Output> {
  const script = new URL('failing-pulls.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, ['--import=tsx', script], {
    env: { ...process.env, DEBUG: '*', DEBUG_DEPTH: '10', NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const texts = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (texts.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (texts.stderr += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...texts };
}

describe('secrets', () => {
  let output: Output;

  before(async function () {
    this.timeout(180_000);
    output = await runFailingPulls();
  });

  it('were at stake: every registry failed, told all, and everything about it was printed', () => {
    expect(output.code, output.stderr.slice(-2_000)).to.equal(0);
    expect(output.stdout.match(/^pulled$/gm)).to.have.length(indiscretions.length * 4 * 2);
    for (const how of indiscretions) {
      if (how !== 'realm-with-password') expect(output.stdout, how).to.include(`${how} password error`);
    }
    expect(output.stdout, 'what the registries said is told, without the secrets').to.match(/Authorization: \*\*\*/);
    expect(output.stdout).to.match(/<SignatureProvided>\*\*\*|SignatureDoesNotMatch/);
    expect(output.stderr).to.match(/pull-failover:registry/);
    expect(output.stderr).to.match(/pull-failover:auth/);
    expect(output.stderr).to.match(/pull-failover:pull/);
  });

  for (const where of ['stdout', 'stderr'] as const) {
    const what = where === 'stdout' ? 'an event, an error, a report or a plan' : 'a log line';
    it(`never get into ${what}`, () => {
      const lines = output[where].split('\n');
      const telling = lines.filter((line) => [marker, ...encodedSecrets].some((secret) => line.includes(secret)));
      expect(telling.slice(0, 5).map((line) => line.slice(0, 600))).to.deep.equal([]);
    });
  }
});
