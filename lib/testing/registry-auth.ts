import { randomBytes } from 'node:crypto';
import { monotonicMs } from '../clock/time.js';
import { type Answer, errorAnswer, jsonAnswer } from './answer.js';

/** A user's password, and the repositories it opens (default: all). */
export type TestUser = string | { readonly password: string; readonly repositories?: readonly string[] };

/** How a registry double lets clients in. */
export type RegistryAuth =
  | { readonly kind: 'basic'; readonly users: Readonly<Record<string, TestUser>> }
  | {
      readonly kind: 'bearer';
      readonly users?: Readonly<Record<string, TestUser>>;
      /** Identity tokens and the user each stands for; they are exchanged by `POST` with `refresh_token`. */
      readonly identityTokens?: Readonly<Record<string, string>>;
      /** Repositories that need no user; default: all when there are no users, else none. */
      readonly anonymous?: boolean | readonly string[];
      /** Default 300. */
      readonly expiresInSeconds?: number;
      /** Which field of the answer holds the token; default both. */
      readonly tokenField?: 'token' | 'access_token' | 'both';
    };

/** Who asks: a user, anybody, or an answer that turns them away. */
export type Admission =
  { readonly kind: 'admitted'; readonly user: string | null } | { readonly kind: 'refused'; readonly answer: Answer };

/** The access rules of one registry. */
export interface RegistryGate {
  /** @param repository null for what belongs to no repository, such as a ping */
  admit(authorization: string | undefined, repository: string | null): Admission;
  /** Answers a token request; `form` is the body of a POST. */
  issue(method: string, target: URL, authorization: string | undefined, form: URLSearchParams): Answer;
  /** Tokens issued so far are worth nothing from now on. */
  revokeTokens(): void;
}

interface IssuedToken {
  readonly user: string | null;
  readonly repositories: ReadonlySet<string>;
  readonly untilMs: number;
}

const defaultExpiresInSeconds = 300;
const scopePattern = /^repository:([^:]+):pull$/;

/**
 * @param service the registry's name in its challenges
 * @param realm the URL of its token service
 */
export function createGate(auth: RegistryAuth | null, service: string, realm: string): RegistryGate {
  const issued = new Map<string, IssuedToken>();
  const users = auth?.users ?? {};

  function isUser(name: string, password: string): boolean {
    const user = Object.hasOwn(users, name) ? users[name] : undefined;
    return user !== undefined && (typeof user === 'string' ? user : user.password) === password;
  }

  function opens(name: string | null, repository: string): boolean {
    if (name !== null) {
      const user = users[name];
      const repositories = typeof user === 'object' ? user.repositories : undefined;
      return repositories === undefined || repositories.includes(repository);
    }
    if (auth?.kind !== 'bearer') return false;
    const anonymous = auth.anonymous ?? Object.keys(users).length === 0;
    return typeof anonymous === 'boolean' ? anonymous : anonymous.includes(repository);
  }

  function challenge(repository: string | null, error: string | null): Admission {
    const scope = repository === null ? '' : `,scope="repository:${repository}:pull"`;
    const header =
      auth?.kind === 'basic'
        ? `Basic realm="${service}"`
        : `Bearer realm="${realm}",service="${service}"${scope}${error === null ? '' : `,error="${error}"`}`;
    const headers = { 'www-authenticate': header };
    return { kind: 'refused', answer: errorAnswer(401, 'UNAUTHORIZED', 'authentication required', headers) };
  }

  function admitBasic(authorization: string, repository: string | null): Admission {
    const given = parseBasic(authorization);
    if (given === null || !isUser(given.name, given.password)) return challenge(repository, null);
    if (repository !== null && !opens(given.name, repository)) {
      return { kind: 'refused', answer: errorAnswer(403, 'DENIED', 'requested access to the resource is denied') };
    }
    return { kind: 'admitted', user: given.name };
  }

  function admitBearer(authorization: string, repository: string | null): Admission {
    const found = issued.get(/^bearer (.+)$/i.exec(authorization)?.[1] ?? '');
    if (found === undefined || monotonicMs() >= found.untilMs) return challenge(repository, 'invalid_token');
    if (repository !== null && !found.repositories.has(repository)) return challenge(repository, 'insufficient_scope');
    return { kind: 'admitted', user: found.user };
  }

  return {
    admit: (authorization, repository) => {
      if (auth === null) return { kind: 'admitted', user: null };
      if (authorization === undefined) return challenge(repository, null);
      return auth.kind === 'basic' ? admitBasic(authorization, repository) : admitBearer(authorization, repository);
    },

    issue: (method, target, authorization, form) => {
      if (auth?.kind !== 'bearer') return errorAnswer(404, 'UNSUPPORTED', 'this registry issues no tokens');
      const asked = method === 'POST' ? form : target.searchParams;
      if (asked.get('service') !== service) return errorAnswer(400, 'UNSUPPORTED', 'service is missing or another one');
      const scopes = asked.getAll('scope').flatMap((scope) => scope.split(' '));
      const repositories = scopes.map((scope) => scopePattern.exec(scope)?.[1]);
      if (repositories.includes(undefined))
        return errorAnswer(400, 'DENIED', 'a puller asks for repository:…:pull only');

      const user = userOf(method, authorization, form);
      if (user === undefined) return errorAnswer(401, 'UNAUTHORIZED', 'incorrect username or password');
      // A token that opens nothing is still issued, as Docker Hub does: the registry then refuses it.
      const opened = repositories.filter((name): name is string => name !== undefined && opens(user, name));
      const text = randomBytes(24).toString('base64url');
      const expiresInSeconds = auth.expiresInSeconds ?? defaultExpiresInSeconds;
      issued.set(text, {
        user,
        repositories: new Set(opened),
        untilMs: monotonicMs() + expiresInSeconds * 1000,
      });
      const field = auth.tokenField ?? 'both';
      return jsonAnswer(200, {
        ...(field === 'access_token' ? {} : { token: text }),
        ...(field === 'token' ? {} : { access_token: text }),
        expires_in: expiresInSeconds,
        issued_at: new Date().toISOString(),
      });
    },

    revokeTokens: () => {
      issued.clear();
    },
  };

  /** The user who asks, null for anybody, or undefined for wrong credentials. */
  function userOf(method: string, authorization: string | undefined, form: URLSearchParams): string | null | undefined {
    if (method === 'POST') {
      const tokens = (auth?.kind === 'bearer' ? auth.identityTokens : undefined) ?? {};
      const refreshToken = form.get('refresh_token') ?? '';
      if (form.get('grant_type') === 'refresh_token') {
        return Object.hasOwn(tokens, refreshToken) ? tokens[refreshToken] : undefined;
      }
      const name = form.get('username') ?? '';
      return form.get('grant_type') === 'password' && isUser(name, form.get('password') ?? '') ? name : undefined;
    }
    if (authorization === undefined) return null;
    const given = parseBasic(authorization);
    return given !== null && isUser(given.name, given.password) ? given.name : undefined;
  }
}

function parseBasic(authorization: string): { readonly name: string; readonly password: string } | null {
  const encoded = /^basic ([A-Za-z0-9+/]+=*)$/i.exec(authorization)?.[1];
  if (encoded === undefined) return null;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon < 0 ? null : { name: text.slice(0, colon), password: text.slice(colon + 1) };
}
