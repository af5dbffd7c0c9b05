/** Where something stands in a text: from `start` up to, not including, `end`. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** An array inside a JSON text, and its elements. */
export interface ArraySpan extends Span {
  readonly elements: readonly Span[];
}

/** A value of a JSON object, by its key. */
interface Member extends Span {
  readonly key: string;
}

/**
 * Finds the array under a key of the outermost object, so that one element can be changed and every other
 * byte stays: parsing and printing again would round large numbers and reorder keys that somebody else wrote.
 * Null when there is no such key, or its value is not an array.
 *
 * @param text valid JSON, an object: the caller has parsed it
 */
export function findArray(text: string, key: string): ArraySpan | null {
  // Of a key that comes twice, JSON.parse takes the last.
  const member = findMember(text, key);
  if (member === null || text[member.start] !== '[') return null;
  return { start: member.start, end: member.end, elements: readElements(text, member.start) };
}

/** The value of a key of the outermost object; null when there is none. */
export function findMember(text: string, key: string): Span | null {
  return readMembers(text).findLast((member) => member.key === key) ?? null;
}

function readMembers(text: string): Member[] {
  const members: Member[] = [];
  let at = skipSpace(text, skipSpace(text, 0) + 1);
  while (text[at] !== '}') {
    const keyEnd = valueEnd(text, at);
    const start = skipSpace(text, skipSpace(text, keyEnd) + 1);
    const end = valueEnd(text, start);
    members.push({ key: String(JSON.parse(text.slice(at, keyEnd))), start, end });
    at = skipSpace(text, end);
    if (text[at] === ',') at = skipSpace(text, at + 1);
  }
  return members;
}

function readElements(text: string, arrayStart: number): Span[] {
  const elements: Span[] = [];
  let at = skipSpace(text, arrayStart + 1);
  while (text[at] !== ']') {
    const end = valueEnd(text, at);
    elements.push({ start: at, end });
    at = skipSpace(text, end);
    if (text[at] === ',') at = skipSpace(text, at + 1);
  }
  return elements;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && ' \t\r\n'.includes(text.charAt(at))) at += 1;
  return at;
}

/** Where the value ends that starts here. */
function valueEnd(text: string, start: number): number {
  const first = text[start];
  if (first === '"') return stringEnd(text, start);
  if (first !== '{' && first !== '[') {
    let at = start;
    while (at < text.length && !' \t\r\n,]}'.includes(text.charAt(at))) at += 1;
    return at;
  }
  let depth = 0;
  let at = start;
  do {
    const character = text[at];
    if (character === undefined) return at;
    if (character === '"') {
      at = stringEnd(text, at);
      continue;
    }
    if (character === '{' || character === '[') depth += 1;
    if (character === '}' || character === ']') depth -= 1;
    at += 1;
  } while (depth > 0);
  return at;
}

function stringEnd(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}
