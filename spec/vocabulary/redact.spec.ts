import { expect } from 'chai';
import fc from 'fast-check';
import { redactText, redactUrl } from '../../lib/vocabulary/redact.js';

const jwt = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJyb2JvdCJ9.c2lnbmF0dXJl';

/** URLs as registries redirect to them, each with what of it must never be shown. */
const signedUrls: readonly {
  readonly from: string;
  readonly url: string;
  readonly secrets: readonly string[];
  readonly shown: string;
}[] = [
  {
    from: 'S3, signature version 4 (ECR)',
    url: 'https://prod-us-east-1-starport-layer-bucket.s3.us-east-1.amazonaws.com/1a-2b/3c?X-Amz-Security-Token=IQoJb3JpZ2luX2VjEBw%2B&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20170726T182000Z&X-Amz-SignedHeaders=host&X-Amz-Expires=3600&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20170726%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Signature=fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024',
    secrets: ['IQoJ', 'AKIA', 'fe5f80'],
    shown:
      'https://prod-us-east-1-starport-layer-bucket.s3.us-east-1.amazonaws.com/1a-2b/3c?X-Amz-Security-Token=***&X-Amz-Algorithm=***&X-Amz-Date=***&X-Amz-SignedHeaders=***&X-Amz-Expires=***&X-Amz-Credential=***&X-Amz-Signature=***',
  },
  {
    from: 'S3, signature version 2',
    url: 'https://s3.amazonaws.com/bucket/blob?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Expires=1501093200&Signature=vjbyPxybdZaNmGa%2ByT272YEAiv4%3D',
    secrets: ['AKIA', 'vjby'],
    shown: 'https://s3.amazonaws.com/bucket/blob?AWSAccessKeyId=***&Expires=***&Signature=***',
  },
  {
    from: 'CloudFront (Quay)',
    url: 'https://cdn02.quay.io/sha256/ab/ab12?Expires=1501093200&Signature=NitfhTxB~ClYz-rA__&Key-Pair-Id=APKAJ67PQLWGCSP66DGA&Policy=eyJTdGF0ZW1lbnQiOltdfQ__',
    secrets: ['Nitfh', 'APKA', 'eyJTdGF0'],
    shown: 'https://cdn02.quay.io/sha256/ab/ab12?Expires=***&Signature=***&Key-Pair-Id=***&Policy=***',
  },
  {
    from: 'Azure SAS (GHCR)',
    url: 'https://pkg-containers.githubusercontent.com/ghcrblobs1/blobs/sha256:ab12?se=2017-07-26T18%3A30%3A00Z&sig=q2gPZ9mM%2BfAqzAvgD3%3D&ske=2017&skoid=0000-1111&sr=b&hmac=9f8e',
    secrets: ['q2gP', '9f8e', '0000-1111'],
    shown:
      'https://pkg-containers.githubusercontent.com/ghcrblobs1/blobs/sha256:ab12?se=***&sig=***&ske=***&skoid=***&sr=***&hmac=***',
  },
  {
    from: 'Google Cloud Storage',
    url: 'https://storage.googleapis.com/artifacts/containers/images/sha256:ab12?X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential=robot%40project.iam.gserviceaccount.com%2F20170726&X-Goog-Signature=247a2aa45f169edf4d187d54e7cc46e4731b1e6273242c4f4c39a1d2507a0e58',
    secrets: ['robot', '247a2aa'],
    shown:
      'https://storage.googleapis.com/artifacts/containers/images/sha256:ab12?X-Goog-Algorithm=***&X-Goog-Credential=***&X-Goog-Signature=***',
  },
  {
    from: 'Cloudflare (Docker Hub)',
    url: 'https://production.cloudflare.docker.com/registry-v2/docker/registry/v2/blobs/sha256/ab/ab12/data?verify=1501093200-x2Yc%2Fgq9%3D',
    secrets: ['x2Yc'],
    shown:
      'https://production.cloudflare.docker.com/registry-v2/docker/registry/v2/blobs/sha256/ab/ab12/data?verify=***',
  },
  {
    from: 'Akamai, with the token in the path',
    url: 'https://cdn.example.com/hdnts=exp=1501093200~acl=/*~hmac=9f8e7d6c/blobs/ab12',
    secrets: ['9f8e'],
    shown: 'https://cdn.example.com/hdnts=***~acl=***/*~hmac=***/blobs/ab12',
  },
  {
    from: 'a CDN that takes the token as the whole query',
    url: 'https://cdn.example.com/blob?9f8e7d6c5b4a',
    secrets: ['9f8e'],
    shown: 'https://cdn.example.com/blob?***',
  },
  {
    from: 'a storage with the token as a part of the path',
    url: `https://cdn.example.com/t/${jwt}/blob`,
    secrets: ['eyJ', 'c2lnbm'],
    shown: 'https://cdn.example.com/t/***/blob',
  },
  {
    from: 'a registry with user and password',
    url: 'https://robot:s3cr3t@quay.io:8443/v2/#s3cr3t',
    secrets: ['s3cr3t', 'robot'],
    shown: 'https://quay.io:8443/v2/',
  },
  {
    from: 'a password with a slash',
    url: 'https://robot:1/s3cr3t@quay.io/v2/',
    secrets: ['s3cr3t'],
    shown: 'https://robot:1/***',
  },
  {
    from: 'an IPv6 address',
    url: 'http://robot:s3cr3t@[::1]:5000/v2/?verify=9f8e',
    secrets: ['s3cr3t', '9f8e'],
    shown: 'http://[::1]:5000/v2/?verify=***',
  },
];

describe('a redacted URL', () => {
  for (const { from, url, secrets, shown } of signedUrls) {
    it(`of ${from} keeps where it leads, and nothing that lets anybody in`, () => {
      expect(redactUrl(url)).to.equal(shown);
      expect(redactUrl(new URL(url))).to.equal(shown);
      for (const secret of secrets) expect(shown).to.not.include(secret);
    });
  }

  it('shows what was asked of a token service', () => {
    expect(
      redactUrl(
        'https://auth.docker.io/token?account=robot&service=registry.docker.io&scope=repository%3Aa%2Fb%3Apull',
      ),
    ).to.equal('https://auth.docker.io/token?account=***&service=registry.docker.io&scope=repository:a/b:pull');
    expect(redactUrl(`https://auth.docker.io/token?scope=${jwt}`)).to.equal('https://auth.docker.io/token?scope=***');
  });

  it('is hidden whole when it is none, or leads to no host', () => {
    expect(redactUrl('s3cr3t')).to.equal('***');
    expect(redactUrl('http://')).to.equal('***');
    expect(redactUrl('https://robot:s3cr3t@')).to.equal('***');
    expect(redactUrl('data:text/plain,s3cr3t')).to.equal('data:***');
    expect(redactUrl('file:///home/robot/s3cr3t')).to.equal('file:***');
  });

  it('is shown when it is the socket of an engine: an error about it is of no use without', () => {
    expect(redactUrl('unix:///run/user/1000/podman.sock')).to.equal('unix:///run/user/1000/podman.sock');
    expect(redactUrl('npipe:////./pipe/docker_engine')).to.match(/^npipe:\/\/.*pipe\/docker_engine$/);
    expect(redactUrl('unix:///run/key=s3cr3t/x@y')).to.not.include('s3cr3t');
    expect(redactText('engine docker:unix:///run/docker.sock is gone')).to.equal(
      'engine docker:unix:///run/docker.sock is gone',
    );
  });

  it('is short, however long the URL', () => {
    const long = `https://quay.io/${'a/'.repeat(5_000)}?${'k=v&'.repeat(5_000)}`;
    expect(redactUrl(long).length).to.be.at.most(401);
    const parameters = redactUrl(`https://quay.io/?${'k=v&'.repeat(500)}`);
    expect(parameters).to.match(/^https:\/\/quay\.io\/\?(k=\*\*\*&){20}…$/);
  });
});

describe('redacted text', () => {
  it('has each URL in it redacted, in whatever a sentence puts it', () => {
    const frames: readonly ((url: string) => string)[] = [
      (url) => `Get "${url}": context deadline exceeded`,
      (url) => `Get '${url}': EOF`,
      (url) => `moved (see ${url}).`,
      (url) => `<a href="${url}">Temporary Redirect</a>.`,
      (url) => `[${url}], {${url}}`,
      (url) => `\`${url}\``,
      (url) => JSON.stringify({ message: `not at ${url}` }),
      (url) => JSON.stringify({ detail: JSON.stringify({ url }) }),
      (url) => JSON.stringify({ url }).replaceAll('/', '\\/').replaceAll('&', '\\u0026'),
      (url) => `first line\n${url}\r\nlast line`,
      (url) => `LOCATION=${url.replace('https', 'HTTPS')}`,
    ];
    for (const { url, secrets } of signedUrls) {
      for (const frame of frames) {
        const text = redactText(frame(url));
        for (const secret of secrets) expect(text, frame(url)).to.not.include(secret);
      }
    }
  });

  it('keeps the host and the path of a URL, and the sentence around it', () => {
    expect(redactText('Get "https://quay.io/v2/?sig=9f8e": EOF')).to.equal('Get "https://quay.io/v2/?sig=***": EOF');
    expect(redactText('(see https://quay.io/v2/, or http://[::1])')).to.equal(
      '(see https://quay.io/v2/, or http://[::1]/)',
    );
    expect(redactText('dial tcp 10.0.0.5:5000: connect: connection refused')).to.equal(
      'dial tcp 10.0.0.5:5000: connect: connection refused',
    );
  });

  const planted: readonly (readonly [string, string])[] = [
    ['Authorization: Bearer s3cr3tvalue', 's3cr3tvalue'],
    ['authorization: Basic cm9ib3Q6czNjcjN0', 'cm9ib3Q6'],
    ['Proxy-Authorization: Basic cm9ib3Q6czNjcjN0', 'cm9ib3Q6'],
    ['{"authorization":"Bearer s3cr3tvalue"}', 's3cr3tvalue'],
    ['sent bearer s3cr3tvalue to it', 's3cr3tvalue'],
    ['Authorization: AWS4-HMAC-SHA256 Credential=abc/20170726, SignedHeaders=host, Signature=9f8e', '9f8e'],
    ['Cookie: a=b; session=s3cr3t; other=s3cr3t', 's3cr3t'],
    ['Set-Cookie: id=s3cr3t; Path=/', 's3cr3t'],
    ['X-Registry-Auth: eyJ1c2VybmFtZSI6InJvYm90In0=', 'eyJ1c2'],
    ['{"token":"s3cr3t","expires_in":300}', 's3cr3t'],
    ['{"access_token": "s3cr3t"}', 's3cr3t'],
    ['{"refresh_token" : "s3 cr3t, and more"}', 'cr3t'],
    ['{"identitytoken":"s3\\"cr3t"}', 'cr3t'],
    ['{"detail":"{\\"token\\":\\"s3cr3t\\"}"}', 's3cr3t'],
    ['{"tokens":["s3cr3t","s3cr3t"]}', 's3cr3t'],
    ['{"password":{"value":"s3cr3t"}}', 's3cr3t'],
    ['{"auths":{"quay.io":{"auth":"cm9ib3Q6czNjcjN0"}}}', 'cm9ib3Q6'],
    ['{"Username":"robot","Secret":"s3cr3t"}', 's3cr3t'],
    ['{"registrytoken":"s3cr3t', 's3cr3t'],
    ["password='s3cr3t with more'", 'with more'],
    ['grant_type=password&username=robot&password=s3cr3t&refresh_token=s3cr3t', 's3cr3t'],
    ['client_secret=s3cr3t', 's3cr3t'],
    ['AWS_SECRET_ACCESS_KEY=s3cr3t', 's3cr3t'],
    ['x-ms-account-key: s3cr3t', 's3cr3t'],
    ['GET /v2/a/blobs/x?verify=s3cr3t&other=s3cr3t HTTP/1.1', 's3cr3t'],
    ['robot:s3cr3t@quay.io/team refused', 's3cr3t'],
    [`invalid token ${jwt} seen`, 'eyJ'],
    ['denied for ghp_abcdefghijklmnopqrstuvwxyz012345', 'ghp_abc'],
    ['denied for dckr_pat_abcdefghijklmnopqrstuvwx', 'abcdefgh'],
    ['denied for glpat-abcdefghijklmnopqrst', 'abcdefgh'],
    ['key AKIAIOSFODNN7EXAMPLE is disabled', 'AKIA'],
    ['<Error><Code>ExpiredToken</Code><Token-0>s3cr3t</Token-0></Error>', 's3cr3t'],
    ['<SignatureProvided>s3cr3t</SignatureProvided><StringToSign>GET\n\ns3cr3t</StringToSign>', 's3cr3t'],
    ['<AWSAccessKeyId>s3cr3t</AWSAccessKeyId>', 's3cr3t'],
  ];
  for (const [text, secret] of planted) {
    it(`hides the secret of ${JSON.stringify(text)}`, () => {
      expect(redactText(text)).to.not.include(secret);
      expect(redactText(`registry said: ${text} (again: ${text})`)).to.not.include(secret);
    });
  }

  it('leaves alone what only sounds like a secret', () => {
    const harmless = [
      'unauthorized: authentication required',
      'no basic auth credentials',
      'Bearer realm is missing',
      'the token service answered 503',
      'docker.io/library/redis:3.0@sha256:0123456789abcdef resolved',
      'manifest unknown: manifest tagged by "3.0" is not found',
      'toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating',
      'denied: requested access to the resource is denied',
      'received 6000000 of 20000000 bytes, no byte for 4000 ms',
      'what? 1=1',
    ];
    for (const text of harmless) expect(redactText(text)).to.equal(text);
  });

  it('says nothing that moves a cursor, breaks a line or turns the reading direction', () => {
    expect(redactText('a\u001b[2Jb\r\nc\u0000d\u2028e\u202ef\u2066g\u009bh')).to.equal('a [2Jb c d e f g h');
  });

  it('is shortened to 400 characters, and never ends in half a character', () => {
    expect(redactText('a '.repeat(5_000))).to.have.length(401);
    expect(redactText('a'.repeat(400))).to.equal('a'.repeat(400));
    const cut = redactText(`${'a'.repeat(399)}😀 and more`);
    expect(cut).to.equal(`${'a'.repeat(399)}…`);
  });

  it('hides a secret that its cut runs through', () => {
    for (let before = 380; before <= 400; before += 1) {
      expect(redactText(`${'a '.repeat(before / 2)} token=s3cr3ts3cr3t and so on`)).to.not.include('s3');
    }
    for (let before = 1_570; before <= 1_600; before += 1) {
      const text = `${'\u0001'.repeat(before)} {"token":"s3cr3ts3cr3ts3cr3ts3cr3t"}`;
      expect(redactText(text)).to.not.include('s3');
    }
  });

  it('hides a planted secret in any surroundings that do not end its field', () => {
    const secret = fc.stringMatching(/^[A-Za-z0-9+/_-]{12,40}$/).map((text) => `S3${text}`);
    const words = fc.string({ maxLength: 60 }).map((text) => text.replace(/[\\"'`<>]/g, ' '));
    const shape = fc.constantFrom(
      (text: string) => `"password":"${text}"`,
      (text: string) => `{"token": "${text}"}`,
      (text: string) => `?access_token=${text}&x=y`,
      (text: string) => `https://robot:${encodeURIComponent(text)}@quay.io/v2/`,
      (text: string) => `https://quay.io/v2/?whatever=${encodeURIComponent(text)}`,
      (text: string) => `\nAuthorization: Bearer ${text}\n`,
    );
    fc.assert(
      fc.property(words, shape, secret, words, (before, frame, text, after) => {
        expect(redactText(`${before} ${frame(text)} ${after}`)).to.not.include(text);
      }),
      { numRuns: 2_000 },
    );
  });

  it('comes back short and printable, whatever it was', () => {
    const pieces = fc.constantFrom(
      ...signedUrls.map(({ url }) => url),
      ...planted.map(([text]) => text),
      '"',
      '\\',
      '\n',
      ' ',
    );
    const texts = fc.oneof(
      fc.string({ maxLength: 3_000 }),
      fc.string({ unit: 'binary', maxLength: 3_000 }),
      fc.array(fc.oneof(pieces, fc.string()), { maxLength: 12 }).map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const once = redactText(text);
        expect(once.length).to.be.at.most(401);
        // oxlint-disable-next-line no-control-regex
        expect(once).to.not.match(/[\u0000-\u001f\u007f-\u009f]/);
      }),
      { numRuns: 1_000 },
    );
  });

  it('takes no longer for text that is made to be slow', () => {
    const hostile = [
      'a'.repeat(1e6),
      'a.'.repeat(5e5),
      'a:'.repeat(5e5),
      'a:b'.repeat(3e5),
      'token'.repeat(2e5),
      'token-'.repeat(2e5),
      'token=\\"'.repeat(2e5),
      `token="${'\\'.repeat(1e6)}`,
      'https://'.repeat(2e5),
      `https://${')'.repeat(1e6)}`,
      `?a=${'&'.repeat(1e6)}`,
      '?a='.repeat(3e5),
      'eyJaaaaaaaa.'.repeat(1e5),
      'eyJ'.repeat(3e5),
      '<token'.repeat(2e5),
      'authorization:'.repeat(1e5),
      ' '.repeat(1e6),
      'bearer '.repeat(2e5),
    ];
    for (const text of hostile) {
      const startMs = performance.now();
      redactText(text);
      redactUrl(`https://quay.io/${text}`);
      redactUrl(`https://quay.io/?${text}`);
      // Linear work takes some milliseconds; a regular expression that backtracks over this takes hours.
      expect(performance.now() - startMs, text.slice(0, 20)).to.be.below(2_000);
    }
  });
});
