import { crc32 } from 'node:zlib';
import { type ByteSource, bytesOf, joinedBytes, seededBytes, zerosOf } from './byte-source.js';

const tarBlockBytes = 512;
/** Header, at least one block of content, and the two blocks of zeros that end an archive. */
const smallestArchiveBytes: number = 4 * tarBlockBytes;
/** Where the octal size field of a tar header ends; a layer above it would need an extension. */
export const largestLayerBytes: number = 8 * 1024 ** 3;

/**
 * A layer of exactly `sizeBytes`: a tar archive with one file of seeded content, which engines unpack.
 * Zeros behind the end mark fill it up; below 2 KiB there is no room for an archive, and it is seeded bytes only.
 */
export function seededLayer(seed: string, fileName: string, sizeBytes: number): ByteSource {
  if (sizeBytes < smallestArchiveBytes) return seededBytes(seed, sizeBytes);
  const contentBytes = Math.floor((sizeBytes - 3 * tarBlockBytes) / tarBlockBytes) * tarBlockBytes;
  return joinedBytes([
    bytesOf(tarHeader(fileName, contentBytes)),
    seededBytes(seed, contentBytes),
    zerosOf(sizeBytes - tarBlockBytes - contentBytes),
  ]);
}

/** A POSIX.1-1988 (ustar) header of a regular file. */
function tarHeader(fileName: string, sizeBytes: number): Uint8Array {
  const header = Buffer.alloc(tarBlockBytes);
  header.write(fileName, 0, 'latin1');
  header.write('0000644\0', 100, 'latin1');
  header.write('0000000\0', 108, 'latin1');
  header.write('0000000\0', 116, 'latin1');
  header.write(`${sizeBytes.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  header.write('00000000000\0', 136, 'latin1');
  // The checksum is computed as if its own field held spaces.
  header.write('        ', 148, 'latin1');
  header.write('0', 156, 'latin1');
  header.write('ustar\x0000', 257, 'latin1');
  const checksum = header.reduce((sum, byte) => sum + byte, 0);
  header.write(`${checksum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

const gzipHeader: Uint8Array = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff);
/** The most that a stored (uncompressed) deflate block holds. */
const storedBlockBytes = 65_535;
const storedHeaderBytes = 5;

/**
 * The same bytes framed as gzip without compressing them, so that any offset can be computed directly.
 * Reads the whole source once, for its checksum.
 */
export function gzipFramed(source: ByteSource): ByteSource {
  let checksum = 0;
  for (const chunk of source.read(0, source.sizeBytes)) checksum = crc32(chunk, checksum);
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(checksum, 0);
  trailer.writeUInt32LE(source.sizeBytes % 2 ** 32, 4);
  return joinedBytes([bytesOf(gzipHeader), storedBlocks(source), bytesOf(trailer)]);
}

function storedBlocks(source: ByteSource): ByteSource {
  const blocks = Math.max(1, Math.ceil(source.sizeBytes / storedBlockBytes));
  const frameBytes = storedBlockBytes + storedHeaderBytes;
  const sizeBytes = source.sizeBytes + blocks * storedHeaderBytes;
  return {
    sizeBytes,
    *read(from, to) {
      for (let block = Math.floor(from / frameBytes); block < blocks && block * frameBytes < to; block += 1) {
        const contentFrom = block * storedBlockBytes;
        const contentTo = Math.min(contentFrom + storedBlockBytes, source.sizeBytes);
        const header = Buffer.alloc(storedHeaderBytes);
        header.writeUInt8(block === blocks - 1 ? 1 : 0, 0);
        header.writeUInt16LE(contentTo - contentFrom, 1);
        header.writeUInt16LE(~(contentTo - contentFrom) & 0xffff, 3);
        const start = block * frameBytes;
        yield* joinedBytes([
          bytesOf(header),
          {
            sizeBytes: contentTo - contentFrom,
            read: (a, b) => source.read(contentFrom + a, contentFrom + b),
          },
        ]).read(Math.max(0, from - start), to - start);
      }
    },
  };
}
