import { monotonicMs } from '../clock/time.js';
import type { PullEvent } from '../events/pull-event.js';
import type { CircuitHealth } from '../health/circuit.js';
import type { Incident } from '../incidents/incident.js';
import { sleep } from '../policy/deadline.js';
import type { AnsweredDatabase } from './drill-event.js';
import { namespace } from './images.js';
import { measure } from './measure.js';
import { compareWith2017, type NumberRow } from './numbers.js';
import type { Play } from './play.js';
import type { ProvisioningRecord } from './provisioning-worker.js';
import type { Stage } from './stage.js';
import { compareTransfers, type Transfer } from './transfers.js';
import { findPartialBlobs, verifyImage, type VerifiedImage } from './verify-layout.js';

/** What a drill came to. */
export interface DrillOutcome {
  /** Whether every operation was provisioned, every byte is right, the order has healed and nothing was left open. */
  readonly ok: boolean;
  /** Why not, one sentence each. */
  readonly problems: readonly string[];
  readonly numbers: readonly NumberRow[];
  readonly transfers: readonly Transfer[];
  readonly images: readonly VerifiedImage[];
  readonly operations: readonly ProvisioningRecord[];
  /** What was started and has answered; without an engine none. */
  readonly databases: readonly AnsweredDatabase[];
  /** What could not be run, and how to get it; null when everything ran. */
  readonly notRun: string | null;
  readonly durationMs: number;
  /** The record of the outage; null when no circuit opened. */
  readonly incident: Incident | null;
}

/** What there is to judge. */
export interface JudgeOptions {
  readonly stage: Stage;
  readonly play: Play;
  readonly records: readonly ProvisioningRecord[];
  /** Everything the puller told, in order. */
  readonly events: readonly PullEvent[];
  readonly databases: readonly AnsweredDatabase[];
  readonly startedAtMs: number;
  readonly signal: AbortSignal;
}

/** Sockets that the puller has ended are gone at the other end a moment later. */
const socketsGoneMs = 2_000;
const lookAgainMs = 20;

/**
 * Ends the puller, looks at what it has left on the disk and on the wire, and says what the day came to.
 *
 * @throws the signal's own reason
 */
export async function judge({
  stage,
  play,
  records,
  events,
  databases,
  startedAtMs,
  signal,
}: JudgeOptions): Promise<DrillOutcome> {
  const openCircuits = stage.puller.health().filter(({ state }) => state !== 'closed');
  await stage.endPuller();
  const { incidents } = stage.puller;
  const images = await verifyImages(stage, records, signal);
  const transfers = compareTransfers(
    stage.standIns.map(({ prefix, double }) => ({ prefix, requests: double.requests })),
    events,
  );
  const unprovisioned = records.filter(({ state }) => state !== 'provisioned');
  const problems = [
    ...unprovisioned.map(({ order, state, failure }) => `${order.id} on ${order.host}: ${failure ?? `still ${state}`}`),
    ...images.flatMap((image) => image.problems),
    ...(await leftOpen(stage)),
    ...(await leftInEngine(stage)),
    // A pull that failed keeps what it has for the next one, and its registries stay suspected: rightly so.
    ...(unprovisioned.length > 0
      ? []
      : [...notHealed(openCircuits), ...disagreements(transfers), ...(await leftOver(stage))]),
  ];
  const numbers = compareWith2017({
    ...measure(events),
    healMs: openCircuits.length === 0 ? healMs(events, play) : null,
    imagesRight: images.filter((image) => image.problems.length === 0).length,
    imagesRead: images.length,
    databasesAsked: 'missing' in stage.databaseHost ? 0 : 1,
    databasesAnswered: databases.length,
  });
  return {
    ok: problems.length === 0,
    problems,
    numbers,
    transfers,
    images,
    operations: records,
    databases,
    notRun: 'missing' in stage.databaseHost ? stage.databaseHost.missing : stage.databaseHost.server.remark,
    durationMs: Math.round(monotonicMs() - startedAtMs),
    incident: incidents.current() ?? incidents.list()[0] ?? null,
  };
}

async function verifyImages(
  stage: Stage,
  records: readonly ProvisioningRecord[],
  signal: AbortSignal,
): Promise<readonly VerifiedImage[]> {
  const held = { ...stage.images.replicated, ...stage.images.neverReplicated };
  const wanted = new Map(
    records.flatMap(({ order: { host }, report }) =>
      report === null || stage.engineOf(host).kind !== 'oci-layout'
        ? []
        : [[`${host} ${report.image}`, { host, name: report.image }]],
    ),
  );
  const verified: VerifiedImage[] = [];
  for (const { host, name } of wanted.values()) {
    signal.throwIfAborted();
    const image = name.slice(stage.nameOf('').length);
    const expected = held[`${namespace}/${image}`];
    if (expected === undefined) throw new Error(`${image} is not in the script`);
    verified.push(await verifyImage(stage.layoutOf(host).directory, { host, name, image, expected }));
  }
  return verified;
}

async function leftOpen({ standIns }: Stage): Promise<readonly string[]> {
  const problems: string[] = [];
  for (const { name, double } of standIns) {
    const untilMs = monotonicMs() + socketsGoneMs;
    while (double.openConnections > 0 && monotonicMs() < untilMs) await sleep(lookAgainMs);
    if (double.openConnections > 0) problems.push(`${double.openConnections} connections to ${name} were left open`);
    for (const { rule, detail } of double.violations) problems.push(`${name} was asked wrongly: ${rule}: ${detail}`);
  }
  return problems;
}

/** What was started is ended, and what was pulled removed: the engine is somebody's own. */
async function leftInEngine({ databaseHost }: Stage): Promise<readonly string[]> {
  return 'missing' in databaseHost ? [] : databaseHost.remove();
}

async function leftOver({ layouts }: Stage): Promise<readonly string[]> {
  const paths = await Promise.all(layouts.map(({ directory }) => findPartialBlobs(directory)));
  return paths.flat().map((path) => `${path} was left behind`);
}

function notHealed(openCircuits: readonly CircuitHealth[]): readonly string[] {
  return openCircuits.map(({ registry, phase, state }) => `the circuit ${registry} × ${phase} is still ${state}`);
}

function disagreements(transfers: readonly Transfer[]): readonly string[] {
  return transfers
    .filter(({ agrees }) => agrees === false)
    .map(
      ({ registry, sentBytes, arrivedBytes }) =>
        `${registry} sent ${sentBytes} bytes by its log, and ${arrivedBytes} arrived by the events`,
    );
}

function healMs(events: readonly PullEvent[], { wellAgainAtMs }: Play): number | null {
  const lastClosed = events.findLast(({ type }) => type === 'circuit:closed');
  return lastClosed === undefined || wellAgainAtMs === null ? null : lastClosed.atMs - wellAgainAtMs;
}
