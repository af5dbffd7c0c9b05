import { expect } from 'chai';
import Dockerode from 'dockerode';
import { withPullFailover } from '../../lib/drop-in/with-pull-failover.js';
import { dockerEngine } from '../../lib/engine/docker/docker-engine.js';
import { isHostFaultError } from '../../lib/errors/host-fault-error.js';
import { formatPlatform, hostPlatform } from '../../lib/image/platform.js';
import { createPuller } from '../../lib/puller/create-puller.js';
import {
  being,
  dockerVersion,
  podmanVersion,
  type ScriptedEngine,
  sendJson,
  startScriptedEngine,
} from '../engine/docker/support/scripted-engine.js';
import { failureOf } from '../support/failure-of.js';
import { usePullRig } from './pull-rig.js';

/** What the daemons here say they run on, whatever this machine is. */
const own = 'linux/riscv64';
const image = 'quay.io/team/app:1';

describe('an image of which nobody says for what platform', () => {
  const rig = usePullRig();
  let scripted: ScriptedEngine;
  beforeEach(async () => {
    scripted = await startScriptedEngine();
  });
  afterEach(() => scripted[Symbol.asyncDispose]());

  const be = (version: Readonly<Record<string, unknown>>): void => {
    const lacking = being(
      { ...version, Arch: 'riscv64' },
      ({ path }, response) => sendJson(response, { message: `no such image: ${path}` }, 404),
      { ID: 'far away', OSType: 'linux', Architecture: 'riscv64' },
    );
    scripted.answer = lacking;
  };
  /** No registry is asked; the failure says what was looked for. */
  const never = { registries: ['quay.io/team'], pullPolicy: 'never' } as const;

  for (const [what, version] of [
    ['Docker', dockerVersion],
    ['Podman', podmanVersion],
  ] as const) {
    it(`is for the platform of the ${what} that it goes to, which may be on another machine`, async () => {
      be(version);
      await using engine = dockerEngine(scripted.docker());
      await using puller = createPuller({ ...never, engine });
      expect(String(await failureOf(puller.pullWithFailover(image)))).to.include(` for ${own}, `);
    });

    it(`is for it too through a dockerode with failover before ${what}`, async () => {
      be(version);
      const docker = withPullFailover(scripted.docker(), never);
      expect(String(await failureOf(docker.pull(image)))).to.include(` for ${own}, `);
      await docker.puller.close();
    });
  }

  it('is for what the pull says, else what the puller says', async () => {
    be(dockerVersion);
    const docker = withPullFailover(scripted.docker(), { ...never, platform: 'linux/s390x' });
    expect(String(await failureOf(docker.pull(image)))).to.include(' for linux/s390x, ');
    expect(String(await failureOf(docker.pull(image, { platform: 'linux/386' })))).to.include(' for linux/386, ');
    await docker.puller.close();
  });

  it('is for the daemon of its own pull, not for the puller’s', async () => {
    be(dockerVersion);
    await using engine = dockerEngine(scripted.docker());
    await using puller = createPuller({ ...never, engine: rig.engine() });
    expect(String(await failureOf(puller.pullWithFailover(image, { engine })))).to.include(` for ${own}, `);
    const here = formatPlatform(hostPlatform());
    expect(String(await failureOf(puller.pullWithFailover(image)))).to.include(` for ${here}, `);
  });

  it('is for nothing while its daemon does not answer: that is the failure', async () => {
    await using engine = dockerEngine(new Dockerode({ socketPath: `${scripted.socketPath}.not` }));
    await using puller = createPuller({ ...never, engine });
    expect(isHostFaultError(await failureOf(puller.pullWithFailover(image)))).to.equal(true);
  });

  it('is waited for no longer than the pull may take, or its caller wants', async () => {
    scripted.answer = () => {};
    await using engine = dockerEngine(scripted.docker());
    await using puller = createPuller({ ...never, engine });
    const late = await failureOf(puller.pullWithFailover(image, { deadlineMs: 50 }));
    expect(late).to.include({ code: 'ERR_PULL_DEADLINE' });
    const reason = new Error('enough');
    expect(await failureOf(puller.pullWithFailover(image, { signal: AbortSignal.abort(reason) }))).to.equal(reason);
    const controller = new AbortController();
    const pulled = failureOf(puller.pullWithFailover(image, { signal: controller.signal }));
    setImmediate(() => controller.abort(reason));
    expect(await pulled).to.equal(reason);
  });
});
