/** This package's version; a spec compares it with package.json. A constant, so that bundled hosts have it too. */
export const packageVersion = '0.4.0';

/** How this library names itself to registries. */
export const userAgent: string = `pull-failover/${packageVersion}`;
