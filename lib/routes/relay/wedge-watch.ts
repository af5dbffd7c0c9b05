import type { EngineStore } from '../../engine/docker/engine-traits.js';
import type { EngineProgress } from '../../engine/docker/engine-progress.js';
import type { ImageTree } from '../../failover/manifest/image-tree.js';
import { loopMs, startLoopTimer, type LoopTimer } from '../../policy/loop-timer.js';
import type { RelayActivity } from '../../relay/relay.js';
import type { Digest } from '../../vocabulary/digest.js';
import type { Crowd, CrowdMember } from './daemon-crowd.js';
import { createLayerCommits } from './layer-commits.js';
import { createLayerNews } from './layer-news.js';

/** A daemon that pulls one image through a relay. */
export interface WatchedPull {
  readonly tree: ImageTree;
  readonly store: EngineStore;
  readonly activity: RelayActivity;
  readonly crowd: Crowd;
  /** How long nothing may happen while layers are to come, in milliseconds. */
  readonly stallMs: number;
  /** How long nothing may happen afterwards, and how long the daemon may leave unread what it has asked for. */
  readonly extractStallMs: number;
  /** Every blob that the daemon lacks has been given to it. Once. */
  readonly onHandedOver: () => void;
  /** The daemon does not ask for what it needs. At most once, and nothing follows. */
  readonly onWedged: (quietMs: number) => void;
  /** The daemon has everything and gets nowhere with it. At most once, and nothing follows. */
  readonly onExtractLate: () => void;
  /** The daemon does not take what it has asked for. At most once, and nothing follows. */
  readonly onDeaf: () => void;
}

export interface WedgeWatch {
  /** The daemon said something. */
  saw(line: EngineProgress): void;
  /** The relay has given it one more blob. */
  delivered(digest: Digest): void;
  stop(): void;
}

/** Some engines speak of a layer only when they get to it: for so long nothing may be missing before that counts. */
const settledMs = 300;

/** Engines that limit downloads over all their pulls let three go on by default. */
const downloadSlots = 3;

/**
 * Finds out when a daemon does not ask for what it needs: another client's stalled pull holds the layer or all download
 * slots, or an earlier one that was cut off has left it waiting for ever. Nothing else tells: the daemon says nothing,
 * and repeats lines as if all was well. What it does ask for is the relay's affair, which has limits of its own.
 *
 * Podman shares nothing between pulls; once it has begun, its silence is local work.
 */
export function startWedgeWatch(pull: WatchedPull): WedgeWatch {
  const { activity, crowd, store } = pull;
  const news = createLayerNews(pull.tree);
  const commits = createLayerCommits((digest) => news.isHere(digest));
  const { config } = pull.tree;
  const startedAtMs = loopMs();
  let arrivingAtMs = startedAtMs;
  let localAtMs = startedAtMs;
  /** When what this pull waits for behind, work of ours or the daemon's own, was last seen to get on. */
  let excusedAtMs = startedAtMs;
  /** What the limit that runs is for. */
  let asking = true;
  let isHandedOver = false;
  let hasStopped = false;
  let timer: LoopTimer | null = null;
  let settling: LoopTimer | null = null;

  const member: CrowdMember = {
    blobs: new Set([pull.tree.config, ...pull.tree.layers].map(({ digest }) => digest)),
    openAnswers: () => activity.open,
    aliveAtMs: () => (activity.open > 0 ? loopMs() : Math.max(arrivingAtMs, activity.lastAtMs)),
    committingAtMs: (digests) => commits.lastAtMs(digests),
  };
  const leave = crowd.enter(member);

  /** Whether the daemon still has to ask for something, as far as anybody knows. */
  function isAsking(): boolean {
    if (store === 'podman') return !activity.begun;
    return !news.hasBegun || news.pending(activity.delivered).length > 0;
  }

  function quietSinceMs(): number {
    if (!isAsking()) return Math.max(member.aliveAtMs(), localAtMs);
    excusedAtMs = Math.max(excusedAtMs, committingAtMs(), ...busyOthers().map((other) => other.aliveAtMs()));
    return Math.max(member.aliveAtMs(), excusedAtMs);
  }

  /** When the daemon was last busy with writing what keeps it from asking: the config, a layer, or what has all its slots. */
  function committingAtMs(): number {
    if (store === 'containerd' && commits.open >= downloadSlots) return loopMs();
    // It reads there which layers it has to speak of.
    if (!news.hasBegun) return commits.lastAtMs([config.digest]);
    const pending = news.pending(activity.delivered);
    return Math.max(-Infinity, ...crowd.others(member).map((other) => other.committingAtMs(pending)));
  }

  /** Pulls of ours that this one waits for behind: they bring a layer of it, or hold the daemon's download slots. */
  function busyOthers(): readonly CrowdMember[] {
    const others = crowd.others(member);
    const pending = news.pending(activity.delivered);
    const open = others.reduce((sum, other) => sum + other.openAnswers(), 0);
    const isQueued = store === 'containerd' ? open >= downloadSlots : news.isQueued(activity.delivered);
    return isQueued ? others : others.filter(({ blobs }) => pending.some((digest) => blobs.has(digest)));
  }

  function look(): void {
    timer = null;
    if (hasStopped) return;
    asking = isAsking();
    const limitMs = asking ? pull.stallMs : pull.extractStallMs;
    const nowMs = loopMs();
    const quietMs = nowMs - quietSinceMs();
    // An answer that waits for registries has the heart's limits, and is nothing that the daemon is to blame for.
    const { unreadSinceMs } = activity;
    const deafMs = unreadSinceMs === null ? 0 : nowMs - Math.max(unreadSinceMs, localAtMs);
    const leftMs = Math.min(limitMs - quietMs, pull.extractStallMs - deafMs);
    if (leftMs > 0) {
      timer = startLoopTimer(leftMs, look);
      return;
    }
    stop();
    if (deafMs >= pull.extractStallMs) pull.onDeaf();
    else if (asking) pull.onWedged(quietMs);
    else pull.onExtractLate();
  }

  function hasNews(): void {
    checkHandedOver();
    if (hasStopped || asking === isAsking()) return;
    timer?.cancel();
    look();
  }

  function checkHandedOver(): void {
    settling?.cancel();
    settling = null;
    if (isHandedOver || hasStopped) return;
    if (news.isOver(activity.delivered)) {
      isHandedOver = true;
      pull.onHandedOver();
    } else if (store !== 'podman' && !isAsking()) {
      settling = startLoopTimer(settledMs, settle);
    }
  }

  function settle(): void {
    settling = null;
    if (isHandedOver || hasStopped || isAsking()) return;
    if (activity.open > 0) {
      settling = startLoopTimer(settledMs, settle);
      return;
    }
    isHandedOver = true;
    pull.onHandedOver();
  }

  function stop(): void {
    hasStopped = true;
    timer?.cancel();
    settling?.cancel();
    leave();
  }

  look();
  return {
    saw: (line) => {
      if (hasStopped) return;
      const kind = news.saw(line);
      commits.look();
      if (kind === 'nothing') return;
      if (kind === 'arriving') arrivingAtMs = loopMs();
      localAtMs = loopMs();
      hasNews();
    },
    delivered: (digest) => {
      commits.given(digest);
      hasNews();
    },
    stop,
  };
}
