import type { TestImage } from '../lib/testing/index.js';
import type { Trial } from './summary.js';

/** The registries of a scenario: A is the one that fails. */
export type Place = 'A' | 'B';

/** An image that is pulled. */
export interface NamedImage {
  /** Below the host: `bench/image:1`. */
  readonly name: string;
  readonly image: TestImage;
}

/** What a contender is given: where the registries are, and what is pulled. */
export interface Task {
  /** `127.0.0.1:40001`, by place. */
  readonly hosts: Readonly<Record<Place, string>>;
  /** The authority of registry A's certificate, PEM; null where it speaks plain HTTP. */
  readonly ca: string | null;
  /** With its host: a small image at a registry that is well. */
  readonly warmUp: string;
  /** Pulled before, one after the other; what that takes is not measured. */
  readonly first: readonly NamedImage[];
  readonly images: readonly NamedImage[];
  /** How many of them at a time. */
  readonly atOnce: number;
  /** A directory for files of the contender. */
  readonly scratch: string;
  readonly capSeconds: number;
}

/** What became of it, and why when it failed. */
export interface Run extends Trial {
  readonly complaint: string;
}

/** A tool, in the way it is used here; each run begins with nothing there. */
export interface Contender {
  readonly name: string;
  readonly title: string;
  /** Whose numbers are compared with the targets. */
  readonly isOurs: boolean;
  /** Of a control, the name of the contender that it is once more. */
  readonly controlOf: string | null;
  /** What has to be there that is not, and how to get it; null when all is. */
  missing(): string | null;
  /** @throws WrongContentError when an image is said to be complete and is not */
  run(task: Task): Promise<Run>;
}

/** The same tool under another name: what differs between the two is what the measurement cannot tell. */
export function again(contender: Contender): Contender {
  const { name, title } = contender;
  return { ...contender, name: `${name}-again`, title: `${title}, again (control)`, controlOf: name };
}

/** Something else came than what was asked for. */
export class WrongContentError extends Error {}

/** @throws Error when there are several */
export function onlyOne<T>(all: readonly T[]): T {
  const [first] = all;
  if (first === undefined || all.length > 1) throw new Error('this contender pulls one image');
  return first;
}
