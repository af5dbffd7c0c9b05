import { join } from 'node:path';
import { isInstalled } from '../../spec/support/real-parts.js';
import { type Contender, onlyOne, type Place } from '../contender.js';
import { mirroredBy } from '../registries-conf.js';
import { runProcess } from '../run-process.js';
import { checkLayout } from './check-layout.js';

/** `skopeo copy` into a layout; with two places the first is a mirror of the second in its registries.conf. */
export function skopeo(name: string, title: string, [first, second]: readonly [Place, Place?]): Contender {
  return {
    name,
    title,
    isOurs: false,
    controlOf: null,
    missing: () => (isInstalled('skopeo') ? null : 'skopeo (apt-get install skopeo)'),
    run: async ({ hosts, images, scratch, capSeconds }) => {
      const { name, image } = onlyOne(images);
      const conf = join(scratch, 'registries.conf');
      const layout = join(scratch, 'layout');
      const run = await runProcess(
        {
          program: 'skopeo',
          args: [
            ...['--registries-conf', conf, 'copy', '--insecure-policy', '--src-tls-verify=false', '--src-no-creds'],
            ...[`docker://${hosts[second ?? first]}/${name}`, `oci:${layout}:1`],
          ],
          files: { [conf]: second === undefined ? '' : mirroredBy(hosts[first], hosts[second]) },
        },
        capSeconds,
      );
      if (run.ending === 'done') await checkLayout(layout, '1', image, title);
      return run;
    },
  };
}
