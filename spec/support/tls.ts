import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A certificate and its key, PEM. */
export interface TestCertificate {
  readonly cert: string;
  readonly key: string;
}

/** An authority that exists for one run of the specs. */
export interface TestAuthority {
  readonly ca: string;
  /** Issues a certificate for these names and addresses. */
  issue(names: readonly string[], options?: { readonly expired?: boolean }): TestCertificate;
}

/** Creates an authority with OpenSSL's command. */
export function createAuthority(commonName: string = 'pull-failover specs'): TestAuthority {
  const { cert: ca, key: caKey } = run((directory) => {
    openssl(directory, [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
      ...['-subj', `/CN=${commonName}`, '-keyout', 'key.pem', '-out', 'cert.pem'],
      ...['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign'],
    ]);
  });
  return {
    ca,
    issue: (names, { expired = false } = {}) =>
      run((directory) => {
        writeFileSync(join(directory, 'ca.pem'), ca);
        writeFileSync(join(directory, 'ca-key.pem'), caKey);
        const alternatives = names.map((name) => (/^[\d.]+$|:/.test(name) ? `IP:${name}` : `DNS:${name}`));
        writeFileSync(join(directory, 'extensions'), `subjectAltName=${alternatives.join(',')}\n`);
        openssl(directory, [
          ...['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
          ...['-subj', `/CN=${names[0] ?? 'nobody'}`, '-keyout', 'key.pem', '-out', 'request.pem'],
        ]);
        openssl(directory, [
          ...['x509', '-req', '-in', 'request.pem', '-CA', 'ca.pem', '-CAkey', 'ca-key.pem', '-CAcreateserial'],
          // A lifetime of less than nothing is how this command makes an expired certificate.
          ...['-days', expired ? '-1' : '2', '-extfile', 'extensions', '-out', 'cert.pem'],
        ]);
      }),
  };
}

function run(make: (directory: string) => void): TestCertificate {
  const directory = mkdtempSync(join(tmpdir(), 'pull-failover-tls-'));
  try {
    make(directory);
    return {
      cert: readFileSync(join(directory, 'cert.pem'), 'utf8'),
      key: readFileSync(join(directory, 'key.pem'), 'utf8'),
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function openssl(directory: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync('openssl', args, { cwd: directory, encoding: 'utf8' });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`openssl ${args[0]}: ${stderr}`);
}
