let given = 0;

/**
 * A loopback address that nothing else listens on. While a proxy refuses connections its port is free, and on the
 * address that everybody uses another server could be given it.
 */
export function ownAddress(): string {
  given += 1;
  return `127.${1 + ((process.pid >> 8) & 0x7f)}.${process.pid & 0xff}.${1 + (given % 254)}`;
}
