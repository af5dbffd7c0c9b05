import { expect } from 'chai';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { seededImage, startRegistryDouble, type TestBlob } from '../../lib/testing/index.js';
import type { MemoryMeasured, MemoryOrder } from './support/memory-process.js';

const run = promisify(execFile);

/**
 * What a blob of any size may add to a process: the buffers of a connection and its chunks are below 1 MB, what lags
 * behind in a shared fetch below 5 MB for each store; the rest is what V8 leaves lying until it collects it.
 */
const boundMb = 90;

const megabyte = 1_000_000;
const image = seededImage({ bytes: [2 * megabyte, 300 * megabyte, 40 * megabyte], seed: 'memory' });
const [small, large, medium] = image.layers;

async function measure(blob: TestBlob | undefined, bytesPerSecond: MemoryOrder['bytesPerSecond']): Promise<number> {
  if (blob === undefined || small === undefined) throw new Error('the image has fewer layers');
  await using double = await startRegistryDouble({ images: { 'team/app:1': image } });
  const order: MemoryOrder = {
    host: double.host,
    small: { digest: small.digest, size: small.sizeBytes },
    large: { digest: blob.digest, size: blob.sizeBytes },
    bytesPerSecond,
  };
  const script = fileURLToPath(new URL('support/memory-process.ts', import.meta.url));
  const { stdout } = await run(process.execPath, ['--expose-gc', '--import=tsx', script, JSON.stringify(order)], {
    timeout: 60_000,
  });
  const { beforeMb, peakMb } = JSON.parse(stdout) as MemoryMeasured;
  return peakMb - beforeMb;
}

describe('the memory of a fetch', function () {
  this.timeout(90_000);

  it(`grows by less than ${boundMb} MB with a blob of 300 MB`, async () => {
    expect(await measure(large, [null])).to.be.below(boundMb);
  });

  it(`grows by less than ${boundMb} MB when the reader is ten times slower than the registry`, async () => {
    expect(await measure(medium, [10 * megabyte])).to.be.below(boundMb);
  });

  it(`grows by less than ${boundMb} MB when several stores take it, one of them slowly`, async () => {
    expect(await measure(large, [null, null, 100 * megabyte])).to.be.below(boundMb);
  });
});
