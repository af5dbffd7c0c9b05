import { readdirSync, statSync } from 'node:fs';
import { basename, extname, join } from 'node:path';
import { isInvalidOptionError } from '../errors/invalid-option-error.js';
import { readBoundedFileSync } from '../files/bounded-file.js';
import { fileErrorCode } from '../files/file-error.js';
import { parseTls, type RegistryTls } from './tls-options.js';

/** The largest file that is read, in bytes: all authorities of a system together have a fourth of it. */
export const maxCertificateFileBytes: number = 1024 * 1024;

/** More files than that in one registry's folder were put there by mistake. */
export const maxCertificateFiles = 64;

/** What a folder of certificates says. */
export interface CertificateFolder {
  /** Equal while nothing in the folder was touched. */
  readonly stamp: string;
  /** Null when it says nothing that can be used. */
  readonly tls: RegistryTls | null;
  /** What could not be used, each with its path; never what is in a file. */
  readonly problems: readonly string[];
}

/**
 * Reads the certificates of one registry as Docker's daemon does, unless nothing has changed since `known`: each `*.crt`
 * is an authority, `*.cert` and the `*.key` of the same name are the certificate that the registry wants from us. What
 * cannot be used is left out and told. Null when there is no such folder.
 *
 * @see https://github.com/moby/moby/blob/v28.5.1/registry/registry.go ReadCertsDirectory
 */
export function readCertificateFolder(path: string, known: CertificateFolder | null): CertificateFolder | null {
  let names: readonly string[];
  try {
    // Most hosts have none, and are asked at each pull: an error that is made to say so costs more than the look.
    if (statSync(path, { throwIfNoEntry: false }) === undefined) return null;
    names = readdirSync(path)
      .filter((name) => ['.crt', '.cert', '.key'].includes(extname(name)))
      .toSorted();
  } catch (error) {
    const code = fileErrorCode(error) ?? 'unknown error';
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    const stamp = `unreadable ${code}`;
    return known?.stamp === stamp ? known : { stamp, tls: null, problems: [`${path} cannot be read (${code})`] };
  }
  const files = names.slice(0, maxCertificateFiles).map((name) => join(path, name));
  const stamp = [String(names.length), ...files.map(stampOf)].join('\n');
  if (known?.stamp === stamp) return known;

  const problems: string[] = [];
  if (names.length > files.length)
    problems.push(`${path} holds more than ${maxCertificateFiles} certificates and keys`);
  const read = (file: string): string | null => {
    try {
      const found = readBoundedFileSync(file, maxCertificateFileBytes);
      if (found.kind === 'text') return found.text;
      problems.push(
        found.kind === 'too-large'
          ? `${file} is larger than ${maxCertificateFileBytes} bytes`
          : `${file} cannot be read (not a file)`,
      );
    } catch (error) {
      problems.push(`${file} cannot be read (${fileErrorCode(error) ?? 'unknown error'})`);
    }
    return null;
  };
  const authorities = files
    .filter((file) => file.endsWith('.crt'))
    .flatMap((file) => {
      const pem = read(file);
      const tls = pem === null ? null : usable({ ca: pem }, file, problems);
      return tls?.ca === undefined ? [] : [tls.ca];
    });
  const own = clientCertificates(files, read, problems);
  if (own.length > 1) problems.push(`${path} holds several client certificates: the first is used`);
  const [first] = own;
  const given = { ...(authorities.length === 0 ? {} : { ca: authorities }), ...first };
  return { stamp, tls: authorities.length === 0 && first === undefined ? null : parseTls(given, path), problems };
}

interface ClientCertificate {
  readonly cert: string;
  readonly key: string;
}

function clientCertificates(
  files: readonly string[],
  read: (file: string) => string | null,
  problems: string[],
): readonly ClientCertificate[] {
  const found: ClientCertificate[] = [];
  for (const file of files) {
    const extension = extname(file);
    if (extension === '.crt') continue;
    const stem = file.slice(0, -extension.length);
    const partner = `${stem}${extension === '.cert' ? '.key' : '.cert'}`;
    if (!files.includes(partner)) {
      problems.push(
        extension === '.cert'
          ? `${file} lacks its key ${basename(partner)} (an authority's certificate is named *.crt)`
          : `${file} lacks its certificate ${basename(partner)}`,
      );
    } else if (extension === '.cert') {
      const cert = read(file);
      const key = read(partner);
      if (cert === null || key === null) continue;
      if (usable({ cert, key }, stem, problems) !== null) found.push({ cert, key });
    }
  }
  return found;
}

function usable(
  tls: { readonly ca: string } | ClientCertificate,
  path: string,
  problems: string[],
): RegistryTls | null {
  try {
    return parseTls(tls, path);
  } catch (error) {
    if (!isInvalidOptionError(error)) throw error;
    problems.push(error.message.replace(/^Option /, '').replace(`${path}.ca`, path));
    return null;
  }
}

function stampOf(file: string): string {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
    return [file, dev, ino, size, mtimeNs, ctimeNs].join(' ');
  } catch (error) {
    return `${file} ${fileErrorCode(error) ?? 'unknown error'}`;
  }
}
