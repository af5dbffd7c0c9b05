import { expect } from 'chai';
import { PullStream } from '../../lib/drop-in/pull-stream.js';
import { until } from '../support/until.js';

const lineOf = (status: string): string => `${JSON.stringify({ status })}\r\n`;

function open(): { readonly stream: PullStream; readonly destroyed: () => number } {
  let destroyed = 0;
  const stream = new PullStream(() => {
    destroyed += 1;
  });
  return { stream, destroyed: () => destroyed };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('the stream of a pull', () => {
  for (const encoding of [null, 'utf8'] as const) {
    it(`gives each line as a chunk of its own, read as ${encoding ?? 'bytes'}, whenever it was written`, async () => {
      const { stream } = open();
      const chunks: string[] = [];
      stream.tell({ status: 'before' });
      if (encoding !== null) stream.setEncoding(encoding);
      stream.tell({ status: 'ünïcödé' });
      stream.on('data', (chunk: Buffer | string) => chunks.push(String(chunk)));
      stream.tell({ status: 'same turn' });
      await turn();
      stream.tell({ status: 'later' });
      stream.tell({ status: 'and at once' });
      stream.finish();
      await until(() => stream.destroyed);
      expect(chunks).to.deep.equal(['before', 'ünïcödé', 'same turn', 'later', 'and at once'].map(lineOf));
    });
  }

  it('gives thousands of lines in order to a reader who stops again and again', async () => {
    const { stream } = open();
    const statuses = Array.from({ length: 5_000 }, (_, index) => `line ${index}`);
    const read: string[] = [];
    stream.on('data', (chunk: Buffer) => {
      read.push(String(chunk));
      if (read.length % 97 !== 0) return;
      stream.pause();
      setImmediate(() => stream.resume());
    });
    for (const status of statuses) stream.tell({ status });
    stream.finish();
    await until(() => stream.destroyed);
    expect(read).to.deep.equal(statuses.map(lineOf));
  });

  it('can be iterated, and piped line by line', async () => {
    const { stream } = open();
    stream.tell({ status: 'one' });
    setImmediate(() => {
      stream.tell({ status: 'two' });
      stream.finish();
    });
    let text = '';
    for await (const chunk of stream) text += String(chunk);
    expect(text).to.equal(lineOf('one') + lineOf('two'));
  });

  it('keeps only the last line of one key while nobody reads, in the place of the first', async () => {
    const { stream } = open();
    for (let current = 0; current < 100_000; current += 1) stream.tell({ status: `at ${current}` }, 'layer');
    stream.tell({ status: 'complete' });
    stream.finish();
    let text = '';
    for await (const chunk of stream) text += String(chunk);
    expect(text).to.equal(lineOf('at 99999') + lineOf('complete'));
  });

  it('tells once when it is destroyed, and takes nothing any more', async () => {
    const { stream, destroyed } = open();
    stream.tell({ status: 'one' });
    stream.destroy();
    await until(() => stream.closed);
    stream.tell({ status: 'two' });
    stream.finish();
    expect(destroyed()).to.equal(1);
    expect(stream.read()).to.equal(null);
  });

  it('lets what its reader throws be an uncaught exception, as with dockerode, and goes on', async () => {
    const { stream } = open();
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const caught: unknown[] = [];
    const read: string[] = [];
    process.on('uncaughtException', (error) => caught.push(error));
    try {
      const thrown = new Error('of the reader');
      stream.on('data', (chunk: Buffer) => {
        read.push(String(chunk));
        if (read.length === 1) throw thrown;
      });
      await turn();
      expect(() => {
        stream.tell({ status: 'one' });
        stream.tell({ status: 'two' });
        stream.finish();
      }).to.not.throw();
      await until(() => stream.closed);
      expect(caught).to.deep.equal([thrown]);
      expect(read).to.deep.equal([lineOf('one'), lineOf('two')]);
    } finally {
      process.removeAllListeners('uncaughtException');
      for (const listener of listeners) process.on('uncaughtException', listener);
    }
  });

  it('tells why it was destroyed to whoever listens, and is no uncaught exception where nobody does', async () => {
    const why = new Error('the pull was aborted');
    const heard = open().stream;
    const told: unknown[] = [];
    heard.on('error', (error) => told.push(error));
    heard.destroy(why);
    await until(() => heard.closed);
    expect(told).to.deep.equal([why]);

    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const caught: unknown[] = [];
    process.on('uncaughtException', (error) => caught.push(error));
    try {
      const unheard = open().stream;
      unheard.resume();
      unheard.destroy(why);
      await until(() => unheard.closed);
      await turn();
      expect(caught).to.deep.equal([]);
    } finally {
      process.removeAllListeners('uncaughtException');
      for (const listener of listeners) process.on('uncaughtException', listener);
    }
  });

  it('ends with end and close, and without an error', async () => {
    const { stream, destroyed } = open();
    const told: string[] = [];
    for (const event of ['end', 'close', 'error']) stream.on(event, () => told.push(event));
    stream.finish();
    stream.resume();
    await until(() => stream.closed);
    expect(told).to.deep.equal(['end', 'close']);
    expect(destroyed()).to.equal(1);
  });
});
