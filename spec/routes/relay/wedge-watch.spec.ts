import { expect } from 'chai';
import type { EngineStore } from '../../../lib/engine/docker/engine-traits.js';
import type { ImageTree } from '../../../lib/failover/manifest/image-tree.js';
import { loopMs } from '../../../lib/policy/loop-timer.js';
import type { RelayActivity } from '../../../lib/relay/relay.js';
import { crowdOf } from '../../../lib/routes/relay/daemon-crowd.js';
import { startWedgeWatch, type WedgeWatch } from '../../../lib/routes/relay/wedge-watch.js';
import type { Digest } from '../../../lib/vocabulary/digest.js';
import { type FakeTime, startFakeTime } from '../../support/fake-time.js';
import { layerOf, line, treeWith } from '../support/some-tree.js';

const stallMs = 4_000;
const extractStallMs = 60_000;

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

/** A pull whose daemon and relay do what the spec says. */
interface ScriptedPull {
  readonly watch: WedgeWatch;
  readonly tree: ImageTree;
  readonly told: readonly string[];
  /** The daemon asks for something, and its answer stays open. */
  ask(): void;
  /** Bytes of the answer have come, which the daemon does not take. */
  leaveUnread(): void;
  /** The answer ends; with a digest that blob has been given whole. */
  answered(digest?: Digest): void;
}

describe('a watched pull of a daemon', () => {
  let time: FakeTime;
  const watches: WedgeWatch[] = [];
  beforeEach(() => {
    time = startFakeTime();
  });
  afterEach(() => {
    for (const watch of watches.splice(0)) watch.stop();
    expect(crowdOf('daemon').others(expect as never)).to.deep.equal([]);
    time.restore();
  });

  function start(store: EngineStore = 'graph', tree: ImageTree = treeWith(2), daemonId = 'daemon'): ScriptedPull {
    const delivered = new Set<Digest>();
    const activity: Writable<RelayActivity> = {
      begun: false,
      open: 0,
      delivered,
      spoiled: new Set<Digest>(),
      missing: new Set<Digest>(),
      lastAtMs: loopMs(),
      unreadSinceMs: null,
    };
    const told: string[] = [];
    const watch = startWedgeWatch({
      tree,
      store,
      activity,
      crowd: crowdOf(daemonId),
      stallMs,
      extractStallMs,
      onHandedOver: () => told.push('handed over'),
      onWedged: (quietMs) => told.push(`wedged after ${quietMs}`),
      onExtractLate: () => told.push('late'),
      onDeaf: () => told.push('deaf'),
    });
    watches.push(watch);
    return {
      watch,
      tree,
      told,
      ask: () => {
        activity.begun = true;
        activity.open += 1;
        activity.lastAtMs = loopMs();
      },
      leaveUnread: () => {
        activity.unreadSinceMs = loopMs();
      },
      answered: (digest) => {
        activity.open -= 1;
        activity.unreadSinceMs = null;
        activity.lastAtMs = loopMs();
        if (digest === undefined) return;
        delivered.add(digest);
        watch.delivered(digest);
      },
    };
  }

  it('is wedged when it never asks for anything', async () => {
    const { told } = start();
    await time.passMs(stallMs - 1);
    expect(told).to.deep.equal([]);
    await time.passMs(1);
    expect(told).to.deep.equal([`wedged after ${stallMs}`]);
    await time.passMs(extractStallMs * 2);
    expect(told).to.have.length(1);
  });

  it('is wedged so long after it last asked for something as a limit says, not twice as long', async () => {
    const pull = start();
    await time.passMs(3_900);
    pull.ask();
    await time.passMs(3_000);
    pull.answered();
    await time.passMs(stallMs - 1);
    expect(pull.told).to.deep.equal([]);
    await time.passMs(1);
    expect(pull.told).to.deep.equal([`wedged after ${stallMs}`]);
  });

  it('is not wedged while an answer of ours is under way: that has limits of its own', async () => {
    const pull = start();
    pull.ask();
    await time.passMs(extractStallMs * 5);
    expect(pull.told).to.deep.equal([]);
  });

  it('is given up when it takes no byte of what it has asked for, so long after the first one came', async () => {
    const pull = start();
    await time.passMs(1_000);
    pull.ask();
    await time.passMs(extractStallMs * 2);
    pull.leaveUnread();
    await time.passMs(extractStallMs - 1);
    expect(pull.told).to.deep.equal([]);
    await time.passMs(1);
    expect(pull.told).to.deep.equal(['deaf']);
  });

  it('is not given up while it works on what it has', async () => {
    const pull = start();
    pull.watch.saw(line('Pulling fs layer', layerOf(pull.tree, 0)));
    pull.ask();
    pull.leaveUnread();
    for (let passed = 0; passed < extractStallMs * 2; passed += extractStallMs / 2) {
      pull.watch.saw(line('Extracting', layerOf(pull.tree, 0), passed + 1));
      await time.passMs(extractStallMs / 2);
    }
    expect(pull.told).to.deep.equal([]);
  });

  it('is wedged although other layers were given to it, and although it repeats what it said', async () => {
    const pull = start('containerd');
    const held = layerOf(pull.tree, 1);
    pull.watch.saw(line('Pulling fs layer', layerOf(pull.tree, 0)));
    pull.watch.saw(line('Pulling fs layer', held));
    pull.ask();
    pull.answered(layerOf(pull.tree, 0));
    for (let passed = 0; passed < stallMs; passed += 100) {
      pull.watch.saw(line('Downloading', held, 1));
      await time.passMs(100);
    }
    await time.passMs(100);
    expect(pull.told).to.deep.equal([`wedged after ${stallMs}`]);
  });

  it('on a containerd store is not wedged while layers that the daemon still writes have all its download slots', async () => {
    const pull = start('containerd', treeWith(5));
    for (const { digest } of pull.tree.layers) pull.watch.saw(line('Pulling fs layer', digest));
    for (const index of [0, 1, 2]) {
      pull.ask();
      pull.answered(layerOf(pull.tree, index));
    }
    await time.passMs(stallMs * 3);
    expect(pull.told).to.deep.equal([]);
    pull.watch.saw(line('Download complete', layerOf(pull.tree, 1)));
    await time.passMs(stallMs);
    expect(pull.told).to.deep.equal([`wedged after ${stallMs}`]);
  });

  it('is not wedged while it still writes the config, before it has spoken of any layer', async () => {
    const pull = start('containerd');
    pull.ask();
    pull.answered(pull.tree.config.digest);
    await time.passMs(stallMs * 3);
    expect(pull.told).to.deep.equal([]);
    for (const { digest } of pull.tree.layers) pull.watch.saw(line('Pulling fs layer', digest));
    await time.passMs(stallMs);
    expect(pull.told).to.deep.equal([`wedged after ${stallMs}`]);
  });

  it('is wedged although it extracts other layers', async () => {
    const pull = start();
    pull.watch.saw(line('Pulling fs layer', layerOf(pull.tree, 0)));
    pull.watch.saw(line('Pulling fs layer', layerOf(pull.tree, 1)));
    pull.ask();
    pull.answered(layerOf(pull.tree, 0));
    for (let passed = 0; passed <= stallMs; passed += 500) {
      pull.watch.saw(line('Extracting', layerOf(pull.tree, 0), passed));
      await time.passMs(500);
    }
    expect(pull.told).to.deep.equal([`wedged after ${stallMs}`]);
  });

  it('is not wedged while bytes of a layer arrive that somebody else brings', async () => {
    const pull = start();
    for (let passed = 0; passed < stallMs * 4; passed += 1_000) {
      pull.watch.saw(line('Downloading', layerOf(pull.tree, 0), passed));
      await time.passMs(1_000);
    }
    expect(pull.told).to.deep.equal([]);
  });

  it('is handed over with its last layer, and has the time to extract from then on', async () => {
    const pull = start();
    pull.watch.saw(line('Already exists', layerOf(pull.tree, 0)));
    expect(pull.told).to.deep.equal([]);
    pull.watch.saw(line('Pulling fs layer', layerOf(pull.tree, 1)));
    await time.passMs(2_000);
    pull.ask();
    pull.answered(layerOf(pull.tree, 1));
    expect(pull.told).to.deep.equal(['handed over']);
    await time.passMs(extractStallMs - 1);
    expect(pull.told).to.deep.equal(['handed over']);
    await time.passMs(1);
    expect(pull.told).to.deep.equal(['handed over', 'late']);
  });

  it('is handed over when it lacks nothing and asks for nothing, though it never spoke of some layers', async () => {
    const pull = start('containerd', treeWith(3));
    pull.watch.saw(line('Pulling fs layer', layerOf(pull.tree, 2)));
    pull.ask();
    pull.answered(layerOf(pull.tree, 2));
    pull.ask();
    await time.passMs(1_000);
    expect(pull.told).to.deep.equal([]);
    pull.answered();
    await time.passMs(1_000);
    expect(pull.told).to.deep.equal(['handed over']);
  });

  it('is not handed over between two layers that it speaks of one after the other', async () => {
    const pull = start('containerd', treeWith(3));
    pull.watch.saw(line('Pulling fs layer', layerOf(pull.tree, 0)));
    pull.ask();
    pull.answered(layerOf(pull.tree, 0));
    await time.passMs(100);
    pull.watch.saw(line('Pulling fs layer', layerOf(pull.tree, 1)));
    await time.passMs(stallMs);
    expect(pull.told).to.deep.equal([`wedged after ${stallMs}`]);
  });

  it('has its time to extract anew with every step of it', async () => {
    const pull = start();
    pull.watch.saw(line('Pulling fs layer', layerOf(pull.tree, 0)));
    pull.watch.saw(line('Pulling fs layer', layerOf(pull.tree, 1)));
    for (const { digest } of pull.tree.layers) {
      pull.ask();
      pull.answered(digest);
    }
    await time.passMs(extractStallMs - 1);
    pull.watch.saw(line('Extracting', layerOf(pull.tree, 0), 5));
    await time.passMs(extractStallMs - 1);
    expect(pull.told).to.deep.equal(['handed over']);
    await time.passMs(1);
    expect(pull.told).to.deep.equal(['handed over', 'late']);
  });

  it('of Podman is wedged only before it begins, for there pulls share nothing', async () => {
    const quiet = start('podman');
    await time.passMs(stallMs);
    expect(quiet.told).to.deep.equal([`wedged after ${stallMs}`]);
    const pull = start('podman');
    pull.ask();
    pull.watch.saw(line('Copying blob', layerOf(pull.tree, 0)));
    pull.answered(layerOf(pull.tree, 0));
    await time.passMs(extractStallMs - 1);
    expect(pull.told).to.deep.equal([]);
    await time.passMs(1);
    expect(pull.told).to.deep.equal(['late']);
  });

  it('of Podman is handed over with its config, though a layer it has was never given to it', () => {
    const pull = start('podman');
    pull.ask();
    pull.watch.saw(line('Copying blob', layerOf(pull.tree, 0)));
    pull.watch.saw(line('Copying blob', layerOf(pull.tree, 1)));
    pull.answered(layerOf(pull.tree, 0));
    expect(pull.told).to.deep.equal([]);
    pull.watch.saw(line('Copying config', pull.tree.config.digest));
    expect(pull.told).to.deep.equal(['handed over']);
  });

  describe('beside others of ours at the same daemon', () => {
    const queue = (pull: ScriptedPull, status: string): void => {
      for (const { digest } of pull.tree.layers) pull.watch.saw(line(status, digest));
    };

    it('is not wedged while it waits for a download slot that one of them has', async () => {
      const other = start('graph', treeWith(2, 'other'));
      const pull = start();
      other.ask();
      queue(pull, 'Waiting');
      await time.passMs(stallMs * 5);
      expect(pull.told).to.deep.equal([]);
      other.answered(layerOf(other.tree, 0));
      await time.passMs(stallMs - 1);
      expect(pull.told).to.deep.equal([]);
      await time.passMs(1);
      expect(pull.told).to.deep.equal([`wedged after ${stallMs}`]);
    });

    it('is wedged when somebody else holds its layers, however well they get on', async () => {
      const other = start('graph', treeWith(2, 'other'));
      const pull = start();
      other.ask();
      queue(pull, 'Pulling fs layer');
      await time.passMs(stallMs);
      expect(pull.told).to.deep.equal([`wedged after ${stallMs}`]);
    });

    it('is not wedged while one of them brings a layer that it needs too', async () => {
      const other = start();
      const pull = start();
      other.ask();
      queue(pull, 'Pulling fs layer');
      await time.passMs(stallMs * 5);
      expect(pull.told).to.deep.equal([]);
    });

    it('is wedged when none of them gets on either: they do not wait for each other', async () => {
      const [one, two] = [start(), start()];
      queue(one, 'Pulling fs layer');
      queue(two, 'Pulling fs layer');
      await time.passMs(stallMs);
      expect([one.told, two.told]).to.deep.equal([[`wedged after ${stallMs}`], [`wedged after ${stallMs}`]]);
    });

    it('is not wedged while the daemon still writes a layer that one of them has brought', async () => {
      const other = start('containerd');
      const pull = start('containerd');
      queue(other, 'Pulling fs layer');
      queue(pull, 'Pulling fs layer');
      const shared = layerOf(pull.tree, 0);
      other.ask();
      other.answered(shared);
      pull.ask();
      pull.answered(layerOf(pull.tree, 1));
      await time.passMs(stallMs * 3);
      expect(pull.told).to.deep.equal([]);
      other.watch.saw(line('Download complete', shared));
      await time.passMs(stallMs - 1);
      expect(pull.told).to.deep.equal([]);
      await time.passMs(1);
      expect(pull.told).to.deep.equal([`wedged after ${stallMs}`]);
    });

    it('is wedged when that takes longer than any disk, and at once when it is another layer', async () => {
      const other = start('containerd');
      const pull = start('containerd');
      const unlike = start('containerd', treeWith(2, 'unlike'));
      queue(other, 'Already exists');
      other.watch.saw(line('Pulling fs layer', layerOf(other.tree, 0)));
      other.ask();
      other.answered(layerOf(other.tree, 0));
      queue(pull, 'Pulling fs layer');
      queue(unlike, 'Pulling fs layer');
      await time.passMs(stallMs);
      expect(unlike.told).to.deep.equal([`wedged after ${stallMs}`]);
      await time.passMs(30_000 - 1);
      expect(pull.told).to.deep.equal([]);
      await time.passMs(1);
      expect(pull.told).to.deep.equal([`wedged after ${stallMs}`]);
    });

    it('on a containerd store is not wedged while they take all its downloads', async () => {
      const other = start('containerd', treeWith(2, 'other'));
      const pull = start('containerd');
      queue(pull, 'Pulling fs layer');
      for (let answers = 0; answers < 3; answers += 1) other.ask();
      await time.passMs(stallMs * 3);
      expect(pull.told).to.deep.equal([]);
      other.answered();
      await time.passMs(stallMs - 1);
      expect(pull.told).to.deep.equal([]);
      await time.passMs(1);
      expect(pull.told).to.deep.equal([`wedged after ${stallMs}`]);
    });

    it('does not wait for those at another daemon', async () => {
      const other = start('graph', treeWith(2), 'another daemon');
      const pull = start();
      other.ask();
      queue(pull, 'Waiting');
      await time.passMs(stallMs);
      expect(pull.told).to.deep.equal([`wedged after ${stallMs}`]);
    });
  });
});
