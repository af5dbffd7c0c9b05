import { expect } from 'chai';
import fc from 'fast-check';
import { InvalidOptionError } from '../../../lib/errors/invalid-option-error.js';
import type { ControlQuery } from '../../../lib/health/control/control-effect.js';
import type { ControlEntry, ControlState } from '../../../lib/health/control/control-entry.js';
import { createControls, type Controls } from '../../../lib/health/control/controls.js';
import type { BanOptions, ControlOptions, HoldOptions } from '../../../lib/health/control/control-options.js';
import type { ControlledSet } from '../../../lib/health/control/control-places.js';
import type { ControlChange } from '../../../lib/health/control/placed-control.js';
import type { Control } from '../../../lib/vocabulary/control.js';
import { startFakeTime, type FakeTime } from '../../support/fake-time.js';

const quay = 'quay.io/aptible';
const hub = 'docker.io/aptible';
const local = '10.0.0.5:5000/mirror';
const other = 'ghcr.io/other';
const sets: readonly ControlledSet[] = [
  { name: 'images', registries: [quay, hub, local] },
  { name: 'others', registries: [other] },
];

const layers: ControlQuery = { replicaSet: 'images', operationKind: 'app', phase: 'layers' };
const database: ControlQuery = { ...layers, operationKind: 'database' };
const hourMs = 3_600_000;

function openControls(): { readonly controls: Controls; readonly changes: ControlChange[] } {
  const changes: ControlChange[] = [];
  return { controls: createControls({ replicaSets: sets, onChanged: (change) => changes.push(change) }), changes };
}

/** `ban quay.io/aptible` */
const shown = ({ act, registry }: Control): string => `${act} ${registry}`;
const told = (changes: readonly ControlChange[]): readonly string[] =>
  changes.map(({ change, control }) => `${change} ${control === null ? '' : shown(control)}`);

describe("an operator's hand", () => {
  let time: FakeTime;
  let controls: Controls;
  let changes: ControlChange[];

  beforeEach(() => {
    time = startFakeTime();
    ({ controls, changes } = openControls());
  });

  afterEach(async () => {
    controls.close();
    await controls.flush();
    time.restore();
  });

  it('says nothing before anybody acted', () => {
    expect(controls.list()).to.deep.equal([]);
    expect(controls.effectOn({ registry: quay, ...layers })).to.deep.equal({
      banned: null,
      spared: null,
      preferred: null,
      preferredRank: Infinity,
      held: null,
    });
  });

  it('holds and is told when the call returns, with everything that was said', () => {
    const { id } = controls.prefer(hub, {
      scope: { operationKind: 'database', replicaSet: 'images' },
      phase: 'layers',
      reason: 'layers of Quay time out',
      actor: 'ann',
      forMs: hourMs,
      inFlight: 'finish',
    });
    const nowMs = Date.now();
    const [control] = controls.list();
    expect(control).to.deep.equal({
      id,
      act: 'prefer',
      registry: hub,
      scope: { operationKind: 'database', replicaSet: 'images', phase: 'layers' },
      reason: 'layers of Quay time out',
      actor: 'ann',
      sinceMs: nowMs,
      untilMs: nowMs + hourMs,
      inFlight: 'finish',
      as: null,
      force: false,
      origin: 'call',
    });
    expect(JSON.parse(JSON.stringify(control))).to.deep.equal(control);
    expect(changes).to.deep.equal([
      {
        change: 'set',
        control,
        message:
          "docker.io/aptible comes first for layers of database pulls in the replica set 'images' until 2017-07-26T19:20:00.000Z (ann: layers of Quay time out)",
      },
    ]);
  });

  it('has all pulls, at once and for ever, by whoever runs the process, where nothing else is said', () => {
    controls.ban(quay);
    const [control] = controls.list();
    expect(control).to.include({ reason: '', untilMs: null, inFlight: 'move', force: false, as: null });
    expect(control?.scope).to.deep.equal({});
    expect(control?.actor).to.be.a('string').and.not.equal('');
  });

  it('takes a prefix in any of its spellings', () => {
    controls.prefer('index.docker.io/aptible');
    expect(controls.list().map(({ registry }) => registry)).to.deep.equal([hub]);
  });

  it('shows no secret that was put into a reason or a name', () => {
    controls.ban(quay, { reason: 'see https://ann:hunter2@wiki/x?token=abc123', actor: 'password=hunter2' });
    expect(JSON.stringify([controls.list(), changes])).to.not.match(/hunter2|abc123/);
  });

  describe('in a plan', () => {
    for (const [what, options, query, concerned] of [
      ['all pulls', {}, layers, true],
      ['its kind', { scope: { operationKind: 'database' } }, database, true],
      ['no other kind', { scope: { operationKind: 'database' } }, layers, false],
      ['no pull without a kind', { scope: { operationKind: 'database' } }, { ...layers, operationKind: null }, false],
      ['its replica set', { scope: { replicaSet: 'images' } }, layers, true],
      ['no other replica set', { scope: { replicaSet: 'images' } }, { ...layers, replicaSet: 'others' }, false],
      ['no image without a set', { scope: { replicaSet: 'images' } }, { ...layers, replicaSet: null }, false],
      ['its phase', { phase: 'layers' }, layers, true],
      ['no other phase', { scope: { phase: 'metadata' } }, layers, false],
    ] as const satisfies readonly (readonly [string, ControlOptions, ControlQuery, boolean])[]) {
      it(`an act concerns ${what}`, () => {
        controls.ban(quay, options);
        controls.prefer(quay, options);
        const effect = controls.effectOn({ registry: quay, ...query });
        expect([effect.banned !== null, effect.preferred !== null]).to.deep.equal([concerned, concerned]);
        expect(controls.effectOn({ registry: hub, ...query }).banned, 'another registry').to.equal(null);
      });
    }

    it('an act of one kind concerns a pull that several kinds share, and still leaves it somebody', async () => {
      const shared = { ...layers, operationKind: ['database', null, 'app'] } as const;
      controls.ban(quay, { scope: { operationKind: 'database' } });
      controls.ban(hub, { scope: { operationKind: 'app' } });
      await time.passMs(1);
      controls.ban(local, { scope: { operationKind: 'app' } });
      const banned = (registries: readonly string[]): readonly string[] =>
        [...controls.effectsOn(registries, shared)].flatMap(([registry, effect]) => (effect.banned ? [registry] : []));
      expect(banned([quay, hub, other])).to.deep.equal([quay, hub]);
      expect(banned([quay, hub, local])).to.deep.equal([quay, hub]);
    });

    it('of two preferences the newer comes first, also within one millisecond', async () => {
      controls.prefer(quay);
      controls.prefer(hub);
      await time.passMs(5);
      controls.prefer(local);
      const byRank = [quay, hub, local].toSorted(
        (a, b) =>
          controls.effectOn({ registry: a, ...layers }).preferredRank -
          controls.effectOn({ registry: b, ...layers }).preferredRank,
      );
      expect(byRank).to.deep.equal([local, hub, quay]);
      expect(controls.list().map(({ registry }) => registry)).to.deep.equal([local, hub, quay]);
    });

    it('of two holds of a circuit the newer counts, and the older when that ends', () => {
      controls.hold(quay, { as: 'open' });
      const newer = controls.hold(quay, { as: 'closed', phase: 'layers' });
      expect(controls.heldAs(quay, 'layers')).to.equal('closed');
      expect(controls.heldAs(quay, 'metadata')).to.equal('open');
      newer.release();
      expect(controls.heldAs(quay, 'layers')).to.equal('open');
      expect(controls.heldAs(hub, 'layers')).to.equal(null);
    });
  });

  describe('when it ends', () => {
    it('is told, once, and holds no longer', () => {
      const handle = controls.ban(quay);
      expect(handle.release()).to.equal(true);
      expect(handle.release()).to.equal(false);
      expect(controls.release(handle.id)).to.equal(false);
      expect(controls.effectOn({ registry: quay, ...layers }).banned).to.equal(null);
      expect(told(changes)).to.deep.equal([`set ban ${quay}`, `released ban ${quay}`]);
    });

    it('can be ended by its id', () => {
      const { id } = controls.ban(quay);
      expect(controls.release('ban-ffffffff')).to.equal(false);
      expect(controls.release(id)).to.equal(true);
      expect(controls.list()).to.deep.equal([]);
    });

    for (const forMs of [1, 59_999, 60_001, 3 * hourMs]) {
      it(`ends by itself after ${forMs} ms, not a moment before, and is told then`, async () => {
        controls.prefer(hub, { forMs });
        controls.ban(quay, { forMs: forMs * 2 });
        if (forMs > 1) await time.passMs(forMs - 1);
        expect(told(changes)).to.have.length(2);
        await time.passMs(1);
        expect(told(changes).slice(2)).to.deep.equal([`expired prefer ${hub}`]);
        expect(controls.list().map(shown)).to.deep.equal([`ban ${quay}`]);
        await time.passMs(forMs);
        expect(told(changes).slice(3)).to.deep.equal([`expired ban ${quay}`]);
        expect(controls.list()).to.deep.equal([]);
      });
    }

    it('tells nobody once it is closed', async () => {
      controls.prefer(hub, { forMs: 10 });
      controls.close();
      await time.passMs(20);
      expect(told(changes)).to.deep.equal([`set prefer ${hub}`]);
      expect(controls.list()).to.deep.equal([]);
    });
  });

  describe('refuses', () => {
    const refused = (
      [
        [
          'an unknown registry',
          () => controls.ban('quay.io/aptibel'),
          /prefix must .*"quay.io\/aptibel"; there are: quay/,
        ],
        ['no registry', () => controls.ban(''), /prefix must be the prefix of a registry/],
        ['what is no prefix', () => controls.ban('https://quay.io'), /prefix must be the prefix of a registry/],
        ['an unknown key', () => controls.ban(quay, { forms: 1 } as BanOptions), /forms is unknown.*forMs/],
        ['force for a preference', () => controls.prefer(hub, { force: true } as ControlOptions), /force is unknown/],
        [
          'an unknown set',
          () => controls.ban(quay, { scope: { replicaSet: 'x' } }),
          /scope\.replicaSet.*images, others/,
        ],
        [
          'a registry of another set',
          () => controls.ban(quay, { scope: { replicaSet: 'others' } }),
          /in the replica set 'others'.*there are: ghcr\.io\/other/,
        ],
        ['an unknown phase', () => controls.ban(quay, { phase: 'extract' as 'layers' }), /phase must be one of/],
        [
          'two phases',
          () => controls.ban(quay, { phase: 'layers', scope: { phase: 'metadata' } }),
          /contradicts phase/,
        ],
        ['a time of 0', () => controls.ban(quay, { forMs: 0 }), /forMs.*got 0/],
        ['a time below 0', () => controls.ban(quay, { forMs: -1 }), /forMs.*got -1/],
        ['a time of more than a year', () => controls.ban(quay, { forMs: 1e12 }), /forMs.*at most 31622400000/],
        ['a hold as nothing', () => controls.hold(quay, {} as HoldOptions), /as is missing/],
        [
          'a hold for a kind',
          () => controls.hold(quay, { as: 'open', scope: { operationKind: 'database' } as object }),
          /scope\.operationKind is of no use to a hold/,
        ],
        [
          'an empty kind',
          () => controls.ban(quay, { scope: { operationKind: '' } }),
          /operationKind must be a non-empty/,
        ],
        [
          'a reason that is no text',
          () => controls.ban(quay, { reason: 7 as unknown as string }),
          /reason must be a string/,
        ],
        ['a way in between', () => controls.ban(quay, { inFlight: 'kill' as 'move' }), /inFlight must be one of/],
      ] as const
    ).map(([what, call, problem]) => ({ what, call, problem }));

    for (const { what, call, problem } of refused) {
      it(`${what}, in words, and nothing has changed`, () => {
        expect(call).to.throw(InvalidOptionError, problem);
        expect(controls.list()).to.deep.equal([]);
        expect(changes).to.deep.equal([]);
      });
    }

    it('more acts than anybody could mean', () => {
      const many = Array.from({ length: 1_000 }, (_, index): ControlEntry => ({
        id: `c-${index}`,
        act: 'prefer',
        registry: hub,
        scope: { operationKind: `kind-${index}` },
      }));
      controls.apply({ controls: many });
      expect(() => controls.prefer(hub)).to.throw(InvalidOptionError, /1000 are in force/);
      expect(() => controls.apply({ controls: [...many, { act: 'prefer', registry: hub }] })).to.throw(/at most 1000/);
    });
  });

  describe('does not take the last registry away', () => {
    it('unless it is forced', () => {
      controls.ban(quay);
      controls.ban(hub);
      expect(() => controls.ban(local)).to.throw(
        InvalidOptionError,
        "force must be true to ban 10.0.0.5:5000/mirror: nobody else would be left for the manifests of pulls of the replica set 'images'",
      );
      expect(controls.list()).to.have.length(2);
      controls.ban(local, { force: true });
      const effects = [...controls.effectsOn([quay, hub, local], layers).values()];
      expect(effects.map(({ banned }) => banned?.registry)).to.deep.equal([quay, hub, local]);
    });

    it('of a set of one', () => {
      expect(() => controls.ban(other)).to.throw(InvalidOptionError, /force must be true/);
      expect(() => controls.ban(other, { scope: { replicaSet: 'others' }, phase: 'layers' })).to.throw(
        /nobody else would be left for the layers of pulls of the replica set 'others'/,
      );
    });

    it('of one kind, where the others are banned for that kind alone', () => {
      controls.ban(quay, { scope: { operationKind: 'database' } });
      controls.ban(hub, { scope: { operationKind: 'database' } });
      expect(() => controls.ban(local)).to.throw(InvalidOptionError, /manifests of database pulls/);
      controls.ban(local, { scope: { operationKind: 'app' } });
    });

    it('and allows what leaves somebody in every phase', () => {
      controls.ban(quay, { phase: 'layers' });
      controls.ban(hub, { phase: 'layers' });
      controls.ban(local, { phase: 'metadata' });
      expect(controls.list()).to.have.length(3);
    });

    it('by a state that is applied', () => {
      const all = [quay, hub, local].map((registry): ControlEntry => ({ act: 'ban', registry }));
      expect(() => controls.apply({ controls: all })).to.throw(
        InvalidOptionError,
        /^Option controls\[0\]\.force must be true/,
      );
      expect(controls.list()).to.deep.equal([]);
      controls.apply({ controls: all.map((entry) => ({ ...entry, force: true })) });
      expect(controls.list()).to.have.length(3);
    });

    it('of a plan, where nobody could be refused: what was banned last is still asked, and why is said', async () => {
      controls.ban(quay);
      await time.passMs(1);
      const ban = {
        act: 'ban',
        scope: {},
        reason: '',
        actor: null,
        untilMs: null,
        inFlight: 'move',
        as: null,
      } as const;
      const entry = (registry: string) => ({ ...ban, id: registry, registry, sinceMs: null, force: false });
      controls.takeFile({ path: '/c.json', controls: [entry(hub), entry(local)], modifiedAtMs: Date.now() });
      const effects = controls.effectsOn([quay, hub, local], layers);
      expect(
        [...effects].map(([registry, { banned, spared }]) => [registry, banned === null, spared === null]),
      ).to.deep.equal([
        [quay, false, true],
        [hub, true, false],
        [local, false, true],
      ]);
      expect(changes.at(-1)?.message).to.match(/without "force" somebody is still asked for the manifests of pulls/);
      // Of a plan that has others, it is banned.
      expect(controls.effectsOn([hub, other], layers).get(hub)?.banned).to.not.equal(null);
    });
  });

  it('takes the last registry away as long as a forced ban of it is in force, whoever bans it again', async () => {
    controls.ban(hub);
    controls.ban(local);
    await time.passMs(1);
    const forced = controls.ban(quay, { force: true });
    await time.passMs(1);
    const said = { act: 'ban', scope: {}, reason: '', actor: null, untilMs: null, inFlight: 'move', as: null } as const;
    const again = { ...said, id: 'again', registry: quay, sinceMs: null, force: false };
    controls.takeFile({ path: '/c.json', controls: [again], modifiedAtMs: Date.now() });
    const left = (): readonly string[] =>
      [...controls.effectsOn([quay, hub, local], layers)].flatMap(([registry, { banned }]) =>
        banned ? [] : [registry],
      );
    expect(left()).to.deep.equal([]);
    forced.release();
    expect(left()).to.deep.equal([quay]);
  });

  describe('by a declared state', () => {
    const state = (...entries: readonly ControlEntry[]): ControlState => ({ version: 1, controls: entries });

    it('replaces what was declared before, and nothing else', () => {
      controls.prefer(local, { scope: { operationKind: 'app' } });
      controls.apply(state({ act: 'ban', registry: quay }, { act: 'prefer', registry: hub }));
      changes.splice(0);
      controls.apply(state({ act: 'prefer', registry: hub }, { act: 'hold', registry: quay, as: 'open' }));
      expect(told(changes)).to.deep.equal([`released ban ${quay}`, `set hold ${quay}`]);
      expect(controls.list().map(shown).toSorted()).to.deep.equal(
        [`prefer ${local}`, `prefer ${hub}`, `hold ${quay}`].toSorted(),
      );
      controls.apply({ controls: [] });
      expect(controls.list().map(shown)).to.deep.equal([`prefer ${local}`]);
    });

    it('tells nothing and keeps the beginning when it is declared again', async () => {
      const declared = state({ act: 'ban', registry: quay, reason: 'ill' });
      controls.apply(declared);
      const before = controls.list();
      changes.splice(0);
      await time.passMs(1_000);
      controls.apply(declared);
      expect(controls.list()).to.deep.equal(before);
      controls.apply(state({ act: 'ban', registry: quay, reason: 'still ill' }));
      expect(told(changes)).to.deep.equal([`set ban ${quay}`]);
      expect(controls.list()[0]).to.include({ reason: 'still ill', sinceMs: before[0]?.sinceMs });
    });

    it('puts an earlier entry before a later one', () => {
      controls.apply(state({ act: 'prefer', registry: local }, { act: 'prefer', registry: hub }));
      expect(controls.list().map(({ registry }) => registry)).to.deep.equal([local, hub]);
    });

    it('can be what another one lists', () => {
      controls.prefer(hub, { scope: { operationKind: 'database' }, reason: 'x', actor: 'ann', forMs: hourMs });
      controls.hold(quay, { as: 'open', phase: 'layers' });
      const copy = openControls();
      copy.controls.apply({ controls: controls.list() });
      expect(copy.controls.list()).to.deep.equal(controls.list());
      copy.controls.close();
    });

    it('leaves out what is over, and ends in time what is not', async () => {
      const untilMs = Date.now();
      controls.apply(
        state(
          { act: 'ban', registry: quay, untilMs },
          { act: 'prefer', registry: hub, until: new Date(untilMs + 500).toISOString() },
        ),
      );
      expect(controls.list().map(shown)).to.deep.equal([`prefer ${hub}`]);
      await time.passMs(500);
      expect(told(changes)).to.deep.equal([`set prefer ${hub}`, `expired prefer ${hub}`]);
    });

    it('can be ended entry by entry, until it is declared again', () => {
      const declared = state({ id: 'quay-out', act: 'ban', registry: quay });
      controls.apply(declared);
      expect(controls.release('quay-out')).to.equal(true);
      expect(controls.list()).to.deep.equal([]);
      controls.apply(declared);
      expect(controls.list()).to.have.length(1);
    });

    for (const [what, wrong, problem] of [
      ['no list', {}, /controls must be an array/],
      ['nothing', undefined, /options must be an object/],
      ['another version', { version: 2, controls: [] }, /version must be 1/],
      ['an unknown key', { controls: [], extra: 1 }, /extra is unknown/],
      ['an unknown act', { controls: [{ act: 'kill', registry: quay }] }, /controls\[0\]\.act must be one of/],
      ['no act', { controls: [{ registry: quay }] }, /controls\[0\]\.act is missing/],
      ['no registry', { controls: [{ act: 'ban' }] }, /controls\[0\]\.registry must be the prefix/],
      [
        'an unknown registry',
        { controls: [{ act: 'ban', registry: 'quay.io' }] },
        /controls\[0\]\.registry.*there are/,
      ],
      ['what is no object', { controls: ['ban quay.io'] }, /controls\[0\] must be an object/],
      [
        'an act twice',
        {
          controls: [
            { act: 'ban', registry: quay },
            { act: 'ban', registry: quay, reason: 'x' },
          ],
        },
        /controls\[1\] has the act, registry and scope of controls\[0\]/,
      ],
      [
        'an id twice',
        {
          controls: [
            { id: 'a', act: 'ban', registry: quay },
            { id: 'a', act: 'ban', registry: hub },
          ],
        },
        /controls\[1\] has the id 'a' of controls\[0\]/,
      ],
      ['an id that is none', { controls: [{ id: 'a b', act: 'ban', registry: quay }] }, /controls\[0\]\.id must be/],
      [
        'a time without its zone',
        { controls: [{ act: 'ban', registry: quay, until: '2017-07-26T20:46:00' }] },
        /with its zone/,
      ],
      [
        'a day that is none',
        { controls: [{ act: 'ban', registry: quay, until: '2017-02-31T99:00:00Z' }] },
        /with its zone/,
      ],
      [
        'two times',
        { controls: [{ act: 'ban', registry: quay, untilMs: 1, until: '2017-07-26T20:46:00Z' }] },
        /controls\[0\]\.until says again/,
      ],
      [
        'force for a hold',
        { controls: [{ act: 'hold', registry: quay, as: 'open', force: true }] },
        /force is of a ban/,
      ],
      ['a ban as open', { controls: [{ act: 'ban', registry: quay, as: 'open' }] }, /as is of a hold/],
    ] as const) {
      it(`refuses ${what}, and nothing has changed`, () => {
        controls.apply(state({ act: 'prefer', registry: hub }));
        changes.splice(0);
        expect(() => controls.apply(wrong as unknown as ControlState)).to.throw(InvalidOptionError, problem);
        expect(controls.list().map(shown)).to.deep.equal([`prefer ${hub}`]);
        expect(changes).to.deep.equal([]);
      });
    }

    it('is taken or refused as an invalid option, whatever it is', () => {
      const anything = fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true });
      const entry = fc.record(
        {
          act: fc.oneof(fc.constantFrom('prefer', 'ban', 'hold'), anything),
          registry: fc.oneof(fc.constantFrom(quay, hub, local, other), anything),
          scope: fc.oneof(
            fc.record(
              {
                operationKind: fc.string(),
                replicaSet: fc.constantFrom('images', 'others'),
                phase: fc.constant('layers'),
              },
              { requiredKeys: [] },
            ),
            anything,
          ),
          as: fc.oneof(fc.constantFrom('open', 'closed', null), anything),
          untilMs: fc.oneof(fc.double(), anything),
          force: fc.oneof(fc.boolean(), anything),
        },
        { requiredKeys: [] },
      );
      fc.assert(
        fc.property(fc.oneof(anything, fc.record({ controls: fc.array(entry, { maxLength: 4 }) })), (value) => {
          const { controls: fresh } = openControls();
          try {
            fresh.apply(value as ControlState);
            expect(fresh.list().length).to.be.at.most((value as ControlState).controls.length);
          } catch (error) {
            if (!(error instanceof InvalidOptionError)) throw error;
            expect(fresh.list()).to.deep.equal([]);
          } finally {
            fresh.close();
          }
        }),
      );
    });
  });

  describe('by a control file', () => {
    const wanted = (act: 'ban' | 'prefer', registry: string) =>
      ({
        id: `${act}-x`,
        act,
        registry,
        scope: {},
        reason: '',
        actor: null,
        sinceMs: null,
        untilMs: null,
        inFlight: 'move',
        as: null,
        force: false,
      }) as const;

    it('holds beside what calls said, and only the file can take it back', () => {
      controls.ban(quay);
      controls.takeFile({ path: '/c.json', controls: [wanted('prefer', hub)], modifiedAtMs: Date.now() - 5 });
      const said = controls.list().find(({ act }) => act === 'prefer');
      expect(said).to.include({ origin: 'file', actor: '/c.json', sinceMs: Date.now() - 5 });
      expect(controls.release('prefer-x')).to.equal(false);
      controls.apply({ controls: [] });
      expect(controls.list()).to.have.length(2);
      controls.takeFile({ path: '/c.json', controls: [], modifiedAtMs: Date.now() });
      expect(told(changes)).to.deep.equal([`set ban ${quay}`, `set prefer ${hub}`, `released prefer ${hub}`]);
    });

    it('is used without an entry about what is not here, which is told once', () => {
      const file = {
        path: '/c.json',
        controls: [wanted('ban', 'quay.io/aptibel'), wanted('prefer', hub)],
        modifiedAtMs: Date.now(),
      };
      controls.takeFile(file);
      controls.takeFile(file);
      expect(told(changes)).to.deep.equal([`set prefer ${hub}`, 'refused ']);
      expect(changes[1]?.message).to.match(
        /^\/c\.json is used without .*controls\[0\]\.registry must be.*quay\.io\/aptibel/,
      );
    });

    it('that is refused changes nothing, and is told', () => {
      controls.takeFile({ path: '/c.json', controls: [wanted('prefer', hub)], modifiedAtMs: Date.now() });
      controls.refuseFile('it is broken');
      expect(changes.at(-1)).to.deep.equal({ change: 'refused', control: null, message: 'it is broken' });
      expect(controls.list()).to.have.length(1);
    });

    it('that was written under a clock that is ahead begins now, and is told once', async () => {
      const late = { ...wanted('prefer', hub), sinceMs: Date.now() + hourMs };
      controls.takeFile({ path: '/c.json', controls: [late], modifiedAtMs: Date.now() });
      await time.passMs(10);
      controls.prefer(local);
      controls.takeFile({ path: '/c.json', controls: [late], modifiedAtMs: Date.now() });
      expect(controls.list().map(({ registry }) => registry)).to.deep.equal([local, hub]);
      expect(told(changes)).to.deep.equal([`set prefer ${hub}`, `set prefer ${local}`]);
    });
  });

  it('never leaves a plan without anybody, whatever was said, unless the last word was forced', () => {
    const word = fc.record({
      registry: fc.constantFrom(quay, hub, local),
      scope: fc.record(
        { operationKind: fc.constantFrom('database', 'app'), phase: fc.constantFrom('metadata', 'layers') },
        { requiredKeys: [] },
      ),
      force: fc.boolean(),
    });
    const query = fc.record({
      replicaSet: fc.constantFrom('images', null),
      operationKind: fc.constantFrom('database', 'app', null),
      phase: fc.constantFrom('metadata' as const, 'layers' as const),
    });
    fc.assert(
      fc.property(fc.array(word, { maxLength: 8 }), query, (words, asked) => {
        const { controls: fresh } = openControls();
        const forced: string[] = [];
        for (const { registry, scope, force } of words) {
          try {
            const { id } = fresh.ban(registry, { scope, force });
            if (force) forced.push(id);
          } catch (error) {
            expect(error).to.be.instanceOf(InvalidOptionError);
            expect(force, 'what is forced is never refused').to.equal(false);
          }
        }
        const effects = [...fresh.effectsOn([quay, hub, local], asked).values()];
        const isDeserted = effects.every(({ banned }) => banned !== null);
        expect(isDeserted && forced.length === 0).to.equal(false);
        expect(effects.filter(({ spared }) => spared !== null).length).to.be.at.most(1);
        fresh.close();
      }),
    );
  });
});
