import { getEventListeners, once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { inspect } from 'node:util';
import { expect } from 'chai';
import { maxHelperAnswerBytes, runCredentialHelper } from '../../lib/registries/credential-helper.js';
import { CredentialsUnavailableError } from '../../lib/registries/credentials-unavailable.js';
import type { Credentials } from '../../lib/registries/credentials.js';
import { answering, createDockerFolder, type DockerFolder } from './docker-folder.js';
import { failureOf } from '../support/failure-of.js';
import { until } from '../support/until.js';

describe('a credential helper', () => {
  let folder: DockerFolder;

  beforeEach(async () => {
    folder = await createDockerFolder();
  });

  afterEach(() => folder.remove());

  function run(
    helper: string,
    options: { readonly serverKey?: string; readonly signal?: AbortSignal } = {},
  ): Promise<Credentials | null> {
    const { serverKey = 'quay.io', signal = new AbortController().signal } = options;
    return runCredentialHelper({ helper, serverKey, signal, env: folder.env });
  }

  it('is run with `get`, reads the registry from its input, and answers with a user and a secret', async () => {
    await folder.writeHelper('spec', answering('robot', 'hunter2'));
    expect(await run('spec', { serverKey: 'quay.io:5000' })).to.deep.equal({ username: 'robot', password: 'hunter2' });
    expect(await folder.runs()).to.deep.equal(['get quay.io:5000']);
  });

  it('answers with an identity token when the user is <token>', async () => {
    await folder.writeHelper('spec', answering('<token>', 'eyJ.refresh'));
    expect(await run('spec')).to.deep.equal({ identityToken: 'eyJ.refresh' });
  });

  for (const text of ['credentials not found in native keychain', ' credentials not found in native keychain\\n']) {
    it(`knows nothing of the registry when it says ${JSON.stringify(text)} and fails`, async () => {
      await folder.writeHelper('spec', `printf '${text}'; exit 1`);
      expect(await run('spec')).to.equal(null);
    });
  }

  it('knows nothing of the registry when user and secret are empty', async () => {
    await folder.writeHelper('spec', answering('', ''));
    expect(await run('spec')).to.equal(null);
  });

  it('may end without reading its input', async () => {
    await folder.writeNodeHelper(
      'spec',
      `require('node:fs').closeSync(0); console.log(JSON.stringify({ Username: 'a', Secret: 'b' }));`,
    );
    expect(await run('spec', { serverKey: 'x'.repeat(2_000_000) })).to.deep.equal({ username: 'a', password: 'b' });
  });

  it('may leave a process behind that keeps its output open', async () => {
    await folder.writeHelper('spec', `(while [ -e runs ]; do sleep 0.1; done) &\n${answering('robot', 'hunter2')}`);
    expect(await run('spec')).to.deep.equal({ username: 'robot', password: 'hunter2' });
  });

  it('may answer with an answer as long as allowed, in pieces', async () => {
    const secret = 's'.repeat(maxHelperAnswerBytes - 100);
    await folder.writeNodeHelper(
      'spec',
      `const text = JSON.stringify({ Username: 'a', Secret: 's'.repeat(${secret.length}) });
       process.stdout.write(text.slice(0, 7), () => setTimeout(() => process.stdout.write(text.slice(7)), 20));`,
    );
    expect(await run('spec')).to.deep.equal({ username: 'a', password: secret });
  });

  const failures: readonly {
    readonly title: string;
    readonly body: string;
    readonly problem: string;
    readonly says: string;
  }[] = [
    {
      title: 'fails',
      body: 'echo hunter2; echo hunter2 >&2; exit 3',
      problem: 'helper-failed',
      says: 'exit code 3',
    },
    { title: 'is killed', body: 'echo hunter2; kill -9 $$', problem: 'helper-failed', says: 'killed' },
    { title: 'prints no JSON', body: 'echo hunter2', problem: 'helper-malformed', says: 'not JSON' },
    { title: 'prints nothing', body: 'true', problem: 'helper-malformed', says: 'not JSON' },
    { title: 'prints an array', body: `echo '["hunter2"]'`, problem: 'helper-malformed', says: 'Username' },
    { title: 'prints null', body: 'echo null', problem: 'helper-malformed', says: 'not an object' },
    {
      title: 'prints no secret',
      body: `echo '{"Username":"hunter2"}'`,
      problem: 'helper-malformed',
      says: 'Username and Secret',
    },
    {
      title: 'prints a secret with a line end',
      body: `printf '%s' '{"Username":"a","Secret":"hunter2\\n"}'`,
      problem: 'helper-malformed',
      says: 'control character',
    },
    {
      title: 'prints without end',
      body: 'while :; do echo hunter2hunter2hunter2hunter2hunter2hunter2; done',
      problem: 'helper-malformed',
      says: 'more than 65536 bytes',
    },
  ];
  for (const { title, body, problem, says } of failures) {
    it(`makes credentials unavailable when it ${title}, and nothing it printed is shown`, async () => {
      await folder.writeHelper('spec', body);
      const error = await failureOf(run('spec'));
      expect(error).to.be.instanceOf(CredentialsUnavailableError).with.property('problem', problem);
      expect(error).to.have.property('message').that.includes(says).and.includes('docker-credential-spec');
      expect(inspect(error, { showHidden: true, depth: Infinity })).to.not.include('hunter2');
    });
  }

  it('that is not installed is named', async () => {
    const error = await failureOf(run('absent'));
    expect(error).to.be.instanceOf(CredentialsUnavailableError).with.property('problem', 'helper-missing');
    expect(error).to.have.property('message').that.includes('docker-credential-absent').and.includes('PATH');
  });

  for (const name of ['', '../spec', 'a/b', 'a\\b', 'a b', 'a;b', '$(id)', 'spec\0', 'spéc']) {
    it(`is not looked for by the name ${JSON.stringify(name)}`, async () => {
      await folder.writeHelper('spec', answering('robot', 'hunter2'));
      const error = await failureOf(run(name));
      expect(error).to.be.instanceOf(CredentialsUnavailableError).with.property('problem', 'config-malformed');
      expect(await folder.runs()).to.deep.equal([]);
    });
  }

  it('is started by no shell', async () => {
    await folder.writeHelper('a.b-c_1', answering('robot', 'hunter2'));
    expect(await run('a.b-c_1', { serverKey: '$(touch x); `touch x`' })).to.not.equal(null);
    expect(await folder.runs()).to.deep.equal(['get $(touch x); `touch x`']);
  });

  it('is killed on an abort, with what it started, and the reason of the abort is rethrown', async () => {
    const connected: Socket[] = [];
    const ended: Socket[] = [];
    const server = createServer((socket) => {
      connected.push(socket);
      socket.on('error', () => {}).on('close', () => ended.push(socket));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    // Both hold a connection for as long as they live, and neither minds being asked to end.
    const stay = `process.on('SIGTERM', () => {}); require('node:net').connect(${port}, '127.0.0.1').resume();`;
    await folder.writeNodeHelper(
      'spec',
      `${stay} require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(stay)}], { stdio: 'inherit' });`,
    );
    try {
      const controller = new AbortController();
      const reason = { why: 'caller' };
      const waiting = failureOf(run('spec', { signal: controller.signal }));
      await until(() => connected.length === 2, 'helper and child are there');
      controller.abort(reason);
      expect(await waiting).to.equal(reason);
      await until(() => ended.length === 2, 'helper and child are gone');
      expect(getEventListeners(controller.signal, 'abort')).to.have.length(0);
    } finally {
      for (const socket of connected) socket.destroy();
      server.close();
    }
  });

  it('is not started after an abort', async () => {
    await folder.writeHelper('spec', answering('robot', 'hunter2'));
    expect(await failureOf(run('spec', { signal: AbortSignal.abort('gone') }))).to.equal('gone');
    expect(await folder.runs()).to.deep.equal([]);
  });

  it('leaves no listener on the signal', async () => {
    await folder.writeHelper('spec', answering('robot', 'hunter2'));
    const { signal } = new AbortController();
    await run('spec', { signal });
    await failureOf(run('absent', { signal }));
    expect(getEventListeners(signal, 'abort')).to.have.length(0);
  });
});
