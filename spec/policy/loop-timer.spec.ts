import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import pTimeout, { TimeoutError } from 'p-timeout';
import { replaceTimeSource } from '../../lib/clock/time.js';
import { loopMs, lostMs, loopTimers, startLoopTimer, type LoopTimer } from '../../lib/policy/loop-timer.js';
import { startFakeTime, type FakeTime } from '../support/fake-time.js';

/** Keeps the loop from turning, as a synchronous computation of the host would. */
function blockLoop(ms: number): void {
  const untilMs = performance.now() + ms;
  while (performance.now() < untilMs) Math.sqrt(untilMs);
}

function liveResources(type: string): number {
  return process.getActiveResourcesInfo().filter((resource) => resource === type).length;
}

describe('a loop timer under time moved by hand', () => {
  let time: FakeTime;
  let expiredAtMs: number | null;
  let timer: LoopTimer | null;
  const started: LoopTimer[] = [];

  function start(ms: number): LoopTimer {
    const startMs = loopMs();
    timer = startLoopTimer(ms, () => {
      expiredAtMs = loopMs() - startMs;
    });
    started.push(timer);
    return timer;
  }

  beforeEach(() => {
    time = startFakeTime();
    expiredAtMs = null;
  });
  afterEach(() => {
    for (const each of started.splice(0)) each.cancel();
    time.restore();
  });

  it('expires when its time is over, and not before', async () => {
    start(4_000);
    await time.passMs(3_999);
    expect(expiredAtMs).to.equal(null);
    await time.passMs(1);
    expect(expiredAtMs).to.equal(4_000);
  });

  it('expires once only', async () => {
    let times = 0;
    started.push(startLoopTimer(1_000, () => (times += 1)));
    await time.passMs(10_000);
    expect(times).to.equal(1);
  });

  it('has its whole time again after each restart', async () => {
    const running = start(4_000);
    for (let round = 0; round < 5; round += 1) {
      await time.passMs(3_999);
      running.restart();
    }
    expect(expiredAtMs).to.equal(null);
    await time.passMs(4_000);
    expect(expiredAtMs).to.equal(5 * 3_999 + 4_000);
  });

  it('does not run while it is paused, and goes on with what was left', async () => {
    const running = start(4_000);
    await time.passMs(3_000);
    running.pause();
    running.pause();
    await time.passMs(60_000);
    expect(expiredAtMs).to.equal(null);
    running.resume();
    running.resume();
    await time.passMs(999);
    expect(expiredAtMs).to.equal(null);
    await time.passMs(1);
    expect(expiredAtMs).to.equal(64_000);
  });

  it('has its whole time again after a restart during a pause', async () => {
    const running = start(4_000);
    await time.passMs(3_000);
    running.pause();
    await time.passMs(10_000);
    running.restart();
    await time.passMs(10_000);
    running.resume();
    await time.passMs(3_999);
    expect(expiredAtMs).to.equal(null);
    await time.passMs(1);
    expect(expiredAtMs).to.equal(27_000);
  });

  it('leaves no timer behind when it is cancelled, and says nothing later', async () => {
    const running = start(4_000);
    await time.passMs(1_000);
    running.cancel();
    running.cancel();
    running.restart();
    running.resume();
    await time.passMs(10_000);
    expect(expiredAtMs).to.equal(null);
  });

  it('runs again when it is restarted by what it calls', async () => {
    const startMs = loopMs();
    const calls: number[] = [];
    const running: LoopTimer = startLoopTimer(1_000, () => {
      calls.push(loopMs() - startMs);
      if (calls.length < 3) running.restart();
    });
    started.push(running);
    await time.passMs(10_000);
    expect(calls).to.deep.equal([1_000, 2_000, 3_000]);
  });

  it('does not run again when what it calls restarts and cancels it', async () => {
    let calls = 0;
    const running: LoopTimer = startLoopTimer(1_000, () => {
      calls += 1;
      running.restart();
      running.cancel();
    });
    started.push(running);
    await time.passMs(10_000);
    expect(calls).to.equal(1);
  });

  it('cannot be brought back after it has expired', async () => {
    const running = start(1_000);
    await time.passMs(1_000);
    expiredAtMs = null;
    running.restart();
    running.pause();
    running.resume();
    await time.passMs(10_000);
    expect(expiredAtMs).to.equal(null);
  });

  it('waits longer than setTimeout can', async () => {
    const month = 31 * 24 * 3_600_000;
    start(month);
    await time.passMs(month - 1);
    expect(expiredAtMs).to.equal(null);
    await time.passMs(1);
    expect(expiredAtMs).to.equal(month);
  });

  it('never expires at Infinity', async () => {
    start(Infinity);
    await time.passMs(2 ** 32);
    expect(expiredAtMs).to.equal(null);
  });

  it('serves p-timeout as its timers', async () => {
    const late = pTimeout(new Promise<never>(() => undefined), { milliseconds: 5_000, customTimers: loopTimers });
    const seen = late.catch((error: unknown) => error);
    await time.passMs(4_999);
    const inTime = pTimeout(Promise.resolve('well'), { milliseconds: 5_000, customTimers: loopTimers });
    expect(await inTime).to.equal('well');
    await time.passMs(1);
    expect(await seen).to.be.instanceOf(TimeoutError);
  });
});

describe('a loop timer in a process that once was late', () => {
  before(() => {
    const watch = startLoopTimer(Infinity, () => {});
    const lostBeforeMs = lostMs();
    // Time that was not counted is no whole number of milliseconds.
    for (const endMs = performance.now() + 250.3; performance.now() < endMs;);
    watch.cancel();
    expect(lostMs() - lostBeforeMs).to.be.greaterThan(0);
  });

  it('moves its clock by exactly as much as time is moved', async () => {
    const time = startFakeTime();
    try {
      for (let steps = 0; steps < 50; steps += 1) {
        const beforeMs = loopMs();
        await time.passMs(59_999);
        expect(loopMs() - beforeMs).to.equal(59_999);
      }
    } finally {
      time.restore();
    }
  });

  for (const days of [1, 7, 20, 25, 29, 31, 37, 43, 49, 50, 53, 59, 71, 365]) {
    it(`expires to the millisecond after ${days} days`, async () => {
      const time = startFakeTime();
      let expired = false;
      const timer = startLoopTimer(days * 86_400_000, () => {
        expired = true;
      });
      try {
        await time.passMs(days * 86_400_000 - 1);
        expect(expired).to.equal(false);
        await time.passMs(1);
        expect(expired).to.equal(true);
      } finally {
        timer.cancel();
        time.restore();
      }
    });
  }
});

describe('a loop timer that runs since before time was moved by hand', () => {
  it('does not take the steps of that time for a loop that did not turn', async () => {
    const other = startLoopTimer(Infinity, () => {});
    const time = startFakeTime();
    const lostBeforeMs = lostMs();
    let expired = false;
    const timer = startLoopTimer(60_000, () => {
      expired = true;
    });
    try {
      await time.passMs(59_999);
      expect(expired).to.equal(false);
      await time.passMs(1);
      expect(expired).to.equal(true);
      expect(lostMs()).to.equal(lostBeforeMs);
    } finally {
      timer.cancel();
      time.restore();
      other.cancel();
    }
  });
});

describe('a loop timer on the real loop', () => {
  const timers: LoopTimer[] = [];
  let server: Server;
  let toClient: Socket;
  let client: Socket;

  beforeEach(async () => {
    server = createServer({ noDelay: true }, (socket) => {
      toClient = socket;
      socket.on('error', () => undefined);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    client.on('error', () => undefined);
    await Promise.all([once(server, 'connection'), once(client, 'connect')]);
  });
  afterEach(async () => {
    for (const timer of timers.splice(0)) timer.cancel();
    client.destroy();
    toClient.destroy();
    server.close();
    await once(server, 'close');
  });

  function expiry(ms: number): { readonly timer: LoopTimer; readonly expired: Promise<void> } {
    let timer!: LoopTimer;
    const expired = new Promise<void>((resolve) => {
      timer = startLoopTimer(ms, resolve);
      timers.push(timer);
    });
    return { timer, expired };
  }

  it('expires on an idle connection about when it should', async () => {
    const startMs = performance.now();
    await expiry(300).expired;
    const tookMs = performance.now() - startMs;
    expect(tookMs).to.be.at.least(299);
    // A loaded machine adds its own pauses; ten times the limit would be another rule.
    expect(tookMs).to.be.below(3_000);
  });

  it('does not expire because the loop was blocked while the bytes waited in the socket', async () => {
    const limitMs = 200;
    let expired = false;
    const timer = startLoopTimer(limitMs, () => (expired = true));
    timers.push(timer);
    let bytes = 0;
    client.on('data', (chunk) => {
      bytes += chunk.length;
      timer.restart();
    });
    for (let round = 1; round <= 3; round += 1) {
      // Written and flushed to the kernel before the block begins: it waits at our side.
      await new Promise<void>((resolve) => toClient.write('x', () => resolve()));
      blockLoop(limitMs * 5);
      while (bytes < round) await once(client, 'data');
    }
    expect(expired).to.equal(false);
  });

  it('does not expire on a blocked loop even for a reader that is some promises and one turn away', async () => {
    let expired = false;
    const timer = startLoopTimer(100, () => (expired = true));
    timers.push(timer);
    const read = new Promise<void>((resolve) => {
      client.once('data', () => {
        setImmediate(() => {
          void Promise.resolve()
            .then(() => Promise.resolve())
            .then(() => {
              timer.restart();
              resolve();
            });
        });
      });
    });
    await new Promise<void>((resolve) => toClient.write('x', () => resolve()));
    blockLoop(600);
    await read;
    expect(expired).to.equal(false);
  });

  it('does not count the time of a blocked loop, neither inside the block nor after it', async () => {
    const { timer } = expiry(60_000);
    await new Promise((resolve) => setTimeout(resolve, 60));
    const lostBefore = lostMs();
    const loopBefore = loopMs();
    blockLoop(1_000);
    const inside = loopMs() - loopBefore;
    expect(inside).to.be.below(400);
    expect(lostMs() - lostBefore).to.be.at.least(700);
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(loopMs() - loopBefore).to.be.at.least(inside);
    expect(lostMs() - lostBefore).to.be.at.least(700);
    timer.cancel();
  });

  it('never lets its clock go back', async () => {
    const { timer } = expiry(60_000);
    let last = loopMs();
    for (let round = 0; round < 20; round += 1) {
      if (round % 5 === 0) blockLoop(300);
      for (let read = 0; read < 50; read += 1) {
        const now = loopMs();
        expect(now).to.be.at.least(last);
        last = now;
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    timer.cancel();
    expect(loopMs()).to.be.at.least(last);
  });

  it('goes on when the clock that it reads was ahead and is put back', async () => {
    const restore = replaceTimeSource({ monotonicMs: () => performance.now() + 3_600_000, epochMs: Date.now });
    try {
      loopMs();
    } finally {
      restore();
    }
    const startMs = performance.now();
    await expiry(100).expired;
    expect(performance.now() - startMs).to.be.below(5_000);
  });

  it('still expires after a blocked loop when nothing waited', async () => {
    const { expired } = expiry(200);
    const startMs = performance.now();
    blockLoop(1_000);
    await expired;
    expect(performance.now() - startMs).to.be.at.least(1_000);
  });

  it('restarts ten thousand times a second without a new timeout', async () => {
    const { timer } = expiry(60_000);
    const before = liveResources('Timeout');
    const startMs = performance.now();
    for (let times = 0; times < 200_000; times += 1) timer.restart();
    const tookMs = performance.now() - startMs;
    expect(liveResources('Timeout')).to.equal(before);
    expect(tookMs).to.be.below(20_000);
  });

  it('does not expire while a reader blocks the loop with each chunk for longer than the limit', async () => {
    let expired = false;
    const timer = startLoopTimer(50, () => (expired = true));
    timers.push(timer);
    for (let round = 1; round <= 4; round += 1) {
      const read = new Promise<void>((resolve) => {
        client.once('data', () => {
          timer.restart();
          // What the next round reads is there before this turn is over.
          toClient.write('x');
          blockLoop(400);
          resolve();
        });
      });
      if (round === 1) toClient.write('x');
      await read;
    }
    expect(expired).to.equal(false);
  });

  it('leaves no timeout behind, and watches the loop only while timers run', async () => {
    // Mocha sets its own timeout once a test has returned its promise.
    await new Promise((resolve) => setImmediate(resolve));
    const before = liveResources('Timeout');
    const { setInterval: realSetInterval, clearInterval: realClearInterval } = globalThis;
    const tickers = new Set<unknown>();
    let opened = 0;
    globalThis.setInterval = ((callback: () => void, ms: number) => {
      const ticker = realSetInterval(callback, ms);
      tickers.add(ticker);
      opened += 1;
      return ticker;
    }) as typeof globalThis.setInterval;
    globalThis.clearInterval = (ticker) => {
      tickers.delete(ticker);
      realClearInterval(ticker);
    };
    try {
      const short = expiry(20);
      const running = [expiry(60_000), expiry(Infinity), expiry(60_000)];
      expect([opened, tickers.size]).to.deep.equal([1, 1]);
      // The ticker alone must not keep a process alive: only the two that wait, and the short one, count.
      expect(liveResources('Timeout')).to.equal(before + 3);
      await short.expired;
      for (const { timer } of running.slice(1)) timer.cancel();
      expect(tickers.size).to.equal(1);
      running[0]?.timer.cancel();
      expect(tickers.size).to.equal(0);
      expect(liveResources('Timeout')).to.equal(before);
    } finally {
      globalThis.setInterval = realSetInterval;
      globalThis.clearInterval = realClearInterval;
    }
  });
});

describe('a loop timer in a process that was stopped', () => {
  it('does not expire on a connection whose bytes waited, and does on an idle one, later by the stop', async function () {
    this.timeout(60_000);
    const limitMs = 1_000;
    const stoppedMs = 3_000;
    const sockets = new Set<Socket>();
    const server = createServer({ noDelay: true }, (socket) => {
      sockets.add(socket);
      const drip = setInterval(() => socket.write('x'), 50);
      socket.on('close', () => clearInterval(drip));
      socket.on('error', () => undefined);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const child = spawn(
      process.execPath,
      [
        '--import=tsx',
        fileURLToPath(new URL('stopped-process.ts', import.meta.url)),
        String((server.address() as AddressInfo).port),
        String(limitMs),
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const exited = once(child, 'exit');
    try {
      let output = '';
      const started = new Promise<void>((resolve) => {
        child.stdout.on('data', (chunk: Buffer) => {
          output += chunk.toString();
          if (output.includes('reading\n')) resolve();
        });
      });
      await Promise.race([started, exited]);
      child.kill('SIGSTOP');
      await new Promise((resolve) => setTimeout(resolve, stoppedMs));
      child.kill('SIGCONT');
      await exited;
      expect(output).to.not.include('the dripping one expired');
      const idle = /the idle one expired after (\d+) ms/.exec(output);
      expect(Number(idle?.[1])).to.be.at.least(limitMs + stoppedMs - 500);
    } finally {
      child.kill('SIGKILL');
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    }
  });
});
