import { expect } from 'chai';
import { namesProxies, readProxies, type ProxyEnvironment } from '../../lib/distribution/proxies.js';

describe('the proxy for a URL', () => {
  const chosen = (env: ProxyEnvironment, url: string): string | null => {
    const proxy = readProxies(env)(new URL(url));
    return proxy === null ? null : (proxy.url?.href ?? 'unusable');
  };

  it('is the one of its scheme, in upper case before lower case', () => {
    const env = { HTTPS_PROXY: 'http://s:1', HTTP_PROXY: 'http://p:2', https_proxy: 'http://lower:3' };
    expect(chosen(env, 'https://quay.io/')).to.equal('http://s:1/');
    expect(chosen(env, 'http://quay.io/')).to.equal('http://p:2/');
    expect(chosen({ https_proxy: 'http://lower:3' }, 'https://quay.io/')).to.equal('http://lower:3/');
    expect(chosen({ HTTPS_PROXY: '', https_proxy: 'http://lower:3' }, 'https://quay.io/')).to.equal('http://lower:3/');
  });
  it('is none where none is named', () => {
    expect(chosen({}, 'https://quay.io/')).to.equal(null);
    expect(chosen({ HTTP_PROXY: 'http://p:2' }, 'https://quay.io/')).to.equal(null);
  });
  it('needs no scheme, and may speak TLS itself', () => {
    expect(chosen({ HTTPS_PROXY: 'proxy.corp:3128' }, 'https://quay.io/')).to.equal('http://proxy.corp:3128/');
    expect(chosen({ HTTPS_PROXY: 'https://proxy.corp' }, 'https://quay.io/')).to.equal('https://proxy.corp/');
  });
  it('is unusable, not left out, where it cannot be understood: the operator wanted no direct connection', () => {
    for (const value of ['socks5://proxy:1080', 'http://', 'http://[::1', 'http://proxy:99999']) {
      expect(chosen({ HTTPS_PROXY: value }, 'https://quay.io/'), value).to.equal('unusable');
    }
  });
  it('is never used for loopback', () => {
    const env = { HTTP_PROXY: 'http://p:2', HTTPS_PROXY: 'http://p:2' };
    for (const host of ['localhost:5000', '127.0.0.1:5000', '127.8.8.8', '[::1]:5000', 'registry.localhost']) {
      expect(chosen(env, `http://${host}/`), host).to.equal(null);
      expect(chosen(env, `https://${host}/`), host).to.equal(null);
    }
  });
  it('is not taken from HTTP_PROXY inside of CGI, where a client can set it', () => {
    expect(chosen({ HTTP_PROXY: 'http://p:2', REQUEST_METHOD: 'GET' }, 'http://quay.io/')).to.equal(null);
  });
  it('keeps its credentials out of its URL, decoded', () => {
    const proxy = readProxies({ HTTPS_PROXY: 'http://us%40er:p%3Aass@proxy:3128' })(new URL('https://quay.io/'));
    expect(proxy?.url?.href).to.equal('http://proxy:3128/');
    expect(proxy?.authorization).to.equal(`Basic ${Buffer.from('us@er:p:ass').toString('base64')}`);
  });

  const exempt: readonly [string, readonly string[], readonly string[]][] = [
    ['quay.io', ['quay.io', 'cdn.quay.io', 'QUAY.io', 'quay.io.'], ['xquay.io', 'quay.io.evil.example', 'io']],
    ['.quay.io', ['cdn.quay.io'], ['quay.io', 'xquay.io']],
    ['*.quay.io', ['cdn.quay.io'], ['quay.io']],
    ['quay.io:5000', ['quay.io:5000'], ['quay.io', 'quay.io:5001']],
    ['quay.io:443', ['quay.io'], ['quay.io:5000']],
    ['10.0.0.5', ['10.0.0.5', '10.0.0.5:5000'], ['10.0.0.6']],
    ['10.0.0.0/8', ['10.1.2.3'], ['11.0.0.1', 'ten.example']],
    ['fd00::/8', ['[fd12::1]:5000'], ['[fe80::1]']],
    ['[fd12::1]:5000', ['[fd12::1]:5000'], ['[fd12::1]']],
    ['fd12::1', ['[fd12::1]'], ['[fd12::2]']],
    ['*', ['quay.io', '10.0.0.1'], []],
    [' a.example , b.example ,,', ['a.example', 'b.example'], ['c.example']],
    ['', [], ['quay.io']],
  ];
  for (const [list, direct, proxied] of exempt) {
    it(`is none for what NO_PROXY=${JSON.stringify(list)} exempts, and for nothing else`, () => {
      const env = { HTTPS_PROXY: 'http://p:2', NO_PROXY: list };
      for (const host of direct) expect(chosen(env, `https://${host}/`), host).to.equal(null);
      for (const host of proxied) expect(chosen(env, `https://${host}/`), host).to.equal('http://p:2/');
    });
  }
  it('is a snapshot: what happens to the environment later changes nothing', () => {
    const env: Record<string, string> = { HTTPS_PROXY: 'http://p:2' };
    const choose = readProxies(env);
    env['HTTPS_PROXY'] = 'http://other:2';
    expect(choose(new URL('https://quay.io/'))?.url?.href).to.equal('http://p:2/');
  });
});

describe('an environment', () => {
  it('names proxies when it says anything of them, in either case, if only that there are none', () => {
    for (const name of ['HTTP_PROXY', 'https_proxy', 'ALL_PROXY', 'all_proxy', 'NO_PROXY', 'no_proxy']) {
      expect(namesProxies({ [name]: '*' }), name).to.equal(true);
      expect(namesProxies({ [name]: '' }), name).to.equal(false);
    }
    expect(namesProxies({ PATH: '/bin' })).to.equal(false);
  });
});
