import { expect } from 'chai';
import type { OciLayout } from '../../lib/engine/layout/oci-layout.js';
import { isHostFaultError } from '../../lib/errors/host-fault-error.js';
import { seededImage } from '../../lib/testing/seeded-image.js';
import { expectWhole, usePullRig } from './pull-rig.js';

describe('the extract phase of a pull', () => {
  const rig = usePullRig();
  const image = seededImage({ layers: 2, bytes: 5_000 });
  const images = { 'team/app:1': image };

  /** A layout on a disk that never answers when it is asked to do this. */
  function stuck(method: 'putBlob' | 'nameImage'): OciLayout {
    return { ...rig.engine(), [method]: () => new Promise<never>(() => {}) };
  }

  for (const method of ['putBlob', 'nameImage'] as const) {
    it(`ends at extract.stallMs when ${method} of the layout does not come back, and blames no registry`, async () => {
      const registry = await rig.registry({ images });
      const name = `${registry.host}/team/app:1`;
      const puller = rig.puller({ engine: stuck(method), timeouts: { extract: { stallMs: 80 } } });
      const error: unknown = await puller.pullWithFailover(name).catch((thrown: unknown) => thrown);
      if (!isHostFaultError(error)) throw new Error('expected a HostFaultError', { cause: error });
      expect(error.reason).to.deep.include({ cause: 'engine', code: 'extract-late' });
      expect(error.message).to.include(name).and.to.include('80 ms').and.to.include('extract.stallMs');
      expect(puller.heard.filter(({ type }) => type === 'registry:failed' || type === 'circuit:opened')).to.be.empty;
      expect(await rig.engine().findImage(name), 'nothing is named').to.equal(null);

      await rig.puller().pullWithFailover(name);
      await expectWhole(rig.engine(), name, image);
      const blobs = registry.requests.filter(({ kind }) => kind === 'blob');
      expect(blobs, 'the blobs were kept').to.have.length(image.blobs.length);
    });
  }
});
