import { InvalidArgumentError, type Command } from 'commander';
import {
  layersFirstByteMs,
  layersMinBytesPerSecond,
  layersStallMs,
  layersWindowMs,
  metadataRequestMs,
  metadataTotalMs,
  type Timeouts,
} from '../policy/limits.js';

/** One flag for one limit. */
interface LimitFlag {
  /** As commander calls its value. */
  readonly key: string;
  readonly flag: string;
  readonly group: 'metadata' | 'layers';
  readonly limit: string;
  readonly help: string;
}

const limitFlags: readonly LimitFlag[] = [
  {
    key: 'requestMs',
    flag: '--request-ms <n>',
    group: 'metadata',
    limit: 'requestMs',
    help: `one manifest or token request (${metadataRequestMs})`,
  },
  {
    key: 'metadataMs',
    flag: '--metadata-ms <n>',
    group: 'metadata',
    limit: 'totalMs',
    help: `all of them at one registry (${metadataTotalMs})`,
  },
  {
    key: 'firstByteMs',
    flag: '--first-byte-ms <n>',
    group: 'layers',
    limit: 'firstByteMs',
    help: `until the first byte of a blob (${layersFirstByteMs})`,
  },
  {
    key: 'stallMs',
    flag: '--stall-ms <n>',
    group: 'layers',
    limit: 'stallMs',
    help: `from one byte of a blob to the next (${layersStallMs})`,
  },
  {
    key: 'minBytesPerSecond',
    flag: '--min-bytes-per-second <n>',
    group: 'layers',
    limit: 'minBytesPerSecond',
    help: `the slowest a blob may come while another registry is left (${layersMinBytesPerSecond})`,
  },
  {
    key: 'windowMs',
    flag: '--window-ms <n>',
    group: 'layers',
    limit: 'windowMs',
    help: `over which that rate is measured (${layersWindowMs})`,
  },
  {
    key: 'layersMs',
    flag: '--layers-ms <n>',
    group: 'layers',
    limit: 'totalMs',
    help: 'all blobs together (no limit)',
  },
];

/** Adds a flag for each limit of `timeouts`. */
export function addLimitFlags(command: Command): Command {
  return limitFlags.reduce((added, { flag, help }) => added.option(flag, help, parsePositive), command);
}

/** The limits that were given; what was not keeps what the configuration or the library says. */
export function readLimitFlags(flags: Readonly<Record<string, unknown>>): Timeouts {
  const groups: Record<'metadata' | 'layers', Record<string, number>> = { metadata: {}, layers: {} };
  for (const { key, group, limit } of limitFlags) {
    const value = flags[key];
    if (typeof value === 'number') groups[group][limit] = value;
  }
  return groups;
}

/** Reads a number of milliseconds or bytes. */
export function parsePositive(text: string): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('It must be an integer of at least 1.');
  return value;
}
