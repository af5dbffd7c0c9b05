import type { Phase } from '../vocabulary/phase.js';
import { networkVerdicts } from './network-verdicts.js';
import { statusVerdicts } from './status-verdicts.js';
import {
  failedInEngine,
  holds,
  type EvidenceKind,
  type EvidenceOf,
  type VerdictRow,
  type VerdictRows,
} from './verdict-row.js';

/** Each kind of evidence has its rows; the type lets none be forgotten. */
type VerdictTable = { readonly [Kind in EvidenceKind]: VerdictRows<Kind> };

/**
 * What follows from each failure. Within a kind the first row that matches wins.
 *
 * The rule behind it: `ill` is for what would hit the next object as well, and so is worth keeping later pulls away;
 * `next` is for what is true of this object, this account or this host only, however it looks.
 */
export const verdictTable: VerdictTable = {
  ...networkVerdicts,

  limit: [
    {
      when: { limit: 'metadata.requestMs' },
      cause: 'registry-api',
      verdict: 'ill',
      code: 'request-late',
      message: '{registry} did not answer a request for {object} within {value} ms (metadata.requestMs)',
    },
    {
      when: { limit: 'metadata.totalMs' },
      cause: 'registry-api',
      verdict: 'ill',
      code: 'metadata-late',
      message: '{registry} did not deliver {object} within {value} ms in all (metadata.totalMs)',
    },
    {
      when: { limit: 'layers.firstByteMs' },
      cause: 'registry-storage',
      verdict: 'ill',
      code: 'first-byte-late',
      message: '{registry} sent no byte of {object} within {value} ms (layers.firstByteMs)',
    },
    {
      when: { limit: 'layers.stallMs' },
      cause: 'registry-storage',
      verdict: 'ill',
      code: 'stalled',
      message: '{registry} stopped sending {object} after {bytes} bytes, for {value} ms (layers.stallMs)',
    },
    {
      when: { limit: 'layers.minBytesPerSecond' },
      cause: 'registry-storage',
      verdict: 'ill',
      code: 'too-slow',
      message:
        '{registry} sent {object} at less than {value} bytes per second (layers.minBytesPerSecond), {bytes} bytes so far',
    },
    {
      // It spans every registry asked: no single one is to blame, and none is given more time than the host allows.
      when: { limit: 'layers.totalMs' },
      cause: 'caller',
      verdict: 'stop',
      code: 'layers-late',
      message:
        'the layers were not complete within {value} ms (layers.totalMs); {object} was being read from {registry}',
    },
    {
      cause: 'engine',
      verdict: 'stop',
      code: 'extract-late',
      message: 'the engine made no progress with {object} for {value} ms after the last byte ({limit})',
    },
  ],

  status: statusVerdicts,

  content: [
    {
      // The bytes had been verified before the engine got them.
      phase: 'extract',
      cause: 'content',
      verdict: 'stop',
      code: (evidence) => evidence.code,
      message: 'the engine could not use {object} ({code}), although its digest is right',
    },
    {
      when: { code: 'digest-mismatch' },
      cause: 'content',
      verdict: 'ill',
      code: 'digest-mismatch',
      message: '{who} sent bytes for {object} that do not have its digest',
    },
    {
      when: { code: 'length-mismatch' },
      cause: 'content',
      verdict: 'ill',
      code: 'length-mismatch',
      message: '{who} sent {object} with another length than its descriptor says',
    },
    {
      when: { code: 'range-mismatch' },
      cause: 'content',
      verdict: 'ill',
      code: 'range-mismatch',
      message: '{who} sent another range of {object} than was asked for',
    },
    {
      when: { code: 'short-ranges' },
      cause: 'registry-storage',
      verdict: 'ill',
      code: 'short-ranges',
      message: '{who} sends {object} only in ranges that are far too short',
    },
    {
      when: { code: 'content-encoded' },
      cause: 'content',
      verdict: 'ill',
      code: 'content-encoded',
      message: '{who} sent {object} with a Content-Encoding, though identity was asked for',
    },
    {
      // The image's own fault as likely as the registry's: a tenant's odd image must not open a circuit for everybody.
      when: { code: ['media-type-mismatch', 'too-large'] },
      cause: 'content',
      verdict: 'next',
      code: (evidence) => evidence.code,
      message: '{who} sent a document for {object} that cannot be used ({code})',
    },
    {
      // Registries refuse such a document when it is pushed, so this is a broken one, or a portal that answers for it.
      cause: 'content',
      verdict: 'ill',
      code: (evidence) => evidence.code,
      message: '{who} sent something else than {object} ({code})',
    },
  ],

  redirect: [
    failedInEngine,
    {
      cause: 'registry-api',
      verdict: 'ill',
      code: (evidence) => evidence.code,
      message: '{registry} redirected the request for {object} where it must not be followed ({code})',
    },
  ],

  auth: [
    failedInEngine,
    {
      when: { code: 'credentials-unavailable' },
      cause: 'credentials',
      verdict: 'next',
      code: 'credentials-unavailable',
      message: 'the credentials for {registry} could not be read on this host, so {object} was not asked for',
    },
    {
      when: { code: 'credentials-rejected' },
      cause: 'credentials',
      verdict: 'next',
      code: 'credentials-rejected',
      message: '{registry} rejected the credentials for {object}, also after they had been read again',
    },
    {
      cause: 'registry-api',
      verdict: 'ill',
      code: (evidence) => evidence.code,
      message: '{registry} asked for authentication in a way that must not be followed ({code}), for {object}',
    },
  ],

  image: [
    {
      when: { code: 'platform-missing' },
      cause: 'content',
      verdict: 'stop',
      code: 'platform-missing',
      message: '{object} has no manifest for the platform asked for ({registry} serves it as it is)',
    },
    {
      cause: 'content',
      verdict: 'stop',
      code: 'image-unsupported',
      message: '{object} is not an image that can be pulled ({registry} serves it as it is)',
    },
  ],

  'contact-forbidden': [
    {
      cause: 'caller',
      verdict: 'next',
      code: 'contact-forbidden',
      message: '{registry} must not be contacted (contact: false), so {object} was not asked for',
    },
  ],

  disk: [
    {
      when: { errno: ['ENOSPC', 'EDQUOT'] },
      cause: 'host-disk',
      verdict: 'stop',
      code: 'disk-full',
      message: 'the disk of this host is full ({errno}) as {object} was written',
    },
    {
      // Not the disk: this process, or this host, has no descriptor or memory left to reach it with.
      when: { errno: ['EMFILE', 'ENFILE', 'ENOMEM'] },
      cause: 'host-process',
      verdict: 'stop',
      code: 'disk-failed',
      message: 'this process ran out of file descriptors or memory ({errno}) with {object}',
    },
    {
      cause: 'host-disk',
      verdict: 'stop',
      code: 'disk-failed',
      message: 'the disk of this host failed ({errno}) with {object}',
    },
  ],

  aborted: [
    {
      cause: 'caller',
      verdict: 'stop',
      code: 'aborted',
      message: 'the caller ended the pull while {object} was being read from {registry}',
    },
  ],

  unexpected: [
    failedInEngine,
    {
      // Not `ill`: what this library does not understand is most likely its own defect, and must not open circuits.
      // Not `stop`: another registry's answer may well not provoke it.
      cause: 'host-process',
      verdict: 'next',
      code: 'unexpected',
      message: 'an unexpected {name} ended the exchange with {registry} for {object}',
    },
  ],
};

/** The row that judges this failure: the first of its kind whose phase and conditions hold. */
export function findVerdictRow<Kind extends EvidenceKind>(evidence: EvidenceOf<Kind>, phase: Phase): VerdictRow<Kind> {
  const rows = verdictTable[evidence.kind] as readonly VerdictRow<Kind>[] | undefined;
  const row = rows?.find((each) => (each.phase === undefined || each.phase === phase) && holds(each.when, evidence));
  // The type of the table rules it out; evidence from plain JavaScript may still be of no known kind.
  if (row === undefined) throw new TypeError(`No verdict for evidence of kind ${evidence.kind}`);
  return row;
}
