import { inspect } from 'node:util';
import { expect } from 'chai';
import {
  engineFailure,
  type EngineFailure,
  hostErrorOf,
  registryEvidenceOf,
} from '../../../lib/engine/docker/engine-failure.js';
import type { EngineFault } from '../../../lib/engine/docker/engine-error-row.js';
import { isEngineError } from '../../../lib/errors/engine-error.js';
import { isHostFaultError } from '../../../lib/errors/host-fault-error.js';
import { isUnsupportedImageError } from '../../../lib/errors/unsupported-image-error.js';
import { explainFailure } from '../../../lib/health/explain-failure.js';

const engine = 'docker:unix:///var/run/docker.sock';
const image = 'docker.io/library/redis:3.0';

function errorOf(failure: EngineFailure): ReturnType<typeof hostErrorOf> {
  return hostErrorOf(failure, engine, image);
}

describe('A failure of an engine', () => {
  it('is about reaching it where the socket says so, whatever else is said', () => {
    for (const code of [
      'ECONNREFUSED',
      'ENOENT',
      'EACCES',
      'EPERM',
      'ENOTFOUND',
      'EAI_AGAIN',
      'ETIMEDOUT',
      'EHOSTUNREACH',
      'HPE_INVALID_CONSTANT',
      'CERT_HAS_EXPIRED',
      'DEPTH_ZERO_SELF_SIGNED_CERT',
      'ERR_TLS_CERT_ALTNAME_INVALID',
    ]) {
      const failure = engineFailure({ text: `connect ${code}: manifest unknown`, code });
      expect(failure, code).to.include({ fault: 'unreachable', isLost: false, socketCode: code });
      expect(registryEvidenceOf(failure), code).to.equal(null);
    }
  });

  it('is a lost daemon where an answer ended before its end', () => {
    for (const said of [
      { text: 'aborted', code: 'ECONNRESET' },
      { text: 'socket hang up', code: 'ECONNRESET' },
      { text: 'write EPIPE', code: 'EPIPE' },
      { text: 'the answer ended without an end: manifest unknown', lost: true },
    ]) {
      const failure = engineFailure(said);
      expect(failure, said.text).to.include({ fault: 'daemon', isLost: true });
      expect(registryEvidenceOf(failure), said.text).to.equal(null);
    }
  });

  it('keeps the status, which alone says nothing: a firewall makes a 404 of it', () => {
    const text = "pull access denied for r, repository does not exist or may require 'docker login': denied: <html>";
    const failure = engineFailure({ text, statusCode: 404 });
    expect(failure).to.include({ fault: 'registry-noise', statusCode: 404 });
    expect(engineFailure({ text }).statusCode).to.equal(null);
  });

  it('says something even where the engine said nothing', () => {
    expect(engineFailure({ text: '', statusCode: 500 }).message).to.equal('the engine failed (500)');
    expect(engineFailure({ text: '  ', code: 'ECONNREFUSED' }).message).to.equal('the engine failed (ECONNREFUSED)');
    expect(engineFailure({ text: '' }).message).to.equal('the engine failed (unknown)');
  });

  it('shows no credentials, tokens or signed URLs, wherever it is looked at', () => {
    const text =
      'failed to copy: httpReadSeeker: failed open: unexpected status from GET request to https://user:hunter22@cdn.example/blobs/x?X-Amz-Signature=deadbeefdeadbeef&token=abcdef0123456789: 403 Forbidden Authorization: Bearer abcdef0123456789';
    const failure = engineFailure({ text });
    const seen = [failure.text, failure.message, inspect(failure), String(failure.stack), JSON.stringify(failure)];
    const error = errorOf(failure);
    for (const shown of [...seen, error.message, inspect(error, { depth: 9 }), explainFailure(error)]) {
      expect(shown).not.to.match(/hunter22|deadbeef|abcdef0123456789/);
    }
    // What it is about is found in the whole text all the same.
    expect(failure.fault).to.equal('registry-noise');
  });

  it('tells its fault also where the words that matter stand far behind', () => {
    const failure = engineFailure({ text: `failed to extract layer ${'x'.repeat(900)}: no space left on device` });
    expect(failure).to.include({ fault: 'disk', diskErrno: 'ENOSPC' });
    expect(errorOf(failure)).to.have.nested.property('reason.code', 'disk-full');
  });
});

describe('What a pull ends with when its engine failed', () => {
  const endings: readonly (readonly [fault: EngineFault, text: string, code: string | undefined, ending: string])[] = [
    ['disk', 'write /x/GetImageBlob1: no space left on device', undefined, 'host-disk disk-full'],
    ['disk', 'write /x/GetImageBlob1: disk quota exceeded', undefined, 'host-disk disk-full'],
    ['disk', 'open /x/GetImageBlob1: read-only file system', undefined, 'host-disk disk-failed'],
    ['disk', 'open /x/GetImageBlob1: too many open files', undefined, 'engine disk-failed'],
    ['unreachable', 'connect ENOENT /var/run/docker.sock', 'ENOENT', 'engine engine-failed'],
    ['unreachable', 'connect EACCES /var/run/docker.sock', 'EACCES', 'engine engine-failed'],
    ['daemon', 'aborted', 'ECONNRESET', 'engine engine-failed'],
    ['daemon', 'failed to copy: failed to send write: EOF', undefined, 'engine engine-failed'],
    ['platform', 'no matching manifest for linux/arm64 in the manifest list entries', undefined, 'no-such-platform'],
    ['type', 'unsupported media type application/vnd.cncf.helm.config.v1+json', undefined, 'not-an-image'],
    ['extract', 'failed to register layer: archive/tar: invalid tar header', undefined, 'EngineError'],
    [
      'integrity',
      'unexpected commit digest sha256:0, expected sha256:1: failed precondition',
      undefined,
      'EngineError',
    ],
    ['cancelled', 'layer registration cancelled', undefined, 'EngineError'],
    ['caller', 'invalid reference format', undefined, 'EngineError'],
    ['missing', 'manifest unknown', undefined, 'EngineError'],
    ['denied', 'no basic auth credentials', undefined, 'EngineError'],
    ['rate-limit', 'toomanyrequests: slow down', undefined, 'EngineError'],
    ['registry-noise', 'denied: <html>', undefined, 'EngineError'],
    ['server', 'received unexpected HTTP status: 503 Service Unavailable', undefined, 'EngineError'],
    ['tls', 'x509: certificate signed by unknown authority', undefined, 'EngineError'],
    ['network', 'dial tcp 127.0.0.1:1: connect: connection refused', undefined, 'EngineError'],
    ['unknown', 'something that nobody has seen yet', undefined, 'EngineError'],
  ];

  it('is decided by what it is about', () => {
    for (const [fault, text, code, ending] of endings) {
      const failure = engineFailure({ text, ...(code === undefined ? {} : { code }) });
      expect(failure.fault, text).to.equal(fault);
      const error = errorOf(failure);
      const ended = isHostFaultError(error)
        ? `${error.reason.cause} ${error.reason.code}`
        : isUnsupportedImageError(error)
          ? error.problem
          : error.name;
      expect(ended, text).to.equal(ending);
      expect(error.cause, text).to.equal(failure);
      expect(error.message, text).to.include(engine).and.include(failure.text);
      if (fault !== 'unreachable') expect(error.message, text).to.include(image);
      if (isEngineError(error)) expect(error.engine).to.equal(engine);
    }
  });

  it('tells what to do about an engine that cannot be reached', () => {
    const advice: readonly (readonly [code: string, advice: RegExp])[] = [
      ['EACCES', /group `docker`/],
      ['ENOENT', /DOCKER_HOST/],
      ['ECONNREFUSED', /start the engine/],
      ['ENOTFOUND', /does not resolve/],
      ['HPE_INVALID_CONSTANT', /DOCKER_TLS_VERIFY/],
      ['SELF_SIGNED_CERT_IN_CHAIN', /DOCKER_CERT_PATH/],
    ];
    for (const [code, wanted] of advice) {
      expect(explainFailure(errorOf(engineFailure({ text: `connect ${code}`, code }))), code).to.match(wanted);
    }
  });
});
