import { createIncidentRecorder } from '../../../lib/incidents/incident-recorder.js';
import type { Incident } from '../../../lib/incidents/incident.js';
import { HostStory, hub, quay } from './host-story.js';

/** The outage of 26 July 2017 as this library would have recorded it. */
export function outageOf2017(): Incident {
  const recorder = createIncidentRecorder();
  const story = new HostStory((event) => recorder.observe(event));

  story.at('18:19');
  for (let at = 0; at < 6; at += 1) story.pass(4_000).saved('app');
  // The first one, on an old host: nobody knows yet.
  story.at('18:20').saved('database', { engine: 'host-4' });
  story.at('18:34').saved('database');
  story.at('18:36').opened();
  const parked = [1, 2].map(() => {
    const pull = story.pass(20_000).started('database', { image: `${quay}/couchdb:1.6` });
    story.phase(pull, 'layers');
    story.pass(4_000).failed(pull);
    story.parked(pull);
    return pull;
  });
  story.at('18:41').acted('set');
  const order = { layers: [hub, quay] };
  const place = { layers: 'circuit-open' } as const;
  for (let at = 0; at < 24; at += 1) {
    const pull = story.pass(45_000).started(at % 3 === 0 ? 'database' : 'app', { order, place });
    story.phase(pull, 'layers');
    story.pass(3_000).progressed(pull, { [quay]: 2_000, [hub]: 9_000_000 });
    story.pass(3_000).succeeded(pull, { [quay]: 2_000, [hub]: 20_000_000 });
  }
  story.at('18:55:20').opened(quay, 'metadata');
  const late = story.pass(5_000).started('app', { image: `${quay}/ruby:2.3` });
  story.failed(late, { phase: 'metadata', reason: unanswered });
  story.pass(60_000).gaveUp(late);
  const build = story.pass(1_000).started('build', { order, place });
  story.phase(build, 'layers');
  story.pass(4_000).aborted(build);
  for (const at of ['19:20', '20:05', '21:02']) {
    story.at(at).halfOpened();
    story.pass(10_000).opened();
  }
  story.at('21:20').halfOpened(quay, 'metadata');
  story.at('21:22').closed(quay, 'metadata');
  story.at('21:33').halfOpened();
  story.at('21:34').acted('released');
  story.at('21:35').closed();
  for (const pull of parked) {
    story.resumed(pull, 10_000_000);
    story.pass(8_000).succeeded(pull, { [quay]: 20_000_000 });
  }
  const [incident] = recorder.list();
  if (incident === undefined) throw new Error('nothing was recorded');
  return incident;
}

const unanswered = {
  cause: 'registry-api',
  code: 'request-late',
  message: 'quay.io/aptible did not answer for the manifest 2.3 within 10 s',
} as const;
