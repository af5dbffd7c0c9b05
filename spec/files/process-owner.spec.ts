import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { isOwner, ownerState, ownOwner } from '../../lib/files/process-owner.js';

/** Our own name with one of its four parts replaced. */
function ownerWith(part: 0 | 1 | 2 | 3, value: string): string {
  return ownOwner()
    .split('-')
    .map((own, at) => (at === part ? value : own))
    .join('-');
}

function startTicks(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

function ownerOf(pid: number): string {
  return ownerWith(0, String(pid)).replace(`-${ownOwner().split('-')[1]}-`, `-${startTicks(pid)}-`);
}

describe('The owner of a partial blob', () => {
  const children: ChildProcess[] = [];

  function start(command: string, ...args: string[]): ChildProcess {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    children.push(child);
    return child;
  }

  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });

  it('is named so that a file name can hold it, and is this process', () => {
    expect(isOwner(ownOwner())).to.equal(true);
    expect(ownOwner()).to.match(/^\d+-\d+-[a-f0-9]{12}-\d+$/);
    expect(ownerState(ownOwner())).to.equal('self');
  });

  it('is alive while its process runs, and dead at once when it was killed', async () => {
    const child = start('sleep', '60');
    const owner = ownerOf(child.pid ?? 0);
    expect(ownerState(owner)).to.equal('alive');
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(ownerState(owner)).to.equal('dead');
  });

  it('is dead when its pid belongs to a process that started at another time', () => {
    expect(ownerState(ownerWith(1, '1'))).to.equal('dead');
  });

  it('is dead when its process has ended and nobody has asked for its exit code', async () => {
    // The shell starts a child and becomes a program that never waits for it.
    const parent = start('sh', '-c', 'sleep 0.01 & echo $!; exec sleep 60');
    const [line] = (await once(parent.stdout!, 'data')) as [Buffer];
    const pid = Number(line.toString());
    const owner = ownerOf(pid);
    while (!/\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8')))
      await new Promise((resolve) => setImmediate(resolve));
    expect(ownerState(owner)).to.equal('dead');
  });

  for (const [title, part, value] of [
    ['of another boot, or of another machine', 2, '0123456789ab'],
    ['of another container', 3, '4026539999'],
    ['on a system without /proc', 1, '0'],
  ] as const) {
    it(`cannot be asked about: ${title}`, () => {
      expect(ownerState(ownerWith(part, value))).to.equal('unknown');
    });
  }

  for (const text of ['', 'kept', '1-2-3', '1-2-0123456789ab-', `${'9'.repeat(11)}-1-0123456789ab-1`, '../1-2-a-3']) {
    it(`is not ${JSON.stringify(text)}`, () => {
      expect(isOwner(text)).to.equal(false);
      expect(ownerState(text)).to.equal('unknown');
    });
  }
});
