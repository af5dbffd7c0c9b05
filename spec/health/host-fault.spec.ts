import { expect } from 'chai';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EngineError } from '../../lib/errors/engine-error.js';
import { evidenceOfHostError } from '../../lib/health/host-fault.js';

async function thrownBy(work: () => Promise<unknown>): Promise<unknown> {
  try {
    await work();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

describe('a host fault', () => {
  let directory: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'host-fault-'));
  });

  after(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  it('is recognised in a write to a full device', async () => {
    const handle = await open('/dev/full', 'w');
    try {
      expect(evidenceOfHostError(await thrownBy(() => handle.write('x')))).to.deep.equal({
        kind: 'disk',
        errno: 'ENOSPC',
      });
    } finally {
      await handle.close();
    }
  });

  it('is recognised in a directory that is a file', async () => {
    await writeFile(join(directory, 'file'), '');
    const error = await thrownBy(() => writeFile(join(directory, 'file', 'blob'), ''));
    expect(evidenceOfHostError(error)).to.deep.equal({ kind: 'disk', errno: 'ENOTDIR' });
  });

  it('is recognised behind other errors', async () => {
    const error = await thrownBy(() => writeFile(join(directory, 'nowhere', 'blob'), ''));
    const wrapped = new EngineError('host-17', 'cannot write', new Error('sink', { cause: error }));
    expect(evidenceOfHostError(wrapped)).to.deep.equal({ kind: 'disk', errno: 'ENOENT' });
  });

  it('is not a connection that was refused', async () => {
    const socket = connect({ host: '127.0.0.1', port: 1 });
    const [error] = await once(socket, 'error').catch((thrown: unknown) => [thrown]);
    expect((error as NodeJS.ErrnoException).syscall).to.equal('connect');
    expect(evidenceOfHostError(error)).to.equal(null);
  });

  it('is not a connection that a local firewall forbids, but is one without descriptors left', () => {
    const failed = (code: string): Error => Object.assign(new Error(`connect ${code}`), { code, syscall: 'connect' });
    expect(evidenceOfHostError(failed('EPERM'))).to.equal(null);
    expect(evidenceOfHostError(failed('EACCES'))).to.equal(null);
    expect(evidenceOfHostError(failed('EMFILE'))).to.deep.equal({ kind: 'disk', errno: 'EMFILE' });
  });

  it('is not a program that does not exist', async () => {
    const [error] = await once(spawn(join(directory, 'docker-credential-none')), 'error').catch((thrown: unknown) => [
      thrown,
    ]);
    expect((error as NodeJS.ErrnoException).code).to.equal('ENOENT');
    expect(evidenceOfHostError(error)).to.equal(null);
  });

  it('is not found in values that are no errors, nor in a chain that is a circle', () => {
    const circle = new Error('a');
    circle.cause = circle;
    for (const value of [undefined, null, 0, 'ENOSPC', Symbol('x'), {}, { code: 28 }, new Error('ENOSPC'), circle]) {
      expect(evidenceOfHostError(value)).to.equal(null);
    }
  });
});
