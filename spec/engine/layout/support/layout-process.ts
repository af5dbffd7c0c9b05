import type { BlobSink } from '../../../../lib/engine/blob-sink.js';
import { ociLayout } from '../../../../lib/engine/layout/oci-layout.js';
import { seededBlob } from './content.js';
import type { Order, Reply } from './layout-child.js';

/** A process that writes a layout as it is told to over IPC, one order after the other. */
const layout = ociLayout(process.argv[2] ?? '');
const { signal } = new AbortController();
let sink: BlobSink | null = null;
let written = 0;

async function obey(order: Order): Promise<Reply> {
  const blob = seededBlob(order.seed, order.size);
  switch (order.do) {
    case 'open':
      sink = await layout.openBlob(blob, { signal, pullId: `child-${process.pid}` });
      written = sink?.kept ?? 0;
      return { kept: sink?.kept ?? null };
    case 'write':
      await sink?.write(blob.bytes.subarray(written, (written = Math.min(order.to, blob.size))));
      return { kept: written };
    case 'commit':
      await sink?.commit();
      return { kept: null };
    case 'name':
      await layout.putBlob(blob.bytes, blob.digest);
      await layout.nameImage(order.name, { digest: blob.digest, size: blob.size, mediaType: blob.mediaType });
      return { kept: null };
    case 'close':
      await layout.close();
      process.disconnect();
      return { kept: null };
  }
}

process.on('message', (order: Order) => {
  void obey(order)
    .catch((error: unknown): Reply => ({ kept: null, error: String(error) }))
    .then((reply) => {
      if (process.connected) process.send?.(reply);
    });
});
