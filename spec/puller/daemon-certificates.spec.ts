import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { isPullExhaustedError } from '../../lib/errors/pull-exhausted-error.js';
import { createEventBus } from '../../lib/events/event-bus.js';
import { createPullerIn } from '../../lib/puller/create-puller.js';
import { createDaemonCertificates } from '../../lib/registries/daemon-certificates.js';
import { startRegistryDouble } from '../../lib/testing/registry-double.js';
import { seededImage } from '../../lib/testing/seeded-image.js';
import { startFront } from '../acceptance/support/registry-front.js';
import { failureOf } from '../support/failure-of.js';
import { requireReal } from '../support/real-parts.js';
import { createAuthority } from '../support/tls.js';
import { expectWhole, usePullRig } from './pull-rig.js';

describe("a pull from a registry that the daemon's certificates know", () => {
  requireReal('openssl', 'apt-get install openssl');
  const rig = usePullRig();
  const image = seededImage({ bytes: 50_000, seed: 'known to the daemon' });

  it('succeeds as soon as they are there, without another puller', async () => {
    const authority = createAuthority();
    // Behind another address it minds the Host that it is asked with.
    const registry = await startRegistryDouble({ images: { 'team/app:1': image }, strict: false });
    const front = await startFront(registry, { tls: authority.issue(['127.0.0.1']) });
    const folder = join(rig.directory, 'certs.d');
    const write = async (pem: string): Promise<void> => {
      await mkdir(join(folder, front.authority), { recursive: true });
      await writeFile(join(folder, front.authority, 'ca.crt'), pem);
    };
    const certificates = createDaemonCertificates({ folders: [folder] });
    await using puller = createPullerIn(
      { bus: createEventBus(), certificates },
      { engine: rig.engine(), health: { coolDownMs: 100 } },
    );
    const name = `${front.authority}/team/app:1`;
    try {
      expect(await failureOf(puller.pullWithFailover(name))).to.satisfy(isPullExhaustedError);
      await write(createAuthority('somebody else').ca);
      expect(await failureOf(puller.pullWithFailover(name))).to.satisfy(isPullExhaustedError);
      await write(authority.ca);
      await puller.pullWithFailover(name);
      await expectWhole(rig.engine(), name, image);
    } finally {
      await puller.close();
      await Promise.all([front.close(), registry.close()]);
    }
  });
});
