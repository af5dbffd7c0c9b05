import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import { EngineError, isEngineError } from '../../lib/errors/engine-error.js';
import { HostFaultError, isHostFaultError } from '../../lib/errors/host-fault-error.js';
import { ImageNotCachedError, isImageNotCachedError } from '../../lib/errors/image-not-cached-error.js';
import { ImageRefusedError, isImageRefusedError } from '../../lib/errors/image-refused-error.js';
import { InvalidOptionError, isInvalidOptionError } from '../../lib/errors/invalid-option-error.js';
import { InvalidReferenceError, isInvalidReferenceError } from '../../lib/errors/invalid-reference-error.js';
import { NotConfiguredError, isNotConfiguredError } from '../../lib/errors/not-configured-error.js';
import { ParkCancelledError, isParkCancelledError } from '../../lib/errors/park-cancelled-error.js';
import { PullDeadlineError, isPullDeadlineError } from '../../lib/errors/pull-deadline-error.js';
import { PullExhaustedError, isPullExhaustedError } from '../../lib/errors/pull-exhausted-error.js';
import { isPullFailoverError, PullFailoverError } from '../../lib/errors/pull-failover-error.js';
import { isPullerClosedError, PullerClosedError } from '../../lib/errors/puller-closed-error.js';
import { isReplicaDivergedError, ReplicaDivergedError } from '../../lib/errors/replica-diverged-error.js';
import { isUnsupportedImageError, UnsupportedImageError } from '../../lib/errors/unsupported-image-error.js';
import type { Digest } from '../../lib/vocabulary/digest.js';
import type { Verdict } from '../../lib/vocabulary/reason.js';
import { redactText } from '../../lib/vocabulary/redact.js';
import type { Attempt } from '../../lib/vocabulary/report.js';

const image = 'docker.io/library/redis:3.0';
const cause = new Error('what was below');
const errorFolder = fileURLToPath(new URL('../../lib/errors/', import.meta.url));

function attempt(changes: Partial<Attempt> = {}): Attempt {
  return {
    registry: 'quay.io/team',
    phase: 'layers',
    reason: { cause: 'registry-storage', code: 'stalled', message: 'no byte for 4000 ms' },
    verdict: 'ill',
    object: 'sha256:0123',
    elapsedMs: 4_200,
    bytes: 6_000_000,
    atMs: 1_501_093_200_000,
    ...changes,
  };
}

interface Row {
  readonly error: PullFailoverError;
  readonly name: string;
  readonly code: string;
  readonly retryable: boolean;
  readonly guard: (value: unknown) => boolean;
  readonly message: string;
}

const digest = `sha256:${'a'.repeat(64)}` as Digest;
const table: readonly Row[] = [
  {
    error: new EngineError('host-17', 'index.json is no JSON', cause),
    name: 'EngineError',
    code: 'ERR_ENGINE_FAILED',
    retryable: false,
    guard: isEngineError,
    message: 'Engine host-17: index.json is no JSON',
  },
  {
    error: new HostFaultError({ cause: 'host-disk', code: 'disk-full', message: 'the disk is full' }, cause),
    name: 'HostFaultError',
    code: 'ERR_HOST_FAULT',
    retryable: false,
    guard: isHostFaultError,
    message: 'the disk is full',
  },
  {
    error: new ImageNotCachedError(image, 'host-17', 'linux/amd64'),
    name: 'ImageNotCachedError',
    code: 'ERR_IMAGE_NOT_CACHED',
    retryable: false,
    guard: isImageNotCachedError,
    message: `Engine host-17 does not have ${image} for linux/amd64, and pullPolicy 'never' forbids asking a registry`,
  },
  {
    error: new ImageRefusedError(image, 'allowHost', 'allowHost refused docker.io'),
    name: 'ImageRefusedError',
    code: 'ERR_IMAGE_REFUSED',
    retryable: false,
    guard: isImageRefusedError,
    message: 'allowHost refused docker.io',
  },
  {
    error: new InvalidOptionError('timeouts.layers.stallMs', 'must be at least 1, got 0', cause),
    name: 'InvalidOptionError',
    code: 'ERR_OPTION_INVALID',
    retryable: false,
    guard: isInvalidOptionError,
    message: 'Option timeouts.layers.stallMs must be at least 1, got 0',
  },
  {
    error: new InvalidReferenceError('Redis', 'names are lower case'),
    name: 'InvalidReferenceError',
    code: 'ERR_REFERENCE_INVALID',
    retryable: false,
    guard: isInvalidReferenceError,
    message: 'Invalid image reference "Redis": names are lower case',
  },
  {
    error: new NotConfiguredError(),
    name: 'NotConfiguredError',
    code: 'ERR_NOT_CONFIGURED',
    retryable: false,
    guard: isNotConfiguredError,
    message: 'pull-failover is not configured: call configure(',
  },
  {
    error: new ParkCancelledError(image, cause),
    name: 'ParkCancelledError',
    code: 'ERR_PARK_CANCELLED',
    retryable: true,
    guard: isParkCancelledError,
    message: `The parked pull of ${image} was cancelled`,
  },
  {
    error: new PullDeadlineError(image, 'deadlineMs', 60_000, [attempt()]),
    name: 'PullDeadlineError',
    code: 'ERR_PULL_DEADLINE',
    retryable: true,
    guard: isPullDeadlineError,
    message: `Pulling ${image} took longer than deadlineMs 60000 ms, after 1 failed attempts; the last one: quay.io/team (layers): no byte for 4000 ms`,
  },
  {
    error: new PullExhaustedError({ image, phase: 'layers', attempts: [attempt()], cause }),
    name: 'PullExhaustedError',
    code: 'ERR_PULL_EXHAUSTED',
    retryable: true,
    guard: isPullExhaustedError,
    message: `No registry could serve ${image} (layers) after 1 attempts; quay.io/team (layers): no byte for 4000 ms`,
  },
  {
    error: new PullerClosedError(),
    name: 'PullerClosedError',
    code: 'ERR_PULLER_CLOSED',
    retryable: true,
    guard: isPullerClosedError,
    message: 'The puller is closed',
  },
  {
    error: new ReplicaDivergedError(image, 'docker.io/team', digest, null),
    name: 'ReplicaDivergedError',
    code: 'ERR_REPLICA_DIVERGED',
    retryable: true,
    guard: isReplicaDivergedError,
    message: `docker.io/team resolved ${image} to ${digest}, nothing is remembered to compare with, and onUnverified is 'fail'`,
  },
  {
    error: new UnsupportedImageError(image, 'schema-1', 'schema 1 is not supported', cause),
    name: 'UnsupportedImageError',
    code: 'ERR_IMAGE_UNSUPPORTED',
    retryable: false,
    guard: isUnsupportedImageError,
    message: 'schema 1 is not supported',
  },
];

/** The module of an error, by the name of its class. */
function moduleOf(name: string): string {
  return `${name.replaceAll(/(?<=[a-z])[A-Z]/g, '-$&').toLowerCase()}.ts`;
}

describe('the errors', () => {
  it('are all in this table, each with a code of its own', () => {
    const files = readdirSync(errorFolder).filter((file) => file !== 'pull-failover-error.ts');
    expect(table.map(({ name }) => moduleOf(name)).toSorted()).to.deep.equal(files.toSorted());
    expect(new Set(table.map(({ code }) => code)).size).to.equal(table.length);
  });

  for (const { error, name, code, retryable, guard, message } of table) {
    it(`${name} has its literal name, its code and a sentence`, () => {
      expect(error.name).to.equal(name);
      // A minifier of the host renames classes; the name must not come from there.
      expect(Object.hasOwn(error, 'name')).to.equal(true);
      expect(error.code).to.equal(code);
      expect(error.retryable).to.equal(retryable);
      expect(error.message.startsWith(message), error.message).to.equal(true);
      expect(error).to.be.instanceOf(PullFailoverError);
      expect(error).to.be.instanceOf(Error);
      expect(error.stack).to.include('errors.spec');
    });

    it(`${name} is known to its own guard, and to no other`, () => {
      expect(isPullFailoverError(error)).to.equal(true);
      for (const other of table) expect(other.guard(error), other.name).to.equal(other.guard === guard);
    });
  }

  it('keep the cause that they were given, and have none otherwise', () => {
    const withCause = table.filter(({ error }) => 'cause' in error);
    expect(withCause.map(({ name }) => name)).to.deep.equal([
      'EngineError',
      'HostFaultError',
      'InvalidOptionError',
      'ParkCancelledError',
      'PullExhaustedError',
      'UnsupportedImageError',
    ]);
    for (const { error } of withCause) expect(error.cause).to.equal(cause);
  });

  it('are told from everything else that can be thrown', () => {
    const others = [
      undefined,
      null,
      0,
      'ERR_PULL_EXHAUSTED',
      {},
      new Error('x'),
      { name: 'PullExhaustedError' },
      () => 1,
    ];
    for (const other of others) {
      expect(isPullFailoverError(other)).to.equal(false);
      for (const { guard } of table) expect(guard(other)).to.equal(false);
    }
    const lookalike = Object.assign(new Error('x'), { name: 'PullExhaustedError', code: 'ERR_PULL_EXHAUSTED' });
    expect(isPullExhaustedError(lookalike)).to.equal(false);
  });

  describe('of another installed copy', () => {
    let directory: string;
    before(() => {
      directory = mkdtempSync(join(tmpdir(), 'pull-failover-copy-'));
      writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
      cpSync(fileURLToPath(new URL('../../lib/', import.meta.url)), join(directory, 'lib'), { recursive: true });
    });
    after(() => rmSync(directory, { recursive: true, force: true }));

    it('are of other classes, and known to the guards of this one', async () => {
      type Loaded = Readonly<Record<string, new (...details: readonly unknown[]) => Error>>;
      for (const { name, guard } of table) {
        const url = pathToFileURL(join(directory, 'lib', 'errors', moduleOf(name))).href;
        const { [name]: Other } = (await import(url)) as Loaded;
        expect(Other, name).to.be.a('function');
        const details =
          name === 'PullExhaustedError' ? [{ image, phase: 'layers', attempts: [] }] : [image, 'x', 'y', []];
        const error = new Other!(...details);
        expect(error, name).to.not.be.instanceOf(PullFailoverError);
        expect(guard(error), name).to.equal(true);
        expect(isPullFailoverError(error), name).to.equal(true);
      }
    });

    it('are known also where Error is another one, as in a test file of Jest', () => {
      const error: unknown = runInNewContext(
        `const error = new Error('x'); error.name = 'PullerClosedError'; error[Symbol.for('pull-failover.error')] = true; error`,
      );
      expect(error).to.not.be.instanceOf(Error);
      expect(isPullerClosedError(error)).to.equal(true);
      expect(isPullExhaustedError(error)).to.equal(false);
    });
  });

  it('do not show the brand, and show their data, when they are inspected or put into JSON', () => {
    const error = new PullExhaustedError({ image, phase: 'metadata', attempts: [attempt()], retryAfterMs: 5_000 });
    expect(Object.keys(error)).to.include.members(['code', 'retryable', 'image', 'phase', 'attempts', 'retryAfterMs']);
    expect(
      Object.getOwnPropertySymbols(error).every((symbol) => !Object.keys(error).includes(String(symbol))),
    ).to.equal(true);
    expect(inspect(error)).to.not.include('pull-failover.error');
    expect(JSON.parse(JSON.stringify(error))).to.include({ code: 'ERR_PULL_EXHAUSTED', image, retryAfterMs: 5_000 });
  });
});

describe('a pull that is exhausted', () => {
  function exhausted(...verdicts: readonly Verdict[]): PullExhaustedError {
    return new PullExhaustedError({
      image,
      phase: 'layers',
      attempts: verdicts.map((verdict) => attempt({ verdict })),
    });
  }

  it('may succeed later unless every registry said something that stays true', () => {
    const rules: readonly (readonly [readonly Verdict[], boolean])[] = [
      [[], true],
      [['next'], false],
      [['stop'], false],
      [['next', 'stop', 'next'], false],
      [['again'], true],
      [['ill'], true],
      [['limited'], true],
      [['next', 'ill', 'next'], true],
      [['limited', 'stop'], true],
    ];
    for (const [verdicts, retryable] of rules) {
      expect(exhausted(...verdicts).retryable, verdicts.join()).to.equal(retryable);
    }
  });

  it('keeps every attempt in the order tried, and says the last reason of each registry once', () => {
    const attempts = [
      attempt({ registry: 'quay.io/team', reason: { cause: 'registry-api', code: 'http-502', message: 'first' } }),
      attempt({
        registry: 'docker.io/team',
        phase: 'metadata',
        reason: { cause: 'dns', code: 'dns-failed', message: 'b' },
      }),
      attempt({ registry: 'quay.io/team', reason: { cause: 'registry-api', code: 'http-503', message: 'second' } }),
    ];
    const error = new PullExhaustedError({ image, phase: 'layers', attempts });
    expect(error.attempts).to.deep.equal(attempts);
    expect(error.message).to.equal(
      `No registry could serve ${image} (layers) after 3 attempts; quay.io/team (layers): second; docker.io/team (metadata): b`,
    );
    expect('retryAfterMs' in error).to.equal(false);
    expect(new PullExhaustedError({ image, phase: 'layers', attempts: [] }).message).to.equal(
      `No registry could serve ${image} (layers) after 0 attempts`,
    );
  });

  it('shows no credential, wherever it is shown, when its reasons passed the redaction', () => {
    const said = [
      'Get "https://robot:s3cr3t@quay.io/v2/?verify=s3cr3t": EOF',
      '{"errors":[{"code":"DENIED","detail":{"token":"s3cr3t"}}]}',
      'Authorization: Bearer s3cr3tvalue',
    ];
    const attempts = said.map((text) =>
      attempt({ reason: { cause: 'registry-api', code: 'http-403', message: redactText(text) } }),
    );
    const errors = [
      new PullExhaustedError({ image, phase: 'layers', attempts }),
      new PullDeadlineError(image, 'layers.totalMs', 5, attempts),
    ];
    for (const error of errors) {
      for (const shown of [error.message, String(error), JSON.stringify(error), inspect(error, { depth: 9 })]) {
        expect(shown).to.not.include('s3cr3t');
      }
    }
  });
});

describe('an invalid reference', () => {
  it('is shown in part when it is long, in the message and as a field', () => {
    const error = new InvalidReferenceError('A'.repeat(10_000), 'names are lower case');
    expect(error.reference).to.equal(`${'A'.repeat(300)}…`);
    expect(error.message.length).to.be.below(400);
  });

  it('cannot break the line that shows it', () => {
    expect(new InvalidReferenceError('a\nforged line\u001b[2J', 'no').message).to.not.match(/\p{Cc}/u);
  });
});

describe('a diverged replica', () => {
  it('names what was expected, where something is remembered', () => {
    const expected = `sha256:${'b'.repeat(64)}` as Digest;
    const error = new ReplicaDivergedError(image, 'docker.io/team', digest, expected);
    expect(error.message).to.equal(
      `docker.io/team resolved ${image} to ${digest} instead of the remembered ${expected}, and onDivergence is 'fail'`,
    );
    expect(error).to.include({ registry: 'docker.io/team', digest, expected });
  });
});
