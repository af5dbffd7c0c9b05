import { expect } from 'chai';
import type { DockerDaemon } from '../../lib/engine/docker/docker-daemon.js';
import type { EngineStore } from '../../lib/engine/docker/engine-traits.js';
import { isEngineError } from '../../lib/errors/engine-error.js';
import { digestOf } from '../../lib/image/digest.js';
import { parseReference } from '../../lib/image/reference.js';
import { canonicalTagOf, isImageOfTree, moveName, textOfTag } from '../../lib/routes/image-names.js';
import { failureOf } from '../support/failure-of.js';
import { treeWith } from './support/some-tree.js';

const sha256 = digestOf(Buffer.from('an image'));
const sha512 = digestOf(Buffer.from('an image'), 'sha512');

describe('the name that an engine keeps an image under', () => {
  const names: readonly (readonly [asked: string, kept: string])[] = [
    ['redis', 'docker.io/library/redis:latest'],
    ['quay.io/team/app:1', 'quay.io/team/app:1'],
    ['127.0.0.1:5001/x:1', '127.0.0.1:5001/x:1'],
    [`quay.io/team/app@${sha256}`, `quay.io/team/app:digest-sha256-${sha256.slice(7)}`],
    [`quay.io/team/app:1@${sha256}`, `quay.io/team/app:digest-sha256-${sha256.slice(7)}`],
  ];
  for (const [asked, kept] of names) {
    it(`is ${kept.slice(0, 50)} for ${asked.slice(0, 50)}`, () => {
      expect(textOfTag(canonicalTagOf(parseReference(asked)))).to.equal(kept);
    });
  }

  it('is one that can be pulled by again, also for the longest digest', () => {
    const kept = textOfTag(canonicalTagOf(parseReference(`quay.io/team/app@${sha512}`)));
    expect(parseReference(kept).tag).to.match(/^digest-sha512-[a-f0-9]{64}/);
  });
});

describe('an image that changes its name', () => {
  const tree = treeWith(1);
  const from = { name: '127.0.0.1:1/pull-failover/x', tag: '1' };
  const to = { name: 'quay.io/x', tag: '1' };

  /** Images by name, and what was asked. */
  function daemonWith(images: Record<string, string>): { readonly daemon: DockerDaemon; readonly asked: string[] } {
    const asked: string[] = [];
    const daemon = {
      inspect: async (name: string) => (name in images ? { id: images[name] } : null),
      tag: async (source: string, target: typeof to) => {
        asked.push(`tag ${source} ${textOfTag(target)}`);
        images[textOfTag(target)] = images[source] ?? '';
      },
      untag: async (name: string) => {
        asked.push(`untag ${name}`);
        delete images[name];
      },
    };
    return { daemon: daemon as unknown as DockerDaemon, asked };
  }

  const move = (daemon: DockerDaemon, store: EngineStore = 'graph'): Promise<string> =>
    moveName({ daemon, engineId: 'docker:x', store, tree, from, to, signal: new AbortController().signal });

  it('gets the new one before it loses the old one', async () => {
    const images = { [textOfTag(from)]: tree.config.digest };
    const { daemon, asked } = daemonWith(images);
    expect(await move(daemon)).to.equal(tree.config.digest);
    expect(asked).to.deep.equal([`tag ${textOfTag(from)} ${textOfTag(to)}`, `untag ${textOfTag(from)}`]);
    expect(images).to.deep.equal({ [textOfTag(to)]: tree.config.digest });
  });

  it('may be asked to again when nobody knows whether it had', async () => {
    const { daemon, asked } = daemonWith({ [textOfTag(to)]: tree.config.digest });
    expect(await move(daemon)).to.equal(tree.config.digest);
    expect(asked).to.deep.equal([]);
  });

  it('takes the new one from whatever had it', async () => {
    const images = { [textOfTag(from)]: tree.config.digest, [textOfTag(to)]: 'sha256:older' };
    await move(daemonWith(images).daemon);
    expect(images).to.deep.equal({ [textOfTag(to)]: tree.config.digest });
  });

  it('gets it from Podman although that loses names which are given or taken away meanwhile', async () => {
    const id = tree.config.digest;
    for (const lost of [
      // Somebody else's change has written back what was there before the tag, before the untag, before the pull.
      (images: Record<string, string>) => delete images[textOfTag(to)],
      (images: Record<string, string>) => (images[textOfTag(from)] = id),
      (images: Record<string, string>) => {
        delete images[textOfTag(to)];
        images[textOfTag(from)] = id;
      },
    ]) {
      const images: Record<string, string> = { [id]: id, [textOfTag(from)]: id, [textOfTag(to)]: 'sha256:older' };
      const { daemon } = daemonWith(images);
      let untags = 0;
      const untag = daemon.untag.bind(daemon);
      Object.assign(daemon, {
        untag: async (name: string) => {
          await untag(name);
          untags += 1;
          if (untags === 1) lost(images);
        },
      });
      expect(await move(daemon, 'podman')).to.equal(id);
      expect(images).to.deep.equal({ [id]: id, [textOfTag(to)]: id });
    }
    const nameless: Record<string, string> = { [id]: id, [textOfTag(to)]: 'sha256:older' };
    expect(await move(daemonWith(nameless).daemon, 'podman')).to.equal(id);
    expect(nameless).to.deep.equal({ [id]: id, [textOfTag(to)]: id });
  });

  it('does not get it when it is not there, or is not what was brought', async () => {
    for (const images of [{}, { [textOfTag(from)]: 'sha256:another' }, { [textOfTag(to)]: 'sha256:another' }]) {
      const { daemon, asked } = daemonWith(images);
      const failure = await failureOf(move(daemon));
      expect(isEngineError(failure), String(failure)).to.equal(true);
      expect(asked).to.deep.equal([]);
    }
  });

  it('is known by its config on a classic store and in Podman, by its documents on a containerd store', () => {
    const [config, manifest] = [{ id: tree.config.digest }, { id: tree.root.digest }];
    const known = (['graph', 'podman', 'containerd'] as const).map((store) => [
      isImageOfTree(config, tree, store),
      isImageOfTree(manifest, tree, store),
    ]);
    expect(known).to.deep.equal([
      [true, false],
      [true, false],
      [false, true],
    ]);
  });
});
