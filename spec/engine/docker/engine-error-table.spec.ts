import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import fc from 'fast-check';
import { engineErrorTable, findEngineError } from '../../../lib/engine/docker/engine-error-table.js';

interface Sample {
  readonly engine: string;
  readonly text: string;
  /** The heading it stands under. */
  readonly about: string;
}

function readSamples(): readonly Sample[] {
  const digest = '0a40a8bb292a2fb8c0304789e3416ab013b51265a2f92845f813ff80e2e608d6';
  const file = readFileSync(new URL('support/engine-errors.txt', import.meta.url), 'utf8');
  return file
    .split('\n== ')
    .slice(1)
    .flatMap((section) => {
      const [about = '', ...lines] = section.split('\n');
      return lines
        .filter((line) => line !== '')
        .map((line) => {
          const end = line.indexOf(': ');
          const text = line
            .slice(end + 2)
            .replaceAll('<digest>', digest)
            .replaceAll(String.raw`\n`, '\n');
          return { engine: line.slice(0, end), text, about };
        });
    });
}

/** What was found, as the headings say it. */
function describeFinding(text: string): string {
  const { fault, registry, errno } = findEngineError(text);
  const words = Object.entries(registry ?? {})
    .filter(([key]) => !['reused', 'bytes', 'lateMs'].includes(key))
    .flatMap(([, value]: [string, unknown]) => value)
    .map(String);
  return [fault, ...(registry === null ? [] : [words.join(' ')]), ...(errno === null ? [] : [errno])].join(' · ');
}

describe('The table of what engines say', () => {
  const samples = readSamples();

  for (const about of new Set(samples.map((sample) => sample.about))) {
    it(`finds: ${about}`, () => {
      for (const { engine, text } of samples.filter((sample) => sample.about === about)) {
        expect(describeFinding(text), `${engine}: ${text}`).to.equal(about);
      }
    });
  }

  it('has no row that decides nothing which an engine is known to say', () => {
    const used = new Set(samples.map(({ text }) => findEngineError(text).row));
    const idle = engineErrorTable.filter((row) => !used.has(row));
    expect(idle.map(({ says }) => says.source)).to.deep.equal([]);
  });

  it('is not misled by the name of an image or of its registry', () => {
    const names = ['denied/unauthorized', 'grpc/lease', 'token/x509', 'eof/context-canceled', 'unknown/missing'];
    for (const { text, about } of samples) {
      for (const name of names) {
        expect(describeFinding(text.replaceAll('aptible/redis', name)), text).to.equal(about);
        expect(
          describeFinding(text.replaceAll(/127\.0\.0\.1|registry\.example/g, `grpc.${name.split('/')[0]}.example`)),
          text,
        ).to.equal(about);
      }
    }
  });

  it('does not believe a registry that speaks of a disk, a daemon, a platform or an archive', () => {
    const claims = [
      'write /var/lib/registry/data: no space left on device',
      'failed to register layer: permission denied',
      'rpc error: code = Unavailable desc = transport is closing',
      'archive/tar: invalid tar header',
      'no matching manifest for linux/amd64',
      'unexpected commit digest sha256:0, expected sha256:1',
      'invalid reference format',
      'context canceled',
    ];
    const repeated: readonly ((claim: string) => string)[] = [
      (claim) => `unknown: ${claim}`,
      (claim) => `unknown: <html>${claim}`,
      (claim) => `denied: ${claim}`,
      (claim) => `error pulling image configuration: download failed after attempts=1: unauthorized: ${claim}`,
      (claim) => `manifest for 127.0.0.1:5000/r:1 not found: manifest unknown: ${claim}`,
      (claim) => `repository 127.0.0.1:5000/r not found: name unknown: ${claim}`,
      (claim) => `toomanyrequests: ${claim}`,
      (claim) => `received unexpected HTTP status: 503 ${claim}`,
      (claim) =>
        `error parsing HTTP 403 response body: invalid character 'w' looking for beginning of value: "${claim}"`,
      (claim) =>
        `failed to copy: httpReadSeeker: failed open: unexpected status code https://127.0.0.1:5000/v2/r/blobs/sha256:0: 500 Internal Server Error - Server message: unknown: ${claim}`,
      (claim) => `failed to copy: httpReadSeeker: failed open: error from registry: ${claim}`,
      (claim) =>
        `initializing source docker://127.0.0.1:5000/r:1: reading manifest 1 in 127.0.0.1:5000/r: StatusCode: 400, ${claim}`,
      (claim) =>
        `initializing source docker://127.0.0.1:5000/r:1: reading manifest 1 in 127.0.0.1:5000/r: errors:\ndenied: ${claim}\n`,
    ];
    for (const repeat of repeated) {
      for (const claim of claims) {
        const text = repeat(claim);
        expect(['rate-limit', 'registry-noise', 'denied', 'missing', 'server'], text).to.include(
          findEngineError(text).fault,
        );
        expect(findEngineError(text).registry, text).not.to.equal(null);
      }
    }
  });

  it('finds the same whatever a registry adds to what it said', () => {
    const saying = ['denied: ', 'toomanyrequests: ', 'manifest unknown: ', 'received unexpected HTTP status: 502 '];
    fc.assert(
      fc.property(fc.constantFrom(...saying), fc.lorem({ mode: 'sentences' }), (beginning, words) => {
        expect(describeFinding(beginning + words)).to.equal(describeFinding(`${beginning}x`));
      }),
    );
  });

  it('takes any text, also one of a megabyte, in no time', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        expect(findEngineError(text).fault).to.be.a('string');
      }),
    );
    const startMs = performance.now();
    for (const piece of [
      'a',
      'manifest for ',
      'image operating system ',
      'lookup a on ',
      'Encountered remote ',
      ': denied: ',
      'lease "',
    ]) {
      findEngineError(piece.repeat(Math.ceil((1 << 20) / piece.length)));
    }
    expect(performance.now() - startMs).to.be.below(5_000);
  });
});
