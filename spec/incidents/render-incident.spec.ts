import { expect } from 'chai';
import fc from 'fast-check';
import type { Incident } from '../../lib/incidents/incident.js';
import { createIncidentRecorder } from '../../lib/incidents/incident-recorder.js';
import { durationInWords } from '../../lib/incidents/incident-words.js';
import { readIncident } from '../../lib/incidents/read-incident.js';
import { type IncidentFormat, renderIncident } from '../../lib/incidents/render-incident.js';
import { layTime } from '../../lib/incidents/time-axis.js';
import { circuitLanes } from '../../lib/incidents/timeline.js';
import { clock, HostStory, hub, quay } from './support/host-story.js';
import { outageOf2017 } from './support/outage-of-2017.js';

const formats: readonly IncidentFormat[] = ['markdown', 'html', 'json'];

/** Names of tenants and messages of registries that would like to be more than text. */
const hostile = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  "' onload='alert(1)",
  '</title></svg></style><h1>gone</h1>',
  '&lt;b&gt;',
  '| a cell | [a link](https://example.invalid) ![x](https://example.invalid/x) `code`',
  'https://example.invalid/phish',
  '\u202egnp.exe',
  'one\ntwo\r\n# three',
  '\u0000\u0007',
];

/** An incident in which every text is this one. */
function incidentSaying(text: string): Incident {
  const recorder = createIncidentRecorder();
  const story = new HostStory((event) => recorder.observe(event));
  const reason = { cause: 'registry-storage', code: 'stalled', message: text } as const;
  story.tell({
    type: 'circuit:opened',
    registry: text,
    phase: 'layers',
    reason,
    seenBy: 'pull',
    untilMs: story.nowMs,
  });
  story.pass(1_000).acted('set', { reason: text, actor: text, registry: text, act: 'hold', as: 'open', scope: {} });
  const pull = story.started(text, { image: text, engine: text, operation: { kind: text, id: text } });
  story.failed(pull, { registry: text, reason });
  story.tell({ ...pull, type: 'pull:failed-over', phase: 'layers', from: text, to: text, reason, bytesKept: 1 });
  story.progressed(pull, { [text]: 1_000 });
  const error = { code: 'ERR_PULL_EXHAUSTED', message: text, retryable: true } as const;
  story.pass(1_000).tell({ ...pull, type: 'pull:failed', error, attempts: [] });
  story.tell({ type: 'operator:changed', change: 'refused', control: null, message: text });
  const incident = recorder.current();
  if (incident === null) throw new Error('nothing was recorded');
  return incident;
}

describe('an incident as a text', () => {
  const outage = outageOf2017();

  it('as JSON is the record itself, and can be read back', () => {
    expect(readIncident(JSON.parse(renderIncident(outage, 'json')))).to.deep.equal(outage);
  });

  it('has no other format, and says which there are', () => {
    expect(() => renderIncident(outage, 'pdf' as never)).to.throw(/markdown, html, json.*pdf/);
  });

  for (const format of ['markdown', 'html'] as const) {
    describe(format, () => {
      const text = renderIncident(outage, format).replaceAll('\\', '');

      it('says when it was, how it began, and what became of the operations', () => {
        expect(text).to.include('From 2017-07-26 18:36:00 to 21:35:00 UTC: 2 h 59 min.');
        expect(text).to.include('It began with the layers of quay.io/aptible, seen by pulls');
        expect(text).to.include('2 engines saw it');
        expect(text).to.match(/of 36 operations touched: 1 failed, 2 late \(by 2 h \d+ min at most\), 1 ended/);
      });

      it('tells circuits, acts, failures and failovers in order', () => {
        const story = [
          'fails',
          'moves from',
          'layers open',
          'ann: ban',
          'metadata open',
          'metadata closed',
          'released',
        ];
        const start = text.indexOf('What happened');
        const places = story.map((words) => text.indexOf(words, start));
        expect(places).to.deep.equal(places.toSorted((a, b) => a - b));
        expect(Math.min(...places)).to.be.greaterThan(0);
      });

      it('lists each operation with its outcome', () => {
        for (const { id, image } of outage.operations) {
          expect(text).to.include(id ?? '');
          expect(text).to.include(image);
        }
        expect(text).to.include('failed: ERR_PULL_EXHAUSTED: no registry could serve it');
        expect(text).to.include('asked another registry first');
      });

      it('says of an open one that it is open', () => {
        const open: Incident = { ...outage, closedAtMs: null };
        expect(renderIncident(open, format)).to.include('Opened at 2017-07-26 18:36:00 UTC, and still open.');
      });

      it('says what the record left out', () => {
        const leftOut = { ...outage.leftOut, operations: 1_234 };
        expect(renderIncident({ ...outage, leftOut }, format)).to.include('1,234 further operations are counted');
      });

      it('can be written of an incident of which nothing else is known', () => {
        const recorder = createIncidentRecorder();
        new HostStory((event) => recorder.observe(event)).opened();
        const rendered = renderIncident(recorder.current() as Incident, format);
        expect(rendered).to.include('None of 0 operations was touched.');
        expect(rendered).to.not.match(/NaN|undefined|Infinity/);
      });
    });
  }

  for (const text of hostile) {
    it(`stays text, whatever it says: ${JSON.stringify(text)}`, () => {
      const incident = incidentSaying(text);
      const html = renderIncident(incident, 'html');
      expect(html).to.not.match(/<(?:script|img|h1>gone|b>)/i);
      // Every attribute of the page is one that it has with harmless names too.
      const attributes = (page: string): ReadonlySet<string> =>
        new Set(
          [...page.matchAll(/<[a-z]+((?:\s+[a-z:-]+(?:="[^"]*")?)*)/gi)].flatMap(([, all = '']) =>
            [...all.matchAll(/([a-z:-]+)="/gi)].map(([, name = '']) => name),
          ),
        );
      expect(attributes(html)).to.deep.equal(attributes(renderIncident(incidentSaying('harmless'), 'html')));
      const markdown = renderIncident(incident, 'markdown');
      expect(markdown).to.not.match(/(?<!\\)</);
      expect(markdown).to.not.match(/(?<!\\)\]\(/);
      expect(markdown).to.not.match(/https:\/\//);
      const lines = markdown.split('\n').length;
      expect(lines).to.equal(renderIncident(incidentSaying('harmless'), 'markdown').split('\n').length);
      for (const format of formats) {
        // oxlint-disable-next-line no-control-regex
        expect(renderIncident(incident, format)).to.not.match(/[\u0000-\u0009\u000b-\u001f]/);
      }
      for (const rendered of [html, markdown]) expect(rendered).to.not.match(/[\u202a-\u202e\u2066-\u2069]/);
    });
  }

  it('has balanced tags, whatever the names', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
        const html = renderIncident(incidentSaying(`x${text}`), 'html').replace(/<(?:meta[^>]*|!doctype html)>/g, '');
        const depth: string[] = [];
        for (const [, close, name = '', empty] of html.matchAll(/<(\/?)([a-z0-9]+)[^<>]*?(\/?)>/g)) {
          if (empty === '/') continue;
          if (close === '/') expect(depth.pop()).to.equal(name);
          else depth.push(name);
        }
        expect(depth).to.be.empty;
      }),
      { numRuns: 100 },
    );
  });

  it('needs nothing but itself: no script, no file, no network', () => {
    const html = renderIncident(outage, 'html');
    expect(html).to.not.match(/<(?:script|link|img|iframe|object|embed)\b|\b(?:src|href)=|url\(|@import/i);
    expect(html).to.include('default-src &#39;none&#39;');
  });
});

describe('the drawing of an incident', () => {
  it('shows each circuit in every state it had, without gaps', () => {
    const lanes = circuitLanes(outageOf2017());
    expect(lanes.map(({ registry, phase }) => [registry, phase])).to.deep.equal([
      [quay, 'layers'],
      [quay, 'metadata'],
    ]);
    for (const { spans } of lanes) {
      expect(spans.map(({ state }) => state)[0]).to.equal('closed');
      expect(spans.at(-1)?.state).to.equal('closed');
      for (const [at, span] of spans.slice(1).entries()) expect(span.fromMs).to.equal(spans[at]?.toMs);
    }
  });

  it('shows a circuit as held while an operator holds it', () => {
    const recorder = createIncidentRecorder();
    const story = new HostStory((event) => recorder.observe(event));
    const hold = { act: 'hold', as: 'open', scope: { phase: 'layers' } } as const;
    story.at('18:00').opened();
    story.opened(quay, 'metadata');
    story.at('18:10').acted('set', hold);
    story.at('18:20').halfOpened();
    story.at('18:30').acted('released', hold);
    story.at('18:40').closed();
    story.at('18:50').opened(hub);
    const [layers, metadata] = circuitLanes(recorder.current() as Incident);
    expect(layers?.spans.map(({ state, fromMs }) => [state, fromMs])).to.deep.equal([
      ['open', clock('18:00')],
      ['held', clock('18:10')],
      ['half-open', clock('18:30')],
      ['closed', clock('18:40')],
    ]);
    expect(metadata?.spans.map(({ state }) => state)).to.deep.equal(['open']);
  });

  it('has at most nine times below it, none of them twice, in any span', () => {
    for (const spanMs of [1, 900, 5_000, 60_000, 3_600_000, 86_400_000, 90_000_000, 40 * 86_400_000, 4e11]) {
      const { ticks, x } = layTime(clock('18:20'), clock('18:20') + spanMs, 100, 900);
      expect(ticks.length, String(spanMs)).to.be.within(1, 9);
      expect(new Set(ticks.map(({ label }) => label)).size).to.equal(ticks.length);
      for (const { atMs } of ticks) expect(x(atMs)).to.be.within(100, 900);
    }
  });

  it('keeps what is outside of its time at its ends', () => {
    const { x } = layTime(1_000, 11_000, 100, 900);
    expect([0, 1_000, 6_000, 11_000, 99_000].map(x)).to.deep.equal([100, 100, 500, 900, 900]);
  });

  it('says durations as people do', () => {
    const words = [0, 850, 59_900, 60_000, 200_000, 10_740_000, 100_000_000].map(durationInWords);
    expect(words).to.deep.equal(['0.0 s', '0.8 s', '59.9 s', '1 min 0 s', '3 min 20 s', '2 h 59 min', '1 d 3 h']);
  });
});
