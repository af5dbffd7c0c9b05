import { expect } from 'chai';
import type { TestBlob, TestImage } from '../../lib/testing/index.js';
import { ask, type PlainAnswer } from '../testing/plain-client.js';

/** A registry that has one image, under one name. */
export interface PullableRegistry {
  readonly url: string;
  readonly repository: string;
  readonly tag: string;
  readonly image: TestImage;
  /** What every request has to show. */
  readonly authorization?: string;
  close(): Promise<void>;
}

/**
 * What the specification demands of every registry that images can be pulled from, rule by rule; whatever it only
 * allows is let through either way.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pull
 * @see https://github.com/opencontainers/distribution-spec/tree/v1.1.0/conformance (01_pull_test.go)
 */
export function describePullConformance(start: () => Promise<PullableRegistry>): void {
  let registry: PullableRegistry;
  const unknown = `sha256:${'0123456789abcdef'.repeat(4)}`;
  const errorCodes = [
    ...['BLOB_UNKNOWN', 'BLOB_UPLOAD_INVALID', 'BLOB_UPLOAD_UNKNOWN', 'DIGEST_INVALID', 'MANIFEST_BLOB_UNKNOWN'],
    ...['MANIFEST_INVALID', 'MANIFEST_UNKNOWN', 'NAME_INVALID', 'NAME_UNKNOWN', 'SIZE_INVALID', 'UNAUTHORIZED'],
    ...['DENIED', 'UNSUPPORTED', 'TOOMANYREQUESTS'],
  ];

  const send = (method: string, path: string, headers: Readonly<Record<string, string>> = {}): Promise<PlainAnswer> =>
    ask(`${registry.url}/v2/${path}`, {
      method,
      headers: {
        ...headers,
        ...(registry.authorization === undefined ? {} : { authorization: registry.authorization }),
      },
    });
  const blob = (method: string, digest: string, headers?: Readonly<Record<string, string>>): Promise<PlainAnswer> =>
    send(method, `${registry.repository}/blobs/${digest}`, headers);
  const manifest = (
    method: string,
    reference: string,
    accept: string = registry.image.mediaType,
  ): Promise<PlainAnswer> => send(method, `${registry.repository}/manifests/${reference}`, { accept });
  const bytesOf = (one: TestBlob): Buffer => Buffer.concat([...one.read()]);

  /** An error's body may be anything; one that is JSON has to be of the specification. */
  function expectErrorBody({ headers, body }: PlainAnswer): void {
    if (!(headers['content-type'] ?? '').startsWith('application/json')) return;
    const { errors } = JSON.parse(body.toString('utf8')) as { errors: { code: string }[] };
    expect(errors).to.not.be.empty;
    for (const { code } of errors) expect(errorCodes).to.include(code);
  }
  /** A digest that is told must be the right one. */
  function expectDigest({ headers }: PlainAnswer, digest: string): void {
    const told = headers['docker-content-digest'];
    if (told !== undefined) expect(told).to.equal(digest);
  }

  before(async () => {
    registry = await start();
  });
  after(async () => {
    await registry?.close();
  });

  it('says that it speaks the specification (end-1)', async () => {
    expect((await send('GET', '')).status).to.equal(200);
  });

  it('answers GET and HEAD for a blob that it does not have with 404 (end-2)', async () => {
    for (const method of ['GET', 'HEAD']) {
      const answer = await blob(method, unknown);
      expect(answer.status).to.equal(404);
      if (method === 'GET') expectErrorBody(answer);
      else expect(answer.body.length).to.equal(0);
    }
  });

  it('answers HEAD for every blob with 200 and its length (end-2)', async () => {
    for (const { digest, sizeBytes } of registry.image.blobs) {
      const answer = await blob('HEAD', digest);
      expect([answer.status, answer.headers['content-length']]).to.deep.equal([200, String(sizeBytes)]);
      expect(answer.body.length).to.equal(0);
      expectDigest(answer, digest);
    }
  });

  it('answers GET for every blob with 200 and its very bytes (end-2)', async () => {
    for (const one of registry.image.blobs) {
      const answer = await blob('GET', one.digest);
      expect([answer.status, answer.end]).to.deep.equal([200, 'complete']);
      expect(answer.body.equals(bytesOf(one))).to.equal(true);
      expectDigest(answer, one.digest);
    }
  });

  it('answers GET for a part of a blob with that part, by RFC 9110 (end-2)', async () => {
    for (const one of registry.image.blobs.filter(({ sizeBytes }) => sizeBytes > 10)) {
      const size = one.sizeBytes;
      for (const [range, from, to] of [
        ['bytes=0-', 0, size],
        ['bytes=1-', 1, size],
        [`bytes=${Math.floor(size / 2)}-`, Math.floor(size / 2), size],
        [`bytes=${size - 1}-`, size - 1, size],
        ['bytes=0-0', 0, 1],
        ['bytes=2-5', 2, 6],
        [`bytes=3-${size + 100}`, 3, size],
      ] as const) {
        const answer = await blob('GET', one.digest, { range });
        expect(answer.status, range).to.equal(206);
        expect(answer.headers['content-range']).to.equal(`bytes ${from}-${to - 1}/${size}`);
        expect(answer.headers['content-length']).to.equal(String(to - from));
        expect(answer.body.equals(bytesOf(one).subarray(from, to)), range).to.equal(true);
      }
      const behind = await blob('GET', one.digest, { range: `bytes=${size}-` });
      expect(behind.status).to.equal(416);
    }
  });

  it('answers GET and HEAD for a manifest that it does not have with 404 (end-3)', async () => {
    for (const reference of ['.INVALID_MANIFEST_NAME', 'no-such-tag', unknown]) {
      for (const method of ['GET', 'HEAD']) {
        const answer = await manifest(method, reference);
        // What cannot be a tag may be called malformed.
        const right = reference.startsWith('.') ? [400, 404] : [404];
        expect(right, `${method} ${reference}`).to.include(answer.status);
        if (method === 'GET') expectErrorBody(answer);
        else expect(answer.body.length).to.equal(0);
      }
    }
  });

  for (const method of ['HEAD', 'GET']) {
    it(`answers ${method} for the image by tag and by digest with 200, its type and length (end-3)`, async () => {
      const { image, tag } = registry;
      for (const reference of [tag, image.digest]) {
        const answer = await manifest(method, reference);
        expect(answer.status).to.equal(200);
        expect(answer.headers['content-type']).to.equal(image.mediaType);
        expect(answer.headers['content-length']).to.equal(String(image.top.bytes.length));
        expect(answer.body.equals(method === 'GET' ? image.top.bytes : Buffer.alloc(0))).to.equal(true);
        expectDigest(answer, image.digest);
      }
    });

    it(`answers ${method} for every manifest of the image by digest with 200 (end-3)`, async () => {
      for (const { digest, mediaType, bytes } of registry.image.documents) {
        const answer = await manifest(method, digest, mediaType);
        expect(answer.status).to.equal(200);
        expect(answer.headers['content-type']).to.equal(mediaType);
        expect(answer.body.equals(method === 'GET' ? bytes : Buffer.alloc(0))).to.equal(true);
        expectDigest(answer, digest);
      }
    });
  }

  it('answers for referrers with 404, or with an index (end-12a)', async () => {
    const answer = await send('GET', `${registry.repository}/referrers/${registry.image.digest}`);
    expect([200, 404]).to.include(answer.status);
    if (answer.status === 404) expectErrorBody(answer);
  });
}
