import { expect } from 'chai';
import fc from 'fast-check';
import {
  emptyIndex,
  IndexDocumentError,
  parseIndex,
  type NamedImage,
} from '../../../lib/engine/layout/index-document.js';
import type { Descriptor } from '../../../lib/image/descriptor.js';
import { seededBlob } from './support/content.js';

const redis = 'quay.io/aptible/redis:3.0';
const postgres = 'quay.io/aptible/postgresql:9.6';

const pointName = (text: string, name: string, to: Descriptor): string => parseIndex(text).point(name, to).text;
const readImages = (text: string): readonly NamedImage[] => parseIndex(text).images();
const findImageIn = (text: string, name: string): Descriptor | null => parseIndex(text).find(name);

function manifest(seed: number): Descriptor {
  const { digest, size } = seededBlob(seed, 100 + seed);
  return { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest, size };
}

describe('The index of a layout', () => {
  it('names an image for skopeo and for containerd, with its platform', () => {
    const text = pointName(emptyIndex, redis, {
      ...manifest(1),
      platform: { os: 'linux', architecture: 'arm', variant: 'v7', osVersion: '1', osFeatures: ['x'] },
      artifactType: 'application/x',
      annotations: { 'com.example.a': 'b', 'org.opencontainers.image.ref.name': 'old' },
    });
    expect(JSON.parse(text)).to.deep.equal({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [
        {
          mediaType: 'application/vnd.oci.image.manifest.v1+json',
          digest: manifest(1).digest,
          size: 101,
          artifactType: 'application/x',
          platform: { os: 'linux', architecture: 'arm', variant: 'v7', 'os.version': '1', 'os.features': ['x'] },
          annotations: {
            'com.example.a': 'b',
            'org.opencontainers.image.ref.name': redis,
            'io.containerd.image.name': redis,
          },
        },
      ],
    });
  });

  it('holds several images, and pointing one elsewhere leaves the others where they are', () => {
    const both = pointName(pointName(emptyIndex, redis, manifest(1)), postgres, manifest(2));
    const moved = pointName(both, redis, manifest(3));
    expect(readImages(moved).map(({ name, descriptor }) => [name, descriptor.digest])).to.deep.equal([
      [redis, manifest(3).digest],
      [postgres, manifest(2).digest],
    ]);
  });

  it('stays the same when the name points there already, however it is printed', () => {
    const text = pointName(emptyIndex, redis, manifest(1));
    const pretty = parseIndex(JSON.stringify(JSON.parse(text), null, 2));
    expect(pretty.point(redis, manifest(1))).to.equal(pretty);
    expect(pointName(text, redis, manifest(1))).to.equal(text);
  });

  it('keeps what it does not know, byte by byte', () => {
    const foreign = '{ "digest" : "md5:1", "size": 12345678901234567890, "x": [1.0, "\\u00e9"] }';
    const before = `{"z":1e2, "schemaVersion":2,\n "manifests": [${foreign}, null, 7] ,"annotations":{"a":"é","__proto__":{}}}\n`;
    const after = pointName(before, redis, manifest(1));
    expect(after).to.include(foreign);
    expect(after.startsWith('{"z":1e2, "schemaVersion":2,\n "manifests": [')).to.equal(true);
    expect(after.endsWith('] ,"annotations":{"a":"é","__proto__":{}}}\n')).to.equal(true);
    expect(readImages(after).map(({ name }) => name)).to.deep.equal([redis]);
  });

  for (const [title, text] of [
    ['null, as Go prints an empty list', '{"schemaVersion":2,"manifests":null}'],
    ['absent', '{"schemaVersion":2}'],
    ['absent, and there is something behind', '{"schemaVersion":2,"annotations":{"a":"}"}}  \n'],
    ['empty', '{"schemaVersion":2,"manifests":[ ]}'],
  ] as const) {
    it(`takes an image where the list is ${title}`, () => {
      expect(readImages(text)).to.deep.equal([]);
      const after = pointName(text, redis, manifest(1));
      expect(findImageIn(after, redis)).to.include(manifest(1));
      expect(JSON.parse(after)).to.include.keys(Object.keys(JSON.parse(text) as object));
    });
  }

  it('replaces every entry of the name by one', () => {
    const one = pointName(emptyIndex, redis, manifest(1));
    const { manifests } = JSON.parse(one) as { manifests: [unknown] };
    const twice = JSON.stringify({ schemaVersion: 2, manifests: [manifests[0], 'other', manifests[0]] });
    const after = JSON.parse(pointName(twice, redis, manifest(2))) as { manifests: unknown[] };
    expect(after.manifests).to.have.length(2);
    expect(after.manifests[1]).to.equal('other');
  });

  it('finds what buildkit and docker save name by tag, by the full name that containerd gave', () => {
    const text = JSON.stringify({
      schemaVersion: 2,
      manifests: [
        {
          ...manifest(1),
          annotations: { 'org.opencontainers.image.ref.name': '3.0', 'io.containerd.image.name': redis },
        },
      ],
    });
    expect(findImageIn(text, redis)).to.include(manifest(1));
    expect(findImageIn(text, '3.0')).to.include(manifest(1));
    expect(readImages(text).map(({ name }) => name)).to.deep.equal([redis]);
  });

  it('does not find a name whose entry is no descriptor, so that the image is fetched again', () => {
    const annotations = { 'org.opencontainers.image.ref.name': redis };
    const text = JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest(1), size: -1, annotations }] });
    expect(findImageIn(text, redis)).to.equal(null);
    expect(findImageIn(pointName(text, redis, manifest(2)), redis)).to.include(manifest(2));
  });

  it('either is read or throws an IndexDocumentError, whatever the text', () => {
    const jsonText = fc.oneof(
      fc.string(),
      fc.jsonValue().map((value) => JSON.stringify(value)),
      fc.jsonValue().map((manifests) => JSON.stringify({ schemaVersion: 2, manifests })),
      fc.array(fc.jsonValue()).map((manifests) => JSON.stringify({ schemaVersion: 2, manifests })),
    );
    fc.assert(
      fc.property(jsonText, (text) => {
        try {
          const after = pointName(text, redis, manifest(1));
          expect(findImageIn(after, redis)).to.include(manifest(1));
          expect(pointName(after, redis, manifest(1))).to.equal(after);
        } catch (error) {
          expect(error).to.be.instanceOf(IndexDocumentError);
        }
      }),
    );
  });

  it('has every name where it was pointed last, after any row of changes', () => {
    const names = fc.constantFrom(redis, postgres, 'docker.io/library/redis:latest', 'a"\\b');
    fc.assert(
      fc.property(fc.array(fc.tuple(names, fc.integer({ min: 0, max: 5 }))), (changes) => {
        const expected = new Map<string, string>();
        let text = emptyIndex;
        let index = parseIndex(emptyIndex);
        for (const [name, seed] of changes) {
          text = pointName(text, name, manifest(seed));
          index = index.point(name, manifest(seed));
          expected.set(name, manifest(seed).digest);
        }
        expect(index.text).to.equal(text);
        const found = new Map(readImages(text).map(({ name, descriptor }) => [name, descriptor.digest as string]));
        expect(found).to.deep.equal(expected);
      }),
    );
  });
});
