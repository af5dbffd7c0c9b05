import { join } from 'node:path';
import { expect } from 'chai';
import { type Fault, layers, seededImage } from '../../lib/testing/index.js';
import { requireDockerRegistry } from '../support/docker-registry.js';
import { type ProxiedRegistry, startProxiedRegistry, team } from './support/proxied-registry.js';
import { pullAgainAndAgain } from './support/repeat-child.js';
import { useWorkingDirectory } from './support/working-directory.js';

const times = 300;
const parts = 6;
/**
 * From the second part of the pulls to the last, about 4 KB each: code that is compiled meanwhile takes 1 KB, while
 * one pull that is forgotten with its plan, its events or its buffers takes tens.
 */
const grownBytes = 1_000_000;

const image = seededImage({ layers: 2, bytes: 10_000, seed: 'again' });

describe(`${times} pulls of one image, one after another`, function () {
  this.timeout(120_000);
  requireDockerRegistry();
  const working = useWorkingDirectory();
  let first: ProxiedRegistry;
  let second: ProxiedRegistry;

  before(async () => {
    [first, second] = await Promise.all([startProxiedRegistry(), startProxiedRegistry()]);
    await Promise.all([first, second].map((registry) => registry.push('app:1.0', image)));
  });

  after(async () => {
    await Promise.all([first?.close(), second?.close()]);
  });

  const days: readonly { readonly title: string; readonly faults: readonly Fault[] }[] = [
    { title: 'of a healthy registry', faults: [] },
    { title: 'that fail over', faults: [layers.status(503)] },
  ];

  for (const { title, faults } of days) {
    it(`leave neither memory nor handles behind ${title}`, async () => {
      await first.setFaults(faults);
      const held = await pullAgainAndAgain({
        puller: { registries: [first.option, second.option], pullPolicy: 'always' },
        image: `${first.host}/${team}/app:1.0`,
        directory: join(working.path, 'images'),
        times,
        parts,
      });
      const [, early, ...later] = held;
      const last = later.at(-1);
      if (early === undefined || last === undefined) throw new Error('too few parts');
      expect(last.heapBytes - early.heapBytes, JSON.stringify(held)).to.be.at.most(grownBytes);
      expect(last.descriptors, 'descriptors').to.be.at.most(early.descriptors);
      expect(last.resources, 'resources').to.be.at.most(early.resources);
      expect(last.listeners, 'listeners').to.equal(early.listeners);
    });
  }
});
