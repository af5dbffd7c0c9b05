import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { InvalidOptionError } from '../errors/invalid-option-error.js';
import { fileErrorCode } from '../files/file-error.js';

/** Text or bytes in PEM. */
export type Pem = string | Uint8Array;

/** How a registry is recognised, and how we are. */
export interface RegistryTls {
  /** Authorities that are trusted beside the usual ones. */
  readonly ca?: string;
  /** Our certificate, followed by its intermediates. */
  readonly cert?: string;
  /** Our private key. Not enumerable: a copy of this object made by spreading lacks it. */
  readonly key?: string;
  /** The peer need not prove who it is. Only for what an engine pulls from in that way by itself. */
  readonly anyPeer?: true;
}

/** The same, and whoever answers is taken for the registry. */
export function toAnyPeer({ ca, cert, key }: RegistryTls): RegistryTls {
  return tlsOf(ca, cert, key, true);
}

/** The slice of a registry's options that is about TLS. */
export interface TlsOptions {
  readonly ca?: unknown;
  readonly cert?: unknown;
  readonly key?: unknown;
}

/**
 * Checks authorities, certificate and key of a registry, as far as they can be checked without connecting.
 *
 * @throws InvalidOptionError which names the key and never shows what was given
 */
export function parseTls(options: TlsOptions, optionPath: string): RegistryTls {
  const { ca, cert, key } = options;
  if (cert === undefined && key !== undefined) {
    throw new InvalidOptionError(`${optionPath}.key`, `contradicts a missing cert: the two come together`);
  }
  if (cert !== undefined && key === undefined) {
    throw new InvalidOptionError(`${optionPath}.cert`, `contradicts a missing key: the two come together`);
  }
  const authorities = ca === undefined ? undefined : readCertificates(ca, `${optionPath}.ca`);
  const chain = cert === undefined ? undefined : readCertificates(cert, `${optionPath}.cert`);
  const secret = key === undefined ? undefined : readText(key, `${optionPath}.key`);
  if (chain !== undefined && secret !== undefined) checkPair(chain, secret, optionPath);

  return tlsOf(authorities?.text, chain?.text, secret, false);
}

function tlsOf(
  ca: string | undefined,
  cert: string | undefined,
  key: string | undefined,
  isAnyPeer: boolean,
): RegistryTls {
  const tls: RegistryTls = {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(isAnyPeer ? { anyPeer: true } : {}),
  };
  if (key !== undefined) Object.defineProperty(tls, 'key', { get: () => key, enumerable: false });
  return Object.freeze(tls);
}

interface Certificates {
  readonly text: string;
  readonly first: X509Certificate;
}

const certificateBlock = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

function readCertificates(value: unknown, path: string): Certificates {
  const given: readonly unknown[] = Array.isArray(value) ? value : [value];
  const blocks: string[] = [];
  let first: X509Certificate | null = null;
  for (const [index, part] of given.entries()) {
    const partPath = Array.isArray(value) ? `${path}[${index}]` : path;
    const found = readText(part, partPath).match(certificateBlock) ?? [];
    if (found.length === 0) throw new InvalidOptionError(partPath, 'holds no certificate in PEM');
    for (const block of found) {
      const certificate = readCertificate(block);
      if (certificate === null) throw new InvalidOptionError(partPath, 'holds a certificate that cannot be read');
      first ??= certificate;
      blocks.push(block);
    }
  }
  if (first === null) throw new InvalidOptionError(path, 'holds no certificate in PEM');
  return { text: `${blocks.join('\n')}\n`, first };
}

function readCertificate(pem: string): X509Certificate | null {
  try {
    return new X509Certificate(pem);
  } catch {
    return null;
  }
}

function readText(value: unknown, path: string): string {
  const text = value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : value;
  if (typeof text !== 'string') throw new InvalidOptionError(path, 'must be PEM, as a string or bytes');
  if (text.trim() === '') throw new InvalidOptionError(path, 'must be PEM, got nothing');
  return text;
}

function checkPair(chain: Certificates, secret: string, path: string): void {
  const key = readKey(secret, `${path}.key`);
  if (!chain.first.checkPrivateKey(key)) {
    throw new InvalidOptionError(`${path}.key`, 'does not belong to the first certificate of cert');
  }
  try {
    createSecureContext({ cert: chain.text, key: secret });
  } catch (error) {
    const code = fileErrorCode(error) ?? 'no code';
    throw new InvalidOptionError(`${path}.cert`, `is refused by OpenSSL together with key (${code})`);
  }
}

/** PKCS #8 says it in the label, the older forms in a header. */
const encryptedKey = /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m;

function readKey(secret: string, path: string): KeyObject {
  if (encryptedKey.test(secret)) throw new InvalidOptionError(path, 'is encrypted; give the decrypted key');
  try {
    return createPrivateKey(secret);
  } catch {
    throw new InvalidOptionError(path, 'holds no private key in PEM that can be read');
  }
}
