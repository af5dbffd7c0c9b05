import { inspect } from 'node:util';
import { expect } from 'chai';
import { isInvalidOptionError } from '../../lib/errors/invalid-option-error.js';
import {
  callbackLimitMs,
  credentialReuseMs,
  fixedCredentials,
  parseCredentials,
} from '../../lib/registries/credential-source.js';
import { CredentialsUnavailableError } from '../../lib/registries/credentials-unavailable.js';
import type { CredentialsRequest } from '../../lib/registries/credentials.js';
import { startFakeTime } from '../support/fake-time.js';
import { failureOf } from '../support/failure-of.js';

describe('the option credentials', () => {
  it('gives the credentials that were given', async () => {
    const source = parseCredentials({ username: 'robot', password: 'hunter2' }, 'credentials', 'quay.io');
    expect(await source.get()).to.deep.equal({ username: 'robot', password: 'hunter2' });
  });

  it('keeps what was given, whatever becomes of the object', async () => {
    const given = { username: 'robot', password: 'hunter2' };
    const source = parseCredentials(given, 'credentials', 'quay.io');
    given.password = 'changed';
    expect(await source.get()).to.deep.equal({ username: 'robot', password: 'hunter2' });
  });

  it(`is anonymous for 'none'`, async () => {
    expect(await parseCredentials('none', 'credentials', 'quay.io').get()).to.equal(null);
  });

  it('rethrows the reason of an abort', async () => {
    const signal = AbortSignal.abort('gone');
    for (const option of ['none', { registryToken: 'abc' }, () => null]) {
      expect(await failureOf(parseCredentials(option, 'credentials', 'quay.io').get({ signal }))).to.equal('gone');
    }
  });

  for (const value of ['hunter2', 7, null, [], { username: 'robot', pasword: 'hunter2' }]) {
    it(`is refused, by name and without showing the value, when it is ${typeof value}`, () => {
      const path = 'registries[1].credentials';
      expect(() => parseCredentials(value, path, 'quay.io'))
        .to.throw()
        .that.satisfies(
          (error: unknown) =>
            isInvalidOptionError(error) && error.option === path && !inspect(error).includes('hunter2'),
        );
    });
  }

  it('is out of reach of inspect and JSON', () => {
    for (const source of [
      fixedCredentials({ username: 'robot', password: 'hunter2' }),
      parseCredentials(() => ({ username: 'robot', password: 'hunter2' }), 'credentials', 'quay.io'),
    ]) {
      expect(inspect(source, { showHidden: true, depth: Infinity })).to.not.include('hunter2');
      expect(JSON.stringify(source)).to.equal('{}');
    }
  });

  describe('as a callback', () => {
    it('is told the registry and a signal', async () => {
      const requests: CredentialsRequest[] = [];
      const source = parseCredentials(
        (request: CredentialsRequest) => {
          requests.push(request);
          return { registryToken: 'abc' };
        },
        'credentials',
        'quay.io/aptible',
      );
      expect(await source.get()).to.deep.equal({ registryToken: 'abc' });
      expect(requests.map(({ registry }) => registry)).to.deep.equal(['quay.io/aptible']);
      expect(requests[0]?.signal).to.be.instanceOf(AbortSignal);
    });

    it('may answer later, and that there are none', async () => {
      const source = parseCredentials(() => Promise.resolve(null), 'credentials', 'quay.io');
      expect(await source.get()).to.equal(null);
    });

    it('is asked once a minute, and again for a fresh answer', async () => {
      const time = startFakeTime();
      try {
        let calls = 0;
        const source = parseCredentials(() => ({ registryToken: `t${(calls += 1)}` }), 'credentials', 'quay.io');
        await Promise.all([source.get(), source.get()]);
        await time.passMs(credentialReuseMs - 1);
        expect(await source.get()).to.deep.equal({ registryToken: 't1' });
        expect(await source.get({ fresh: true })).to.deep.equal({ registryToken: 't2' });
        await time.passMs(credentialReuseMs);
        expect(await source.get()).to.deep.equal({ registryToken: 't3' });
      } finally {
        time.restore();
      }
    });

    const failures: readonly { readonly title: string; readonly callback: () => unknown; readonly problem: string }[] =
      [
        {
          title: 'throws',
          callback: () => {
            throw new Error('vault said hunter2');
          },
          problem: 'callback-failed',
        },
        { title: 'rejects', callback: () => Promise.reject(new Error('hunter2')), problem: 'callback-failed' },
        { title: 'returns nothing', callback: () => undefined, problem: 'callback-malformed' },
        { title: 'returns text', callback: () => 'hunter2', problem: 'callback-malformed' },
        { title: 'returns a wrong key', callback: () => ({ user: 'hunter2' }), problem: 'callback-malformed' },
        {
          title: 'returns a token with a line end',
          callback: () => ({ registryToken: 'hunter2\r\nX: 1' }),
          problem: 'callback-malformed',
        },
      ];
    for (const { title, callback, problem } of failures) {
      it(`makes credentials unavailable when it ${title}, and shows nothing of it`, async () => {
        const error = await failureOf(parseCredentials(callback, 'credentials', 'quay.io').get());
        expect(error).to.be.instanceOf(CredentialsUnavailableError).with.property('problem', problem);
        expect(inspect(error, { showHidden: true, depth: Infinity })).to.not.include('hunter2');
        expect(error).to.have.property('message').that.includes('quay.io');
      });
    }

    it('has a time limit, at which its signal aborts', async () => {
      const time = startFakeTime();
      try {
        let told: AbortSignal | undefined;
        const source = parseCredentials(
          ({ signal }: CredentialsRequest) => {
            told = signal;
            return new Promise(() => {});
          },
          'credentials',
          'quay.io',
        );
        const waiting = failureOf(source.get());
        await time.passMs(callbackLimitMs);
        expect(await waiting)
          .to.be.instanceOf(CredentialsUnavailableError)
          .with.property('problem', 'callback-late');
        expect(told?.aborted).to.equal(true);
      } finally {
        time.restore();
      }
    });
  });
});
