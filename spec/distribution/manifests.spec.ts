import { expect } from 'chai';
import { manifestMediaTypes, maxManifestBytes } from '../../lib/image/manifest.js';
import { startRawServer, startServer, type Answer } from '../support/servers.js';
import { digestOfBytes, evidenceOf, openRig, useServers, type Rig } from './rig.js';
import { failureOf } from '../support/failure-of.js';
import { until } from '../support/until.js';

describe('a manifest', () => {
  const started = useServers();
  const serving = async (answer: Answer): Promise<Rig> => openRig((await started(startServer(answer))).authority);
  const get = (
    { client, context }: Rig,
    more: { requestMs?: number; reference?: string; onConnection?: (holds: boolean) => void } = {},
  ): ReturnType<typeof client.getManifest> =>
    client.getManifest({ ...context, repository: 'team/app', reference: '3.0', ...more });
  const head = ({ client, context }: Rig): ReturnType<typeof client.headManifest> =>
    client.headManifest({ ...context, repository: 'team/app', reference: '3.0' });

  const bytes = Buffer.from('{"schemaVersion":2}');
  const digest = digestOfBytes(bytes);
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  const good: Answer = (_request, response) => {
    response.writeHead(200, {
      'content-type': mediaType,
      'docker-content-digest': digest,
      'content-length': bytes.length,
    });
    response.end(bytes);
  };

  it('is asked for by tag or digest, in every form that can be read, and delivered byte by byte', async () => {
    const server = await started(startServer(good));
    const rig = openRig(server.authority);
    const answer = await get(rig);
    expect(Buffer.from(answer.bytes).equals(bytes)).to.equal(true);
    expect(answer).to.include({ mediaType, digestHeader: digest });
    await get(rig, { reference: digest });
    expect(server.seen.map(({ url }) => url)).to.deep.equal([
      '/v2/team/app/manifests/3.0',
      `/v2/team/app/manifests/${digest}`,
    ]);
    expect(server.seen[0]?.headers).to.include({
      accept: manifestMediaTypes.join(', '),
      'accept-encoding': 'identity',
    });
  });

  it('can be asked for its head alone', async () => {
    const server = await started(startServer(good));
    expect(await head(openRig(server.authority))).to.deep.equal({ digest, mediaType, size: bytes.length });
    expect(server.seen[0]?.method).to.equal('HEAD');
    const bare = await serving((_request, response) =>
      response.writeHead(200, { 'docker-content-digest': 'sha256:no' }).end(),
    );
    expect(await head(bare)).to.deep.equal({ digest: null, mediaType: null, size: null });
  });

  it('of up to 4 MiB is read, and of one byte more is refused, announced or not', async () => {
    const whole = await serving((_request, response) => response.end(Buffer.alloc(maxManifestBytes)));
    expect((await get(whole)).bytes).to.have.length(maxManifestBytes);
    const tooLarge = { kind: 'content', code: 'too-large', from: 'registry' };
    const announced = await serving((_request, response) => {
      response.setHeader('content-length', maxManifestBytes + 1);
      response.flushHeaders();
    });
    expect(await evidenceOf(get(announced))).to.deep.equal(tooLarge);
    const chunked = await serving((_request, response) => {
      response.write(Buffer.alloc(maxManifestBytes));
      response.end('x');
    });
    expect(await evidenceOf(get(chunked))).to.deep.equal(tooLarge);
    await until(() => announced.transport.openSockets + chunked.transport.openSockets === 0, 'both are ended');
  });

  it('that is compressed is refused', async () => {
    const rig = await serving((_request, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('x'));
    expect(await evidenceOf(get(rig))).to.deep.equal({ kind: 'content', code: 'content-encoded', from: 'registry' });
  });

  it('that is cut short is a lost connection', async () => {
    const server = await started(
      startRawServer((socket) =>
        socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc')),
      ),
    );
    expect(await evidenceOf(get(openRig(server.authority)))).to.deep.include({
      kind: 'connection',
      code: 'closed',
      bytes: 3,
    });
  });

  it('that is not there says so, with what the registry says, in the phase metadata', async () => {
    const rig = await serving((_request, response) =>
      response.writeHead(404).end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"unknown tag"}]}'),
    );
    expect(await failureOf(get(rig))).to.deep.include({
      phase: 'metadata',
      detail: 'unknown tag',
      evidence: { kind: 'status', status: 404, from: 'registry', specCodes: ['MANIFEST_UNKNOWN'] },
    });
    expect(await evidenceOf(head(rig))).to.deep.equal({ kind: 'status', status: 404, from: 'registry', specCodes: [] });
  });

  describe('within metadata.requestMs', () => {
    it('must have been read whole', async () => {
      const late = { kind: 'limit', limit: 'metadata.requestMs', value: 150 };
      const silent = await serving(() => undefined);
      expect(await evidenceOf(get(silent, { requestMs: 150 }))).to.deep.equal({ ...late, bytes: 0 });
      const partly = await serving((_request, response) => {
        response.setHeader('content-length', bytes.length);
        response.write(bytes.subarray(0, 5));
      });
      expect(await evidenceOf(get(partly, { requestMs: 150 }))).to.deep.equal({ ...late, bytes: 5 });
      await until(() => silent.transport.openSockets + partly.transport.openSockets === 0, 'both are ended');
    });
    it('is not charged for our own queue', async () => {
      let release: () => void = () => undefined;
      const server = await started(
        startServer((request, response) => {
          if (server.seen.length === 1) release = () => good(request, response);
          else good(request, response);
        }),
      );
      const rig = openRig(server.authority, { registry: { maxConnections: 1 } });
      const first = get(rig);
      await until(() => server.seen.length === 1, 'the first is asked for');
      const told: boolean[] = [];
      const second = get(rig, { requestMs: 250, onConnection: (holds) => told.push(holds) });
      await new Promise((resolve) => setTimeout(resolve, 500));
      release();
      await first;
      await second;
      expect(told).to.deep.equal([false, true]);
    });
  });

  it("ends at an abort, at once and with the signal's own reason, and frees its slot", async () => {
    const server = await started(startServer(() => undefined));
    const rig = openRig(server.authority, { registry: { maxConnections: 1 } });
    const waiting = failureOf(get(rig));
    await until(() => server.seen.length === 1, 'it is asked for');
    const reason = new Error('mine');
    rig.abort(reason);
    expect(await waiting).to.equal(reason);
    await until(() => rig.transport.openSockets === 0, 'its socket is ended');
  });

  it('is never asked for under a path outside of the API', async () => {
    const server = await started(startServer(good));
    const rig = openRig(server.authority);
    for (const repository of ['../../etc', 'a/../b', 'a?b', 'a#b', 'a b', 'a\\b', 'ä']) {
      const asking = rig.client.getManifest({ ...rig.context, repository, reference: 'x' });
      expect(await failureOf(asking), repository).to.be.instanceOf(RangeError);
    }
    expect(server.accepted).to.equal(0);
  });
});
