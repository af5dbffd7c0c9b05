import { format } from 'node:util';
import createDebug from 'debug';
import { expect } from 'chai';
import { createLog, logAreas, type LogArea } from '../../lib/log/log.js';

describe('the log', () => {
  const lines: string[] = [];
  const { log: printed } = createDebug;
  let enabledBefore: string;

  beforeEach(() => {
    lines.length = 0;
    enabledBefore = createDebug.disable();
    createDebug.log = (...parts: readonly unknown[]) => {
      lines.push(format(...parts));
    };
  });
  afterEach(() => {
    createDebug.log = printed;
    createDebug.enable(enabledBefore);
  });

  /** The line without what `debug` puts before it: a date, or colours. */
  function lastLine(area: LogArea): string {
    const line = lines.at(-1) ?? '';
    const [, said = line] = line.split(`pull-failover:${area} `);
    return said;
  }

  it('writes one line of the area, beginning with the id of the pull', () => {
    createDebug.enable('pull-failover:*');
    createLog('registry')('p-17', 'GET manifest', { registry: 'quay.io/team', status: 200, cached: false, age: null });
    expect(lines).to.have.length(1);
    expect(lastLine('registry')).to.match(/^p-17 GET manifest registry=quay.io\/team status=200 cached=false age=null/);
    createLog('health')(null, 'circuit opened');
    expect(lastLine('health')).to.match(/^- circuit opened/);
  });

  it('writes to each area that it names, and only to those that somebody asked for', () => {
    createDebug.enable('pull-failover:auth');
    const areas = Object.keys(logAreas) as LogArea[];
    for (const area of areas) createLog(area)(null, area);
    expect(lines).to.have.length(1);
    createDebug.enable('pull-failover:*');
    for (const area of areas) createLog(area)(null, area);
    expect(lines).to.have.length(1 + areas.length);
  });

  it('can be turned on while the process runs, and says whether it is', () => {
    const log = createLog('pull');
    expect(log.enabled).to.equal(false);
    createDebug.enable('pull-failover:pull');
    expect(log.enabled).to.equal(true);
    log('p', 'said');
    expect(lines).to.have.length(1);
  });

  it('does not look at what it is given while nobody reads it', () => {
    const fields = new Proxy(
      {},
      {
        ownKeys: () => {
          throw new Error('it was looked at');
        },
      },
    );
    createLog('pull')('p', 'silent', fields);
    expect(lines).to.deep.equal([]);
  });

  it('lets no secret through, neither in the message nor in a field', () => {
    createDebug.enable('pull-failover:*');
    const log = createLog('registry');
    log('p', 'Authorization: Bearer s3cr3tvalue');
    log('p', 'redirected', {
      to: 'https://cdn.example.com/blob?sig=s3cr3t',
      token: 's3cr3t',
      password: 'two s3cr3t words',
    });
    log('https://u:s3cr3t@quay.io', 'odd id');
    expect(lines).to.have.length(3);
    expect(lines.join('\n')).to.not.include('s3cr3t');
  });

  it('keeps a line a line, whatever a peer put into it', () => {
    createDebug.enable('pull-failover:*');
    createLog('registry')('p', 'peer said %s %o\r\nforged line', { reason: 'a\nb "c" \u001b[2J', empty: '' });
    expect(lastLine('registry')).to.match(/^p peer said %s %o forged line reason="a\\nb \\"c\\" \\u001b\[2J" empty=""/);
  });

  it('never throws, not even when the output does', () => {
    createDebug.enable('pull-failover:*');
    createDebug.log = () => {
      throw new Error('EPIPE');
    };
    createLog('pull')('p', 'said');
    const broken = new Proxy(
      {},
      {
        ownKeys: () => {
          throw new Error('broken fields');
        },
      },
    );
    createLog('pull')('p', 'said', broken);
  });
});
