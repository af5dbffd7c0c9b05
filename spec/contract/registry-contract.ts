import { expect } from 'chai';
import { Agent } from 'node:http';
import { seededImage, type TestImage } from '../../lib/testing/index.js';
import { ask, type PlainAnswer } from '../testing/plain-client.js';

/** A registry that holds `contractImages`. */
export interface ContractRegistry {
  readonly url: string;
  close(): Promise<void>;
}

const layerBytes = 10_001;

/** What a registry has to hold for the contract, by name. */
export const contractImages: Readonly<Record<'plain' | 'docker' | 'index' | 'odd', readonly [string, TestImage]>> = {
  plain: ['aptible/redis:3.0', seededImage({ layers: 2, bytes: layerBytes })],
  docker: [
    'aptible/docker:1',
    seededImage({ layers: 1, bytes: layerBytes, mediaTypes: 'docker', compression: 'gzip' }),
  ],
  index: [
    'aptible/several:1',
    seededImage({ bytes: 4_000, platforms: ['linux/amd64', 'linux/arm64/v8'], attestations: true }),
  ],
  odd: ['aptible/odd:1', seededImage({ bytes: [0, 1, 2, 3_000] })],
};

/** The rules that a client of registries builds on; they hold for the double and for what it stands for. */
export function describeRegistryContract(start: () => Promise<ContractRegistry>): void {
  const [, plain] = contractImages.plain;
  const layer = plain.layers[0] as TestImage['layers'][number];
  const content = Buffer.concat([...layer.read()]);
  const { size: unknownSize, digest: unknown } = { size: 0, digest: `sha256:${'0123456789abcdef'.repeat(4)}` };
  const everyType = [
    'application/vnd.oci.image.index.v1+json',
    'application/vnd.oci.image.manifest.v1+json',
    'application/vnd.docker.distribution.manifest.list.v2+json',
    'application/vnd.docker.distribution.manifest.v2+json',
  ].join(', ');
  let registry: ContractRegistry;

  const get = (path: string, headers: Readonly<Record<string, string>> = {}): Promise<PlainAnswer> =>
    ask(`${registry.url}${path}`, { headers });
  const getManifest = (path: string, method: string = 'GET'): Promise<PlainAnswer> =>
    ask(`${registry.url}${path}`, { method, headers: { accept: everyType } });
  const errorCode = ({ body }: PlainAnswer): string | undefined =>
    (JSON.parse(body.toString('utf8')) as { errors: { code: string }[] }).errors[0]?.code;

  before(async () => {
    registry = await start();
  });
  after(async () => {
    await registry?.close();
  });

  it('answers a ping as the second version of the API', async () => {
    const { status, headers, body } = await get('/v2/');
    expect(status).to.equal(200);
    expect(headers['docker-distribution-api-version']).to.equal('registry/2.0');
    expect(JSON.parse(body.toString('utf8'))).to.deep.equal({});
  });

  for (const [kind, [name, image]] of Object.entries(contractImages)) {
    const [repository, tag] = name.split(':');
    for (const [by, reference] of [
      ['tag', tag],
      ['digest', image.digest],
    ]) {
      it(`serves a manifest (${kind}) by ${by} with its type, length, digest and very bytes`, async () => {
        const { status, headers, body } = await getManifest(`/v2/${repository}/manifests/${reference}`);
        expect(status).to.equal(200);
        expect(headers['content-type']).to.equal(image.mediaType);
        expect(headers['content-length']).to.equal(String(image.top.bytes.length));
        expect(headers['docker-content-digest']).to.equal(image.digest);
        expect(body.equals(image.top.bytes)).to.equal(true);
      });

      it(`answers HEAD for a manifest (${kind}) by ${by} with the same headers and no body`, async () => {
        const { status, headers, body } = await getManifest(`/v2/${repository}/manifests/${reference}`, 'HEAD');
        expect(status).to.equal(200);
        expect(headers['content-type']).to.equal(image.mediaType);
        expect(headers['content-length']).to.equal(String(image.top.bytes.length));
        expect(headers['docker-content-digest']).to.equal(image.digest);
        expect(body.length).to.equal(0);
      });
    }
  }

  it('serves what an index names, attestations too', async () => {
    const [, image] = contractImages.index;
    expect(image.documents).to.have.length(5);
    for (const document of image.documents) {
      const { status, headers, body } = await getManifest(`/v2/aptible/several/manifests/${document.digest}`);
      expect([status, headers['content-type']]).to.deep.equal([200, document.mediaType]);
      expect(body.equals(document.bytes)).to.equal(true);
    }
  });

  it('has no manifest for a client that cannot read its type', async () => {
    const answer = await get('/v2/aptible/redis/manifests/3.0', {
      accept: 'application/vnd.docker.distribution.manifest.v2+json',
    });
    expect([answer.status, errorCode(answer)]).to.deep.equal([404, 'MANIFEST_UNKNOWN']);
  });

  for (const [what, path] of [
    ['tag', '/v2/aptible/redis/manifests/3.1'],
    ['digest', `/v2/aptible/redis/manifests/${unknown}`],
    ['digest of another repository', `/v2/aptible/redis/manifests/${contractImages.index[1].digest}`],
  ] as const) {
    it(`answers 404 and MANIFEST_UNKNOWN for a manifest of an unknown ${what}`, async () => {
      const answer = await getManifest(path);
      expect([answer.status, errorCode(answer)]).to.deep.equal([404, 'MANIFEST_UNKNOWN']);
      expect(answer.headers['content-type']).to.match(/^application\/json/);
      const head = await getManifest(path, 'HEAD');
      expect([head.status, head.body.length]).to.deep.equal([404, 0]);
    });
  }

  it('answers 404 for anything of an unknown repository', async () => {
    expect((await getManifest('/v2/aptible/nothing/manifests/latest')).status).to.equal(404);
    expect((await get(`/v2/aptible/nothing/blobs/${layer.digest}`)).status).to.equal(404);
  });

  it('serves a blob whole, with its length and digest', async () => {
    const { status, headers, body } = await get(`/v2/aptible/redis/blobs/${layer.digest}`);
    expect([status, headers['content-length']]).to.deep.equal([200, String(layerBytes)]);
    expect(headers['docker-content-digest']).to.equal(layer.digest);
    expect(headers['accept-ranges']).to.equal('bytes');
    expect(headers).not.to.have.any.keys('content-encoding', 'content-range');
    expect(body.equals(content)).to.equal(true);
  });

  it('answers HEAD for a blob with its length and no body', async () => {
    const { status, headers, body } = await ask(`${registry.url}/v2/aptible/redis/blobs/${layer.digest}`, {
      method: 'HEAD',
    });
    expect([status, headers['content-length'], body.length]).to.deep.equal([200, String(layerBytes), 0]);
  });

  for (const start of [0, 1, Math.floor(layerBytes / 2), layerBytes - 2, layerBytes - 1]) {
    it(`serves a blob from byte ${start} to its end as 206 with its exact range`, async () => {
      const { status, headers, body } = await get(`/v2/aptible/redis/blobs/${layer.digest}`, {
        range: `bytes=${start}-`,
      });
      expect(status).to.equal(206);
      expect(headers['content-range']).to.equal(`bytes ${start}-${layerBytes - 1}/${layerBytes}`);
      expect(headers['content-length']).to.equal(String(layerBytes - start));
      expect(body.equals(content.subarray(start))).to.equal(true);
    });
  }

  for (const [first, last] of [
    [0, 0],
    [1, 1],
    [100, 4_999],
    [layerBytes - 1, layerBytes - 1],
    [layerBytes - 10, layerBytes + 100],
  ] as const) {
    it(`serves bytes ${first} to ${last} of ${layerBytes}, but none behind the end`, async () => {
      const { status, headers, body } = await get(`/v2/aptible/redis/blobs/${layer.digest}`, {
        range: `bytes=${first}-${last}`,
      });
      const served = content.subarray(first, last + 1);
      expect(status).to.equal(206);
      expect(headers['content-range']).to.equal(`bytes ${first}-${first + served.length - 1}/${layerBytes}`);
      expect(body.equals(served)).to.equal(true);
    });
  }

  for (const start of [layerBytes, layerBytes + 1]) {
    it(`answers 416 with the size for a range from byte ${start} of ${layerBytes}`, async () => {
      const { status, headers } = await get(`/v2/aptible/redis/blobs/${layer.digest}`, { range: `bytes=${start}-` });
      expect([status, headers['content-range']]).to.deep.equal([416, `bytes */${layerBytes}`]);
    });
  }

  it('serves blobs of no, one and two bytes', async () => {
    const [, odd] = contractImages.odd;
    for (const blob of odd.layers) {
      const { status, body } = await get(`/v2/aptible/odd/blobs/${blob.digest}`);
      expect([status, body.length]).to.deep.equal([200, blob.sizeBytes]);
      expect(body.equals(Buffer.concat([...blob.read()]))).to.equal(true);
    }
  });

  for (const [what, path] of [
    ['that it does not have', `/v2/aptible/redis/blobs/${unknown}`],
    ['of another repository', `/v2/aptible/redis/blobs/${contractImages.docker[1].config.digest}`],
  ] as const) {
    it(`answers 404 and BLOB_UNKNOWN for a blob ${what}`, async () => {
      const answer = await get(path);
      expect([answer.status, errorCode(answer)]).to.deep.equal([404, 'BLOB_UNKNOWN']);
      expect(answer.body.length).to.be.greaterThan(unknownSize);
      const head = await ask(`${registry.url}${path}`, { method: 'HEAD' });
      expect([head.status, head.body.length]).to.deep.equal([404, 0]);
    });
  }

  for (const digest of [layer.digest.toUpperCase(), layer.digest.slice(0, -1), 'sha256:', 'sha256', 'md5:0123456789']) {
    it(`serves no blob for the malformed digest ${digest.slice(0, 20)} of ${digest.length} characters`, async () => {
      expect((await get(`/v2/aptible/redis/blobs/${digest}`)).status).to.be.within(400, 404);
    });
  }

  it('lists tags and repositories', async () => {
    const tags = await get('/v2/aptible/redis/tags/list');
    expect(JSON.parse(tags.body.toString('utf8'))).to.deep.equal({ name: 'aptible/redis', tags: ['3.0'] });
    const unknownTags = await get('/v2/aptible/nothing/tags/list');
    expect([unknownTags.status, errorCode(unknownTags)]).to.deep.equal([404, 'NAME_UNKNOWN']);
    const catalog = JSON.parse((await get('/v2/_catalog')).body.toString('utf8')) as { repositories: string[] };
    expect(catalog.repositories).to.deep.equal(['aptible/docker', 'aptible/odd', 'aptible/redis', 'aptible/several']);
  });

  it('keeps a connection alive over answers, errors too', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set<number | undefined>();
    agent.on('free', (socket: { localPort?: number }) => ports.add(socket.localPort));
    try {
      for (const digest of [layer.digest, unknown, plain.config.digest]) {
        const { end } = await ask(`${registry.url}/v2/aptible/redis/blobs/${digest}`, { agent });
        expect(end).to.equal('complete');
      }
      expect(ports.size).to.equal(1);
    } finally {
      agent.destroy();
    }
  });

  it('serves many requests at once', async () => {
    const answers = await Promise.all(
      Array.from({ length: 16 }, (_, index) =>
        get(`/v2/aptible/redis/blobs/${layer.digest}`, { range: `bytes=${index * 600}-${index * 600 + 599}` }),
      ),
    );
    expect(Buffer.concat(answers.map(({ body }) => body)).equals(content.subarray(0, 9_600))).to.equal(true);
  });
}
