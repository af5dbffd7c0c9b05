import { expect } from 'chai';
import { isHostFaultError } from '../../lib/errors/host-fault-error.js';
import { isInvalidOptionError } from '../../lib/errors/invalid-option-error.js';
import { isInvalidReferenceError } from '../../lib/errors/invalid-reference-error.js';
import { createPuller } from '../../lib/puller/create-puller.js';
import type { PullerOptions, PullOptions } from '../../lib/puller/options.js';
import { usePullRig } from './pull-rig.js';
import { failureOf } from '../support/failure-of.js';

/** Options that are wrong, the path that the error names, and what it says of the value. */
type Wrong = readonly [options: unknown, path: string, says: RegExp];

const policyMistakes: readonly Wrong[] = [
  [{ whenExhausted: 'wait' }, 'whenExhausted', /'fail', 'use-cached' or \{ waitMs \}, got "wait"/],
  [{ whenExhausted: null }, 'whenExhausted', /null/],
  [{ whenExhausted: 5n }, 'whenExhausted', /5/],
  [{ whenExhausted: {} }, 'whenExhausted.waitMs', /is missing/],
  [{ whenExhausted: { waitMs: 0 } }, 'whenExhausted.waitMs', /at least 1.*got 0/],
  [{ whenExhausted: { waitMs: 1.5 } }, 'whenExhausted.waitMs', /integer.*got 1\.5/],
  [{ whenExhausted: { waitMs: '30 s' } }, 'whenExhausted.waitMs', /got "30 s"/],
  [{ whenExhausted: { waitMs: 1, untilMs: 2 } }, 'whenExhausted.untilMs', /is unknown \(value 2\)/],
  [{ deadlineMs: 0 }, 'deadlineMs', /got 0/],
  [{ deadlineMs: -1 }, 'deadlineMs', /got -1/],
  [{ deadlineMs: Number.NaN }, 'deadlineMs', /got NaN/],
  [{ pullPolicy: 'IfNotPresent' }, 'pullPolicy', /'always', 'if-not-present', 'never', got "IfNotPresent"/],
  [{ onDivergence: 'ignore' }, 'onDivergence', /'remembered', 'replica', 'fail', got "ignore"/],
  [{ onUnverified: true }, 'onUnverified', /'accept', 'fail', got true/],
  [{ timeouts: { layer: {} } }, 'timeouts.layer', /is unknown/],
  [{ timeouts: { layers: { stallMS: 4 } } }, 'timeouts.layers.stallMS', /is unknown \(value 4\)/],
  [{ timeouts: { layers: { stallMs: 0 } } }, 'timeouts.layers.stallMs', /got 0/],
  [
    { timeouts: { metadata: { requestMs: 20, totalMs: 10 } } },
    'timeouts.metadata.requestMs',
    /at most timeouts\.metadata\.totalMs, which is 10, got 20/,
  ],
];

const bothMistakes: readonly Wrong[] = [
  ...policyMistakes,
  [{ engine: './images' }, 'engine', /ociLayout/],
  [{ engine: {} }, 'engine', /ociLayout/],
  [{ platform: 'linux/amd64/v1/more' }, 'platform', /more/],
  [{ platform: 64 }, 'platform', /64/],
  [null, 'options', /null/],
  [[], 'options', /array/],
  ['quay.io/team', 'options', /quay\.io\/team/],
];

const pullerMistakes: readonly Wrong[] = [
  ...bothMistakes,
  [{ registry: ['quay.io'] }, 'registry', /is unknown .*known here: engine, registries/],
  [{ signal: new AbortController().signal }, 'signal', /is unknown/],
  [{ order: ['quay.io/team'], registries: ['quay.io/team'] }, 'order', /is unknown/],
  [{ registries: [] }, 'registries', /at least a registry/],
  [{ registries: 'quay.io' }, 'registries', /array/],
  [{ registries: ['quay.io/team', 'quay.io/team'] }, 'registries[1]', /repeats "quay\.io\/team"/],
  [{ registries: [{ prefix: 'quay.io/team', mirror: true }] }, 'registries[0].mirror', /is unknown/],
  [{ registries: [{}] }, 'registries[0].prefix', /is missing/],
  [{ registries: ['quay.io'], replicaSets: [] }, 'replicaSets', /contradicts registries/],
  [{ replicaSets: [{ name: 'a', registries: ['quay.io'], order: 1 }] }, 'replicaSets[0].order', /is unknown/],
  [{ unlisted: 'refuse' }, 'unlisted', /contradicts/],
  [{ unlisted: 'deny', registries: ['quay.io'] }, 'unlisted', /'own-registry', 'refuse', got "deny"/],
  [{ health: { threshold: 1 } }, 'health.threshold', /is unknown \(value 1\)/],
  [{ health: { consecutiveFailures: 0 } }, 'health.consecutiveFailures', /got 0/],
  [{ health: { coolDownMs: 10, maxCoolDownMs: 5 } }, 'health.coolDownMs', /5/],
  [{ transfer: { hedges: {} } }, 'transfer.hedges', /is unknown/],
  [{ transfer: { hedge: { layersMS: 1 } } }, 'transfer.hedge.layersMS', /is unknown/],
  [
    { transfer: { connectionsPerBlob: 9, maxConnections: 8 } },
    'transfer.connectionsPerBlob',
    /at most transfer\.maxConnections, which is 8, got 9/,
  ],
  [{ transfer: { hedge: { budget: 1.1 } } }, 'transfer.hedge.budget', /at most 1, got 1\.1/],
  [{ transfer: { hedge: { metadataMs: 0 } } }, 'transfer.hedge.metadataMs', /got 0/],
  [{ allowHost: ['quay.io'] }, 'allowHost', /a function, got an array of 1/],
  [{ stateDir: '' }, 'stateDir', /non-empty/],
  [{ operations: [] }, 'operations', /one key per kind/],
  [{ operations: { database: { orders: [] } } }, 'operations.database.orders', /is unknown/],
  [{ operations: { database: { engine: 1 } } }, 'operations.database.engine', /is unknown/],
  [{ operations: { app: { whenExhausted: 'never' } } }, 'operations.app.whenExhausted', /got "never"/],
  [{ operations: { app: 7 } }, 'operations.app', /got 7/],
  [
    { registries: ['quay.io/team'], operations: { app: { order: ['docker.io/team'] } } },
    'operations.app.order[0]',
    /got "docker\.io\/team"; there are: quay\.io\/team/,
  ],
  [
    { registries: ['quay.io/team'], operations: { app: { order: ['quay.io/team', 'quay.io/team'] } } },
    'operations.app.order[1]',
    /repeats 'quay\.io\/team'/,
  ],
  [{ registries: ['quay.io/team'], operations: { app: { order: [5n] } } }, 'operations.app.order[0]', /got 5/],
  [{ operations: { app: { order: 'quay.io' } } }, 'operations.app.order', /array/],
  [
    { timeouts: { layers: { totalMs: 1_000 } }, operations: { app: { timeouts: { layers: { stallMs: 2_000 } } } } },
    'operations.app.timeouts.layers.stallMs',
    /at most timeouts\.layers\.totalMs, which is 1000, got 2000/,
  ],
];

const pullMistakes: readonly Wrong[] = [
  ...bothMistakes,
  [{ registries: ['quay.io'] }, 'registries', /is unknown/],
  [{ operation: 'database' }, 'operation', /"database"/],
  [{ operation: {} }, 'operation.kind', /is missing/],
  [{ operation: { kind: '' } }, 'operation.kind', /non-empty/],
  [{ operation: { kind: 'app', id: 7 } }, 'operation.id', /got 7/],
  [{ operation: { kind: 'app', actor: 'me' } }, 'operation.actor', /is unknown \(value "me"\)/],
  [{ signal: {} }, 'signal', /AbortSignal/],
  [{ order: ['quay.io'] }, 'order[0]', /there are: 127\.0\.0\.1/],
  [{ credentials: { user: 'a' } }, 'credentials', /unknown key "user"/],
  [{ credentials: { username: 'a', password: 'b', identityToken: 'c' } }, 'credentials', /contradicts itself/],
  [{ timeouts: { layers: { totalMs: 100 } } }, 'timeouts.layers.stallMs', /at most timeouts\.layers\.totalMs/],
];

describe('the options of a puller', () => {
  const rig = usePullRig();

  for (const [options, path, says] of pullerMistakes) {
    it(`refuse ${describeOptions(options)}, naming ${path}`, () => {
      let error: unknown;
      try {
        createPuller(options as PullerOptions);
      } catch (thrown) {
        error = thrown;
      }
      expectMistake(error, path, says);
    });
  }

  it('may be left out: every default is a value', async () => {
    const puller = createPuller({});
    expect(puller.health()).to.deep.equal([]);
    await puller.close();
  });

  it('take every value in range', async () => {
    await using puller = createPuller({
      engine: rig.engine(),
      replicaSets: [
        { name: 'databases', registries: ['quay.io/team', { prefix: 'docker.io/team', resolves: false }] },
        { name: 'apps', registries: [{ prefix: '127.0.0.1:5001/apps', plainHttp: true, maxConnections: 4 }] },
      ],
      unlisted: 'refuse',
      operations: {
        database: { order: ['docker.io/team'], whenExhausted: { waitMs: Infinity }, deadlineMs: Infinity },
        app: { whenExhausted: 'use-cached', onUnverified: 'fail', pullPolicy: 'if-not-present' },
      },
      whenExhausted: { waitMs: 1 },
      timeouts: { metadata: { requestMs: 10, totalMs: 10 }, layers: { stallMs: Infinity } },
      health: { consecutiveFailures: 1, failureRatio: 1, windowMs: 10, coolDownMs: 10, maxCoolDownMs: 10 },
      transfer: {
        connectionsPerBlob: 1,
        maxConnections: 1,
        rangeBytes: 16_384,
        windowBytes: 16_384,
        maxWindowBytes: 16_384,
        spread: true,
        hedge: { metadataMs: Infinity, layersMs: Infinity, budget: 0 },
      },
      onDivergence: 'fail',
      allowHost: () => true,
      platform: 'linux/arm64/v8',
      stateDir: rig.directory,
      deadlineMs: 1,
    });
    expect(puller.health().map(({ registry, phase }) => `${registry} ${phase}`)).to.have.members([
      ...['quay.io/team metadata', 'quay.io/team layers', 'docker.io/team metadata', 'docker.io/team layers'],
      ...['127.0.0.1:5001/apps metadata', '127.0.0.1:5001/apps layers'],
    ]);
  });
});

describe('the options of a pull', () => {
  const rig = usePullRig();

  for (const [options, path, says] of pullMistakes) {
    it(`refuse ${describeOptions(options)}, naming ${path}, before anybody is asked`, async () => {
      const registry = await rig.registry();
      const puller = rig.puller({
        registries: [`${registry.host}/team`],
        timeouts: { layers: { stallMs: 1_000 } },
        ...(path === 'engine' ? { engine: rig.engine() } : {}),
      });
      expectMistake(
        await failureOf(puller.pullWithFailover(`${registry.host}/team/app:1`, options as PullOptions)),
        path,
        says,
      );
      expect(registry.requests).to.deep.equal([]);
      expect(puller.heard).to.deep.equal([]);
    });
  }

  it('need no engine: the image goes to Docker, where its own client would find it', async () => {
    const dockerHost = process.env['DOCKER_HOST'];
    process.env['DOCKER_HOST'] = `unix://${rig.directory}/docker.sock`;
    try {
      await using puller = createPuller({});
      const error = await failureOf(puller.pullWithFailover('redis'));
      if (!isHostFaultError(error)) throw error;
      expect(error.reason.cause).to.equal('engine');
      expect(error.message).to.include(`unix://${rig.directory}/docker.sock`);
    } finally {
      if (dockerHost === undefined) delete process.env['DOCKER_HOST'];
      else process.env['DOCKER_HOST'] = dockerHost;
    }
  });

  it('never show a credential in what they say', async () => {
    const puller = rig.puller();
    for (const credentials of [
      { username: 'a', password: 'hunter2', extra: 'hunter2' },
      { username: 'a:hunter2', password: 'hunter2' },
      'hunter2',
      { registryToken: 'hunter2', identityToken: 'hunter2' },
      { identityToken: 'hunter2\n' },
    ]) {
      const error = await failureOf(puller.pullWithFailover('redis', { credentials } as unknown as PullOptions));
      expect(isInvalidOptionError(error)).to.equal(true);
      expect(String(error)).to.not.include('hunter2');
    }
  });

  it('come after the image: a malformed reference is an InvalidReferenceError', async () => {
    const puller = rig.puller();
    for (const image of ['', 'Redis', 'a b', 'https://quay.io/x', 'x@sha256:12', 7, null, undefined]) {
      const error = await failureOf(puller.pullWithFailover(image as string));
      expect(isInvalidReferenceError(error), String(image)).to.equal(true);
      expect(isInvalidReferenceError(await failureOf(puller.explain(image as string)))).to.equal(true);
    }
  });
});

describe('the options of explain() and close()', () => {
  const rig = usePullRig();

  it('refuse what they do not know, by a rejection', async () => {
    const puller = rig.puller();
    const wrong = (promise: Promise<unknown>): Promise<unknown> => failureOf(promise);
    expectMistake(await wrong(puller.explain('redis', { kind: 'app' } as never)), 'kind', /is unknown/);
    expectMistake(await wrong(puller.explain('redis', { operation: {} } as never)), 'operation.kind', /is missing/);
    expectMistake(await wrong(puller.close({ graceMs: -1 })), 'graceMs', /got -1/);
    expectMistake(await wrong(puller.close({ grace: 1 } as never)), 'grace', /is unknown/);
    expect((await puller.explain('redis')).image, 'it was not closed').to.equal('docker.io/library/redis:latest');
  });
});

function expectMistake(error: unknown, path: string, says: RegExp): void {
  if (!isInvalidOptionError(error)) throw new Error(`not an InvalidOptionError: ${String(error)}`);
  expect(error.option).to.equal(path);
  expect(error.message).to.match(says);
  expect(error.message).to.include(path);
  expect(error.retryable).to.equal(false);
}

function describeOptions(options: unknown): string {
  return JSON.stringify(options, (_key, value: unknown) =>
    typeof value === 'bigint' || Number.isNaN(value) ? String(value) : value,
  );
}
