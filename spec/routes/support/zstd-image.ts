import { seededImage, type TestImage } from '../../../lib/testing/index.js';
import { blobOf, imageOf, manifestOf } from '../../failover/support/test-documents.js';

/** A good image whose one layer is compressed in a way that older engines do not know. */
export function zstdImage(seed: string): TestImage {
  const { config, layers } = seededImage({ bytes: [20_000], seed });
  const framed = layers.map((plain) =>
    blobOf(zstdFramed(Buffer.concat([...plain.read()])), 'application/vnd.oci.image.layer.v1.tar+zstd'),
  );
  return imageOf({ top: manifestOf(config, framed), config, layers: framed });
}

/** Bytes framed as zstd without compressing them: RFC 8878, one raw block in a frame of a single segment. */
function zstdFramed(bytes: Uint8Array): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt32LE(0xfd2fb528, 0);
  header.writeUInt8(0xa0, 4);
  header.writeUInt32LE(bytes.length, 5);
  header.writeUIntLE((bytes.length << 3) | 1, 9, 3);
  return Buffer.concat([header, bytes]);
}
