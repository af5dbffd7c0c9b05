import { expect } from 'chai';
import { startServer, type TestServer } from '../support/servers.js';
import { bytesOf, closeRigs, digestOfBytes, openRig, readAll } from './rig.js';

describe('a blob', () => {
  const servers: TestServer[] = [];
  afterEach(async () => {
    expect(await closeRigs()).to.equal(0);
    await Promise.all(servers.splice(0).map((server) => server.close()));
  });
  const blob = bytesOf(300_000);
  const digest = digestOfBytes(blob);

  it('is delivered whole, without a Range, and asked for as it is', async () => {
    const server = await startServer((_request, response) => {
      response.setHeader('content-length', blob.length);
      response.end(blob);
    });
    servers.push(server);
    const { client, context } = openRig(server.authority);
    const answer = await client.openBlob({
      ...context,
      repository: 'team/app',
      digest,
      size: blob.length,
      from: 0,
      firstByteMs: 5_000,
    });
    expect(answer).to.include({ start: 0, length: blob.length, answerer: 'registry' });
    expect((await readAll(answer.body)).equals(blob)).to.equal(true);
    expect(answer.body.bytes).to.equal(blob.length);
    expect(server.seen[0]?.url).to.equal(`/v2/team/app/blobs/${digest}`);
    expect(server.seen[0]?.headers).to.include({ 'accept-encoding': 'identity' });
    expect(server.seen[0]?.headers).not.to.have.any.keys('range', 'authorization');
  });

  it('comes with a token from the token service, through a redirect that does not get it', async () => {
    const storage = await startServer((_request, response) => response.end(blob));
    const tokens = await startServer((_request, response) => response.end(JSON.stringify({ token: 'abc' })));
    const server = await startServer((request, response) => {
      if (request.headers.authorization !== 'Bearer abc') {
        response.statusCode = 401;
        response.setHeader(
          'www-authenticate',
          `Bearer realm="${tokens.url}/token",service="s",scope="repository:team/app:pull"`,
        );
        response.end('{}');
        return;
      }
      response.statusCode = 307;
      response.setHeader('location', `${storage.url}/signed?sig=1`);
      response.end();
    });
    servers.push(server, storage, tokens);
    const { client, context } = openRig(server.authority);
    const answer = await client.openBlob({
      ...context,
      repository: 'team/app',
      digest,
      size: blob.length,
      from: 0,
      firstByteMs: 5_000,
    });
    expect((await readAll(answer.body)).equals(blob)).to.equal(true);
    expect(answer.answerer).to.equal('storage');
    expect(tokens.seen.map((each) => each.url)).to.deep.equal([
      '/token?service=s&scope=repository%3Ateam%2Fapp%3Apull',
    ]);
    expect(storage.seen[0]?.headers).not.to.have.property('authorization');
  });
});
