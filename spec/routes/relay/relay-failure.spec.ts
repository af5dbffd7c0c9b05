import { expect } from 'chai';
import { engineFailure } from '../../../lib/engine/docker/engine-failure.js';
import { type WhatFollows, whatFollows } from '../../../lib/routes/relay/relay-failure.js';

interface Case {
  readonly text: string;
  readonly hadAll?: boolean;
  readonly hadWrongBytes?: boolean;
  readonly lost?: boolean;
  /** What follows the first time, and after that. */
  readonly first: WhatFollows['kind'] | 'engine-poisoned' | 'engine-failed';
  readonly then?: WhatFollows['kind'] | 'engine-poisoned' | 'engine-failed';
}

const commit =
  'failed commit on ref "layer-sha256:aa": unexpected commit digest sha256:bb, expected sha256:aa: failed precondition';

const cases: Readonly<Record<string, Case>> = {
  'a full disk': { text: 'write /mnt/root/tmp/GetImageBlob1: no space left on device', first: 'stop' },
  'a layer that cannot be unpacked': {
    text: 'failed to register layer: archive/tar: invalid tar header',
    first: 'stop',
  },
  'another platform': { text: 'no matching manifest for linux/s390x in the manifest list entries', first: 'stop' },
  'an artifact': { text: 'unsupported media type application/vnd.cncf.helm.config.v1+json', first: 'stop' },
  'a daemon that went away': { text: 'socket hang up', lost: true, first: 'away' },
  'a containerd that went away': { text: 'failed to copy: failed to send write: EOF', first: 'away' },
  'the end of a pull that this one was tied to': { text: 'context canceled', first: 'again', then: 'engine-failed' },
  'bytes of an earlier pull': { text: commit, first: 'engine-poisoned' },
  'bytes of an earlier pull, after all were given': { text: commit, hadAll: true, first: 'engine-poisoned' },
  'a layer of which it was given wrong bytes': { text: commit, hadWrongBytes: true, first: 'engine-poisoned' },
  'a layer that it unpacked while it was given wrong bytes': {
    text: 'adding layer with blob "sha256:aa": Error processing tar file: archive/tar: invalid tar header',
    hadWrongBytes: true,
    first: 'engine-poisoned',
  },
  'a registry of a pull that this one was tied to': {
    text: 'received unexpected HTTP status: 503 Service Unavailable',
    first: 'engine-failed',
  },
  'an attestation that nobody has': {
    text: 'failed to copy: httpReadSeeker: failed open: could not fetch content descriptor sha256:aa from remote: not found',
    first: 'engine-failed',
  },
  'a way to the relay that is shut': {
    text: 'dial tcp 127.0.0.1:1: connect: connection refused',
    first: 'engine-failed',
  },
  'words that nobody knows': { text: 'the moon is in the seventh house', first: 'engine-failed' },
  'words that nobody knows, after all was given': {
    text: 'the moon is in the seventh house',
    hadAll: true,
    first: 'stop',
  },
};

describe('what follows when a daemon could not pull from the relay', () => {
  const shown = (next: WhatFollows): string => (next.kind === 'load' ? next.reason.code : next.kind);

  for (const [
    what,
    { text, hadAll = false, hadWrongBytes = false, lost = false, first, then = first },
  ] of Object.entries(cases)) {
    it(`for ${what} is ${first}${then === first ? '' : `, then ${then}`}`, () => {
      const outcome = { kind: 'failed', failure: engineFailure({ text, lost }), hadAll, hadWrongBytes } as const;
      expect(shown(whatFollows(outcome, 'docker:x', true))).to.equal(first);
      expect(shown(whatFollows(outcome, 'docker:x', false))).to.equal(then);
    });
  }

  it('says in words why bytes are sent, with the engine and what it said', () => {
    const failed = whatFollows(
      { kind: 'failed', failure: engineFailure({ text: commit }), hadAll: false, hadWrongBytes: false },
      'docker:x',
      true,
    );
    expect(failed.kind === 'load' && failed.reason.cause).to.equal('engine');
    expect(failed.kind === 'load' && failed.reason.message).to.match(
      /^engine docker:x refused bytes that were right.*unexpected commit digest/,
    );
    const wedged = whatFollows({ kind: 'wedged', quietMs: 4_020 }, 'docker:x', true);
    expect(wedged).to.deep.equal({
      kind: 'load',
      reason: {
        cause: 'engine',
        code: 'engine-wedged',
        message:
          'engine docker:x has not asked for what it needs for 4.0 s: another pull holds its layers or its download slots',
      },
    });
  });
});
