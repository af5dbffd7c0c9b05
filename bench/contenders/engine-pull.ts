import { type Contender, type Place } from '../contender.js';
import { startEmbedded } from '../embedded.js';
import { mirroredBy } from '../registries-conf.js';
import { checkEngine } from './check-engine.js';
import { type EngineChoice, engines } from './engine-choice.js';

/** What an engine does when it is asked to pull; with two places the first is a mirror of the second in its configuration. */
export function enginePull(
  name: string,
  title: string,
  choice: EngineChoice,
  [first, second]: readonly [Place, Place?],
): Contender {
  const engine = engines[choice];
  return {
    name,
    title,
    isOurs: false,
    controlOf: null,
    missing: engine.missing,
    run: async ({ hosts, ca, warmUp, images, atOnce, capSeconds }) => {
      const host = hosts[second ?? first];
      await using daemon = await engine.start({
        registries: second === undefined ? null : mirroredBy(hosts[first], host),
        authorities: ca === null ? {} : { [hosts.A]: ca },
      });
      await using embedded = await startEmbedded({ kind: 'engine', socketPath: daemon.socketPath }, warmUp);
      const run = await embedded.pull(
        images.map(({ name }) => `${host}/${name}`),
        atOnce,
        capSeconds,
      );
      if (run.ending === 'done') await checkEngine(daemon, choice, host, images, title);
      const { slowestSeconds } = run.amounts;
      // What asking takes is not what the engine takes.
      return { ...run, amounts: slowestSeconds === undefined ? {} : { slowestSeconds } };
    },
  };
}
