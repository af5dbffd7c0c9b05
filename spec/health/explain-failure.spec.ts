import { expect } from 'chai';
import { EngineError } from '../../lib/errors/engine-error.js';
import { HostFaultError } from '../../lib/errors/host-fault-error.js';
import { ImageNotCachedError } from '../../lib/errors/image-not-cached-error.js';
import { ImageRefusedError } from '../../lib/errors/image-refused-error.js';
import { InvalidOptionError } from '../../lib/errors/invalid-option-error.js';
import { InvalidReferenceError } from '../../lib/errors/invalid-reference-error.js';
import { NotConfiguredError } from '../../lib/errors/not-configured-error.js';
import { ParkCancelledError } from '../../lib/errors/park-cancelled-error.js';
import { PullDeadlineError } from '../../lib/errors/pull-deadline-error.js';
import { PullExhaustedError } from '../../lib/errors/pull-exhausted-error.js';
import { PullFailoverError } from '../../lib/errors/pull-failover-error.js';
import { PullerClosedError } from '../../lib/errors/puller-closed-error.js';
import { ReplicaDivergedError } from '../../lib/errors/replica-diverged-error.js';
import { UnsupportedImageError } from '../../lib/errors/unsupported-image-error.js';
import { culpritOf } from '../../lib/health/cause.js';
import { explainFailure } from '../../lib/health/explain-failure.js';
import { judge } from '../../lib/health/verdict.js';
import { digestOf } from '../../lib/image/digest.js';
import type { ErrorCode } from '../../lib/vocabulary/error-code.js';
import type { Evidence } from '../../lib/vocabulary/evidence.js';
import type { Cause } from '../../lib/vocabulary/reason.js';
import type { Attempt } from '../../lib/vocabulary/report.js';

const image = 'quay.io/aptible/redis:3.0';
const object = `sha256:${'0123456789abcdef'.repeat(4)}`;

function attempt(registry: string, evidence: Evidence, detail?: string): Attempt {
  const judgement = judge(
    { evidence, phase: 'layers' },
    { registry, object, ...(detail === undefined ? {} : { detail }) },
  );
  return { registry, phase: 'layers', object, elapsedMs: 4_000, bytes: 0, atMs: 0, ...judgement };
}

const stall: Evidence = { kind: 'limit', limit: 'layers.stallMs', value: 4_000, bytes: 6_000_000 };
const missing: Evidence = { kind: 'status', status: 404, from: 'registry', specCodes: ['BLOB_UNKNOWN'] };
const fullDisk = judge(
  { evidence: { kind: 'disk', errno: 'ENOSPC' }, phase: 'layers' },
  { registry: 'quay.io', object },
);

function exhausted(attempts: readonly Attempt[], retryAfterMs?: number): PullExhaustedError {
  return new PullExhaustedError({
    image,
    phase: 'layers',
    attempts,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** One of each class, by its code: a code without an explanation does not compile. */
const errors: { readonly [Code in ErrorCode]: readonly [PullFailoverError, RegExp] } = {
  ERR_OPTION_INVALID: [
    new InvalidOptionError('timeouts.layers.stallMs', 'must be positive, got -1'),
    /^Option timeouts\.layers\.stallMs must be positive, got -1: correct the option timeouts\.layers\.stallMs\.$/,
  ],
  ERR_REFERENCE_INVALID: [new InvalidReferenceError('A:B:C', 'upper case'), /"A:B:C": upper case: correct the name/],
  ERR_NOT_CONFIGURED: [new NotConfiguredError(), /call configure\(/],
  ERR_IMAGE_UNSUPPORTED: [
    new UnsupportedImageError(image, 'no-such-platform', `${image} has no manifest for linux/s390x`),
    /no manifest for linux\/s390x: ask for a platform it was built for/,
  ],
  ERR_IMAGE_REFUSED: [
    new ImageRefusedError(image, 'unlisted', `${image} is in no replica set`),
    /in no replica set: .*option unlisted .*no registry was asked\.$/,
  ],
  ERR_IMAGE_NOT_CACHED: [
    new ImageNotCachedError(image, 'host-17', 'linux/amd64'),
    /host-17 does not have .*pullPolicy/,
  ],
  ERR_PULL_EXHAUSTED: [
    exhausted([attempt('quay.io/aptible', stall)]),
    /^No registry could serve quay\.io\/aptible\/redis:3\.0/,
  ],
  ERR_PULL_DEADLINE: [
    new PullDeadlineError(image, 'deadlineMs', 60_000, [attempt('quay.io/aptible', stall)]),
    /given up after 60000 ms \(deadlineMs\): quay\.io\/aptible stopped sending .*the storage of the registry is failing/,
  ],
  ERR_ENGINE_FAILED: [
    new EngineError('host-17', 'its index.json is no JSON'),
    /^Engine host-17: its index\.json is no JSON: look at the engine/,
  ],
  ERR_HOST_FAULT: [
    new HostFaultError(fullDisk.reason),
    /^The disk of this host is full \(ENOSPC\) .*: make room .*no registry is to blame\.$/,
  ],
  ERR_REPLICA_DIVERGED: [
    new ReplicaDivergedError(image, 'docker.io/aptible', digestOf(Buffer.from('a')), digestOf(Buffer.from('b'))),
    /^docker\.io\/aptible resolved .* find out which of the two is meant/,
  ],
  ERR_PARK_CANCELLED: [new ParkCancelledError(image), /^The parked pull of .* was cancelled by an operator/],
  ERR_PULLER_CLOSED: [new PullerClosedError(), /^The puller is closed; .*nothing is wrong with a registry\.$/],
};

describe('the explanation of a failure', () => {
  for (const [code, [error, expected]] of Object.entries(errors)) {
    it(`says for ${code} what failed and what to do`, () => {
      expect(explainFailure(error)).to.match(expected);
    });
  }

  it('names each registry with its last reason, and what to do about the first', () => {
    const error = exhausted([
      attempt('quay.io/aptible', { kind: 'connection', code: 'reset', reused: false, bytes: 5, lateMs: 0 }),
      attempt('quay.io/aptible', stall),
      attempt('docker.io/aptible', missing),
    ]);
    expect(explainFailure(error)).to.equal(
      'No registry could serve quay.io/aptible/redis:3.0 (layers): ' +
        'quay.io/aptible stopped sending sha256:0123456789ab after 6000000 bytes, for 4000 ms (layers.stallMs); ' +
        'docker.io/aptible has the manifest but not the blob sha256:0123456789ab (404 BLOB_UNKNOWN); ' +
        'the storage of the registry is failing even if its API answers: look at its status page, and list a replica of it.',
    );
  });

  it('acts on a fault of this side before any registry, since it explains them all', () => {
    const egress: Evidence = { kind: 'dns', code: 'failed', scope: 'all' };
    const error = exhausted([attempt('quay.io/aptible', stall), attempt('docker.io/aptible', egress)]);
    expect(explainFailure(error)).to.match(
      /check the network and the resolver of this host; no registry is to blame\.$/,
    );
  });

  it('says that this host reached nobody, where nobody gave an answer and its own network is known to be why', () => {
    const unreached = { kind: 'connection', code: 'timed-out', reused: false, bytes: 0, lateMs: 0 } as const;
    const first = attempt('quay.io/aptible', { ...unreached, scope: 'unproven' });
    const second = attempt('docker.io/aptible', { ...unreached, scope: 'all' });
    const noBody =
      /^This host reached no registry for .* check the network and the resolver of this host; no registry is/;
    expect(explainFailure(exhausted([first, second]))).to.match(noBody);
    expect(explainFailure(exhausted([first])), 'one alone proves nothing').to.match(/^No registry could serve/);
    expect(explainFailure(exhausted([attempt('quay.io', missing), second]))).to.match(/^No registry could serve/);
  });

  it('calls a ban a ban, and no option', () => {
    const error = new ImageRefusedError(image, 'ban', `an operator has banned every registry of ${image}`);
    expect(explainFailure(error)).to.match(/^An operator has banned .*: release a ban that is not meant any more/);
  });

  it('says when it is worth asking again', () => {
    const limited: Evidence = { kind: 'status', status: 429, from: 'registry', specCodes: [], retryAfterMs: 30_000 };
    expect(explainFailure(exhausted([attempt('docker.io', limited)], 29_500))).to.match(/asking again in 30 s\.$/);
  });

  it('stays readable with many registries', () => {
    const error = exhausted(Array.from({ length: 20 }, (_, index) => attempt(`registry-${index}.example`, stall)));
    expect(explainFailure(error))
      .to.match(/and 16 more failed/)
      .and.have.length.below(1_000);
  });

  it('says that nobody was asked where nobody may be', () => {
    expect(explainFailure(exhausted([]))).to.match(/since none may be asked/);
  });

  it('blames no registry for a deadline that nobody failed before', () => {
    const error = new PullDeadlineError(image, 'layers.totalMs', 1_000, []);
    expect(explainFailure(error)).to.match(/\(layers\.totalMs\), although no registry had failed: allow more time/);
  });

  it('blames the disk for what an engine could not write', () => {
    const cause = Object.assign(new Error('write ENOSPC'), { code: 'ENOSPC', syscall: 'write' });
    expect(explainFailure(new EngineError('host-17', 'cannot write a blob', cause))).to.match(/make room on/);
    expect(explainFailure(cause)).to.match(/^This host failed \(write ENOSPC\): make room on/);
  });

  it('knows errors of classes that came later by their message', () => {
    const error = new PullFailoverError('Something newer happened', { code: 'ERR_PULLER_CLOSED', retryable: true });
    expect(explainFailure(error)).to.equal('Something newer happened (ERR_PULLER_CLOSED).');
  });

  it("calls the caller's abort an abort, and the caller's time limit a time limit", () => {
    const controller = new AbortController();
    controller.abort();
    expect(explainFailure(controller.signal.reason)).to.match(
      /^The caller ended the pull .*nothing is wrong with a registry/,
    );
    const timeout = new DOMException('The operation timed out', 'TimeoutError');
    expect(explainFailure(timeout)).to.match(/^The caller's own time limit ended the pull/);
  });

  const hostile = {
    get name(): string {
      throw new Error('no name');
    },
  };
  for (const [what, value] of [
    ['undefined', undefined],
    ['null', null],
    ['a word', 'shutting down'],
    ['a number', 42],
    ['a symbol', Symbol('stop')],
    ['an object', { code: 'x' }],
    ['a function', (): void => {}],
    ['a bigint', 10n],
    ['an error', new TypeError('x is not a function')],
    ['an error without a message', new Error()],
    ['an error that cannot be read', Object.setPrototypeOf(hostile, Error.prototype)],
  ] as const) {
    it(`is one sentence for ${what} too`, () => {
      expect(explainFailure(value)).to.match(/^[A-Z][^\n]{20,}[^.]\.$/);
    });
  }

  it('is one sentence for every error', () => {
    for (const [error] of Object.values(errors)) {
      expect(explainFailure(error))
        .to.match(/^\S[^\n]{20,}[^.;,\s]\.$/)
        .and.not.match(/undefined|\.\.|: :/);
    }
  });

  it('has advice for every cause, and blames no registry for what is no fault of one', () => {
    for (const [cause, culprit] of Object.entries(culpritOf) as [Cause, string][]) {
      const text = explainFailure(new HostFaultError({ cause, code: 'unexpected', message: 'it failed' }));
      expect(text).to.match(/^It failed: .{20,}\.$/);
      if (culprit === 'host' || culprit === 'network') expect(text).to.match(/no registry is to blame/);
    }
  });

  it('shows no secret, whoever said it', () => {
    const said =
      'GET https://user:topsecret@cdn.example/x?X-Amz-Signature=topsecret failed, authorization: "topsecret; x"';
    const values: readonly unknown[] = [
      new Error(said),
      said,
      new EngineError('host-17', said),
      new DOMException(said, 'AbortError'),
      exhausted([attempt('quay.io', stall, said)]),
      new PullDeadlineError(image, 'deadlineMs', 1, [attempt('quay.io', stall, said)]),
    ];
    for (const value of values) expect(explainFailure(value)).not.to.match(/topsecret/);
  });
});
