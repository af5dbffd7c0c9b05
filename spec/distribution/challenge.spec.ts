import { expect } from 'chai';
import fc from 'fast-check';
import { parseChallenges, wantedAuth } from '../../lib/distribution/challenge.js';
import { headersOf } from '../../lib/distribution/headers.js';

function plain(value: string): readonly { scheme: string; params: Record<string, string> }[] | null {
  return parseChallenges(value)?.map(({ scheme, params }) => ({ scheme, params: Object.fromEntries(params) })) ?? null;
}

describe('a WWW-Authenticate value', () => {
  const good: readonly [string, ReturnType<typeof plain>][] = [
    [
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/redis:pull"',
      [
        {
          scheme: 'bearer',
          params: {
            realm: 'https://auth.docker.io/token',
            service: 'registry.docker.io',
            scope: 'repository:library/redis:pull',
          },
        },
      ],
    ],
    ['Basic', [{ scheme: 'basic', params: {} }]],
    ['BASIC Realm="a, b"', [{ scheme: 'basic', params: { realm: 'a, b' } }]],
    ['Bearer realm = "x" , service = y', [{ scheme: 'bearer', params: { realm: 'x', service: 'y' } }]],
    ['Basic realm="say \\"hi\\" \\\\"', [{ scheme: 'basic', params: { realm: 'say "hi" \\' } }]],
    [
      'Negotiate, Basic realm="x", Bearer realm="y",service="z"',
      [
        { scheme: 'negotiate', params: {} },
        { scheme: 'basic', params: { realm: 'x' } },
        { scheme: 'bearer', params: { realm: 'y', service: 'z' } },
      ],
    ],
    [
      'Negotiate YWJj==, Basic realm=x',
      [
        { scheme: 'negotiate', params: {} },
        { scheme: 'basic', params: { realm: 'x' } },
      ],
    ],
    [', ,Basic realm="", ,', [{ scheme: 'basic', params: { realm: '' } }]],
    ['', []],
  ];
  for (const [value, expected] of good) {
    it(`is read as it is meant: ${JSON.stringify(value)}`, () => {
      expect(plain(value)).to.deep.equal(expected);
    });
  }

  const malformed: readonly string[] = [
    'Bearer realm="unterminated',
    'Bearer realm="x" service="y"',
    'Bearer realm="x",realm="y"',
    'Bearer realm="x"junk',
    '"quoted" realm="x"',
    '=',
    'Bearer =x',
    'Bearer realm=',
    'Bearer realm=,',
    'Bearer"x"',
    'Bearer realm="\\',
    `Bearer realm="${'x'.repeat(9_000)}"`,
    Array.from({ length: 17 }, (_, index) => `S${index} a=b`).join(','),
  ];
  for (const value of malformed) {
    it(`is malformed: ${JSON.stringify(value.slice(0, 60))}`, () => {
      // A lone `name=` is a token68 to the grammar: then it is no challenge that can be answered.
      const parsed = plain(value);
      expect(parsed === null || parsed.every(({ params }) => Object.keys(params).length === 0)).to.equal(true);
    });
  }

  it('never crashes the parser and never takes it long, whatever it holds', () => {
    const anything = fc.oneof(
      fc.string({ maxLength: 300, unit: 'binary' }),
      fc
        .array(fc.constantFrom('Bearer', 'Basic', ' ', ',', '=', '"', '\\', 'realm', '\t', 'a/b+c==', '\u0000'), {
          maxLength: 60,
        })
        .map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(anything, (value) => {
        const parsed = parseChallenges(value);
        expect(parsed === null || Array.isArray(parsed)).to.equal(true);
      }),
    );
  });

  it('survives being written and read again, whatever the quoted strings hold', () => {
    const token = fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,8}$/);
    const params = fc.dictionary(
      token.map((name) => name.toLowerCase()),
      fc.string({ maxLength: 20 }),
      { minKeys: 1, maxKeys: 4 },
    );
    const challenges = fc.array(fc.record({ scheme: token.map((scheme) => scheme.toLowerCase()), params }), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(challenges, (written) => {
        const value = written
          .map(
            ({ scheme, params: fields }) =>
              `${scheme} ${Object.entries(fields)
                .map(([name, text]) => `${name}="${text.replace(/["\\]/g, '\\$&')}"`)
                .join(', ')}`,
          )
          .join(', ');
        expect(plain(value)).to.deep.equal(
          written.map(({ scheme, params: fields }) => ({ scheme, params: { ...fields } })),
        );
      }),
    );
  });

  it('takes no longer for a hostile value than for a harmless one of its length', () => {
    const startedAtMs = performance.now();
    for (const part of [', ', '" ', '\\"', 'a=', '= ', 'a ', '\t', ',\t'])
      parseChallenges(`Bearer realm="${part.repeat(4_000)}`);
    for (const part of [', ', ' ', 'a=', ',\t', 'a']) parseChallenges(part.repeat(4_000 / part.length));
    expect(performance.now() - startedAtMs).to.be.below(2_000);
  });
});

describe('what a 401 wants', () => {
  const wanted = (...values: string[]): ReturnType<typeof wantedAuth> =>
    wantedAuth(headersOf({ 'www-authenticate': values }));

  it('is Bearer where that is offered, in whatever order and on whatever line', () => {
    const bearer = { kind: 'bearer', realm: 'https://r', service: null, scope: null };
    expect(wanted('Basic realm="x", Bearer realm="https://r"')).to.deep.equal(bearer);
    expect(wanted('Basic realm="x"', 'bearer realm="https://r"')).to.deep.equal(bearer);
  });
  it('is Basic otherwise', () => {
    expect(wanted('Negotiate', 'basic realm="x"')).to.deep.equal({ kind: 'basic' });
  });
  it('is what the readable line says when another one is malformed', () => {
    expect(wanted('Bearer realm="', 'Basic realm="x"')).to.deep.equal({ kind: 'basic' });
  });
  it('is nothing when only other schemes are offered, or none', () => {
    expect(wanted('Negotiate', 'Digest realm="x"')).to.equal(null);
    expect(wantedAuth(headersOf({}))).to.equal(null);
  });
  it('is malformed when the only offer cannot be read', () => {
    expect(wanted('Bearer realm="')).to.equal('malformed');
    expect(wanted('Bearer service="x"')).to.equal('malformed');
    expect(wanted('Bearer realm=""')).to.equal('malformed');
  });
});
