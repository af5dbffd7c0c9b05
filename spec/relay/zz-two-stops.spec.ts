import { expect } from 'chai';
import { seededImage } from '../../lib/testing/index.js';
import { until } from '../support/until.js';
import { closeRelayRigs, openRelayRig, untilHeldBack } from './support/relay-rig.js';

describe('two pulls of one blob that both stop while the daemon does not read', function () {
  this.timeout(40_000);
  afterEach(closeRelayRigs);
  it('lets go of the answer', async () => {
    const image = seededImage({ layers: 1, bytes: 60_000_000, seed: 'two stops' });
    const rig = await openRelayRig({ image });
    const [a, b] = [await rig.serve(), await rig.serve()];
    const layer = a.tree.layers[0]!;
    const client = await rig.openBlob(layer.digest);
    client.socket.pause();
    await untilHeldBack(rig, client);
    await a.serving.stop();
    await b.serving.stop();
    await until(() => a.serving.activity.open === 0 && b.serving.activity.open === 0, 'open 0', 15_000);
    expect(1).to.equal(1);
  });
});
