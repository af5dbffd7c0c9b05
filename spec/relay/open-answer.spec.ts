import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { loopMs } from '../../lib/policy/loop-timer.js';
import { HangUpError, OpenAnswer } from '../../lib/relay/open-answer.js';
import { failureOf } from '../support/failure-of.js';
import { startFakeTime, type FakeTime } from '../support/fake-time.js';
import { until } from '../support/until.js';
import { openRawClient, type RawClient } from './support/raw-client.js';

const head = { status: 206, headers: { 'Content-Length': 10, 'Content-Range': 'bytes 0-9/10' } };

describe('an answer under way', () => {
  let server: Server;
  let client: RawClient;
  let response: ServerResponse;
  let answer: OpenAnswer;
  let time: FakeTime;
  let taken = 0;

  beforeEach(async () => {
    time = startFakeTime();
    server = createServer();
    const asked = new Promise<ServerResponse>((resolve) => {
      server.once('request', (_request, opened: ServerResponse) => resolve(opened));
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    client = await openRawClient(`127.0.0.1:${(server.address() as AddressInfo).port}`);
    client.say('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    response = await asked;
    taken = 0;
    answer = new OpenAnswer(response, head, () => {
      taken += 1;
    });
  });
  afterEach(async () => {
    time.restore();
    client.leave();
    await new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
  });

  it('is told that the daemon has gone also while it waits for the end of the answer before', async () => {
    const asked = new Promise<ServerResponse>((resolve) => {
      server.once('request', (_request, opened: ServerResponse) => resolve(opened));
    });
    client.say('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const queued = await asked;
    expect(queued.socket).to.equal(null);
    const next = new OpenAnswer(queued, head, () => {});
    client.leave();
    await until(() => next.gone.aborted, 'it is told');
    expect(next.gone.reason).to.be.instanceOf(HangUpError);
  });

  it('says nothing before its first byte, so that it can still become another', async () => {
    await time.passMs(9_999);
    expect(answer.isBegun).to.equal(false);
    expect(client.heard()).to.equal('');
    answer.giveBack().writeHead(404).end();
    await until(() => client.heard().startsWith('HTTP/1.1 404'));
    await time.passMs(10_000);
  });

  it('begins after ten seconds without a byte, for a daemon would not wait for ever', async () => {
    await time.passMs(10_000);
    expect(answer.isBegun).to.equal(true);
    await until(() => client.heard().includes('\r\n\r\n'));
    expect(client.heard()).to.match(/^HTTP\/1\.1 206 .*Content-Range: bytes 0-9\/10\r\n/s);
  });

  it('begins with its first byte, and ends with its last', async () => {
    expect(answer.unreadSinceMs).to.equal(null);
    await answer.write(Buffer.from('012345678'));
    expect(answer.unreadSinceMs).to.equal(null);
    expect(answer.isBegun).to.equal(true);
    await answer.end(Buffer.from('9'));
    await until(() => client.heard().endsWith('\r\n\r\n0123456789'));
    expect(answer.gone.aborted).to.equal(false);
    expect(taken).to.be.greaterThan(1);
    await time.passMs(10_000);
  });

  it('tells when the daemon has gone, and takes nothing more', async () => {
    const waiting = answer.write(Buffer.alloc(50_000_000));
    client.socket.pause();
    client.leave();
    expect(await failureOf(waiting)).to.be.instanceOf(HangUpError);
    expect(answer.gone.reason).to.be.instanceOf(HangUpError);
    expect(await failureOf(answer.write(Buffer.alloc(1)))).to.be.instanceOf(HangUpError);
    expect(await failureOf(answer.end(Buffer.alloc(1)))).to.be.instanceOf(HangUpError);
  });

  it('knows a daemon that had gone before', async () => {
    client.leave();
    await until(() => response.destroyed);
    const late = new OpenAnswer(response, head, () => {});
    expect(late.gone.aborted).to.equal(true);
    expect(await failureOf(late.write(Buffer.alloc(1)))).to.be.instanceOf(HangUpError);
    await time.passMs(10_000);
  });

  it('holds back whoever writes while the daemon does not read', async () => {
    client.socket.pause();
    let isDone = false;
    const waiting = answer.write(Buffer.alloc(50_000_000)).then(() => {
      isDone = true;
    });
    await until(() => response.writableLength > 0);
    expect(isDone).to.equal(false);
    const sinceMs = loopMs();
    await time.passMs(5_000);
    expect(answer.unreadSinceMs).to.equal(sinceMs);
    client.socket.resume();
    await waiting;
    expect(answer.unreadSinceMs).to.equal(null);
  });

  it('is cut off where nobody can take it for whole', async () => {
    await answer.write(Buffer.from('0123'));
    await until(() => client.heard().endsWith('0123'));
    answer.destroy();
    await until(client.isClosed);
    expect(answer.gone.aborted).to.equal(true);
  });
});
