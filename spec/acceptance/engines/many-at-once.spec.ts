import { expect } from 'chai';
import {
  layers,
  type LoggedRequest,
  type RegistryDouble,
  seededImage,
  startRegistryDouble,
  type TestBlob,
} from '../../../lib/testing/index.js';
import { requireDockerd, startDockerd } from '../../support/docker-engine.js';
import type { RealEngine } from '../../support/real-engine.js';
import { type HostChild, startHostChild } from '../support/host-child.js';
import { expectInDaemon, expectNoRelayNames } from '../support/image-in-daemon.js';

const pulls = 20;
const mebibyte: number = 2 ** 20;

/**
 * What that many pulls at once may add to the memory of a process that has pulled next to nothing: for each blob under way
 * a chunk and what the connection has read ahead, and what the engine of the language has not collected yet.
 */
const boundBytes: number = 96 * mebibyte;

/** Two layers of all, and one of its own. */
const images = Array.from({ length: pulls }, (_, at) =>
  seededImage({ bytes: [2 * mebibyte, mebibyte, 200_000 + at * 1_000], seed: 'on one base' }),
);
const small = seededImage({ bytes: 20_000, seed: 'next to nothing' });

/** A registry answers what it is asked for a second time only where it had stopped before. */
const stallShare = 0.3;

describe(`${pulls} pulls at once into one daemon, while layers of the first registry stop`, function () {
  this.timeout(90_000);
  requireDockerd();
  let real: RealEngine;
  let first: RegistryDouble;
  let second: RegistryDouble;
  const hosts: HostChild[] = [];

  before(async () => {
    const served = Object.fromEntries(images.map((image, at) => [`team/app-${at}:1`, image] as const));
    [real, first, second] = await Promise.all([
      startDockerd(),
      startRegistryDouble({ images: { ...served, 'team/small:1': small } }),
      startRegistryDouble({ images: served }),
    ]);
  });

  after(async () => {
    await Promise.all(hosts.map((host) => host.kill()));
    await Promise.all([first?.close(), second?.close()]);
    await real?.close();
  });

  function startHost(): HostChild {
    const host = startHostChild({
      socketPath: real.socketPath,
      puller: {
        registries: [`${first.host}/team`, `${second.host}/team`],
        timeouts: { layers: { stallMs: 1_000, firstByteMs: 5_000 } },
      },
    });
    hosts.push(host);
    return host;
  }

  it('all bring the right image, fetch each blob once, and take little memory', async () => {
    const frugal = startHost();
    await frugal.pull(`${first.host}/team/small:1`);
    const { peakBytes: smallPeakBytes } = await frugal.close();

    await first.setFaults([layers.stall({ afterShare: stallShare })]);
    const before = first.requests.length;
    const host = startHost();
    const reports = await Promise.all(images.map((_, at) => host.pull(`${first.host}/team/app-${at}:1`)));
    const { peakBytes } = await host.close();

    for (const [at, image] of images.entries()) {
      const report = reports[at];
      expect(report).to.include({ route: 'relay', digest: image.digest, source: 'registry' });
      await expectInDaemon(real, report?.reference ?? '', image);
    }
    await expectNoRelayNames(real);
    expect(host.events.filter(({ type }) => type === 'pull:route-changed')).to.deep.equal([]);
    expect(peakBytes - smallPeakBytes, 'bytes of memory').to.be.at.most(boundBytes);

    const gets = (requests: readonly LoggedRequest[], blob: TestBlob): readonly LoggedRequest[] =>
      requests.filter(({ kind, method, object }) => kind === 'blob' && method === 'GET' && object === blob.digest);
    for (const blob of new Map(
      images.flatMap(({ blobs }) => blobs.map((each) => [each.digest, each] as const)),
    ).values()) {
      const [fromFirst, fromSecond] = [gets(first.requests.slice(before), blob), gets(second.requests, blob)];
      // The first is not asked again once its circuit is open, and nobody but the second has the rest.
      expect(fromFirst, `${blob.digest} of the first`).to.have.lengthOf.at.most(1);
      expect(fromSecond, `${blob.digest} of the second`).to.have.length(1);
      const sent = [...fromFirst, ...fromSecond].reduce((sum, { bytesSent }) => sum + bytesSent, 0);
      expect(sent, `bytes of ${blob.digest}`).to.equal(blob.sizeBytes);
    }
  });
});
