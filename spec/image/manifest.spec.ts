import { expect } from 'chai';
import fc from 'fast-check';
import { digestOf } from '../../lib/image/digest.js';
import {
  ManifestError,
  manifestMediaTypes,
  maxManifestBytes,
  parseManifest,
  type ImageDocument,
  type ManifestProblem,
} from '../../lib/image/manifest.js';

const ociIndex = 'application/vnd.oci.image.index.v1+json';
const ociManifest = 'application/vnd.oci.image.manifest.v1+json';
const dockerList = 'application/vnd.docker.distribution.manifest.list.v2+json';
const dockerManifest = 'application/vnd.docker.distribution.manifest.v2+json';
const schema1 = 'application/vnd.docker.distribution.manifest.v1+json';
const signedSchema1 = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
const ociConfig = 'application/vnd.oci.image.config.v1+json';
const ociLayer = 'application/vnd.oci.image.layer.v1.tar+gzip';

type Json = Readonly<Record<string, unknown>>;

const digest = `sha256:${'ab'.repeat(32)}`;
const config: Json = { mediaType: ociConfig, digest, size: 7 };
const layer: Json = { mediaType: ociLayer, digest, size: 11 };
const entry: Json = { mediaType: ociManifest, digest, size: 13, platform: { os: 'linux', architecture: 'amd64' } };
const manifest: Json = { schemaVersion: 2, mediaType: ociManifest, config, layers: [layer] };
const index: Json = { schemaVersion: 2, mediaType: ociIndex, manifests: [entry] };

function without(document: Json, ...keys: readonly string[]): Json {
  return Object.fromEntries(Object.entries(document).filter(([key]) => !keys.includes(key)));
}

function bytesOf(document: unknown): Uint8Array {
  return Buffer.from(typeof document === 'string' ? document : JSON.stringify(document));
}

function parse(document: unknown, contentType: string | null = null): ImageDocument {
  return parseManifest(bytesOf(document), contentType);
}

function refusal(document: unknown, contentType: string | null = null): ManifestError {
  try {
    parse(document, contentType);
  } catch (error) {
    if (error instanceof ManifestError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

function layersOf(document: ImageDocument): readonly unknown[] {
  return document.kind === 'manifest' ? document.layers : [];
}

function manifestsOf(document: ImageDocument): readonly unknown[] {
  return document.kind === 'index' ? document.manifests : [];
}

/** The only layer of a manifest that has this one. */
function readLayer(found: Json): unknown {
  return layersOf(parse({ ...manifest, layers: [found] }))[0];
}

describe('image/manifest', () => {
  it('asks for indexes before manifests, and never for schema 1', () => {
    expect(manifestMediaTypes).to.deep.equal([ociIndex, dockerList, ociManifest, dockerManifest]);
  });

  describe('a document that agrees with itself', () => {
    const generic = [null, '', 'application/json', 'application/octet-stream', 'binary/octet-stream', 'text/plain'];
    for (const mediaType of [ociIndex, dockerList, ociManifest, dockerManifest]) {
      const kind = mediaType === ociIndex || mediaType === dockerList ? 'index' : 'manifest';
      const body = { ...(kind === 'index' ? index : manifest), mediaType };

      it(`is read as ${kind} when it comes as ${mediaType} and says so`, () => {
        expect(parse(body, mediaType)).to.include({ kind, mediaType });
      });

      it(`is read as ${kind} when it comes as ${mediaType} and says nothing`, () => {
        expect(parse(without(body, 'mediaType'), mediaType)).to.include({ kind, mediaType });
        expect(parse({ ...body, mediaType: '' }, mediaType)).to.include({ kind, mediaType });
        expect(parse({ ...body, mediaType: null }, mediaType)).to.include({ kind, mediaType });
      });

      for (const contentType of generic) {
        it(`is read as ${mediaType} by what it says when it comes as ${JSON.stringify(contentType)}`, () => {
          expect(parse(body, contentType)).to.include({ kind, mediaType });
        });
      }

      for (const contentType of [
        `${mediaType}; charset=utf-8`,
        `${mediaType};charset=UTF-8;x="y"`,
        ` ${mediaType} `,
        mediaType.toUpperCase(),
      ]) {
        it(`is read whatever the letter case and the parameters: ${contentType}`, () => {
          expect(parse(body, contentType)).to.include({ kind, mediaType });
        });
      }
    }

    it('is an OCI document when only its content tells what it is', () => {
      expect(parse(without(index, 'mediaType'))).to.include({ kind: 'index', mediaType: ociIndex });
      expect(parse(without(manifest, 'mediaType'))).to.include({ kind: 'manifest', mediaType: ociManifest });
    });

    it('may leave out its schema version', () => {
      expect(parse(without(manifest, 'schemaVersion')).kind).to.equal('manifest');
    });

    it('may have no entries, also as Go writes an empty list', () => {
      expect(parse({ ...index, manifests: [] })).to.deep.include({ manifests: [] });
      expect(parse({ ...index, manifests: null })).to.deep.include({ manifests: [] });
      expect(parse({ ...manifest, layers: [] })).to.deep.include({ layers: [] });
      expect(parse({ ...manifest, layers: null })).to.deep.include({ layers: [] });
    });

    it('keeps its annotations', () => {
      const annotations = { 'org.opencontainers.image.version': '3.0' };
      for (const document of [index, manifest]) {
        expect({ ...parse({ ...document, annotations }).annotations }).to.deep.equal(annotations);
      }
    });

    it('is read whole, field by field', () => {
      expect(parse(manifest)).to.deep.equal({
        kind: 'manifest',
        mediaType: ociManifest,
        config: { mediaType: ociConfig, digest, size: 7 },
        layers: [{ mediaType: ociLayer, digest, size: 11 }],
      });
      expect(parse(index)).to.deep.equal({
        kind: 'index',
        mediaType: ociIndex,
        manifests: [{ mediaType: ociManifest, digest, size: 13, platform: { os: 'linux', architecture: 'amd64' } }],
      });
    });

    it('may have keys that nobody knows', () => {
      expect(parse({ ...manifest, subject: { ...entry }, future: [1, { a: null }] }).kind).to.equal('manifest');
    });
  });

  describe('a document that is refused', () => {
    const cases: readonly (readonly [
      what: string,
      document: unknown,
      contentType: string | null,
      problem: ManifestProblem,
      seenIn: ManifestError['seenIn'],
    ])[] = [
      // schema 1
      ['a schema 1 document', { schemaVersion: 1, fsLayers: [], history: [] }, null, 'schema-1', 'document'],
      ['a schema 1 document as such', { schemaVersion: 1, fsLayers: [] }, schema1, 'schema-1', 'document'],
      ['a signed one', { schemaVersion: 1, fsLayers: [], signatures: [] }, signedSchema1, 'schema-1', 'document'],
      ['a schema 1 version alone', { schemaVersion: 1 }, null, 'schema-1', 'document'],
      ['schema 1 layers alone', { fsLayers: [] }, null, 'schema-1', 'document'],
      ['schema 1 by its own word', { mediaType: schema1 }, null, 'schema-1', 'document'],
      ['schema 1 by the header alone', { name: 'x', tag: 'y' }, signedSchema1, 'schema-1', 'document'],
      ['schema 1 that comes as schema 2', { schemaVersion: 1, fsLayers: [] }, dockerManifest, 'schema-1', 'document'],
      ['schema 1 with the layers of schema 2', { ...manifest, fsLayers: [] }, null, 'schema-1', 'document'],
      ['something else that comes as schema 1', { mediaType: 'a/b' }, schema1, 'media-type-mismatch', 'content-type'],
      ['schema 2 that comes as schema 1', manifest, schema1, 'media-type-mismatch', 'content-type'],
      [
        'schema 2 without a name that comes as schema 1',
        without(manifest, 'mediaType'),
        signedSchema1,
        'media-type-mismatch',
        'content-type',
      ],
      // CVE-2021-41190
      ['manifests and layers', { manifests: [entry], layers: [layer] }, null, 'media-type-mismatch', 'document'],
      ['manifests and a config', { manifests: [entry], config }, null, 'media-type-mismatch', 'document'],
      ['an index with layers', { ...index, layers: [layer] }, ociIndex, 'media-type-mismatch', 'document'],
      ['an index with no layers', { ...index, layers: [] }, ociIndex, 'media-type-mismatch', 'document'],
      ['an index with null layers', { ...index, layers: null }, ociIndex, 'media-type-mismatch', 'document'],
      ['a manifest with manifests', { ...manifest, manifests: [] }, ociManifest, 'media-type-mismatch', 'document'],
      ['an index called manifest', { ...index, mediaType: ociManifest }, null, 'media-type-mismatch', 'document'],
      ['a manifest called index', { ...manifest, mediaType: ociIndex }, null, 'media-type-mismatch', 'document'],
      ['an index that comes as manifest', index, ociManifest, 'media-type-mismatch', 'content-type'],
      ['a manifest that comes as index', manifest, dockerList, 'media-type-mismatch', 'content-type'],
      [
        'an index without a name that comes as manifest',
        without(index, 'mediaType'),
        ociManifest,
        'media-type-mismatch',
        'content-type',
      ],
      ['an OCI manifest that comes as Docker’s', manifest, dockerManifest, 'media-type-mismatch', 'content-type'],
      ['a manifest that comes as something else', manifest, 'image/png', 'media-type-mismatch', 'content-type'],
      [
        'a manifest that calls itself something else',
        { ...manifest, mediaType: 'application/vnd.example' },
        null,
        'media-type-mismatch',
        'document',
      ],
      [
        'layers, and Manifests for readers that ignore letter case',
        { ...manifest, Manifests: [entry] },
        null,
        'media-type-mismatch',
        'document',
      ],
      [
        'layers, and manifest\u017f for readers that take a long s for an s',
        { ...manifest, 'manifest\u017f': [entry] },
        null,
        'media-type-mismatch',
        'document',
      ],
      ['a second MediaType', { ...manifest, MediaType: ociIndex }, null, 'media-type-mismatch', 'document'],
      // pages
      ['a web page', '<html>sign in</html>', 'text/html; charset=utf-8', 'malformed', 'content-type'],
      ['a manifest that comes as a web page', manifest, 'text/html', 'malformed', 'content-type'],
      ['an error of a storage', '<Error/>', 'application/xml', 'malformed', 'content-type'],
      // JSON
      ['no bytes', '', null, 'malformed-json', 'document'],
      ['no bytes, announced', '', ociManifest, 'malformed-json', 'document'],
      ['a page that comes as a manifest', '<html>', ociManifest, 'malformed-json', 'document'],
      ['half a manifest', JSON.stringify(manifest).slice(0, -5), ociManifest, 'malformed-json', 'document'],
      ['a byte order mark', `\ufeff${JSON.stringify(manifest)}`, null, 'malformed-json', 'document'],
      ['something after the end', `${JSON.stringify(manifest)}x`, null, 'malformed-json', 'document'],
      ['a list', [manifest], null, 'malformed', 'document'],
      ['null', 'null', null, 'malformed', 'document'],
      ['a string', '"manifest"', null, 'malformed', 'document'],
      ['a number', '7', null, 'malformed', 'document'],
      ['brackets a megabyte deep', '['.repeat(1_000_000), null, 'malformed-json', 'document'],
      ['closed brackets a megabyte deep', `${'['.repeat(5e5)}${']'.repeat(5e5)}`, null, 'malformed', 'document'],
      ['nothing telling', {}, null, 'malformed', 'document'],
      ['nothing telling, announced', {}, ociManifest, 'malformed', 'document'],
      ['the error of a registry', { errors: [{ code: 'DENIED' }] }, 'application/json', 'malformed', 'document'],
      // fields
      ['schema version 3', { ...manifest, schemaVersion: 3 }, null, 'malformed', 'document'],
      ['a schema version in words', { ...manifest, schemaVersion: '2' }, null, 'malformed', 'document'],
      ['a media type that is a number', { ...manifest, mediaType: 2 }, null, 'malformed', 'document'],
      ['a manifest without a config', without(manifest, 'config'), null, 'malformed', 'document'],
      ['a manifest with a null config', { ...manifest, config: null }, null, 'malformed', 'document'],
      ['a config that is a list', { ...manifest, config: [] }, null, 'malformed', 'document'],
      ['a manifest without layers', without(manifest, 'layers'), null, 'malformed', 'document'],
      ['layers that are an object', { ...manifest, layers: { 0: layer } }, null, 'malformed', 'document'],
      ['a layer that is null', { ...manifest, layers: [null] }, null, 'malformed', 'document'],
      ['a layer that is a digest', { ...manifest, layers: [digest] }, null, 'malformed', 'document'],
      ['an index called one, without manifests', without(index, 'manifests'), null, 'malformed', 'document'],
      ['manifests that are a string', { ...index, manifests: 'none' }, null, 'malformed', 'document'],
      ['annotations that are a list', { ...manifest, annotations: [] }, null, 'malformed', 'document'],
      ['an annotation that is a number', { ...manifest, annotations: { a: 1 } }, null, 'malformed', 'document'],
      // artifacts
      [
        'an artifact with an empty config',
        { ...manifest, config: { ...config, mediaType: 'application/vnd.oci.empty.v1+json' } },
        null,
        'not-an-image',
        'document',
      ],
      [
        'an artifact with a config of its own',
        {
          ...manifest,
          artifactType: 'application/vnd.a',
          config: { ...config, mediaType: 'application/vnd.a.config' },
        },
        null,
        'not-an-image',
        'document',
      ],
      [
        'an artifact manifest of OCI 1.1-rc',
        { mediaType: 'application/vnd.oci.artifact.manifest.v1+json', blobs: [] },
        'application/vnd.oci.artifact.manifest.v1+json',
        'not-an-image',
        'document',
      ],
    ];

    for (const [what, document, contentType, problem, seenIn] of cases) {
      it(`${what}: ${problem}`, () => {
        const error = refusal(document, contentType);
        expect(error).to.include({ name: 'ManifestError', problem, seenIn });
        expect(error.message).to.match(/^(The|A) \S.{10,}/);
        expect(error.message.length).to.be.below(400);
      });
    }

    it('malformed UTF-8: malformed-json', () => {
      const bytes = bytesOf(JSON.stringify({ ...manifest, annotations: { a: 'é' } }));
      const broken = Uint8Array.from(bytes.filter((byte) => byte !== 0xa9));
      expect(() => parseManifest(broken, null))
        .to.throw(ManifestError)
        .with.property('problem', 'malformed-json');
    });

    it('schema 1 is refused with words that say what to do', () => {
      expect(refusal({ schemaVersion: 1, fsLayers: [] }).message).to.match(/schema 1.*push it again/);
    });

    it('a manifest of 4 MiB is read, and one byte more is too large', () => {
      const text = JSON.stringify(manifest);
      const largest = text + ' '.repeat(maxManifestBytes - text.length);
      expect(parse(largest).kind).to.equal('manifest');
      expect(refusal(`${largest} `).problem).to.equal('too-large');
      expect(refusal('x'.repeat(maxManifestBytes + 1), 'text/html').problem).to.equal('too-large');
    });

    it('4096 entries are read, and one more is too large', () => {
      const small = { digest, size: 1 };
      const entries = (count: number): readonly unknown[] => Array.from({ length: count }, () => small);
      expect(layersOf(parse({ ...manifest, layers: entries(4096) }))).to.have.length(4096);
      expect(refusal({ ...manifest, layers: entries(4097) }).problem).to.equal('too-large');
      expect(refusal({ ...index, manifests: entries(4097) }).problem).to.equal('too-large');
    });

    it('does not repeat a signed URL or a terminal’s control characters in its message', () => {
      const hostile = 'https://cdn.example/x?X-Amz-Signature=hunter2 \u001b[2J\n';
      for (const document of [
        { ...manifest, mediaType: hostile },
        { ...manifest, schemaVersion: hostile },
        { ...manifest, layers: [{ ...layer, digest: hostile }] },
        { ...manifest, layers: [{ ...layer, size: hostile }] },
        { ...manifest, annotations: { [hostile]: 1 } },
        { ...manifest, [hostile]: 1, LAYERS: hostile },
      ]) {
        const { message } = refusal(document);
        expect(message).to.not.include('hunter2');
        // oxlint-disable-next-line no-control-regex
        expect(message).to.not.match(/[\u0000-\u001f]/);
      }
    });
  });

  describe('an image with unusual parts', () => {
    for (const mediaType of [
      '',
      'application/octet-stream',
      'application/json',
      'application/vnd.docker.container.image.v1+json',
      'application/vnd.cncf.helm.config.v1+json',
    ]) {
      it(`is read with the config type ${JSON.stringify(mediaType)}: the engine decides`, () => {
        expect(parse({ ...manifest, config: { ...config, mediaType } }).kind).to.equal('manifest');
      });
    }

    it('is read with an artifact type beside the config of an image', () => {
      expect(parse({ ...manifest, artifactType: 'application/vnd.example' }).kind).to.equal('manifest');
      expect(parse({ ...manifest, artifactType: '' }).kind).to.equal('manifest');
    });

    for (const mediaType of [
      'application/vnd.oci.image.layer.v1.tar',
      'application/vnd.oci.image.layer.v1.tar+zstd',
      'application/vnd.oci.image.layer.v1.tar+gzip+encrypted',
      'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
      'application/vnd.docker.image.rootfs.diff.tar.gzip',
      'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
      'application/vnd.example.future',
      'application/x; parameter=1',
    ]) {
      it(`keeps a layer of type ${mediaType} as it is`, () => {
        expect(readLayer({ ...layer, mediaType })).to.deep.equal({ ...layer, mediaType });
      });
    }

    it('keeps a layer that is there several times, in order', () => {
      const other = { ...layer, digest: `sha256:${'cd'.repeat(32)}` };
      expect(layersOf(parse({ ...manifest, layers: [layer, other, layer, layer] }))).to.deep.equal([
        layer,
        other,
        layer,
        layer,
      ]);
    });

    it('keeps URLs as given, without a look at them', () => {
      const urls = ['https://example.com/layer?sig=1', 'ftp://x', 'not a URL', ''];
      expect(readLayer({ ...layer, urls })).to.deep.equal({ ...layer, urls });
    });

    it('takes the last of duplicate keys, as Go does', () => {
      const text = JSON.stringify(manifest).replace('"size":11', '"size":1,"size":11');
      expect(layersOf(parse(text))).to.deep.equal([layer]);
    });
  });

  describe('a descriptor', () => {
    for (const size of [0, 1, 2 ** 31, 2 ** 32, 2 ** 53 - 1]) {
      it(`may have the size ${size}`, () => {
        expect(readLayer({ ...layer, size })).to.deep.equal({ ...layer, size });
      });
    }

    it('has the size 0 where JSON says -0', () => {
      const read = readLayer({ ...layer, size: 0 });
      const negative = layersOf(parse(JSON.stringify({ ...manifest, layers: [layer] }).replace(':11', ':-0')))[0];
      expect(negative).to.deep.equal(read);
    });

    for (const size of [
      '-1',
      '1.5',
      '9007199254740992',
      '9007199254740993',
      '1e400',
      '-1e400',
      '"11"',
      'true',
      'null',
    ]) {
      it(`must not have the size ${size}`, () => {
        const error = refusal(JSON.stringify(manifest).replace('"size":11', `"size":${size}`));
        expect(error.problem).to.equal('malformed');
        expect(error.message).to.include('layers[0].size');
      });
    }

    it('must have a size', () => {
      expect(refusal({ ...manifest, config: without(config, 'size') }).message).to.include('config.size');
    });

    for (const key of ['Digest', 'dige\u017ft', 'SIZE', 'mediatype', 'URLs', 'Data', 'Platform']) {
      it(`must not have ${key}, which some readers take for another key and others do not`, () => {
        const { message } = refusal({ ...index, manifests: [entry, { ...entry, [key]: entry['digest'] }] });
        expect(message).to.match(/manifests\[1\]\.\w+ is spelt/);
      });
    }
    for (const bad of [
      '',
      'sha256:',
      `sha256:${'AB'.repeat(32)}`,
      `md5:${'a'.repeat(32)}`,
      'latest',
      7,
      null,
      [digest],
    ]) {
      it(`must not have the digest ${JSON.stringify(bad)}`, () => {
        expect(refusal({ ...index, manifests: [entry, { ...entry, digest: bad }] }).message).to.include(
          'manifests[1].digest',
        );
      });
    }

    for (const [what, change, field] of [
      ['a media type of 256 characters', { mediaType: 'a'.repeat(256) }, 'mediaType'],
      ['a media type with a line break', { mediaType: 'a/b\nc' }, 'mediaType'],
      ['a media type that is a list', { mediaType: [ociLayer] }, 'mediaType'],
      ['an artifact type that is a number', { artifactType: 1 }, 'artifactType'],
      ['a URL that is a number', { urls: ['https://a', 1] }, 'urls[1]'],
      ['a URL of 8193 characters', { urls: ['u'.repeat(8193)] }, 'urls[0]'],
      ['URLs that are a string', { urls: 'https://a' }, 'urls'],
      ['an annotation of 262145 characters', { annotations: { a: 'a'.repeat(262_145) } }, 'annotations["a"]'],
      ['an annotation key of 262145 characters', { annotations: { ['a'.repeat(262_145)]: '' } }, 'annotations'],
      ['an annotation that is an object', { annotations: { a: {} } }, 'annotations["a"]'],
      ['a platform that is a string', { platform: 'linux/amd64' }, 'platform'],
      ['an operating system that is a number', { platform: { os: 1 } }, 'platform.os'],
      ['an architecture with an escape', { platform: { os: 'linux', architecture: '\u001b[2J' } }, 'architecture'],
      ['features that are a string', { platform: { os: 'linux', 'os.features': 'a' } }, 'os.features'],
    ] as const) {
      it(`must not have ${what}`, () => {
        const error = refusal({ ...index, manifests: [{ ...entry, ...change }] });
        expect(error.problem).to.equal('malformed');
        expect(error.message).to.include(`manifests[0].`).and.to.include(field);
      });
    }

    it('keeps its artifact type, unless it is empty', () => {
      const artifactType = 'application/vnd.example';
      expect(readLayer({ ...layer, artifactType })).to.deep.equal({ ...layer, artifactType });
      expect(readLayer({ ...layer, artifactType: '' })).to.deep.equal(layer);
    });

    it('must not have more than 64 URLs', () => {
      const urls = (count: number): Json => ({ ...layer, urls: Array.from({ length: count }, () => 'https://a') });
      expect(readLayer(urls(64))).to.deep.equal(urls(64));
      expect(refusal({ ...manifest, layers: [urls(65)] }).problem).to.equal('too-large');
    });

    it('keeps its platform as given, without what is empty', () => {
      const platform = {
        os: 'Windows',
        architecture: 'x86_64',
        variant: 'v1',
        'os.version': '10.0.20348.1',
        'os.features': ['win32k'],
      };
      expect(parse({ ...index, manifests: [{ ...entry, platform }] })).to.deep.include({
        manifests: [
          {
            ...entry,
            platform: {
              os: 'Windows',
              architecture: 'x86_64',
              variant: 'v1',
              osVersion: '10.0.20348.1',
              osFeatures: ['win32k'],
            },
          },
        ],
      });
      const sparse = { os: 'linux', architecture: '', variant: '', 'os.version': null, 'os.features': [] };
      expect(parse({ ...index, manifests: [{ ...entry, platform: sparse }] })).to.deep.include({
        manifests: [{ ...entry, platform: { os: 'linux', architecture: '' } }],
      });
    });

    it('keeps a platform that says anything at all', () => {
      for (const platform of [{ variant: 'v7' }, { 'os.version': '10.0' }]) {
        const [read] = manifestsOf(parse({ ...index, manifests: [{ ...entry, platform }] }));
        expect(read).to.have.property('platform');
      }
    });

    for (const platform of [null, {}, { os: '', architecture: '' }]) {
      it(`has no platform when it is ${JSON.stringify(platform)}`, () => {
        expect(parse({ ...index, manifests: [{ ...entry, platform }] })).to.deep.include({
          manifests: [without(entry, 'platform')],
        });
      });
    }
  });

  describe('embedded data', () => {
    /** A layer whose content is `bytes`, embedded. */
    function embedded(bytes: Uint8Array, change: Json = {}): Json {
      const data = Buffer.from(bytes).toString('base64');
      return { mediaType: ociLayer, digest: digestOf(bytes), size: bytes.length, data, ...change };
    }
    const content = Buffer.from('some content');

    for (const length of [1, 2, 3, 4, 5, 1000]) {
      it(`of ${length} bytes is decoded`, () => {
        const bytes = Buffer.alloc(length, 0xfb);
        const read = readLayer(embedded(bytes)) as { readonly data: Uint8Array };
        expect(Buffer.from(read.data).equals(bytes)).to.equal(true);
      });
    }

    it('is verified by sha512 where the digest is one', () => {
      const read = readLayer(embedded(content, { digest: digestOf(content, 'sha512') })) as {
        readonly data: Uint8Array;
      };
      expect(Buffer.from(read.data).equals(content)).to.equal(true);
    });

    it('that is empty or null is not there', () => {
      expect(readLayer({ ...layer, data: '' })).to.deep.equal(layer);
      expect(readLayer({ ...layer, data: null })).to.deep.equal(layer);
    });

    it('of 1 MiB is decoded, and more is left to be fetched', () => {
      const largest = Buffer.alloc(1_048_576, 1);
      expect(readLayer(embedded(largest))).to.have.property('data');
      const more = embedded(Buffer.alloc(1_048_577, 1));
      expect(readLayer(more)).to.deep.equal(without(more, 'data'));
    });

    const encoded = content.toString('base64');
    for (const [what, change] of [
      ['of other content', { data: Buffer.from('same length!').toString('base64') }],
      ['shorter than its size', { data: Buffer.from('short').toString('base64') }],
      ['longer than its size', { data: Buffer.from('some content, and more').toString('base64') }],
      ['of the right length in base64 but not in bytes', { data: `${encoded.slice(0, -1)}=` }],
      ['with a space', { data: `${encoded.slice(0, -1)} ` }],
      ['with a line break', { data: `${encoded.slice(0, 4)}\n${encoded.slice(4)}` }],
      ['in the alphabet of URLs', { ...embedded(Buffer.from([0xfb, 0xff, 0xfe])), data: '-__-' }],
      ['without padding', { ...embedded(Buffer.from('a')), data: 'YQ' }],
      ['with bits left over', { ...embedded(Buffer.from('a')), data: 'YR==' }],
      ['with characters that are none', { ...embedded(Buffer.from('a')), data: '\u0000\u00e9==' }],
      ['that is a list', { data: [1, 2] }],
      ['of a size that is not its own', { size: 13 }],
      ['of size 0', { size: 0 }],
    ] as const) {
      it(`${what} is refused`, () => {
        const error = refusal({ ...manifest, layers: [{ ...embedded(content), ...change }] });
        expect(error.problem).to.equal('malformed');
        expect(error.message).to.include('layers[0].data');
      });
    }
  });

  describe('a document with the keys of prototypes', () => {
    it('neither pollutes nor is completed by a prototype', () => {
      const text = `{"__proto__":{"polluted":true,"layers":[]},"constructor":{"prototype":{"polluted":true}},"config":${JSON.stringify(config)}}`;
      expect(refusal(text).message).to.include('layers is missing');
      expect(({} as Json)['polluted']).to.equal(undefined);
    });

    for (const [key, value, document, missing] of [
      ['manifests', [entry], {}, 'neither manifests'],
      ['config', config, without(manifest, 'config'), 'config is missing'],
      ['size', 11, { ...manifest, layers: [without(layer, 'size')] }, 'layers[0].size'],
    ] as const) {
      it(`finds no ${key} on Object.prototype`, () => {
        // oxlint-disable-next-line no-extend-native
        Object.defineProperty(Object.prototype, key, { value, configurable: true });
        try {
          expect(refusal(document).message).to.include(missing);
        } finally {
          Reflect.deleteProperty(Object.prototype, key);
        }
      });
    }

    it('keeps such annotations as mere words', () => {
      const text = JSON.stringify({ ...manifest, annotations: { a: 'b' } }).replace(
        '"a":"b"',
        '"__proto__":"x","constructor":"y"',
      );
      const { annotations } = parse(text);
      expect(Object.keys(annotations ?? {})).to.deep.equal(['__proto__', 'constructor']);
      expect(annotations?.['toString']).to.equal(undefined);
    });
  });

  describe('any document', () => {
    const word = fc.oneof(
      fc.constantFrom(ociIndex, ociManifest, dockerList, dockerManifest, schema1, ociConfig, '', digest),
      fc.string({ maxLength: 8 }),
    );
    const anything = fc.oneof(word, fc.jsonValue({ maxDepth: 2 }));
    const descriptor = fc.record(
      {
        mediaType: anything,
        digest: fc.oneof({ weight: 4, arbitrary: fc.constant(digest as unknown) }, { weight: 1, arbitrary: anything }),
        size: fc.oneof(fc.nat(), fc.double(), anything),
        platform: fc.oneof(fc.record({ os: anything, architecture: anything }, { requiredKeys: [] }), anything),
        annotations: fc.oneof(fc.dictionary(fc.string(), word), anything),
        urls: anything,
        data: fc.oneof(fc.base64String({ maxLength: 12 }), anything),
      },
      { requiredKeys: ['digest', 'size'] },
    );
    const document = fc.record(
      {
        schemaVersion: fc.oneof({ weight: 4, arbitrary: fc.constant<unknown>(2) }, { weight: 1, arbitrary: anything }),
        mediaType: anything,
        manifests: fc.oneof(fc.array(descriptor, { maxLength: 3 }), anything),
        config: fc.oneof(descriptor, anything),
        layers: fc.oneof(fc.array(descriptor, { maxLength: 3 }), anything),
        artifactType: anything,
        annotations: anything,
      },
      { requiredKeys: [] },
    );
    const contentType = fc.option(fc.oneof(word, fc.constantFrom('text/html', 'application/json')), { nil: null });

    it('is read or refused with a ManifestError, and nothing else happens', () => {
      fc.assert(
        fc.property(document, contentType, (found, header) => {
          try {
            const read = parse(found, header);
            expect(manifestMediaTypes).to.include(read.mediaType);
          } catch (error) {
            if (!(error instanceof ManifestError)) throw error;
          }
        }),
        { numRuns: 2000 },
      );
    });

    it('may be any bytes', () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 200 }), contentType, (bytes, header) => {
          expect(() => parseManifest(bytes, header)).to.throw(ManifestError);
        }),
      );
    });

    it('may have one byte changed anywhere', () => {
      const good = bytesOf({ ...index, manifests: [{ ...entry, annotations: { a: 'b' }, urls: ['https://a'] }] });
      fc.assert(
        fc.property(fc.nat({ max: good.length - 1 }), fc.nat({ max: 255 }), (at, byte) => {
          const changed = Uint8Array.from(good);
          changed[at] = byte;
          try {
            expect(parseManifest(changed, ociIndex).kind).to.equal('index');
          } catch (error) {
            if (!(error instanceof ManifestError)) throw error;
          }
        }),
        { numRuns: 2000 },
      );
    });

    it('may end after any byte', () => {
      const good = bytesOf(manifest);
      for (let length = 0; length < good.length; length++) {
        expect(() => parseManifest(good.subarray(0, length), ociManifest), `${length} bytes`)
          .to.throw(ManifestError)
          .with.property('problem', 'malformed-json');
      }
    });
  });
});
