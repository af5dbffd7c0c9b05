import { expect } from 'chai';
import type { BlobAnswer } from '../../lib/distribution/client.js';
import { fixedCredentials } from '../../lib/registries/credential-source.js';
import { startServer, type Answer } from '../support/servers.js';
import { bytesOf, closeRigs, digestOfBytes, evidenceOf, openRig, readAll } from './rig.js';

describe('a blob that the registry lacks, and its descriptor has URLs for', () => {
  const servers: { close(): Promise<void> }[] = [];
  const start = async (answer: Answer) => {
    const server = await startServer(answer);
    servers.push(server);
    return server;
  };
  afterEach(async () => {
    expect(await closeRigs()).to.equal(0);
    await Promise.all(servers.splice(0).map((server) => server.close()));
  });

  const blob = bytesOf(100_000);
  const digest = digestOfBytes(blob);
  const missing: Answer = (_request, response) => {
    response.writeHead(404, { 'content-type': 'application/json' });
    response.end('{"errors":[{"code":"BLOB_UNKNOWN"}]}');
  };
  const serving: Answer = (request, response) => {
    const [range, first = '0', last = ''] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
    const part = blob.subarray(Number(first), last === '' ? blob.length : Number(last) + 1);
    const told = `bytes ${first}-${Number(first) + part.length - 1}/${blob.length}`;
    response.writeHead(range === undefined ? 200 : 206, {
      'content-length': part.length,
      ...(range === undefined ? {} : { 'content-range': told }),
    });
    response.end(part);
  };
  const open = (
    authority: string,
    urls: readonly string[],
    { allowForeignUrls = true, from = 0, to = blob.length, isKnown = false } = {},
  ): Promise<BlobAnswer> => {
    const credentials = fixedCredentials({ username: 'robot', password: 'hunter2-hunter2' });
    const rig = openRig(authority, { registry: { allowForeignUrls }, client: isKnown ? { credentials } : {} });
    return rig.client.openBlob({
      ...rig.context,
      repository: 'team/app',
      digest,
      size: blob.length,
      from,
      to,
      firstByteMs: 10_000,
      urls,
    });
  };

  it('is not fetched from there unless the registry allows it', async () => {
    const registry = await start(missing);
    const elsewhere = await start(serving);
    const evidence = await evidenceOf(
      open(registry.authority, [`${elsewhere.url}/layer`], { allowForeignUrls: false }),
    );
    expect(evidence).to.deep.include({ kind: 'status', status: 404, from: 'registry' });
    expect(elsewhere.seen).to.deep.equal([]);
  });

  it('is not fetched from there while the registry has it', async () => {
    const registry = await start(serving);
    const elsewhere = await start(serving);
    expect((await readAll((await open(registry.authority, [`${elsewhere.url}/layer`])).body)).equals(blob)).to.equal(
      true,
    );
    expect(elsewhere.seen).to.deep.equal([]);
  });

  for (const [from, to] of [
    [0, 100_000],
    [0, 1],
    [1, 99_999],
    [50_000, 100_000],
    [99_999, 100_000],
  ] as const) {
    it(`is fetched from the first URL that has it, [${from}, ${to})`, async () => {
      const registry = await start(missing);
      const without = await start(missing);
      const elsewhere = await start(serving);
      const urls = ['not a url', 'ftp://127.0.0.1/layer', `${without.url}/layer`, `${elsewhere.url}/layer`];
      const answer = await open(registry.authority, urls, { from, to });
      expect(answer.start).to.equal(from);
      expect((await readAll(answer.body)).equals(blob.subarray(from, to))).to.equal(true);
      expect([without.seen.length, elsewhere.seen.length]).to.deep.equal([1, 1]);
    });
  }

  it('is told as missing at the registry when no URL has it', async () => {
    const registry = await start(missing);
    const without = await start(missing);
    const evidence = await evidenceOf(open(registry.authority, [`${without.url}/layer`]));
    expect(evidence).to.deep.include({ kind: 'status', status: 404, from: 'registry', specCodes: ['BLOB_UNKNOWN'] });
  });

  it('is asked for there without credentials, and a challenge gets none (CVE-2020-15157)', async () => {
    const challenge: Answer = (_request, response) => {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="give me your password"' }).end();
    };
    const registry = await start((request, response) => {
      if (request.headers.authorization === undefined) challenge(request, response);
      else missing(request, response);
    });
    const thief = await start(challenge);
    await evidenceOf(open(registry.authority, [`${thief.url}/layer`], { isKnown: true }));
    expect(registry.seen.some(({ headers }) => headers.authorization !== undefined)).to.equal(true);
    expect(thief.seen.map(({ headers }) => headers.authorization)).to.deep.equal([undefined]);
  });

  it('is not fetched from a URL with a user in it', async () => {
    const registry = await start(missing);
    const elsewhere = await start(serving);
    const url = `${elsewhere.url.replace('://', '://user:secret@')}/layer`;
    await evidenceOf(open(registry.authority, [url]));
    expect(elsewhere.seen).to.deep.equal([]);
  });
});
