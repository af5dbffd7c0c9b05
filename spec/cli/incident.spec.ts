import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { expect } from 'chai';
import { UsageError } from '../../lib/cli/exit-code.js';
import { incidentCommand } from '../../lib/cli/incident.js';
import { openStateStore } from '../../lib/health/state-store.js';
import type { Incident } from '../../lib/incidents/incident.js';
import { incidentsDocument } from '../../lib/incidents/incidents-document.js';
import { renderIncident } from '../../lib/incidents/render-incident.js';
import { failureOf } from '../support/failure-of.js';
import { useTemporaryDirectory } from '../support/temporary-directory.js';
import { outageOf2017 } from '../incidents/support/outage-of-2017.js';

describe('pull-failover incident', () => {
  const state = useTemporaryDirectory();
  const outage: Incident = { ...outageOf2017(), id: '20170726T183600Z-0001' };
  const open: Incident = {
    ...outage,
    id: '20170727T090000Z-0002',
    openedAtMs: outage.openedAtMs + 52_000_000,
    closedAtMs: null,
  };

  async function keep(...incidents: readonly Incident[]): Promise<void> {
    const kept = incidents.map((incident) => [incident.id, { incident, owner: null, savedAtMs: Date.now() }] as const);
    await openStateStore(state.path)
      .document(incidentsDocument)
      .update(() => new Map(kept));
  }

  /** What it writes. Rejects with what the program would tell. */
  async function run(...args: readonly string[]): Promise<string> {
    const chunks: Buffer[] = [];
    const stdout = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        chunks.push(chunk);
        done();
      },
    });
    const signal = new AbortController().signal;
    const command = incidentCommand({ stdout, stderr: stdout, env: {}, signal });
    await command.exitOverride().parseAsync([...args, '--state-dir', state.path], { from: 'user' });
    return Buffer.concat(chunks).toString('utf8');
  }

  it('lists the incidents of a state, the newest first, with what became of the operations', async () => {
    await keep(outage, open);
    const rows = (await run()).split('\n').map((line) => line.trim().split(/ {2,}/));
    expect(rows[0]).to.deep.equal(['incident', 'opened', 'lasted', 'registries', 'failed', 'late', 'saved']);
    expect(rows.slice(2, 4)).to.deep.equal([
      [open.id, '2017-07-27 09:02:40 UTC', 'open when its host ended', 'quay.io/aptible', '1', '2', '32'],
      [outage.id, '2017-07-26 18:36:00 UTC', '2 h 59 min', 'quay.io/aptible', '1', '2', '32'],
    ]);
  });

  it('says that there is none', async () => {
    expect(await run()).to.equal(`No incident is recorded in ${state.path}.\n`);
  });

  it('tells one: how it began, what happened in order, what became of each operation', async () => {
    await keep(outage);
    const text = await run(outage.id);
    expect(text).to.include('From 2017-07-26 18:36:00 to 21:35:00 UTC: 2 h 59 min.');
    expect(text).to.match(/18:36:00 {2}quay\.io\/aptible × layers open, seen by pulls/);
    expect(text).to.match(/18:41:00 {2}ann: ban quay\.io\/aptible for kind database/);
    expect(text.match(/ on host-\d+: /g)).to.have.length(outage.operations.length);
  });

  for (const id of ['last', '20170727', open.id]) {
    it(`finds one by ${id === 'last' ? 'being the newest' : `its id, also by how it begins: ${id}`}`, async () => {
      await keep(outage, open);
      expect(await run(id, '--format', 'json')).to.equal(renderIncident(open, 'json'));
    });
  }

  for (const format of ['markdown', 'html', 'json'] as const) {
    it(`writes the newest as ${format} on standard output, and nothing else`, async () => {
      await keep(outage);
      expect(await run('--format', format)).to.equal(renderIncident(outage, format));
    });
  }

  for (const [name, format] of [
    ['postmortem.md', 'markdown'],
    ['postmortem.HTML', 'html'],
    ['postmortem.json', 'json'],
  ] as const) {
    it(`writes ${name} as ${format}, and says where`, async () => {
      await keep(outage);
      const out = join(state.path, name);
      expect(await run('last', '--out', out)).to.equal(`${out}\n`);
      expect(await readFile(out, 'utf8')).to.equal(renderIncident(outage, format));
    });
  }

  it('takes the format that is given over the one of the name', async () => {
    await keep(outage);
    const out = join(state.path, 'postmortem.txt');
    await run('last', '--out', out, '--format', 'markdown');
    expect(await readFile(out, 'utf8')).to.equal(renderIncident(outage, 'markdown'));
  });

  for (const [what, args, problem] of [
    ['an unknown incident', ['2016'], /incident 2016 is none of: 20170727T090000Z-0002, 20170726T183600Z-0001/],
    ['an incident that may be two', ['2017'], /may be each of: 20170727T090000Z-0002, 20170726T183600Z-0001/],
    [
      'a file whose name tells no format',
      ['last', '--out', 'postmortem'],
      /--out postmortem: its name tells no format/,
    ],
    ['a file that cannot be written', ['last', '--out', '/nowhere/x.md'], /--out \/nowhere\/x.md.*ENOENT/],
  ] as const) {
    it(`refuses ${what}`, async () => {
      await keep(outage, open);
      const failure = await failureOf(run(...args));
      expect(failure).to.be.instanceOf(UsageError);
      expect(failure).to.have.property('message').that.matches(problem);
    });
  }

  it('says that a state is broken, instead of that nothing happened', async () => {
    await writeFile(join(state.path, 'incidents.json'), '{');
    expect(await failureOf(run()))
      .to.have.property('message')
      .that.matches(/cannot be read; DEBUG=/);
  });

  it('refuses to tell one where there is none', async () => {
    expect(await failureOf(run('last')))
      .to.have.property('message')
      .that.matches(/no incident is recorded in/);
  });

  it('moves no cursor, whatever a name of a tenant says', async () => {
    const spoiled = JSON.parse(JSON.stringify(outage).replaceAll('redis', '\\u001b[2Jredis')) as Incident;
    await keep(spoiled);
    // oxlint-disable-next-line no-control-regex
    for (const text of [await run(), await run('last')]) expect(text).to.not.match(/\u001b/);
  });

  it('finds the state of a host by its configuration', async () => {
    await keep(outage);
    const config = join(state.path, 'host.json');
    await writeFile(config, JSON.stringify({ stateDir: state.path }));
    const chunks: string[] = [];
    const stdout = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        chunks.push(chunk.toString('utf8'));
        done();
      },
    });
    const { signal } = new AbortController();
    const context = { stdout, stderr: stdout, env: {}, signal };
    await incidentCommand(context).parseAsync(['--config', config], { from: 'user' });
    expect(chunks.join('')).to.include(outage.id);
    const failure = await failureOf(incidentCommand(context).parseAsync([], { from: 'user' }));
    expect(failure).to.be.instanceOf(UsageError).with.property('message').that.includes('--state-dir');
  });
});
