import { expect } from 'chai';
import { createRegistryClient } from '../../lib/distribution/client.js';
import { seededImage, startRegistryDouble } from '../../lib/testing/index.js';
import { failureOf } from '../support/failure-of.js';
import { startServer, type Answer, type TestServer } from '../support/servers.js';
import { until } from '../support/until.js';
import { bytesOf, digestOfBytes, evidenceOf, openRig, readAll, registryAt, useServers, type Rig } from './rig.js';

describe('requests for blobs to the API of a registry', () => {
  const started = useServers();

  const blob = bytesOf(10_000);
  const digest = digestOfBytes(blob);
  interface Wanted {
    readonly digest?: typeof digest;
    readonly firstByteMs?: number;
    readonly signal?: AbortSignal;
    readonly onConnection?: (holds: boolean) => void;
  }
  const open = ({ client, context }: Rig, wanted: Wanted = {}): ReturnType<typeof client.openBlob> =>
    client.openBlob({
      ...context,
      repository: 'team/app',
      digest,
      size: blob.length,
      from: 0,
      firstByteMs: 10_000,
      ...wanted,
    });
  const nthDigest = (nth: number): typeof digest => digestOfBytes(Buffer.from(`${nth}`));
  const redirecting = (storage: TestServer): Promise<TestServer> =>
    started(startServer((_request, response) => response.writeHead(307, { location: `${storage.url}/x` }).end()));

  describe('where it redirects', () => {
    const refuses: Answer = (_request, response) => response.writeHead(403).end();

    it('are two a second for one blob; the third waits as in our own queue', async () => {
      const registry = await redirecting(await started(startServer(refuses)));
      const rig = openRig(registry.authority);
      const startedAtMs = performance.now();
      for (let count = 0; count < 2; count += 1) {
        expect(await evidenceOf(open(rig))).to.deep.include({ status: 403, from: 'storage' });
      }
      const told: string[] = [];
      const onConnection = (holds: boolean): number => told.push(holds ? 'asks' : 'waits');
      const third = evidenceOf(open(rig, { firstByteMs: 300, onConnection }));
      await until(() => told.length > 0, 'it waits');
      expect([told, registry.seen.length]).to.deep.equal([['waits'], 2]);
      expect(await third).to.deep.include({ status: 403, from: 'storage' });
      expect([told, registry.seen.length]).to.deep.equal([['waits', 'asks'], 3]);
      expect(performance.now() - startedAtMs).to.be.at.least(990);
    });

    it('that wait may be left, with the signal’s own reason', async () => {
      const registry = await redirecting(await started(startServer(refuses)));
      const rig = openRig(registry.authority);
      for (let count = 0; count < 2; count += 1) await evidenceOf(open(rig));
      const leaving = new AbortController();
      const left = failureOf(open(rig, { signal: leaving.signal, onConnection: () => leaving.abort('enough') }));
      expect(await left).to.equal('enough');
      expect(registry.seen).to.have.length(2);
    });

    it('of a pull of ten layers are never refused by one that allows five a second, the first time and later', async () => {
      const image = seededImage({ layers: 10, bytes: 2_000 });
      const double = await started(startRegistryDouble({ images: { 'team/app:1': image }, redirects: true }));
      let left = 5;
      let filledAtMs = performance.now();
      let refused = 0;
      const front = await started(
        startServer(async ({ url, headers }, response) => {
          const nowMs = performance.now();
          left = Math.min(5, left + ((nowMs - filledAtMs) / 1_000) * 5);
          filledAtMs = nowMs;
          if (left < 1) {
            refused += 1;
            response.writeHead(429).end();
            return;
          }
          left -= 1;
          const { accept = '*/*' } = headers;
          const answer = await fetch(`${double.url}${url}`, {
            redirect: 'manual',
            headers: { accept, 'accept-encoding': 'identity' },
          });
          const location = answer.headers.get('location');
          response.writeHead(answer.status, location === null ? {} : { location });
          response.end(Buffer.from(await answer.arrayBuffer()));
        }),
      );
      const rig = openRig(front.authority);
      const { client, context } = rig;
      for (let pull = 0; pull < 2; pull += 1) {
        await client.getManifest({ ...context, repository: 'team/app', reference: '1' });
        const sizes = await Promise.all(
          image.blobs.map(async ({ digest: wanted, sizeBytes }) => {
            const request = { ...context, repository: 'team/app', digest: wanted, size: sizeBytes, firstByteMs: 1_000 };
            return (await readAll((await client.openBlob({ ...request, from: 0 })).body)).length;
          }),
        );
        expect(sizes).to.deep.equal(image.blobs.map(({ sizeBytes }) => sizeBytes));
      }
      expect(refused).to.equal(0);
      // The second time it is known where each blob is.
      expect(front.seen).to.have.length(1 + image.blobs.length + 1);
    });

    it('are counted for all prefixes of one host together', async () => {
      const storage = await started(startServer((_request, response) => response.end(blob)));
      const registry = await redirecting(storage);
      const rig = openRig(`${registry.authority}/team`);
      const other = createRegistryClient(registryAt(`${registry.authority}/other`), rig.transport);
      await readAll((await open(rig)).body);
      const told: string[] = [];
      const opened = Array.from({ length: 5 }, async (_, nth) => {
        const client = nth % 2 === 0 ? rig.client : other;
        const onConnection = (holds: boolean): number => told.push(holds ? 'asks' : 'waits');
        await readAll((await open({ ...rig, client }, { digest: nthDigest(nth), onConnection })).body);
      });
      await Promise.all(opened);
      expect(told.filter((word) => word === 'waits')).to.have.length(1);
    });

    it('that wait are told of a 429 of another one, without being sent', async () => {
      const storage = await started(startServer((_request, response) => response.end(blob)));
      const held: (() => void)[] = [];
      const registry = await started(
        startServer(({ url }, response) => {
          if (url.includes(digest)) response.writeHead(307, { location: `${storage.url}/x` }).end();
          else held.push(() => void response.writeHead(429, { 'retry-after': '9' }).end());
        }),
      );
      const rig = openRig(registry.authority);
      await readAll((await open(rig)).body);
      const evidence = Array.from({ length: 9 }, (_, nth) => evidenceOf(open(rig, { digest: nthDigest(nth) })));
      await until(() => held.length === 4, 'as many are asked for as may be in a second');
      held[0]?.();
      for (const each of await Promise.all(evidence.slice(4))) {
        expect(each).to.deep.include({ kind: 'status', status: 429, from: 'registry', retryAfterMs: 9_000 });
      }
      expect(registry.seen).to.have.length(5);
      for (const answer of held.slice(1)) answer();
      await Promise.all(evidence);
    });
  });

  describe('where it serves them itself', () => {
    it('wait for nothing, neither for another blob nor for another part of one', async () => {
      const held: (() => void)[] = [];
      const registry = await started(
        startServer(({ url }, response) => {
          if (url.includes(digest)) response.end(blob);
          else held.push(() => void response.end(blob));
        }),
      );
      const rig = openRig(registry.authority, { registry: { maxConnections: 64 } });
      await readAll((await open(rig)).body);
      const told: boolean[] = [];
      const onConnection = (holds: boolean): number => told.push(holds);
      const opened = Array.from({ length: 60 }, (_, nth) =>
        open(rig, { digest: nthDigest(nth % 6), onConnection }).then(({ body }) => readAll(body)),
      );
      // None of them is answered before all have been asked.
      await until(() => held.length === 60, 'all are asked for');
      for (const answer of held) answer();
      await Promise.all(opened);
      expect(told).to.deep.equal(Array.from({ length: 60 }, () => true));
    });

    it('are let go by the first answer, when many are the first', async () => {
      const held: (() => void)[] = [];
      const registry = await started(startServer((_request, response) => held.push(() => void response.end(blob))));
      const rig = openRig(registry.authority, { registry: { maxConnections: 64 } });
      const opened = Array.from({ length: 40 }, (_, nth) =>
        open(rig, { digest: nthDigest(nth) }).then(({ body }) => readAll(body)),
      );
      await until(() => held.length === 5, 'the first are asked for');
      held[0]?.();
      await until(() => held.length === 40, 'all are asked for');
      for (const answer of held.slice(1)) answer();
      await Promise.all(opened);
    });
  });
});
