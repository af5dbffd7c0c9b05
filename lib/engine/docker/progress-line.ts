import { isObject } from '../../image/json-object.js';
import type { EngineProgress } from './engine-progress.js';

/** What one line of an engine's stream is. */
export type ProgressLine =
  | { readonly kind: 'progress'; readonly progress: EngineProgress }
  /** The engine gives up, and says why. */
  | { readonly kind: 'error'; readonly text: string }
  /** Nothing that is known: no JSON, or JSON about something else. */
  | { readonly kind: 'unknown' };

/** Bytes of an overlong line in which an error is looked for; its text comes first. */
const lookedAtLength = 16 * 1024;

/** What stands at the beginning of an error's line, with or without the empty `progressDetail` that Podman puts first. */
const errorBegins = /^\s*\{\s*(?:"progressDetail"\s*:\s*\{\s*\}\s*,\s*)?"(?:errorDetail|error)"\s*:/;
const errorText = /"(?:message|error)"\s*:\s*"((?:[^"\\]|\\.)*)/;

/**
 * Reads one line, without its end.
 *
 * @param isWhole false: the line was too long and this is only its beginning
 */
export function parseProgressLine(line: string, isWhole: boolean): ProgressLine {
  if (!isWhole) return parseBeginning(line.slice(0, lookedAtLength));
  let document: unknown;
  try {
    document = JSON.parse(line);
  } catch {
    return { kind: 'unknown' };
  }
  if (!isObject(document)) return { kind: 'unknown' };
  const { error, errorDetail } = document;
  const detail = isObject(errorDetail) ? errorDetail['message'] : undefined;
  const said = [detail, error].filter((text) => typeof text === 'string');
  if (said.length > 0 || isObject(errorDetail)) {
    return { kind: 'error', text: said.find((text) => text !== '') ?? '' };
  }
  const progress = progressOf(document);
  return progress === null ? { kind: 'unknown' } : { kind: 'progress', progress };
}

/** A registry's whole error page may be quoted in an error; that it is one must not be lost with the page. */
function parseBeginning(line: string): ProgressLine {
  if (!errorBegins.test(line)) return { kind: 'unknown' };
  const quoted = errorText.exec(line)?.[1] ?? '';
  try {
    return { kind: 'error', text: JSON.parse(`"${quoted}"`) as string };
  } catch {
    return { kind: 'error', text: quoted };
  }
}

function progressOf(document: Readonly<Record<string, unknown>>): EngineProgress | null {
  const { status, stream, id, progressDetail } = document;
  const detail = isObject(progressDetail) ? progressDetail : {};
  const about = typeof id === 'string' && id !== '' ? shortId(id) : null;
  if (typeof status === 'string' && status !== '') {
    return {
      status,
      id: about,
      current: countOf(detail['current'], 0),
      total: countOf(detail['total'], 1),
      unit: detail['units'] === 's' ? 'seconds' : 'bytes',
    };
  }
  if (typeof stream === 'string' && stream.trim() !== '') return spoken(stream.trim());
  // The last line of Podman's own endpoint: which image it has now.
  return about === null ? null : { ...spoken(''), id: about };
}

const copying = /^(Copying (?:blob|config)) (sha256:[0-9a-f]{64})\b/;

/** What Podman's own endpoint and an engine that loads say in words. */
function spoken(text: string): EngineProgress {
  const [, status, digest] = copying.exec(text) ?? [];
  return {
    status: status ?? text,
    id: digest === undefined ? null : shortId(digest),
    current: null,
    total: null,
    unit: 'bytes',
  };
}

/** As Docker writes it; Podman's ids are longer in some places. */
function shortId(id: string): string {
  const hex = /^(?:sha256:)?([0-9a-f]{12})[0-9a-f]*$/.exec(id)?.[1];
  return hex ?? id;
}

/** Go writes -1 for a size it does not know, and leaves a zero out. */
function countOf(value: unknown, min: number): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= min ? value : null;
}
