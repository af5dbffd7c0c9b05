import { endianness } from 'node:os';

/**
 * What an image runs on, in Go's words.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.0/image-index.md#image-index-property-descriptions
 */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
  /** On Windows the version its containers share with the host: `10.0.20348.2227`. */
  readonly osVersion?: string;
  readonly osFeatures?: readonly string[];
}

/** Gives a platform the one spelling in which it is compared; what it does not say is left out. */
export function normalise(platform: Platform): Platform {
  const { architecture, variant } = normalArchitecture(platform.architecture, platform.variant ?? '');
  const osFeatures = [...new Set(platform.osFeatures ?? [])].filter((feature) => feature !== '').toSorted();
  return {
    os: normalOs(platform.os),
    architecture,
    ...(variant === '' ? {} : { variant }),
    ...(platform.osVersion === undefined || platform.osVersion === '' ? {} : { osVersion: platform.osVersion }),
    ...(osFeatures.length === 0 ? {} : { osFeatures }),
  };
}

/** Operating systems by their Go names, as containerd knows them: such a word alone is one, not an architecture. */
const operatingSystems: ReadonlySet<string> = new Set(
  'aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris windows zos'.split(
    ' ',
  ),
);

/** Architectures by their Go names, as containerd knows them. */
const architectures: ReadonlySet<string> = new Set(
  (
    '386 amd64 amd64p32 arm arm64 arm64be armbe loong64 mips mips64 mips64le mips64p32 mips64p32le mipsle ' +
    'ppc ppc64 ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm'
  ).split(' '),
);

export function isKnownOs(os: string): boolean {
  return operatingSystems.has(os);
}

export function isKnownArchitecture(architecture: string): boolean {
  return architectures.has(architecture);
}

/** An absent system is Linux: what engines run, wherever this process runs. */
export function normalOs(os: string): string {
  const lower = os.toLowerCase();
  if (lower === '') return 'linux';
  return lower === 'macos' ? 'darwin' : lower;
}

/** An architecture with its variant, of which the usual one is not spelled out, except on 32-bit ARM. */
export interface NormalArchitecture {
  readonly architecture: string;
  /** Empty for the usual one. */
  readonly variant: string;
}

/**
 * Gives an architecture its Go name, and its variant the one spelling it is compared by.
 *
 * @see https://github.com/containerd/platforms/blob/09756f59cb1d6b3fb368f371043d36e634789537/database.go#L75-L113
 */
export function normalArchitecture(architecture: string, variant: string): NormalArchitecture {
  const name = architecture.toLowerCase();
  const given = variant.toLowerCase();
  switch (name) {
    case 'i386':
      return { architecture: '386', variant: '' };
    case 'x86_64':
    case 'x86-64':
    case 'amd64':
      return { architecture: 'amd64', variant: given === 'v1' ? '' : given };
    case 'aarch64':
    case 'arm64':
      return { architecture: 'arm64', variant: arm64Variants.get(given) ?? given };
    case 'armhf':
      return { architecture: 'arm', variant: 'v7' };
    case 'armel':
      return { architecture: 'arm', variant: 'v6' };
    case 'arm':
      return { architecture: 'arm', variant: armVariants.get(given) ?? given };
    default:
      return { architecture: name, variant: given };
  }
}

const arm64Variants: ReadonlyMap<string, string> = new Map([
  ['8', ''],
  ['v8', ''],
  ['v8.0', ''],
  ['9', 'v9'],
  ['9.0', 'v9'],
  ['v9.0', 'v9'],
]);

const armVariants: ReadonlyMap<string, string> = new Map([
  ['', 'v7'],
  ['5', 'v5'],
  ['6', 'v6'],
  ['7', 'v7'],
  ['8', 'v8'],
]);

/** Node's names of architectures that Go calls otherwise. */
const goNames: ReadonlyMap<string, string> = new Map([
  ['x64', 'amd64'],
  ['ia32', '386'],
  ['mipsel', 'mipsle'],
  ['ppc64', endianness() === 'LE' ? 'ppc64le' : 'ppc64'],
]);

/** What this process runs on. On 32-bit ARM the version Node was built for: the machine is that or better. */
export function hostArchitecture(nodeName: string = process.arch): NormalArchitecture {
  const architecture = goNames.get(nodeName) ?? nodeName;
  const version = (process.config.variables as unknown as Readonly<Record<string, unknown>>)['arm_version'];
  const known = architecture === 'arm' && (typeof version === 'string' || typeof version === 'number');
  return normalArchitecture(architecture, known ? `v${version}` : '');
}
