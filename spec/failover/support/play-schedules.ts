import fc from 'fast-check';

/** Makes the schedules of a run, each with a number: `SEED` with `SCHEDULE` and that number makes one of them again. */
export const seed: number = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

/** Runs this one alone. */
const only = process.env['SCHEDULE'] === undefined ? null : Number(process.env['SCHEDULE']);

/** How many of a run are looked at when they fail. */
const enoughFailures = 3;

/** A run of schedules. */
export interface ScheduleRun<Schedule> {
  /** What is said of each failure. */
  readonly what: string;
  readonly arbitrary: fc.Arbitrary<Schedule>;
  readonly count: number;
  readonly atOnce: number;
  /** Milliseconds; no schedule takes nearly as long, and one that does hangs. */
  readonly hangMs: number;
  readonly play: (made: Schedule) => Promise<void>;
}

/** Plays every schedule, some at a time, each within the time of a hang. Tells of each failure how to have it again. */
export async function playSchedules<Schedule>(run: ScheduleRun<Schedule>): Promise<void> {
  const { what, arbitrary, count, atOnce, hangMs, play } = run;
  const made = fc.sample(arbitrary, { seed, numRuns: count });
  const waiting = made.map((_, number) => number).filter((number) => only === null || only === number);
  const failures: string[] = [];
  const playNext = async (): Promise<void> => {
    for (let number = waiting.shift(); number !== undefined; number = waiting.shift()) {
      const one = made[number];
      if (one === undefined || failures.length >= enoughFailures) return;
      let timer: NodeJS.Timeout | undefined;
      const hang = new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          reject(new Error(`it hangs: no end after ${hangMs} ms`));
        }, hangMs);
      });
      try {
        await Promise.race([play(one), hang]);
      } catch (error) {
        const trace = error instanceof Error ? error.stack : String(error);
        failures.push(`SEED=${seed} SCHEDULE=${number} (${what}): ${trace}\n${JSON.stringify(one, null, 1)}`);
      } finally {
        clearTimeout(timer);
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, playNext));
  if (failures.length > 0) throw new Error(failures.join('\n\n'));
}
