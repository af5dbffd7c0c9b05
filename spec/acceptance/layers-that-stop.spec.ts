import { join } from 'node:path';
import { expect } from 'chai';
import { createPuller, ociLayout, type PullEvent, type PullReport, type Timeouts } from '../../lib/index.js';
import { layers, seededImage, type TestImage, type TestManifest } from '../../lib/testing/index.js';
import { requireDockerRegistry } from '../support/docker-registry.js';
import { bytesOf, expectImage, expectTidy } from './support/layout-on-disk.js';
import { type ProxiedRegistry, startProxiedRegistry, team } from './support/proxied-registry.js';
import { useWorkingDirectory } from './support/working-directory.js';

const stallMs = 2_000;
const timeouts: Timeouts = { layers: { stallMs } };
/** What the switch may cost beside the limit that told of it. */
const switchMs = 1_000;
/** Waste of both registries together, as a share of the image. */
const wasteShare = 0.05;

/** The link and not this machine decides how long a pull takes. */
const bandwidth = { totalBytesPerSecond: 20e6, latencyMs: 2 };

interface Scenario {
  readonly title: string;
  readonly name: string;
  readonly image: TestImage;
  /** How it is asked for, behind the repository. */
  readonly reference: string;
  readonly platform?: string;
}

const single = seededImage({ bytes: 40e6, seed: 'one large layer' });
const many = seededImage({ layers: 8, bytes: 2.5e6, seed: 'eight layers', compression: 'gzip' });
const multi = seededImage({ bytes: [6e6, 3e6, 1e6], seed: 'index', platforms: ['linux/amd64', 'linux/arm64/v8'] });

const scenarios: readonly Scenario[] = [
  { title: 'one layer of 40 MB by tag', name: 'single', image: single, reference: ':1.0' },
  { title: 'eight layers by digest', name: 'many', image: many, reference: `@${many.digest}` },
  { title: 'one platform of an index by tag', name: 'multi', image: multi, reference: ':1.0', platform: 'linux/arm64' },
  {
    title: 'one platform of an index by tag and digest',
    name: 'multi',
    image: multi,
    reference: `:1.0@${multi.digest}`,
    platform: 'linux/amd64',
  },
];

describe('A real registry that serves manifests and stops every layer after 30 %', function () {
  this.timeout(120_000);
  requireDockerRegistry();
  const working = useWorkingDirectory();
  let first: ProxiedRegistry;
  let second: ProxiedRegistry;

  before(async () => {
    [first, second] = await Promise.all([
      startProxiedRegistry({ auth: 'htpasswd', bandwidth }),
      startProxiedRegistry({ bandwidth }),
    ]);
    for (const registry of [first, second]) {
      for (const [name, image] of Object.entries({ single, many, multi })) await registry.push(`${name}:1.0`, image);
    }
  });

  after(async () => {
    await Promise.all([first?.close(), second?.close()]);
  });

  interface Pulled {
    readonly report: PullReport;
    readonly elapsedMs: number;
    readonly events: readonly PullEvent[];
  }

  async function pull({ name, image, reference, platform }: Scenario, directory: string): Promise<Pulled> {
    const puller = createPuller({
      engine: ociLayout(directory),
      registries: [first.option, second.option],
      timeouts,
      ...(platform === undefined ? {} : { platform }),
    });
    const events: PullEvent[] = [];
    puller.events.on('*', (event) => events.push(event));
    const startedAtMs = performance.now();
    const asked = `${first.host}/${team}/${name}${reference}`;
    const report = await puller.pullWithFailover(asked);
    const elapsedMs = performance.now() - startedAtMs;
    await puller.close();
    await expectImage(directory, asked, image, manifestFor(image, platform));
    await expectTidy(directory);
    return { report, elapsedMs, events };
  }

  for (const scenario of scenarios) {
    it(`costs the stall limit and nothing else: ${scenario.title}`, async () => {
      const total = bytesOf(scenario.image, manifestFor(scenario.image, scenario.platform));

      await Promise.all([first.setFaults([]), second.setFaults([])]);
      const healthy = await pull(scenario, join(working.path, 'healthy'));
      expect((await second.traffic()).requests, 'requests to a lower registry on a healthy day').to.deep.equal([]);
      expect(healthy.report.served.map(({ registry }) => registry)).to.deep.equal([first.option.prefix]);
      expect(healthy.report.attempts).to.deep.equal([]);
      // Where a second connection proves of use, the first one ends in the middle of what it was sent.
      const wasted = healthy.report.served.reduce((sum, { wastedBytes }) => sum + wastedBytes, 0);
      expect(healthy.report.bytes.fetched - wasted).to.equal(total);
      expect(wasted).to.be.at.most(total * wasteShare);

      await first.setFaults([layers.stall({ afterShare: 0.3 })]);
      const outage = await pull(scenario, join(working.path, 'outage'));
      const [fromFirst, fromSecond] = await Promise.all([first.traffic(), second.traffic()]);
      expect(fromFirst.bytes + fromSecond.bytes, 'bytes of both').to.be.at.most(total * (1 + wasteShare));
      expect(fromFirst.bytes, 'bytes of the one that stops').to.be.above(0);
      expect(outage.elapsedMs, `healthy ${healthy.elapsedMs} ms`).to.be.at.most(stallMs + healthy.elapsedMs + switchMs);

      // Metadata is well there, and stays where it is.
      expect(fromSecond.requests.filter(({ kind }) => kind === 'manifest')).to.deep.equal([]);
      const { report, events } = outage;
      expect(report.failovers.map(({ phase, from, to }) => ({ phase, from, to }))).to.deep.equal([
        { phase: 'layers', from: first.option.prefix, to: second.option.prefix },
      ]);
      expect(report.resolution).to.equal(scenario.reference.includes('@') ? 'digest-given' : 'first-registry');
      for (const attempt of report.attempts) {
        expect(attempt).to.deep.include({ registry: first.option.prefix, phase: 'layers', verdict: 'ill' });
        expect(attempt.reason).to.deep.include({ cause: 'registry-storage', code: 'stalled' });
        expect(attempt.bytes, 'bytes that need not be fetched again').to.be.above(0);
      }
      expect(events.filter(({ type }) => type === 'pull:failed-over')).to.have.length(1);
      expect(events.at(-1)?.type).to.equal('pull:succeeded');
    });
  }
});

function manifestFor(image: TestImage, platform: string | undefined): TestManifest | undefined {
  return platform === undefined
    ? image.manifests[0]
    : image.manifests.find((manifest) => manifest.platform.startsWith(platform));
}
