import { expect } from 'chai';
import { createLayerNews } from '../../../lib/routes/relay/layer-news.js';
import type { Digest } from '../../../lib/vocabulary/digest.js';
import { layerOf, line, treeWith } from '../support/some-tree.js';

const none: ReadonlySet<Digest> = new Set();

describe('what a daemon says of the layers it pulls', () => {
  const tree = treeWith(3);
  const [first, second, third] = [layerOf(tree, 0), layerOf(tree, 1), layerOf(tree, 2)];

  it('names what it lacks, until it was given or says that it has it', () => {
    const news = createLayerNews(tree);
    expect(news.hasBegun).to.equal(false);
    expect(news.pending(none)).to.deep.equal([]);
    news.saw(line('Pulling from team/app'));
    expect(news.hasBegun).to.equal(false);
    news.saw(line('Already exists', first));
    expect(news.hasBegun).to.equal(true);
    news.saw(line('Pulling fs layer', second));
    news.saw(line('Pulling fs layer', third));
    expect(news.pending(none)).to.deep.equal([second, third]);
    expect(news.pending(new Set([second]))).to.deep.equal([third]);
    news.saw(line('Download complete', third));
    expect(news.pending(none)).to.deep.equal([second]);
    expect(news.isOver(none)).to.equal(false);
    expect(news.isOver(new Set([second]))).to.equal(true);
  });

  for (const status of ['Already exists', 'Verifying Checksum', 'Download complete', 'Extracting', 'Pull complete']) {
    it(`is that it has a layer with "${status}"`, () => {
      const news = createLayerNews(treeWith(1));
      news.saw(line(status, layerOf(treeWith(1), 0)));
      expect(news.pending(none)).to.deep.equal([]);
      expect(news.isOver(none)).to.equal(true);
    });
  }

  for (const status of ['Pulling fs layer', 'Waiting', 'Downloading', 'Retrying in 5 seconds', 'Copying blob']) {
    it(`is that it lacks a layer with "${status}"`, () => {
      const news = createLayerNews(treeWith(1));
      news.saw(line(status, layerOf(treeWith(1), 0)));
      expect(news.pending(none)).to.have.length(1);
      expect(news.isOver(none)).to.equal(false);
    });
  }

  for (const status of [
    'Copying config',
    'Writing manifest to image destination',
    'Storing signatures',
    `Digest: ${tree.root.digest}`,
    'Status: Downloaded newer image for x:1',
    'Status: Image is up to date for x:1',
  ]) {
    it(`is that all layers are there with "${status.slice(0, 30)}", spoken of or not`, () => {
      const news = createLayerNews(tree);
      news.saw(line(status));
      expect(news.isOver(none)).to.equal(true);
      expect(news.hasBegun).to.equal(true);
    });
  }

  it('is over from the beginning for an image without layers', () => {
    expect(createLayerNews(treeWith(0)).isOver(none)).to.equal(true);
  });

  it('is no news when it is repeated, counts seconds, or counts down to another try', () => {
    const news = createLayerNews(tree);
    expect(news.saw(line('Pulling fs layer', first))).to.equal('arriving');
    expect(news.saw(line('Pulling fs layer', first))).to.equal('nothing');
    expect(news.saw(line('Downloading', first, 10))).to.equal('arriving');
    expect(news.saw(line('Downloading', first, 10))).to.equal('nothing');
    expect(news.saw(line('Downloading', first, 11))).to.equal('arriving');
    expect(news.saw(line('Retrying in 5 seconds', first))).to.equal('nothing');
    expect(news.saw(line('Retrying in 4 seconds', first))).to.equal('nothing');
    expect(news.saw(line('Extracting', second, 1))).to.equal('local');
    expect(news.saw(line('Extracting', second, 2))).to.equal('local');
    expect(news.saw({ ...line('Extracting', third, 1), unit: 'seconds' })).to.equal('local');
    expect(news.saw({ ...line('Extracting', third, 2), unit: 'seconds' })).to.equal('nothing');
    expect(news.saw(line('Something new of a later version'))).to.equal('arriving');
  });

  it('tells a layer that waits for a download slot from one that somebody else holds', () => {
    const news = createLayerNews(tree);
    news.saw(line('Pulling fs layer', first));
    expect(news.isQueued(none)).to.equal(false);
    news.saw(line('Waiting', first));
    expect(news.isQueued(none)).to.equal(true);
    expect(news.isQueued(new Set([first]))).to.equal(false);
    news.saw(line('Downloading', first, 1));
    expect(news.isQueued(none)).to.equal(false);
  });

  it('is not about layers of other images, nor about the config', () => {
    const news = createLayerNews(tree);
    news.saw(line('Pulling fs layer', layerOf(treeWith(1, 'another'), 0)));
    news.saw(line('Download complete', tree.config.digest));
    expect(news.hasBegun).to.equal(false);
    expect(news.pending(none)).to.deep.equal([]);
  });
});
