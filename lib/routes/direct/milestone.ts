/** A point on the way that others wait for. */
export interface Milestone {
  readonly reached: Promise<void>;
  /** May be called more than once. */
  reach(): void;
}

export function createMilestone(): Milestone {
  let reach = (): void => {};
  const reached = new Promise<void>((resolve) => {
    reach = resolve;
  });
  return { reached, reach: () => reach() };
}
