/** One pull that the incident touched. */
export declare interface AffectedOperation {
    readonly pullId: string;
    /** As the host gave it; null where it gave none. */
    readonly kind: string | null;
    readonly id: string | null;
    readonly image: string;
    readonly engine: string;
    /** In which phases it was touched. */
    readonly phases: readonly Phase[];
    readonly outcome: OperationOutcome;
    /** Null unless it got its image. */
    readonly savedBy: SavedBy | null;
    readonly startedAtMs: number;
    /** Null while it runs. */
    readonly endedAtMs: number | null;
    /** How long it was parked, up to now where it still is. */
    readonly lateMs: number;
    /** What went wrong for it first; null where it was planned around the failing registry. */
    readonly reason: Reason | null;
    /** What the host was told; null unless it failed. */
    readonly error: {
        readonly code: ErrorCode;
        readonly message: string;
    } | null;
}

/** One try to get one object from one registry, that failed. */
export declare interface Attempt {
    /** The registry's prefix. */
    readonly registry: string;
    readonly phase: Phase;
    readonly reason: Reason;
    readonly verdict: Verdict;
    /** The digest or tag that was asked for. */
    readonly object: string;
    /** Milliseconds from the request to the failure. */
    readonly elapsedMs: number;
    /** Body bytes that had arrived and are kept. */
    readonly bytes: number;
    /** Milliseconds since the epoch at which it failed. */
    readonly atMs: number;
}

/** How fast a double or proxy sends, as a network between it and the client would. Without it: as fast as it goes. */
export declare interface Bandwidth {
    /** Shared fairly by all connections. Default: no limit. */
    readonly totalBytesPerSecond?: number;
    /** What one connection gets at most. Default: no limit. */
    readonly perConnectionBytesPerSecond?: number;
    /** One round trip, in milliseconds: each answer begins so much later, the first of a connection twice. Default 0. */
    readonly latencyMs?: number;
}

/** What a ban may say. */
export declare interface BanOptions extends ControlOptions {
    /** Also when no other registry is left: such pulls find nobody to ask. Default false. */
    readonly force?: boolean;
}

/** Who wants it. */
export declare interface BlobContext {
    readonly signal: AbortSignal;
    readonly pullId: string;
}

/**
 * Where the bytes of one blob go, in order, until they are all there and known to be right.
 * It belongs to one writer; every call is awaited before the next one.
 * Errors of the disk reach the caller as Node throws them, with their `code`.
 */
export declare interface BlobSink {
    /** Bytes an earlier, interrupted writer left, which count as written; 0 after `restart()`. They are not verified. */
    readonly kept: number;
    /** The bytes that were kept, from the first one, in chunks of at most 1 MiB. */
    readKept(): AsyncIterable<Uint8Array>;
    /** Appends. Resolves when the next chunk may come, which is when the disk keeps up; the chunk must not be changed afterwards. */
    write(chunk: Uint8Array): Promise<void>;
    /** Forgets every byte, the kept ones too. */
    restart(): Promise<void>;
    /** Makes the blob visible, whole and durable; the sink is finished. The caller has verified the digest of every byte. */
    commit(): Promise<void>;
    /** Stops here and keeps what was written for a later resume. Never rejects; idempotent; does nothing after `commit()`. */
    release(): Promise<void>;
}

/** Where blobs go one by one: what the heart knows of an engine. */
export declare interface BlobStore {
    /** Whether the blob is there in its full size; its content was verified before it got its name. */
    hasBlob(blob: Pick<Descriptor, 'digest' | 'size'>): Promise<boolean>;
    /**
     * Opens a place for one blob, with bytes an earlier writer left and nobody else is going on from. Null when the blob
     * is there. Never waits for another writer of the same blob, who may be slower or fail: the first to commit wins.
     */
    openBlob(blob: WantedBlob, context: BlobContext): Promise<BlobSink | null>;
    /**
     * The bytes of a blob that is there, from offset `from`, in chunks of at most 1 MiB, not verified.
     *
     * @throws EngineError when it is not there
     */
    streamBlob(digest: Digest, from: number): AsyncIterable<Uint8Array>;
}

/** What can go wrong while a body is sent. */
export declare type BodyTrouble = 
/** The bytes stop; the connection stays open. */
({
    readonly kind: 'stall';
} & FaultPosition)
/** The connection is reset (RST). */
| ({
    readonly kind: 'reset';
} & FaultPosition)
/** The connection is closed in order (FIN) before the announced length. */
| ({
    readonly kind: 'truncate';
} & FaultPosition)
/** From there on at this rate. */
| ({
    readonly kind: 'drip';
    readonly bytesPerSecond: number;
} & FaultPosition)
/** One byte is another one; the length is right. */
| {
    readonly kind: 'wrong-bytes';
    readonly atByte?: number;
    readonly atShare?: number;
}
/** Longer (or, negative, shorter) by so many bytes, and announced so. */
| {
    readonly kind: 'wrong-length';
    readonly byBytes: number;
}
/** Encoded although nobody asked for it. */
| {
    readonly kind: 'content-encoding';
    readonly encoding: ContentCoding;
}
/** `'chunked'`, or `'close'`: the end of the connection ends the body. */
| {
    readonly kind: 'no-content-length';
    readonly framing?: 'chunked' | 'close';
};

/** A range as asked for: `start` up to and including `end`, or to the end when that is null. */
export declare interface ByteRange {
    readonly start: number;
    readonly end: number | null;
}

/** Why something failed: one closed union, used in events, attempts, circuits and errors. */
export declare type Cause = 'registry-api' | 'registry-storage' | 'credentials' | 'rate-limit' | 'not-replicated' | 'content' | 'tls' | 'proxy' | 'dns' | 'network-egress' | 'host-disk' | 'host-process' | 'engine' | 'caller';

/** The registry is well again in this phase. */
export declare interface CircuitClosed extends OfCircuit<'circuit:closed'> {
    readonly seenBy: SeenBy;
}

/** The cool-down is over: the next pull tries this registry in its place again. */
export declare type CircuitHalfOpened = OfCircuit<'circuit:half-opened'>;

/** Health of one registry in one phase, JSON-safe; times are milliseconds since the epoch. */
export declare interface CircuitHealth {
    /** The registry's prefix. */
    readonly registry: string;
    readonly phase: RegistryPhase;
    /** `held`: by an operator, whatever happens at the registry. */
    readonly state: 'closed' | 'open' | 'half-open' | 'held';
    /** Since when it is in this state. */
    readonly sinceMs: number;
    /** Why it opened; null while it is closed. */
    readonly reason: Reason | null;
    /** When the cool-down ends; null unless it is open. */
    readonly untilMs: number | null;
    /** Until when the registry wants to be left alone in this phase; null when it may be asked. */
    readonly limitedUntilMs: number | null;
    /** What a held circuit counts as; null unless it is held. */
    readonly heldAs: 'open' | 'closed' | null;
    /** When the next probe is due, if nothing changes; null when none is planned. A time that is over: it is being made. */
    readonly nextProbeAtMs: number | null;
}

/** A registry is taken for ill in one phase: plans put it last until the cool-down is over. */
export declare interface CircuitOpened extends OfCircuit<'circuit:opened'> {
    readonly seenBy: SeenBy;
    /** Milliseconds since the epoch at which the cool-down ends. */
    readonly untilMs: number;
}

/** A circuit changed. */
export declare interface CircuitStep {
    readonly atMs: number;
    readonly registry: string;
    readonly phase: RegistryPhase;
    readonly state: 'open' | 'half-open' | 'closed';
    readonly reason: Reason | null;
    /** Null where it was not told: a cool-down ended. */
    readonly seenBy: SeenBy | null;
}

/** How to close a puller. */
export declare interface CloseOptions {
    /** How long running pulls may still take, in milliseconds; default 0. */
    readonly graceMs?: number;
}

/**
 * Makes the default puller of this process, which `pullWithFailover` and `events` belong to, and returns it.
 * Once per process; after it was closed, again.
 *
 * @throws InvalidOptionError, also when it was called before and the puller it returned is not closed
 */
export declare function configure(options: PullerOptions): Puller;

/** Faults before any request. */
export declare const connection: ConnectionFaults;

/** Faults before any request. */
export declare interface ConnectionFaults {
    /** Nobody listens on the port. */
    refuse(scope?: Pick<FaultScope, 'at' | 'between'>): Fault;
    /** Reset as soon as it is accepted. */
    reset(scope?: Scope): Fault;
    /** Accepted, then silence. */
    blackhole(scope?: Scope): Fault;
}

/** What can go wrong before any request. */
export declare type ConnectionTrouble = 
/** Nobody listens on the port. Of the scope only `at` and `between` apply. */
    {
    readonly kind: 'refuse';
}
/** Reset as soon as it is accepted. */
| {
    readonly kind: 'reset';
}
/** Accepted, then silence: not even a TLS handshake is answered. */
| {
    readonly kind: 'blackhole';
};

/** An encoding that a body can be sent in. */
export declare type ContentCoding = 'gzip' | 'deflate' | 'br';

/** Faults of what a registry says or sends, for blobs and manifests alike. */
export declare interface ContentFaults {
    /** The byte at `atByte` (default the first) or `atShare` is another one. */
    wrongBytes(options?: {
        readonly atByte?: number;
        readonly atShare?: number;
    } & Scope): Fault;
    /** Longer by `byBytes` (default 1), or shorter when negative, and announced so. */
    wrongLength(options?: {
        readonly byBytes?: number;
    } & Scope): Fault;
    /** Encoded although nobody asked for it. */
    contentEncoding(encoding: ContentCoding, scope?: Scope): Fault;
    /** Chunked, or with `framing: 'close'` ended by the end of the connection. */
    noContentLength(options?: {
        readonly framing?: 'chunked' | 'close';
    } & Scope): Fault;
    /** Redirects to itself for ever. */
    redirectLoop(scope?: Scope): Fault;
    /** Redirects to `url`, in which `{path}` stands for the path asked for. */
    redirectTo(url: string, options?: {
        readonly status?: number;
    } & Scope): Fault;
    /** 404 with the code of the specification. */
    missing(scope?: Scope): Fault;
}

/** An operator's act that is in force, JSON-safe. */
export declare interface Control {
    readonly id: string;
    readonly act: ControlAct;
    /** The registry's prefix. */
    readonly registry: string;
    readonly scope: ControlScope;
    /** Why, in the operator's words; free of secrets. */
    readonly reason: string;
    /** Who did it. */
    readonly actor: string;
    /** Milliseconds since the epoch. */
    readonly sinceMs: number;
    /** When it ends by itself, in milliseconds since the epoch; null when it does not. */
    readonly untilMs: number | null;
    /** What becomes of bytes under way when it begins: they come from the next registry, or the request may finish. */
    readonly inFlight: 'move' | 'finish';
    /** What a held circuit counts as; null for the other acts. */
    readonly as: 'open' | 'closed' | null;
    /** Whether the last candidate may be banned. */
    readonly force: boolean;
    /** Where it was said: by a call, or in the control file. */
    readonly origin: 'call' | 'file';
}

/**
 * What an operator does about a registry.
 *
 * - `prefer`: it comes first
 * - `ban`: it is not asked at all
 * - `hold`: its circuit stays as it is told, whatever happens
 */
export declare type ControlAct = 'prefer' | 'ban' | 'hold';

/** One act of a state that is declared as a whole. A `Control` of `list()` is one too. */
export declare interface ControlEntry {
    /** Letters, digits, `.`, `_`, `:` and `-`, at most 80. Default: made from act, registry and scope, the same on every host. */
    readonly id?: string;
    readonly act: ControlAct;
    /** The registry's prefix. */
    readonly registry: string;
    /** Default: all pulls. A hold has no scope but its phase: a circuit is the same for all pulls. */
    readonly scope?: ControlScope;
    /** Default: none. */
    readonly reason?: string;
    /** Default: this process's user; in a file, the file. */
    readonly actor?: string;
    /** Milliseconds since the epoch; of two preferences the later comes first. Default: when it was first read. */
    readonly sinceMs?: number;
    /** When it ends by itself, in milliseconds since the epoch. Default null: it does not. */
    readonly untilMs?: number | null;
    /** The same, for people: ISO 8601 with its time zone, `2017-07-26T20:46:00Z`. */
    readonly until?: string;
    /** Default `'move'`. */
    readonly inFlight?: 'move' | 'finish';
    /** What a held circuit counts as; of a hold only, and required there. */
    readonly as?: 'open' | 'closed' | null;
    /** Whether the last candidate may be banned; of a ban only. Default false. */
    readonly force?: boolean;
    /** Means nothing here. */
    readonly origin?: 'call' | 'file';
}

/** An act that a call began. */
export declare interface ControlHandle {
    readonly id: string;
    /** Ends it. Returns false when it had ended already. */
    release(): boolean;
}

/** What an operator says beside the registry. */
export declare interface ControlOptions {
    /** Default: all pulls. */
    readonly scope?: ControlScope;
    /** The same as `scope.phase`. */
    readonly phase?: RegistryPhase;
    /** Why, for whoever finds it: shown in plans, events and incidents. Default: none. */
    readonly reason?: string;
    /** Who; default: the user this process runs as. */
    readonly actor?: string;
    /** Ends by itself after so many milliseconds, at most a year; default `Infinity`: it does not. */
    readonly forMs?: number;
    /**
     * What becomes of requests under way: `move` leaves them at the next byte for the next registry, `finish` lets them end.
     * Default `'move'`.
     */
    readonly inFlight?: 'move' | 'finish';
}

/** Which pulls an operator's act concerns; what is not named concerns all of them. */
export declare interface ControlScope {
    /** `operation.kind` of the pull. */
    readonly operationKind?: string;
    /** The name of the image's replica set. */
    readonly replicaSet?: string;
    readonly phase?: RegistryPhase;
}

/** What is to be in force, as a whole: whatever was declared before and is not in it ends. */
export declare interface ControlState {
    /** Of the format; a file must say it. */
    readonly version?: 1;
    /** At most 1,000. Of entries without `sinceMs`, an earlier one comes before a later one. */
    readonly controls: readonly ControlEntry[];
}

/**
 * Makes a puller. Nothing is contacted yet, and no timer keeps the process alive.
 *
 * @throws InvalidOptionError naming the option's path and its value
 */
export declare function createPuller(options: PullerOptions): Puller;

/**
 * Makes a puller for a host's unit tests: no network, no disk, no time passes. What a host can do wrong with a real
 * puller it can do wrong with this one: options, references, plans, joining, deadlines, parking, circuits, events and
 * `close()` are the real ones. Only what registries would do is told by scripts.
 *
 * @param options those of the host's own puller, so that its rules hold here too; none are needed
 * @throws InvalidOptionError
 */
export declare function createPullerDouble(options?: PullerOptions): PullerDouble;

/**
 * What a registry, or its token service, is shown.
 *
 * - `username` and `password`: Basic, to the registry or to its token service
 * - `identityToken`: a refresh token, which the token service exchanges for an access token
 * - `registryToken`: an access token, sent to the registry as it is
 */
export declare type Credentials = {
    readonly username: string;
    readonly password: string;
} | {
    readonly identityToken: string;
} | {
    readonly registryToken: string;
};

/**
 * Returns the credentials for a registry, or null for none. The answer is reused for a minute, and asked for again
 * when the registry rejects what it had accepted before. An answer later than 10 seconds counts as a failure.
 */
export declare type CredentialsCallback = (request: CredentialsRequest) => Credentials | null | Promise<Credentials | null>;

/** The credentials themselves, `'none'` (anonymous, whatever Docker's configuration says) or a callback. */
export declare type CredentialsOption = Credentials | 'none' | CredentialsCallback;

/** What a credentials callback is told. */
export declare interface CredentialsRequest {
    /** The registry's prefix; for credentials given per pull, the host of the image's own registry. */
    readonly registry: string;
    /** Aborts when nobody waits for the answer any more, or when it is late. */
    readonly signal: AbortSignal;
}

/** Faults of a body under way. */
export declare interface CutFaults {
    /** The bytes stop there; the connection stays open. */
    stall(options?: Placed): Fault;
    /** The connection is reset there. */
    reset(options?: Placed): Fault;
    /** The connection is closed in order there, before the announced length. */
    truncate(options?: Placed): Fault;
    /** From there on at this rate. */
    drip(options: {
        readonly bytesPerSecond: number;
    } & Placed): Fault;
}

/**
 * Content named by digest: a manifest, a config or a layer.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md#properties
 */
export declare interface Descriptor {
    /** As given; empty where an old document has none. */
    readonly mediaType: string;
    readonly digest: Digest;
    /** In bytes, from 0 to 2^53 − 1. */
    readonly size: number;
    readonly platform?: Platform;
    /** An object without a prototype. */
    readonly annotations?: Readonly<Record<string, string>>;
    /** Other places that have the content, as given: unchecked, and never to be shown without redaction. */
    readonly urls?: readonly string[];
    /** The content itself, where the document embeds it: decoded, and verified against `digest` and `size`. */
    readonly data?: Uint8Array;
    readonly artifactType?: string;
}

/** What a request to an engine consists of, as docker-modem takes it. */
export declare interface DialOptions {
    path: string;
    method: string;
    headers?: Record<string, string>;
    options?: {
        _query: Record<string, string>;
        _body: Record<string, never>;
    };
    file?: NodeJS.ReadableStream;
    statusCodes: Record<number, true>;
    isStream: true;
    abortSignal?: AbortSignal;
}

/**
 * A checked content digest, `sha256:<64 hex>` or `sha512:<128 hex>`.
 * A plain string becomes one only through `parseDigest` of the `image/` room.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md#digests
 */
export declare type Digest = string & {
    readonly [digestBrand]: 'Digest';
};

/**
 * The algorithms registered by the image specification; no other is accepted anywhere, weaker ones least of all.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md#registered-algorithms
 */
export declare type DigestAlgorithm = 'sha256' | 'sha512';

declare const digestBrand: unique symbol;

/**
 * Returns another image of the same shape, as a tag that was built anew elsewhere: every digest differs.
 *
 * @throws {TypeError} when the image was not made by `seededImage`
 */
export declare function divergedFrom(image: TestImage): TestImage;

/** A Docker or Podman daemon as an engine. Ends with `close()`: its requests end then, and later ones are refused. */
export declare interface DockerEngine extends Engine, AsyncDisposable {
    readonly kind: 'docker';
}

/**
 * A Docker or Podman daemon as an engine. Asks it nothing yet.
 *
 * @param docker the host's own dockerode, version 3 to 5; default: the daemon that Docker's own client would use
 *   (`DOCKER_HOST`, contexts, the usual socket)
 * @throws InvalidOptionError
 */
export declare function dockerEngine(docker?: DockerLike, options?: DockerEngineOptions): DockerEngine;

/** How images get into a daemon. */
export declare interface DockerEngineOptions {
    /** What events and reports call this engine; default `docker:` and its address. */
    readonly id?: string;
    /**
     * How bytes get there. `auto`, the default, is `relay` where the daemon proves that it reaches this process, else
     * `load`.
     */
    readonly route?: 'auto' | 'relay' | 'load' | 'direct';
    readonly relay?: {
        /**
         * Where the relay listens in this process: a port, or `host:port`; default `127.0.0.1` and a free port. In a
         * container, `0.0.0.0:5055`, with that port published on 127.0.0.1 of the daemon's host.
         */
        readonly listen?: string | number;
        /** `host:port` as the daemon sees the relay; default: where it listens. */
        readonly advertise?: string;
    };
    readonly load?: {
        /** How fast an archive is sent at most, in bytes per second; default `Infinity`. */
        readonly maxBytesPerSecond?: number;
    };
}

/**
 * A dockerode of version 3, 4 or 5, the host's own. Of all it can do, only the way to the engine is used, which tunnels
 * and certificates, sockets and pipes are hidden behind.
 */
export declare interface DockerLike {
    readonly modem: {
        dial(options: DialOptions, callback: (error: unknown, answer?: unknown) => void): unknown;
    };
}

/** Where images go: one OCI image layout on disk, or one Docker or Podman daemon. Ends with `close()`. */
export declare interface Engine {
    /** What events and reports call it; two engines of one puller have different ones. */
    readonly id: string;
    readonly kind: 'oci-layout' | 'docker';
    /** Where it is: a directory, or the address of a daemon, without credentials. Two objects with one address are one place. */
    readonly address: string;
    /** Ends what is open, keeps what was written, and waits until nothing is under way. Idempotent. */
    close(): Promise<void>;
}

/** The engine itself failed: a broken layout, a daemon that refused. */
export declare class EngineError extends PullFailoverError {
    readonly name = "EngineError";
    readonly engine: string;
    constructor(engine: string, message: string, cause?: unknown);
}

/** Every code a `PullFailoverError` can carry; new ones are added, none changes its meaning. */
export declare type ErrorCode = 'ERR_OPTION_INVALID' | 'ERR_REFERENCE_INVALID' | 'ERR_NOT_CONFIGURED' | 'ERR_IMAGE_UNSUPPORTED' | 'ERR_IMAGE_REFUSED' | 'ERR_IMAGE_NOT_CACHED' | 'ERR_PULL_EXHAUSTED' | 'ERR_PULL_DEADLINE' | 'ERR_ENGINE_FAILED' | 'ERR_HOST_FAULT' | 'ERR_REPLICA_DIVERGED' | 'ERR_PARK_CANCELLED' | 'ERR_PULLER_CLOSED';

/** What the constructor of every error takes beside its message. */
export declare interface ErrorDetails {
    readonly code: ErrorCode;
    readonly retryable: boolean;
    readonly cause?: unknown;
}

/** The default puller's events. May be subscribed to before `configure`. */
export declare const events: PullEvents;

/** Faults of any exchange. */
export declare interface ExchangeFaults {
    /** The request is taken and never answered. */
    noHeaders(scope?: Scope): Fault;
    /** The connection is closed instead of an answer. */
    hangUp(scope?: Scope): Fault;
    /** The answer begins `ms` milliseconds later; adds to any other fault. */
    delay(options: {
        readonly ms: number;
    } & Scope): Fault;
    /** Another status, with the error body of the specification unless `body` is given. */
    status(status: number, options?: StatusDetails): Fault;
}

/** What can go wrong with any exchange. */
export declare type ExchangeTrouble = 
/** The request is taken and never answered. */
    {
    readonly kind: 'no-headers';
}
/** The connection is closed instead of an answer, as an idle one is by a server that is just tired of it. */
| {
    readonly kind: 'hang-up';
}
/** The answer begins this much later. Adds to any other fault. */
| {
    readonly kind: 'delay';
    readonly ms: number;
} | StatusTrouble;

/** How a pull finds nobody who can serve it. */
export declare interface ExhaustOptions {
    /** What the error says of when to try again, in milliseconds. */
    readonly retryAfterMs?: number;
}

/**
 * Puts a failure in one sentence that an operator would write: what failed, the evidence, what to do about it.
 * Takes whatever a pull rejected with, a caller's own abort reason and foreign values too. Never throws, and never
 * shows a credential, token or signed URL.
 */
export declare function explainFailure(error: unknown): string;

/** For whom a plan is to be explained. */
export declare interface ExplainOptions {
    readonly operation?: Operation;
}

/** The plan of a pull that is not made. */
export declare interface Explanation {
    /** The canonical name. */
    readonly image: string;
    readonly replicaSet: string | null;
    /** In the order the host wants, each with the reason of its place. */
    readonly candidates: readonly PlannedCandidate[];
    /** The registries in the order in which each phase would ask them. */
    readonly order: Readonly<Record<RegistryPhase, readonly string[]>>;
    /** What is remembered of the tag, or null. */
    readonly rememberedDigest: Digest | null;
}

/** Work of one phase that moved from one registry to another. Once per pull × phase × from → to. */
export declare interface Failover {
    readonly phase: Phase;
    readonly from: string;
    readonly to: string;
    readonly reason: Reason;
    /** Bytes of the object that need not be fetched again. */
    readonly bytesKept: number;
}

/** Work that moves to another registry. */
export declare interface FailOverOptions extends MishapOptions {
    /** Default the first registry of the image's replica set. */
    readonly from?: string;
    /** Default the second one. */
    readonly to?: string;
    /** Bytes that need not be fetched again; default 6,000,000 for layers, always 0 for metadata. */
    readonly bytesKept?: number;
}

/** Work of one phase that moved from one registry to another for one reason. */
export declare interface FailoverTally {
    readonly phase: Phase;
    readonly from: string;
    readonly to: string;
    /** Of the first of them. */
    readonly reason: Reason;
    readonly count: number;
    readonly firstAtMs: number;
    readonly lastAtMs: number;
    /** Bytes that needed not be fetched again, of all of them. */
    readonly bytesKept: number;
}

/** Attempts that failed at one registry, in one phase, in one way. */
export declare interface FailureTally {
    readonly registry: string;
    readonly phase: Phase;
    /** Of the first of them. */
    readonly reason: Reason;
    readonly count: number;
    readonly firstAtMs: number;
    readonly lastAtMs: number;
    /** The engines whose pulls failed so: more than one are evidence against the registry. */
    readonly engines: readonly string[];
}

/**
 * Limits for unit tests: a stall, a missing answer or a drip is seen in about half a second,
 * well within a test's usual 2 s. Too short for real networks.
 */
export declare const fastTimeouts: Timeouts;

/**
 * One thing that goes wrong at a registry double or fault proxy, and for which requests.
 * A plain value: it can be written as JSON and read back with `parseFault`.
 */
export declare type Fault = ({
    readonly on: 'layers';
} & LayersTrouble & FaultScope) | ({
    readonly on: 'metadata';
} & MetadataTrouble & FaultScope) | ({
    readonly on: 'token';
} & TokenTrouble & FaultScope) | ({
    readonly on: 'ping';
} & PingTrouble & FaultScope) | ({
    readonly on: 'connection';
} & ConnectionTrouble & FaultScope);

/** What a fault is about. */
export declare type FaultGroup = 'layers' | 'metadata' | 'token' | 'ping' | 'connection';

/** A place in what is sent. Default: before its first byte. */
export declare interface FaultPosition {
    /** Bytes before it, counted from the start of the blob or manifest, whatever range is asked for. */
    readonly afterBytes?: number;
    /** The same as a share of the whole, 0 to 1. */
    readonly afterShare?: number;
    /** `'response'` counts `afterBytes` from the first byte of each response instead; default `'object'`. */
    readonly of?: 'object' | 'response';
}

/** A proxy before a real registry that makes it fail. */
export declare interface FaultProxy extends FaultServer {
    /** The registry behind it. */
    readonly upstream: string;
}

/** What a fault proxy is started with. */
export declare interface FaultProxyOptions extends FaultServerOptions {
    /** The certificate authority of the registry behind it, in PEM. */
    readonly ca?: string | Uint8Array;
}

/** Which of matching requests a fault strikes. Without any of these: all of them. */
export declare interface FaultScope {
    /** Only requests of this repository, such as `aptible/redis`. */
    readonly repository?: string;
    /** Only requests of this digest or tag. */
    readonly object?: string;
    readonly method?: 'GET' | 'HEAD';
    /**
     * Who is at fault for a blob: the registry's own API or the storage it redirects to.
     * Default: the one that sends the bytes.
     */
    readonly at?: 'registry' | 'storage';
    /** Strikes that many matching requests, then no more. */
    readonly times?: number;
    /** Spares the first matching requests. */
    readonly after?: number;
    /** Strikes only from … to … milliseconds after the faults were set. */
    readonly between?: readonly [fromMs: number, toMs: number];
    /** Strikes this share of the matching requests, chosen by `seed` and by how often the same object was asked for. */
    readonly probability?: number;
    /** For `probability`; default 1. */
    readonly seed?: number;
}

/** A registry double or fault proxy that is running. */
export declare interface FaultServer {
    /** `127.0.0.1:40001`: what an image name or a registry prefix starts with. */
    readonly host: string;
    readonly url: string;
    /** The origin that blobs are redirected to. */
    readonly storageUrl: string;
    /** Every request, in the order of arrival; entries go on changing until they have ended. */
    readonly requests: readonly LoggedRequest[];
    /** Body bytes sent for manifests and blobs, also from the storage. */
    readonly bytesSent: number;
    /** Connections accepted so far, those of the storage too. */
    readonly connections: number;
    readonly openConnections: number;
    readonly faults: readonly Fault[];
    /**
     * Puts other faults in force, from the next request on; what is being sent goes on as it began.
     * Their counts and times start anew. With faults of the connection, kept-alive idle ones are closed.
     * Resolves once a port is closed, or open again, as the faults say.
     *
     * @throws {InvalidOptionError} when a fault is malformed; the earlier ones then stay in force
     */
    setFaults(faults: readonly Fault[]): Promise<void>;
    /** Resets every open connection, whatever is being sent on it. */
    resetConnections(): void;
    /** Ends everything at once: ports, connections, timers. */
    close(): Promise<void>;
    [Symbol.asyncDispose](): Promise<void>;
}

/** What a registry double and a fault proxy have in common. */
export declare interface FaultServerOptions {
    /** What goes wrong from the start; default nothing. */
    readonly faults?: readonly Fault[];
    /** Blobs are redirected to a second origin, by signed URLs that hold for `expiresMs` (default 10 min); default false. */
    readonly redirects?: boolean | RedirectOptions;
    /** A shaped network to the clients; default: as fast as it goes. */
    readonly bandwidth?: Bandwidth;
    /** Serves HTTPS. */
    readonly tls?: ServerTls;
    /** The address to listen on, default `127.0.0.1`. */
    readonly listen?: string;
    /** Default 0: any free one. */
    readonly port?: number;
}

/** Whose fault a failure is, and what says so. JSON-safe. */
export declare interface Finding {
    /** `unproven`: one alone has seen it, so it may be either. */
    readonly fault: 'registry' | 'host' | 'unproven';
    /** One clause for people, to stand after what failed; free of secrets where the names of engines are. */
    readonly because: string;
    /**
     * - `two-engines`: another engine has seen the same
     * - `probe`: a probe of this process has, or found the registry well
     * - `others-succeed`: others got what they wanted of this registry, in this phase
     * - `own-process`: this process has seen it itself, and nobody else anything
     * - `none`: an engine has seen it by itself, and nobody else anything; or the cause is no registry's
     */
    readonly evidence: 'two-engines' | 'probe' | 'own-process' | 'others-succeed' | 'none';
}

/** When a circuit opens, for how long, and what closes it again. */
export declare interface HealthOptions {
    /** So many pulls in a row with an `ill` verdict open the circuit; default 2, `Infinity`: only the ratio does. */
    readonly consecutiveFailures?: number;
    /** This share of ill pulls, of at least 6 within `windowMs`, opens it too; above 0 and up to 1, default 0.5. */
    readonly failureRatio?: number;
    /** The sliding window of `failureRatio`, in milliseconds; default 30,000. */
    readonly windowMs?: number;
    /** The first cool-down, in milliseconds; default 15,000. It doubles with each reopening. */
    readonly coolDownMs?: number;
    /** The longest cool-down, in milliseconds; default 300,000. */
    readonly maxCoolDownMs?: number;
    /** How a registry whose cool-down is over is found to be well again. */
    readonly probe?: {
        /** From one good probe to the next, in milliseconds; default 2,500. Up to a fifth longer, at random. */
        readonly intervalMs?: number;
        /** What all probes and canaries of one registry may read within a minute, in bytes; default 4,194,304. */
        readonly maxBytesPerMinute?: number;
    };
    /** Looks at the listed registries that are taken for well, before an operation suffers. Default: none. */
    readonly canary?: {
        /** From one look to the next, in milliseconds, per registry and phase. Up to a fifth longer, at random. */
        readonly intervalMs: number;
    };
}

/** When what is late is asked of the next registry too, and how much of that there may be. */
export declare interface HedgeOptions {
    /**
     * Milliseconds after which a metadata request that has no answer is sent to the next registry too; above a limit it
     * means no hedge, `Infinity` never. Default: three times the registry's own 95th percentile, at least 1,000.
     */
    readonly metadataMs?: number;
    /**
     * Milliseconds without a byte for the part of a blob that everybody waits for, after which the next registry is asked
     * for it too; above a limit it means no hedge, `Infinity` never. Default: four times the longest pause that the
     * registry made earlier in this pull, and before its first byte four times its own 95th percentile; 400 at least, and
     * 1,000 at most.
     */
    readonly layersMs?: number;
    /**
     * What hedges may add, 0 to 1: requests, as a share of all metadata requests, beside 4 that a puller begins with; bytes,
     * as a share of those of the pull, beside 16 MiB that it begins with, and none at all with 0. Default 0.1.
     */
    readonly budget?: number;
}

/** What a hold says. */
export declare interface HoldOptions extends Omit<ControlOptions, 'scope'> {
    /** A circuit is the same for all pulls: a hold has no other scope. Default: both phases. */
    readonly scope?: Pick<ControlScope, 'phase'>;
    /** What the circuit counts as, whatever happens. */
    readonly as: 'open' | 'closed';
}

/** This host is at fault (a full disk, a broken file system): no registry can help, and none is blamed. */
export declare class HostFaultError extends PullFailoverError {
    readonly name = "HostFaultError";
    readonly reason: Reason;
    constructor(reason: Reason, cause?: unknown);
}

/** `pullPolicy: 'never'`, and the engine does not have the image for this platform. */
export declare class ImageNotCachedError extends PullFailoverError {
    readonly name = "ImageNotCachedError";
    readonly image: string;
    readonly engine: string;
    constructor(image: string, engine: string, platform: string);
}

/**
 * The host's own options forbid this image: it is in no replica set (`unlisted: 'refuse'`), `allowHost` did not say
 * yes, none of its registries may be contacted (`contact: false`), or an operator has banned all of them.
 */
export declare class ImageRefusedError extends PullFailoverError {
    readonly name = "ImageRefusedError";
    readonly image: string;
    readonly option: 'unlisted' | 'allowHost' | 'contact' | 'ban';
    constructor(image: string, option: ImageRefusedError['option'], message: string);
}

/**
 * What happened from the first circuit that opened until all were closed again, as one puller saw it. JSON-safe; times
 * are milliseconds since the epoch. Lists are bounded: `leftOut` says what they do not hold.
 */
export declare interface Incident {
    readonly id: string;
    /** When the first circuit opened. */
    readonly openedAtMs: number;
    /** When the last circuit closed; null while one is open or half-open. */
    readonly closedAtMs: number | null;
    /** The first thing that is recorded: what had failed before anybody knew, at most 20 minutes earlier. */
    readonly fromMs: number;
    /** The last thing that is recorded. */
    readonly untilMs: number;
    /** Prefixes of the registries whose circuits opened, in that order. */
    readonly registries: readonly string[];
    readonly circuits: readonly CircuitStep[];
    /** What operators did, and what was in force when it began. */
    readonly operatorActs: readonly OperatorStep[];
    /** Attempts that failed, those alike counted together. */
    readonly failures: readonly FailureTally[];
    /** Work that moved, moves alike counted together. */
    readonly failovers: readonly FailoverTally[];
    /** The operations it touched, in the order in which they began. */
    readonly operations: readonly AffectedOperation[];
    /** By kind of operation; counts also what `operations` leaves out. */
    readonly totals: readonly KindTotals[];
    readonly throughput: Throughput;
    readonly leftOut: LeftOut;
}

/** Every registry is well again: the record is complete. */
export declare interface IncidentClosed extends Stamp<'incident:closed'> {
    readonly incidentId: string;
    readonly durationMs: number;
}

/** How an incident can be shown. */
export declare type IncidentFormat = 'markdown' | 'html' | 'json';

/** A registry fails in a phase, and none did before: the record of an incident begins. */
export declare interface IncidentOpened extends Stamp<'incident:opened'> {
    readonly incidentId: string;
    readonly registry: string;
    readonly phase: RegistryPhase;
    readonly reason: Reason | null;
}

/** The record of incidents. */
export declare interface Incidents {
    /** The one that is open, or null. */
    current(): Incident | null;
    /** Past ones, the newest first; those of a `stateDir` of before once a pull was made, or `load()` was waited for. */
    list(): readonly Incident[];
    /** Reads what is in `stateDir`. Never rejects. */
    load(): Promise<void>;
}

/** An option is unknown, out of range, or contradicts another one. */
export declare class InvalidOptionError extends PullFailoverError {
    readonly name = "InvalidOptionError";
    /** The option's path, such as `timeouts.layers.stallMs`. */
    readonly option: string;
    /** @param problem what is wrong, without the option's name: `must be a positive integer, got -1` */
    constructor(option: string, problem: string, cause?: unknown);
}

/** An image name is not in Docker's reference grammar. */
export declare class InvalidReferenceError extends PullFailoverError {
    readonly name = "InvalidReferenceError";
    /** What was given, shortened to 300 characters. */
    readonly reference: string;
    constructor(reference: string, problem: string);
}

/** Tells whether a thrown value is an `EngineError`, also of another installed copy of this package. */
export declare function isEngineError(value: unknown): value is EngineError;

/** Tells whether a thrown value is a `HostFaultError`, also of another installed copy of this package. */
export declare function isHostFaultError(value: unknown): value is HostFaultError;

/** Tells whether a thrown value is an `ImageNotCachedError`, also of another installed copy of this package. */
export declare function isImageNotCachedError(value: unknown): value is ImageNotCachedError;

/** Tells whether a thrown value is an `ImageRefusedError`, also of another installed copy of this package. */
export declare function isImageRefusedError(value: unknown): value is ImageRefusedError;

/** Tells whether a thrown value is an `InvalidOptionError`, also of another installed copy of this package. */
export declare function isInvalidOptionError(value: unknown): value is InvalidOptionError;

/** Tells whether a thrown value is an `InvalidReferenceError`, also of another installed copy of this package. */
export declare function isInvalidReferenceError(value: unknown): value is InvalidReferenceError;

/** Tells whether a thrown value is a `NotConfiguredError`, also of another installed copy of this package. */
export declare function isNotConfiguredError(value: unknown): value is NotConfiguredError;

/** Tells whether a thrown value is a `ParkCancelledError`, also of another installed copy of this package. */
export declare function isParkCancelledError(value: unknown): value is ParkCancelledError;

/** Tells whether a thrown value is a `PullDeadlineError`, also of another installed copy of this package. */
export declare function isPullDeadlineError(value: unknown): value is PullDeadlineError;

/** Tells whether a thrown value is a `PullerClosedError`, also of another installed copy of this package. */
export declare function isPullerClosedError(value: unknown): value is PullerClosedError;

/** Tells whether a thrown value is a `PullExhaustedError`, also of another installed copy of this package. */
export declare function isPullExhaustedError(value: unknown): value is PullExhaustedError;

/** Tells whether a thrown value is a failure of this library, also of another installed copy of it. */
export declare function isPullFailoverError(value: unknown): value is PullFailoverError;

/** Tells whether a thrown value is a `ReplicaDivergedError`, also of another installed copy of this package. */
export declare function isReplicaDivergedError(value: unknown): value is ReplicaDivergedError;

/** Tells whether a thrown value is an `UnsupportedImageError`, also of another installed copy of this package. */
export declare function isUnsupportedImageError(value: unknown): value is UnsupportedImageError;

/** What can be said per kind of operation. */
export declare interface KindOptions extends PolicyOptions {
    /** These registries first, by prefix, of whichever replica sets; the others follow in the order of the list. Default none. */
    readonly order?: readonly string[];
}

/** The operations of one kind. */
export declare interface KindTotals {
    /** Null: the host gave none. */
    readonly kind: string | null;
    /** Pulls that ran while the incident was open, touched or not. */
    readonly pulls: number;
    /** Of those the touched ones. */
    readonly affected: OutcomeCounts;
    /** The same by phase; one that was touched in two phases counts in both. */
    readonly byPhase: Readonly<Record<Phase, OutcomeCounts>>;
}

/** How far one layer is. */
export declare interface LayerProgress {
    readonly digest: Digest;
    readonly totalBytes: number;
    readonly doneBytes: number;
    /** Who serves it now, or null when nobody does (it was local, or is queued). */
    readonly registry: string | null;
}

/**
 * Faults of blobs. Byte positions count from the start of the blob, so that a source that stalls after 6 MB
 * never delivers the byte at 6 MB, however often it is asked for it.
 */
export declare const layers: LayersFaults;

/** Faults of blobs: layers and configs. */
export declare interface LayersFaults extends ExchangeFaults, CutFaults, ContentFaults {
    /** Bytes that begin `byBytes` (default 1) later; `header: 'as-asked'` hides it in Content-Range. */
    wrongRange(options?: {
        readonly byBytes?: number;
        readonly header?: 'honest' | 'as-asked';
    } & Scope): Fault;
    /** 200 with the whole blob to a request for a range. */
    ignoreRange(scope?: Scope): Fault;
    /** At most so many bytes of the range asked for. */
    shortRange(options: {
        readonly maxBytes: number;
    } & Scope): Fault;
    /** `Content-Range: bytes a-b/*`. */
    unknownTotal(scope?: Scope): Fault;
    /** Redirects to a signed URL that has expired; after its refusal the next one for the same blob is good. */
    expiredRedirect(scope?: Scope): Fault;
}

/** What can go wrong with blobs. */
export declare type LayersTrouble = ExchangeTrouble | BodyTrouble | RedirectTrouble
/** 404, although its manifest is here. */
| {
    readonly kind: 'missing';
}
/** Another range than asked for; `header: 'as-asked'` says in Content-Range that it is the right one. */
| {
    readonly kind: 'wrong-range';
    readonly byBytes?: number;
    readonly header?: 'honest' | 'as-asked';
}
/** 200 with the whole blob to a request for a range. */
| {
    readonly kind: 'ignore-range';
}
/** A range of at most so many bytes, whatever was asked for. */
| {
    readonly kind: 'short-range';
    readonly maxBytes: number;
}
/** `Content-Range: bytes a-b/*`. */
| {
    readonly kind: 'unknown-total';
}
/** The redirect leads to a signed URL that has expired; once it was refused, the next one is good. */
| {
    readonly kind: 'expired-redirect';
};

/** What a record of bounded size does not hold. */
export declare interface LeftOut {
    /** Of the middle of the timeline. */
    readonly circuitSteps: number;
    readonly operatorActs: number;
    /** Failures and failovers of further sorts. */
    readonly failures: number;
    readonly failovers: number;
    /** They are in the totals. */
    readonly operations: number;
    /** From further registries. */
    readonly bytes: number;
}

/** One request that arrived, as far as it has got. */
export declare interface LoggedRequest {
    readonly kind: RequestKind;
    readonly method: string;
    /** Without the query, which may hold a signature. */
    readonly path: string;
    readonly repository: string | null;
    /** The tag or digest asked for. */
    readonly object: string | null;
    /** The range asked for, or null for the whole. */
    readonly range: ByteRange | null;
    readonly authorization: 'none' | 'basic' | 'bearer' | 'other';
    /** Counts the connections of this server from 1. */
    readonly connection: number;
    /** Milliseconds since the epoch. */
    readonly startedAtMs: number;
    /** Null until the headers of an answer went out, and for ever when none did. */
    readonly status: number | null;
    /** Body bytes that left this process, those of an unfinished answer too. */
    readonly bytesSent: number;
    /** Milliseconds since the epoch, or null while it is open. */
    readonly endedAtMs: number | null;
    /** How it ended: answered whole, ended by the client (or by `close()`), or by a fault. */
    readonly outcome: 'open' | 'complete' | 'cut-by-client' | 'cut-by-fault';
    /** The kinds of the faults that struck it. */
    readonly faults: readonly Fault['kind'][];
}

/** Faults of manifests. */
export declare const metadata: MetadataFaults;

/** Faults of manifests, by tag and by digest. */
export declare interface MetadataFaults extends ExchangeFaults, CutFaults, ContentFaults {
    /** A manifest cut in the middle, with a length that fits. */
    malformedJson(scope?: Scope): Fault;
    /** Docker-Content-Digest of other content. */
    wrongDigestHeader(scope?: Scope): Fault;
    /** No Docker-Content-Digest. */
    noDigestHeader(scope?: Scope): Fault;
    /** A valid manifest, but not the one asked for. */
    wrongContent(scope?: Scope): Fault;
    /** 200 with a page of a captive portal. */
    html(scope?: Scope): Fault;
    /** A manifest of `bytes` bytes, default 5,000,000. */
    huge(options?: {
        readonly bytes?: number;
    } & Scope): Fault;
}

/** What can go wrong with manifests. */
export declare type MetadataTrouble = ExchangeTrouble | BodyTrouble | RedirectTrouble
/** 404. */
| {
    readonly kind: 'missing';
} | {
    readonly kind: 'malformed-json';
}
/** Docker-Content-Digest of other content. */
| {
    readonly kind: 'wrong-digest-header';
}
/** No Docker-Content-Digest at all, as older registries answer. */
| {
    readonly kind: 'no-digest-header';
}
/** A valid manifest, but not the one asked for. */
| {
    readonly kind: 'wrong-content';
}
/** 200 with a page of a captive portal. */
| {
    readonly kind: 'html';
}
/** A manifest of that many bytes; default 5,000,000. */
| {
    readonly kind: 'huge';
    readonly bytes?: number;
};

/** What went wrong where; what is left out is plausible. */
export declare interface MishapOptions {
    /** Default `'layers'`. */
    readonly phase?: RegistryPhase;
    /** Default `'stalled'`. */
    readonly because?: RegistryMishap;
}

/** One image that a layout names. */
export declare interface NamedImage {
    /** The canonical name, such as `quay.io/aptible/redis:3.0`. */
    readonly name: string;
    readonly descriptor: Descriptor;
}

/** `pullWithFailover` was called before `configure`. */
export declare class NotConfiguredError extends PullFailoverError {
    readonly name = "NotConfiguredError";
    constructor();
}

/**
 * An OCI image layout directory as an engine: needs no daemon, is shared by any number of processes, and goes on
 * after an interruption with the bytes it has.
 *
 * Nothing is created before something is written. What other tools put there stays as it is, byte by byte.
 * A directory that holds a broken layout, or one of another version, is refused with an `EngineError` by every call
 * that writes or asks for names.
 * Errors of the file system reach the caller as Node throws them.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
 */
export declare interface OciLayout extends Engine, BlobStore, AsyncDisposable {
    readonly kind: 'oci-layout';
    /** Absolute. */
    readonly directory: string;
    /** The blob's bytes, verified. Null when it is not there, larger than `maxBytes`, or not what its digest says. */
    readBlob(digest: Digest, maxBytes: number): Promise<Uint8Array | null>;
    /** Stores bytes that are at hand, a manifest. @throws EngineError when they are not what the digest says */
    putBlob(bytes: Uint8Array, digest: Digest): Promise<void>;
    /** What the name points to, an index or a manifest; null when nothing has this name. */
    findImage(name: string): Promise<Descriptor | null>;
    /** Points the name to a stored index or manifest, and only this name; durable when it resolves. */
    nameImage(name: string, descriptor: Descriptor): Promise<void>;
    /** Every image the layout names, those of other tools too. */
    listImages(): Promise<readonly NamedImage[]>;
}

/**
 * Opens a layout for writing and reading. Touches no disk yet.
 *
 * @param directory relative ones count from the current directory of now
 * @throws InvalidOptionError
 */
export declare function ociLayout(directory: string, options?: OciLayoutOptions): OciLayout;

/** How a layout on disk is kept. */
export declare interface OciLayoutOptions {
    /** What events and reports call this engine; default `oci-layout:` and the directory's absolute path. */
    readonly id?: string;
    /** What blobs that were only fetched in part may take, until a later pull goes on with them. */
    readonly partials?: {
        /** All of them together, in bytes; default 10 GiB. 0 keeps none, `Infinity` is allowed. Blobs being written are never removed. */
        readonly maxBytes?: number;
        /** Since their last byte; default 7 days. `Infinity` is allowed. */
        readonly maxAgeMs?: number;
    };
}

/** What every event of one circuit has. */
declare interface OfCircuit<Type extends string> extends Stamp<Type> {
    readonly registry: string;
    readonly phase: RegistryPhase;
    readonly reason: Reason | null;
}

/** What every event of one pull has. */
declare interface OfPull<Type extends string> extends Stamp<Type> {
    readonly pullId: string;
    /** The canonical name of the image. */
    readonly image: string;
    readonly operation: Operation | null;
    /** The engine's id. */
    readonly engine: string;
}

/** What the host is doing when it asks for an image. Carried by every event of the pull. */
export declare interface Operation {
    /** `database`, `app` or any word of the host's own; policies can differ per kind. */
    readonly kind: string;
    /** The host's own identifier of this operation. */
    readonly id?: string;
}

/**
 * What became of an operation.
 *
 * - `saved`: it got its image without waiting, although a registry it would have used had failed
 * - `late`: it got its image after it was parked
 * - `failed`: it did not get it
 * - `aborted`: its caller ended it
 * - `running`: it is under way; of a record whose process was killed, nobody knows
 */
export declare type OperationOutcome = 'saved' | 'late' | 'failed' | 'aborted' | 'running';

/** An operator acted, or what was said in the control file changed. Holds for the pulls under way too. */
export declare interface OperatorChanged extends Stamp<'operator:changed'> {
    /** `refused`: the control file, or an entry of it, could not be used; without it, what it said before stays in force. */
    readonly change: 'set' | 'released' | 'expired' | 'refused';
    /** Null when the control file was refused. */
    readonly control: Control | null;
    /** One sentence for people. */
    readonly message: string;
}

/**
 * The operator's hand. Every call holds when it returns, for pulls under way too, and is told as `operator:changed`.
 * What calls say survives a restart where there is a `stateDir`, and holds in every process that shares it. In a plan a
 * ban comes before a preference, that before a hold, and that before the circuits.
 */
export declare interface OperatorControl {
    /** Puts a registry first. @throws InvalidOptionError */
    prefer(prefix: string, options?: ControlOptions): ControlHandle;
    /** Has a registry not asked at all. @throws InvalidOptionError also when nobody would be left, without `force` */
    ban(prefix: string, options?: BanOptions): ControlHandle;
    /** Has a registry's circuit count as open or closed, whatever happens. @throws InvalidOptionError */
    hold(prefix: string, options: HoldOptions): ControlHandle;
    /** What is in force, the newest first; from the control file too. */
    list(): readonly Control[];
    /** Ends what a call began. Returns false when there is no such act, or the control file says it. */
    release(id: string): boolean;
    /**
     * Declares what is to be in force: replaces all that `apply` said before, and nothing else. An entry that was there
     * before goes on, and is told only when it changed.
     *
     * @throws InvalidOptionError, and nothing has changed
     */
    apply(state: ControlState): void;
}

/** An operator acted. */
export declare interface OperatorStep {
    readonly atMs: number;
    readonly change: OperatorChanged['change'];
    readonly control: OperatorChanged['control'];
    readonly message: string;
}

/** How many operations ended how. */
export declare type OutcomeCounts = Readonly<Record<OperationOutcome, number>>;

/** A parked pull was given up by `puller.parked.cancel`. */
export declare class ParkCancelledError extends PullFailoverError {
    readonly name = "ParkCancelledError";
    readonly image: string;
    constructor(image: string, cause?: unknown);
}

/** A pull that waits for a registry to be well again. */
export declare interface ParkedPull {
    readonly pullId: string;
    readonly image: string;
    readonly operation: Operation | null;
    readonly engine: string;
    /** Milliseconds since the epoch. */
    readonly sinceMs: number;
    /** Until when it waits at most, in milliseconds since the epoch; null without a limit. */
    readonly untilMs: number | null;
    /** What the last registry failed with. */
    readonly reason: Reason | null;
}

/** The host's view of the pulls that `whenExhausted: { waitMs }` parked. */
export declare interface ParkedPulls {
    /** Oldest first. */
    list(): readonly ParkedPull[];
    /** Lets this pull, and those that joined it, try again now. False when no such pull is parked. */
    promote(pullId: string): boolean;
    /** Ends this pull with `ParkCancelledError`, and not those that joined it. False when no such pull is parked. */
    cancel(pullId: string): boolean;
}

/** How parked pulls go on. */
export declare interface ParkingOptions {
    /**
     * So many of them try again at the same time at most, the oldest first; default 8, `Infinity` is allowed. One that was
     * promoted does not wait for the others.
     */
    readonly resumeAtOnce?: number;
}

/**
 * Checks a value that may come from a file, and returns it as a frozen fault.
 *
 * @param path how the value is called in an error, such as `faults[0]`
 * @throws {InvalidOptionError} when a key is unknown or missing, or a value out of range
 */
export declare function parseFault(value: unknown, path?: string): Fault;

/** Text or bytes in PEM. */
export declare type Pem = string | Uint8Array;

/**
 * A stretch of a pull that is timed and judged on its own.
 *
 * - `metadata`: ping, token and manifests
 * - `layers`: every blob (layers and the config come from the same storage)
 * - `extract`: local work of the engine, never a registry's fault
 */
export declare type Phase = 'metadata' | 'layers' | 'extract';

/** A phase is over, well or not. Follows each `phase:started`. */
export declare interface PhaseEnded extends OfPull<'phase:ended'> {
    readonly phase: Phase;
    readonly durationMs: number;
}

/** A phase began. Once per phase and pull, again when a parked pull goes on or another packing is looked for. */
export declare interface PhaseStarted extends OfPull<'phase:started'> {
    readonly phase: Phase;
}

/** Faults of `GET /v2/`. */
export declare const ping: ExchangeFaults;

/** What can go wrong with `GET /v2/`. */
export declare type PingTrouble = ExchangeTrouble;

declare type Placed = FaultPosition & FaultScope;

/** Why a registry has its place in a plan. */
export declare type PlaceReason = 'listed' | 'ordered-for-kind' | 'own-registry' | 'circuit-open' | 'circuit-half-open'
/** Half-open, and enough others try it now. */
| 'circuit-half-open-full' | 'limited'
/** By an operator: first, not at all, or with a circuit that counts as open or closed. */
| 'preferred' | 'banned' | 'held-open' | 'held-closed';

/** A registry in a plan. */
export declare interface PlannedCandidate {
    readonly registry: string;
    /** The repository at that registry, without the host. */
    readonly repository: string;
    /** Why it has its place when tokens and manifests are asked for. */
    readonly metadata: PlaceReason;
    /** Why it has its place when blobs are asked for. */
    readonly layers: PlaceReason;
}

/**
 * What an image runs on, in Go's words.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.0/image-index.md#image-index-property-descriptions
 */
export declare interface Platform {
    readonly os: string;
    readonly architecture: string;
    readonly variant?: string;
    /** On Windows the version its containers share with the host: `10.0.20348.2227`. */
    readonly osVersion?: string;
    readonly osFeatures?: readonly string[];
}

/**
 * What can be said for a whole puller, per kind of operation, and per pull; the later wins, key by key, in `timeouts`
 * limit by limit.
 */
export declare interface PolicyOptions {
    /** What to do when no registry can serve the image now; default `'fail'`. */
    readonly whenExhausted?: WhenExhausted;
    /** Limits of the phases; what is not given has its default. */
    readonly timeouts?: Timeouts;
    /** Longest time a pull may take, parking included, in milliseconds; default `Infinity`. Its expiry is a `PullDeadlineError`. */
    readonly deadlineMs?: number;
    /** When registries are asked at all; default `'always'`. */
    readonly pullPolicy?: PullPolicy;
    /**
     * Which content counts when a replica resolves a tag to another digest than is remembered; `'fail'` rejects with
     * `ReplicaDivergedError`. Default `'remembered'`.
     */
    readonly onDivergence?: 'remembered' | 'replica' | 'fail';
    /**
     * Whether a replica's word on a tag is taken when nothing is remembered to compare it with; `'fail'` rejects with
     * `ReplicaDivergedError`. Default `'accept'`.
     */
    readonly onUnverified?: 'accept' | 'fail';
}

/** The caller ended the pull. One of the three ends of a pull; nothing of this pull follows. */
export declare interface PullAborted extends OfPull<'pull:aborted'> {
    readonly attempts: readonly Attempt[];
}

/** Sizes in bytes, of all manifests and blobs of the image. */
export declare interface PullBytes {
    /** What the image consists of. */
    readonly total: number;
    /** What arrived from registries during this pull, waste included; a fetch that several pulls share counts for each. */
    readonly fetched: number;
    /** What an earlier, interrupted pull had left and this one went on from. */
    readonly kept: number;
    /** What the engine had already. */
    readonly local: number;
}

/** One call of `pullWithFailover` of a double. */
export declare interface PullCall {
    /** As given. */
    readonly image: string;
    /** As given. */
    readonly options: PullOptions;
    readonly outcome: 'running' | 'succeeded' | 'failed' | 'aborted';
}

/** The whole pull took longer than the host allows (`deadlineMs`, or `timeouts.layers.totalMs`). */
export declare class PullDeadlineError extends PullFailoverError {
    readonly name = "PullDeadlineError";
    readonly image: string;
    readonly limit: 'deadlineMs' | 'layers.totalMs';
    readonly timeoutMs: number;
    /** Every failed attempt until then, in the order tried. */
    readonly attempts: readonly Attempt[];
    constructor(image: string, limit: PullDeadlineError['limit'], timeoutMs: number, attempts: readonly Attempt[]);
}

/** How a pull ends. */
export declare type PullEnd = ({
    readonly kind: 'succeed';
} & SucceedOptions) | {
    readonly kind: 'succeed-from-cache';
} | ({
    readonly kind: 'exhaust';
} & ExhaustOptions) | {
    readonly kind: 'exceed-deadline';
} | {
    readonly kind: 'fail';
    readonly error: PullFailoverError;
} | {
    readonly kind: 'never-end';
};

/** Where a puller can bring images. */
export declare type PullEngine = OciLayout | DockerEngine;

/** Brings images into engines, whatever the registries do. One puller serves many engines; end it with `close()`. */
export declare interface Puller extends AsyncDisposable {
    /** What happens, while it happens. */
    readonly events: PullEvents;
    /** The operator's hand: what it does holds at once, for pulls under way too. */
    readonly control: OperatorControl;
    /** What happened from the first circuit that opened until all were closed again. */
    readonly incidents: Incidents;
    /** The pulls that wait for a registry to be well again. */
    readonly parked: ParkedPulls;
    /**
     * Brings an image into the engine, from the first registry that serves it, going on with the next one from the byte
     * that was reached.
     *
     * @param image in Docker's reference grammar: `redis`, `quay.io/team/app:1.2`, `…@sha256:…`
     * @throws the reason of `options.signal` as it is; else a `PullFailoverError`: `InvalidReferenceError`,
     *   `InvalidOptionError`, `ImageRefusedError`, `UnsupportedImageError`, `PullExhaustedError`, `PullDeadlineError`,
     *   `ReplicaDivergedError`, `ImageNotCachedError`, `HostFaultError`, `EngineError`, `ParkCancelledError`, `PullerClosedError`
     */
    pullWithFailover(image: string, options?: PullOptions): Promise<PullReport>;
    /** The plan a pull of this image would have now, and why; asks nobody. */
    explain(image: string, options?: ExplainOptions): Promise<Explanation>;
    /** Every registry × phase: its state, since when, why, until when. */
    health(): readonly CircuitHealth[];
    /**
     * Refuses new pulls, gives parked ones back, lets running ones finish within `graceMs`, then ends them: both reject
     * with a retryable `PullerClosedError`. Ends every socket and timer. Idempotent.
     */
    close(options?: CloseOptions): Promise<void>;
}

/** The puller is closing: new pulls are refused, parked ones given back, running ones ended after the grace. */
export declare class PullerClosedError extends PullFailoverError {
    readonly name = "PullerClosedError";
    constructor(message?: string);
}

/** A puller that asks nobody, and does what its scripts say. */
export declare interface PullerDouble extends Puller {
    /** Every call so far, in order; entries go on changing until they have ended. */
    readonly calls: readonly PullCall[];
    /** The images, by canonical name, whose scripts have not all been played; those of `times: Infinity` once. */
    readonly unplayed: readonly string[];
    /**
     * Says what the next pull of this image does. Several scripts of one image are played one after the other; an image
     * without one, or whose scripts are used up, is pulled without any trouble.
     *
     * @param script steps and ready-made scripts of `pulls`
     * @throws InvalidOptionError when it could not happen in a real pull; InvalidReferenceError
     */
    script(image: string, script: PullScript | PullStep, options?: ScriptOptions): void;
}

/** What a puller is made of. Unknown keys, contradictions and values out of range throw `InvalidOptionError`. */
export declare interface PullerOptions extends PolicyOptions {
    /**
     * Where images go: `dockerEngine()` or `ociLayout('./images')`; it is not closed with the puller. Default: Docker, where
     * its own client would find it.
     */
    readonly engine?: PullEngine;
    /** One replica set, in order of priority: prefixes such as `quay.io/team`, or objects with more to say. */
    readonly registries?: readonly (string | RegistryOptions)[];
    /** Several replica sets, instead of `registries`. With neither, each image is pulled from its own registry. */
    readonly replicaSets?: readonly ReplicaSetOptions[];
    /** What to do with an image outside every set; default `'own-registry'`. */
    readonly unlisted?: Unlisted;
    /** Policies per kind of operation, by `operation.kind`. */
    readonly operations?: Readonly<Record<string, KindOptions>>;
    /** When a circuit opens, and for how long. */
    readonly health?: HealthOptions;
    /** How parked pulls go on. */
    readonly parking?: ParkingOptions;
    /** How bytes are moved: over how many connections, with how much memory, and from whom. */
    readonly transfer?: TransferOptions;
    /**
     * Decides by the host in an image's name (`quay.io`, `10.0.0.5:5000`) whether it may be pulled at all: for names that
     * tenants give. Anything but `true` is an `ImageRefusedError`. Default: every host may.
     */
    readonly allowHost?: (host: string) => boolean;
    /**
     * `os/architecture[/variant]`; default that of the daemon an image goes to, and for layouts linux on this process's
     * architecture.
     */
    readonly platform?: string;
    /**
     * A directory in which the digests of tags survive a restart, made when it is first needed; processes may share it.
     * A disk that fails there fails no pull. Default: they are remembered as long as the puller lives.
     */
    readonly stateDir?: string;
    /**
     * A JSON file of operators' switches, declarative and watched: what it says is in force, on pulls under way too, and what
     * it says no more ends. A broken one is refused with `operator:changed`, and the last good one stays. It need not exist.
     */
    readonly controlFile?: string;
}

/** Everything a puller says, as one union over `type`. */
export declare type PullEvent = PullStarted | PullPlanned | PullJoined | PhaseStarted | PhaseEnded | PullProgressed | RegistryFailed | PullFailedOver | PullRouteChanged | PullServedFromCache | PullParked | PullResumed | PullSucceeded | PullFailed | PullAborted | ReplicaMissing | ReplicaDiverged | ReplicaRepackaged | TagResolvedByReplica | RegistryCredentialsRejected | CircuitOpened | CircuitHalfOpened | CircuitClosed | RegistryProbed | OperatorChanged | IncidentOpened | IncidentClosed;

/** What it returns is ignored, except that a rejected promise is logged. */
export declare type PullEventListener<Name extends PullEventName> = (event: PullEventNamed<Name>) => unknown;

/** The name of one event, or `'*'` for all of them. */
export declare type PullEventName = PullEventType | '*';

/** What a listener of `Name` is given. */
export declare type PullEventNamed<Name extends PullEventName> = Name extends PullEventType ? PullEventOf<Name> : PullEvent;

/** The payload of one event type. */
export declare type PullEventOf<Type extends PullEventType> = Extract<PullEvent, {
    readonly type: Type;
}>;

/**
 * The events of one puller. Listeners run synchronously, in the order of `seq`, while the pull waits: a slow one costs
 * time. One that throws or rejects is logged (`DEBUG=pull-failover:events`) and harms neither the pull nor the others.
 * They may be added and removed at any time; a removed one is not called again, not even for an event that is under way.
 */
export declare interface PullEvents {
    /** Calls `listener` for each event of that name, `'*'` for every event. Returns what removes it. */
    on<Name extends PullEventName>(name: Name, listener: PullEventListener<Name>): () => void;
    /** As `on`, for the next such event only. */
    once<Name extends PullEventName>(name: Name, listener: PullEventListener<Name>): () => void;
    /** Removes `listener`, as often as it was added under that name. */
    off<Name extends PullEventName>(name: Name, listener: PullEventListener<Name>): void;
    /** Resolves with the next event that `filter` takes. Rejects with the signal's own reason, or what `filter` throws. */
    waitFor<Name extends PullEventName>(name: Name, options?: WaitOptions<Name>): Promise<PullEventNamed<Name>>;
}

/** The name of one event. */
export declare type PullEventType = PullEvent['type'];

/** What `PullExhaustedError` knows. */
export declare interface PullExhaustedDetails {
    readonly image: string;
    readonly phase: Phase;
    readonly attempts: readonly Attempt[];
    readonly retryAfterMs?: number;
    readonly cause?: unknown;
}

/** Every registry that may be asked was asked, and none could serve the image. */
export declare class PullExhaustedError extends PullFailoverError {
    readonly name = "PullExhaustedError";
    readonly image: string;
    /** The phase in which the last registry failed. */
    readonly phase: Phase;
    /** Every failed attempt, in the order tried. */
    readonly attempts: readonly Attempt[];
    /** When the first registry that asked to be left alone may be asked again, in milliseconds from now. */
    readonly retryAfterMs?: number;
    constructor(details: PullExhaustedDetails);
}

/** The pull failed. One of the three ends of a pull; nothing of this pull follows. */
export declare interface PullFailed extends OfPull<'pull:failed'> {
    readonly error: {
        readonly code: ErrorCode;
        readonly message: string;
        readonly retryable: boolean;
    };
    readonly attempts: readonly Attempt[];
}

/** Another registry took work over. Once per pull × phase × from → to, never per blob. */
export declare interface PullFailedOver extends OfPull<'pull:failed-over'> {
    readonly phase: Phase;
    readonly from: string;
    readonly to: string;
    readonly reason: Reason;
    /** Bytes of the object that need not be fetched again. */
    readonly bytesKept: number;
}

/** The base of every failure of this library; a caller's own abort reason is never wrapped in one. */
export declare class PullFailoverError extends Error {
    readonly name: string;
    readonly code: ErrorCode;
    /** Whether the same call may succeed later, without anybody changing the call. */
    readonly retryable: boolean;
    constructor(message: string, details: ErrorDetails);
}

/** What a dockerode is given failover with: a puller's options, or the puller itself where it serves several engines. */
export declare type PullFailoverOptions = (Omit<PullerOptions, 'engine'> | {
    readonly puller: Puller;
}) & {
    /** How images are brought into this Docker. */
    readonly engine?: DockerEngineOptions;
};

/** A place in a script at which the pull waits for the test. */
export declare interface PullHold {
    readonly kind: 'hold';
    /** Resolves when a pull has got here. */
    readonly reached: Promise<void>;
    /** Lets the pull go on, now or when it gets here. */
    open(): void;
}

/**
 * An identical pull into the same engine is under way; this one shares its work, and tells what happens to it from then
 * on in its own name. At most once per pull.
 */
export declare interface PullJoined extends OfPull<'pull:joined'> {
    readonly joinedPullId: string;
}

/** What happens in the middle of a pull. */
export declare type PullMiddle = ({
    readonly kind: 'registry-fails';
} & RegistryFailsOptions) | ({
    readonly kind: 'every-registry-fails';
} & MishapOptions) | ({
    readonly kind: 'fail-over';
} & FailOverOptions) | {
    readonly kind: 'park';
} | PullHold;

/** What one pull says beside the image. */
export declare interface PullOptions extends KindOptions {
    /** What the host is doing; carried by every event. */
    readonly operation?: Operation;
    /** Where the image goes; default the puller's. */
    readonly engine?: PullEngine;
    /** `os/architecture[/variant]`; default the puller's. */
    readonly platform?: string;
    /** Instead of the registry's own; bound to the image's own registry: no other host ever sees them. */
    readonly credentials?: CredentialsOption;
    /** Ends the pull; its reason is rethrown as it is. */
    readonly signal?: AbortSignal;
}

/** No registry can serve now; the pull waits (`whenExhausted: { waitMs }`, or a Retry-After). */
export declare interface PullParked extends OfPull<'pull:parked'> {
    readonly phase: Phase;
    readonly reason: Reason | null;
    /** Milliseconds since the epoch until which it waits at most, or null without a limit. */
    readonly untilMs: number | null;
}

/**
 * The order of registries was decided. Once per pull that asks registries, again after it was parked; one that joins is
 * told at once.
 */
export declare interface PullPlanned extends OfPull<'pull:planned'> {
    readonly replicaSet: string | null;
    /** In the order the host wants, circuits apart; those that an operator banned too. */
    readonly candidates: readonly PlannedCandidate[];
    /** The registries in the order in which each phase will ask them. */
    readonly order: Readonly<Record<RegistryPhase, readonly string[]>>;
    readonly route: Route;
    /** Why this route, in words; where there is a better one, how to get it. */
    readonly routeReason: string;
}

/**
 * When a registry is asked.
 *
 * - `always`: each time, as `docker pull`
 * - `if-not-present`: only when the engine does not have the image for this platform
 * - `never`: not at all; `ImageNotCachedError` when the engine does not have it
 */
export declare type PullPolicy = 'always' | 'if-not-present' | 'never';

/** Bytes arrived. Throttled: at most one each 100 ms and pull, and a last one when all layers are there. */
export declare interface PullProgressed extends OfPull<'pull:progressed'> {
    readonly phase: Phase;
    readonly bytes: PullBytes;
    readonly layers: readonly LayerProgress[];
    /** What each registry contributed so far, as the report will say it. */
    readonly served: readonly Served[];
}

/** What a pull brought, from whom, and what it took. */
export declare interface PullReport {
    readonly pullId: string;
    /** The canonical name, such as `docker.io/library/redis:latest`. */
    readonly image: string;
    readonly operation: Operation | null;
    /**
     * What the tag resolved to: the digest of the index, or of the manifest where there is no index. Of a cached image whose
     * published digest neither the engine nor `stateDir` remembers, the engine's own identifier.
     */
    readonly digest: Digest;
    /** The digest of the platform's manifest. */
    readonly manifestDigest: Digest;
    /** The engine's own identifier of the image: the config's digest, on Docker's containerd store the manifest's or index's. */
    readonly imageId: string;
    /** What to create a container from. */
    readonly reference: string;
    readonly platform: string;
    readonly source: 'registry' | 'cache';
    readonly resolution: Resolution;
    /** The set's name, or null when the image is pulled from its own registry alone. */
    readonly replicaSet: string | null;
    readonly engine: string;
    /** The one that brought it at last; for a cached image the one it would have taken. */
    readonly route: Route;
    /** Why this route, in words; where another one was planned, why it was left. */
    readonly routeReason: string;
    /** Of a cached image: milliseconds since the engine got it, or since a registry confirmed it; null where neither is known, and for a pulled one. */
    readonly cachedAgeMs: number | null;
    readonly served: readonly Served[];
    readonly failovers: readonly Failover[];
    readonly attempts: readonly Attempt[];
    readonly bytes: PullBytes;
    readonly timings: PullTimings;
}

/** A parked pull tries again. Follows `pull:parked`, unless the pull ended while it was parked. */
export declare interface PullResumed extends OfPull<'pull:resumed'> {
    readonly parkedMs: number;
    readonly why: 'circuit-closed' | 'cool-down-over' | 'retry-after-over' | 'operator' | 'interval' | 'promoted';
}

/** Bytes reach the engine in another way than was planned. At most once per pull and route that is left. */
export declare interface PullRouteChanged extends OfPull<'pull:route-changed'> {
    readonly from: Route;
    readonly to: Route;
    readonly reason: Reason;
}

/** The steps and ready-made scripts of `createPullerDouble`. */
export declare const pulls: PullScripts;

/** What happens in one pull, in order; the last step is its only end. */
export declare type PullScript = readonly PullStep[];

/** The steps and whole scripts that a puller double plays. */
export declare interface PullScripts {
    /** `registry:failed`: one try failed, and the pull goes on. */
    registryFails(options?: RegistryFailsOptions): PullStep;
    /** `registry:failed` of each registry of the image's replica set, in order. */
    everyRegistryFails(options?: MishapOptions): PullStep;
    /** `registry:failed`, then `pull:failed-over`. */
    failOver(options?: FailOverOptions): PullStep;
    /** `pull:parked`, until the test promotes or cancels it or half a minute is over; only with `whenExhausted: { waitMs }`. */
    park(): PullStep;
    /** The pull waits until the test opens it. */
    hold(): PullHold;
    /** The image is in the engine. */
    succeed(options?: SucceedOptions): PullStep;
    /** The engine's own copy is used, as `pullPolicy` or `whenExhausted: 'use-cached'` say. */
    succeedFromCache(): PullStep;
    /** `PullExhaustedError` with every try that failed. */
    exhaust(options?: ExhaustOptions): PullStep;
    /** `PullDeadlineError` with every try that failed, at once. */
    exceedDeadline(): PullStep;
    /** Any other error of this library. */
    fail(error: PullFailoverError): PullStep;
    /** Nothing more happens until the caller aborts, its deadline is over or the puller closes. */
    neverEnd(): PullStep;
    /** The outage of one registry: it fails, another one takes over, the pull succeeds. */
    outage(options?: FailOverOptions): PullScript;
    /** Every registry of the replica set fails, and so does the pull. */
    exhausted(options?: MishapOptions & ExhaustOptions): PullScript;
    /** Every registry fails, the pull is parked, and succeeds when it is promoted. */
    parked(options?: MishapOptions): PullScript;
    /** Nothing answers until the caller aborts. */
    aborted(): PullScript;
    /** A registry fails, and the pull's time is over. */
    pastDeadline(options?: RegistryFailsOptions): PullScript;
    /** Every registry fails, and the engine's own copy is used. */
    cached(options?: MishapOptions): PullScript;
}

/** The engine's own copy is used instead of a registry's. At most once per pull. */
export declare interface PullServedFromCache extends OfPull<'pull:served-from-cache'> {
    readonly digest: Digest;
    /** Why no registry was used: the policy, or the last failure. */
    readonly why: 'if-not-present' | 'never' | 'exhausted';
    readonly reason: Reason | null;
    /** Milliseconds since the engine got it, or since a registry confirmed it; null where neither is known. */
    readonly ageMs: number | null;
}

/** The pull was accepted. Once per pull, before anything else of it. */
export declare type PullStarted = OfPull<'pull:started'>;

/** One thing that happens in a pull. */
export declare type PullStep = PullMiddle | PullEnd;

/** The image is in the engine. One of the three ends of a pull; nothing of this pull follows. */
export declare interface PullSucceeded extends OfPull<'pull:succeeded'> {
    readonly report: PullReport;
}

/** Milliseconds per phase. */
export declare interface PullTimings {
    readonly metadataMs: number;
    readonly layersMs: number;
    readonly extractMs: number;
    readonly totalMs: number;
}

/**
 * Brings an image into the engine through the default puller; see `Puller.pullWithFailover`.
 *
 * @throws NotConfiguredError when `configure` was not called
 */
export declare function pullWithFailover(image: string, options?: PullOptions): Promise<PullReport>;

/**
 * Pushes an image to a real registry, without the blobs that it already has.
 *
 * @param url the registry, `http://127.0.0.1:5000`
 * @param name `aptible/redis:3.0`
 * @throws {Error} when the registry answers otherwise than the specification demands
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pushing-blobs
 */
export declare function pushImage(url: string, name: string, image: TestImage, options?: PushOptions): Promise<void>;

/** What a push may need. */
export declare interface PushOptions {
    /** The Authorization header to send, such as `Basic …`. */
    readonly authorization?: string;
    /** The certificate authority of the registry, in PEM. */
    readonly ca?: string | Uint8Array;
}

/**
 * Reads an incident as `renderIncident(incident, 'json')` and the state write it.
 *
 * @throws TypeError that names the first thing which is not what it must be
 */
export declare function readIncident(value: unknown): Incident;

/** Why a registry, an attempt, a circuit or a pull is where it is. */
export declare interface Reason {
    readonly cause: Cause;
    readonly code: ReasonCode;
    /** One sentence for people; free of credentials, tokens and signed URLs. */
    readonly message: string;
}

/** What exactly was seen, in a word that stays the same over versions. */
export declare type ReasonCode = 'connection-refused' | 'connection-reset' | 'connection-closed' | 'connection-timed-out' | 'host-unreachable' | 'dns-not-found' | 'dns-failed' | 'dns-down' | 'egress-down' | 'tls-failed' | 'proxy-failed' | 'request-late' | 'metadata-late' | 'first-byte-late' | 'stalled' | 'too-slow' | 'layers-late' | 'extract-late' | `http-${number}` | 'digest-mismatch' | 'length-mismatch' | 'range-mismatch' | 'short-ranges' | 'content-encoded' | 'malformed-json' | 'malformed-response' | 'media-type-mismatch' | 'too-large' | 'redirect-loop' | 'redirect-downgrade' | 'redirect-private' | 'redirect-malformed' | 'challenge-malformed' | 'realm-untrusted' | 'token-malformed' | 'credentials-unavailable' | 'credentials-rejected' | 'contact-forbidden' | 'disk-full' | 'disk-failed' | 'process-late' | 'platform-missing' | 'image-unsupported' | 'engine-failed' | 'engine-wedged' | 'engine-poisoned' | 'deadline' | 'aborted' | 'steered' | 'unexpected';

/** How blobs are redirected. */
export declare interface RedirectOptions {
    /** How long a signed URL holds, in milliseconds; default 10 min, `Infinity` is allowed. */
    readonly expiresMs?: number;
    /** Default 307. */
    readonly status?: 301 | 302 | 303 | 307 | 308;
}

/** Redirects that lead nowhere, or where the fault says. */
export declare type RedirectTrouble = {
    readonly kind: 'redirect-loop';
}
/** To this URL; `{path}` in it stands for the path asked for. */
| {
    readonly kind: 'redirect-to';
    readonly url: string;
    readonly status?: number;
};

/** How a registry double lets clients in. */
export declare type RegistryAuth = {
    readonly kind: 'basic';
    readonly users: Readonly<Record<string, TestUser>>;
} | {
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

/** Credentials that had worked at this registry, and were read again, are rejected. Once per pull and registry. */
export declare interface RegistryCredentialsRejected extends OfPull<'registry:credentials-rejected'> {
    readonly registry: string;
    readonly reason: Reason;
}

/** A registry in this process, over real HTTP. */
export declare interface RegistryDouble extends FaultServer {
    /** What clients did that they should not have done. */
    readonly violations: readonly Violation[];
    /** @throws {InvalidOptionError} when the name is malformed */
    putImage(name: string, image: TestImage): void;
    /** Forgets this name, and what no other name of its repository needs. */
    removeImage(name: string): void;
    /** Loses a document or blob, until an image that has it is put again. */
    removeDigest(digest: Digest): void;
    /** Replaces who is let in; tokens issued so far are worth nothing any more. */
    setAuth(auth: RegistryAuth | null): void;
    /** Tokens issued so far are worth nothing any more. */
    revokeTokens(): void;
}

/** What a registry double is started with. */
export declare interface RegistryDoubleOptions extends FaultServerOptions {
    /** By name: `{ 'aptible/redis:3.0': seededImage() }`. */
    readonly images?: Readonly<Record<string, TestImage>>;
    /** Default: everybody is let in, and sending credentials is a violation. */
    readonly auth?: RegistryAuth;
    /** `false` answers requests that only this double minds, and writes them down all the same; default true. */
    readonly strict?: boolean;
}

/** One attempt at one registry failed. Once per entry of the report's `attempts`; for one that joined, from then on. */
export declare interface RegistryFailed extends OfPull<'registry:failed'> {
    readonly registry: string;
    readonly phase: Phase;
    readonly reason: Reason;
    readonly verdict: Verdict;
    readonly object: string;
    readonly elapsedMs: number;
    readonly bytes: number;
    /** Whose fault it is as far as is known now, by who else fares how there; null unless the verdict is `ill`. */
    readonly finding: Finding | null;
}

/** A try that failed. */
export declare interface RegistryFailsOptions extends MishapOptions {
    /** The registry's prefix; default the first of the image's replica set. */
    readonly registry?: string;
}

/**
 * What a registry did wrong. Reason and verdict follow from it as in a real pull.
 *
 * - `stalled`: its bytes stopped coming; for metadata it did not answer
 * - `refused`, `reset`: the connection was
 * - `unavailable`: 503
 * - `limited`: 429, with a Retry-After of a minute
 * - `missing`: 404
 * - `denied`: 403
 * - `wrong-bytes`: they do not have their digest
 */
export declare type RegistryMishap = 'stalled' | 'refused' | 'reset' | 'unavailable' | 'limited' | 'missing' | 'denied' | 'wrong-bytes';

/** One place to pull from. */
export declare interface RegistryOptions {
    /**
     * `host[:port]`, or that and the first path components: `quay.io/aptible`, `10.0.0.5:5000/mirror/quay.io/aptible`.
     * It matches whole path components of an image's name.
     */
    readonly prefix: string;
    /** Default: what Docker's `config.json` and its helpers say. */
    readonly credentials?: CredentialsOption;
    /**
     * Speaks HTTP without TLS. Default: on loopback, as Docker, unless there are certificates for it. Into a daemon that
     * lists it as insecure: TLS whoever answers, and without TLS where it speaks none.
     */
    readonly plainHttp?: boolean;
    /**
     * Authorities to trust beside the usual ones, PEM. Without `ca`, `cert` and `key` they are what Docker's daemon has for
     * this host and port, in `/etc/docker/certs.d`.
     */
    readonly ca?: Pem | readonly Pem[];
    /** The certificate this registry wants from us, PEM, followed by its intermediates; comes with `key`. */
    readonly cert?: Pem | readonly Pem[];
    /** The private key of `cert`, PEM, not encrypted. */
    readonly key?: Pem;
    /** Whether it may be asked what a tag means; otherwise it serves digests only. Default: true. */
    readonly resolves?: boolean;
    /** `false`: only a name that images are known by; it is never contacted. Default: true. */
    readonly contact?: boolean;
    /** Connections to it at a time, 1 to 1024. Default: 16. */
    readonly maxConnections?: number;
    /**
     * Whether the `urls` of a descriptor are fetched, without credentials, where this registry lacks the blob. What they
     * send counts as this registry's own: allow it only where you trust who pushes. Default: false.
     */
    readonly allowForeignUrls?: boolean;
}

/** The phases in which a registry can fail, and has a circuit. */
export declare type RegistryPhase = Exclude<Phase, 'extract'>;

/** A registry was looked at without any pull: a probe of a phase that had failed, or a canary. Once per look. */
export declare interface RegistryProbed extends OfCircuit<'registry:probed'> {
    readonly seenBy: 'probe' | 'canary';
    /** `unknown`: it says nothing about the registry, for this host, its network or its credentials failed, or it was asked to wait. */
    readonly outcome: 'good' | 'ill' | 'unknown';
    /** Bytes of a layer that arrived. */
    readonly bytes: number;
}

/** What arrived from one registry. */
export declare interface RegistryThroughput {
    readonly registry: string;
    /** In all steps together. */
    readonly bytes: number;
    /** In each step from `fromMs` on; steps without bytes at the end are left out. */
    readonly steps: readonly number[];
}

/**
 * Writes an incident down.
 *
 * - `markdown`: for a ticket or a wiki
 * - `html`: one page that needs nothing else, no script and no network, with a drawn timeline; light, dark or printed
 * - `json`: the record itself, indented
 *
 * Names that tenants chose, and what registries said, are text in each of them, whatever they contain.
 *
 * @throws InvalidOptionError for another format
 */
export declare function renderIncident(incident: Incident, format: IncidentFormat): string;

/**
 * Returns the same image as a `docker push` elsewhere repackages it: the same config digest,
 * other layers (gzip instead of plain, or the other way round), hence another manifest digest.
 *
 * @throws {TypeError} when the image was not made by `seededImage`
 */
export declare function repackage(image: TestImage): TestImage;

/** A replica holds other content under the same tag. Once per pull and registry. */
export declare interface ReplicaDiverged extends OfPull<'replica:diverged'> {
    readonly registry: string;
    readonly digest: Digest;
    readonly expected: Digest;
    /** What was done about it. */
    readonly used: 'remembered' | 'replica' | 'none';
}

/** A replica resolved the tag, and the host's options forbid what it answered (`onDivergence`, `onUnverified`). */
export declare class ReplicaDivergedError extends PullFailoverError {
    readonly name = "ReplicaDivergedError";
    readonly image: string;
    readonly registry: string;
    /** What the replica answered. */
    readonly digest: Digest;
    /** What is remembered, or null when nothing is. */
    readonly expected: Digest | null;
    constructor(image: string, registry: string, digest: Digest, expected: Digest | null);
}

/** A registry does not have an object that its replica set should have. Once per pull, registry and object. */
export declare interface ReplicaMissing extends OfPull<'replica:missing'> {
    readonly registry: string;
    readonly phase: RegistryPhase;
    /** The tag or digest. */
    readonly object: string;
}

/** A replica holds the same image (the same config) in another packing, and it was used. Once per pull. */
export declare interface ReplicaRepackaged extends OfPull<'replica:repackaged'> {
    readonly registry: string;
    readonly digest: Digest;
    readonly expected: Digest;
    readonly config: Digest;
}

/** A named list of registries, in order of priority, that hold the same repositories under their prefixes. */
export declare interface ReplicaSetOptions {
    /** What plan and report call it; unique. */
    readonly name: string;
    /** At least one; a string is a prefix with every option at its default. */
    readonly registries: readonly (string | RegistryOptions)[];
}

/** What a request was about. */
export declare type RequestKind = 'ping' | 'token' | 'manifest' | 'blob' | 'storage' | 'tags' | 'catalog' | 'unknown';

/**
 * How a tag became a digest.
 *
 * - `digest-given`: the image was named by digest
 * - `first-registry`: the first registry allowed to resolve answered
 * - `replica-confirmed`: another one answered, and agrees with the digest remembered
 * - `remembered`: the remembered digest was used
 * - `replica-unverified`: another one answered, and nothing was remembered to compare with
 * - `replica-diverged`: another one answered with other content, and the host allowed it
 */
export declare type Resolution = 'digest-given' | 'first-registry' | 'replica-confirmed' | 'remembered' | 'replica-unverified' | 'replica-diverged';

/**
 * How bytes reach the engine.
 *
 * - `relay`: the daemon pulls from a registry inside this process
 * - `load`: an image archive is streamed into the daemon
 * - `direct`: the daemon pulls by itself, watched
 * - `layout`: written into an OCI image layout directory
 */
export declare type Route = 'relay' | 'load' | 'direct' | 'layout';

/**
 * What saved an operation.
 *
 * - `failover`: work moved to another registry while it ran
 * - `plan`: the failing registry was not asked first, for its circuit or for an operator's act
 * - `cache`: the engine's own copy was used
 * - `retry`: the registry that had failed served it after all
 */
export declare type SavedBy = 'failover' | 'plan' | 'cache' | 'retry';

/** A scope, which every fault takes. */
declare type Scope = FaultScope;

/** How often a script is played. */
export declare interface ScriptOptions {
    /** Pulls in a row, `Infinity` allowed; default 1. */
    readonly times?: number;
}

/**
 * Returns an image whose every byte follows from these options, on every machine. Layers from 2 KiB up are
 * tar archives with one file, with matching `diff_ids`, so that real engines take them.
 *
 * Content is computed when it is read and never held; making the image reads it once for its digests,
 * about one second per GiB.
 *
 * @throws {InvalidOptionError} when an option is unknown or out of range
 */
export declare function seededImage(options?: SeededImageOptions): TestImage;

/** What a seeded image is made of. */
export declare interface SeededImageOptions {
    /** Layers of each platform; default 1. With a list of `bytes` its length. */
    readonly layers?: number;
    /** Bytes of each layer, unpacked; default 64 KiB. A list gives each layer its own size. At most 8 GiB. */
    readonly bytes?: number | readonly number[];
    /** Images of one seed share their first layers, as builds on one base do; default `'pull-failover'`. */
    readonly seed?: string;
    /** `['linux/amd64', 'linux/arm64/v8']` makes an index; without it there is one manifest, for linux/amd64. */
    readonly platforms?: readonly string[];
    /** Adds a build attestation per platform, as buildx does; makes an index. Default false. */
    readonly attestations?: boolean;
    /** Default `'oci'`. `'docker'`: schema 2 and manifest list. */
    readonly mediaTypes?: 'oci' | 'docker';
    /** Default `'none'`. `'gzip'` frames layers as gzip without making them smaller. */
    readonly compression?: 'none' | 'gzip';
    /** Every layer is one and the same blob, named several times; default false. */
    readonly sameLayers?: boolean;
    /** Default `'sha256'`. */
    readonly digests?: DigestAlgorithm;
    /** Merged into the image's config document. */
    readonly config?: Readonly<Record<string, unknown>>;
}

/**
 * Who found out.
 *
 * - `pull`: the pulls of this process
 * - `probe`: a probe of the phase that had failed
 * - `canary`: a look at a registry that was taken for well
 * - `state`: another process that shares `stateDir`, or this one before it was restarted
 */
export declare type SeenBy = 'pull' | 'probe' | 'canary' | 'state';

/**
 * What one registry contributed to a pull. What belongs to a fetch that several pulls share counts for each of them,
 * from when it takes part. Where an engine pulls by itself (the route `direct`), nobody sees its connections: 0.
 */
export declare interface Served {
    /** The registry's prefix. */
    readonly registry: string;
    /** Manifests and blobs of which it sent anything; 0 where it was asked as a hedge and had sent nothing yet. */
    readonly objects: number;
    /** Bytes that arrived from it, waste included. */
    readonly bytes: number;
    /**
     * Of `bytes` those that were of no use and thrown away: another registry had brought the same, or was faster (a hedge
     * and whom it overtook), they were not asked for, or they belonged to a manifest or blob that turned out wrong.
     */
    readonly wastedBytes: number;
    /** The most connections that fetched blobs of this pull from it at the same time. */
    readonly connections: number;
    /**
     * How often it was asked for what another registry was late with, and was the faster of the two (`won`) or not (`lost`:
     * the late one came first after all, or this one failed).
     */
    readonly hedges: {
        readonly won: number;
        readonly lost: number;
    };
}

/** What the report is to say of one registry. */
export declare interface ServedOptions {
    /** The registry's prefix; default the one at this place of the image's replica set. */
    readonly registry?: string;
    /** Default 1; 0 of one that was only asked as a hedge, and sent nothing. */
    readonly objects?: number;
    /** Default 1, or 0 where `objects` is 0. */
    readonly bytes?: number;
    /** At most `bytes`; default 0. */
    readonly wastedBytes?: number;
    /** Default 1, or 0 where it sent nothing. */
    readonly connections?: number;
    /** Default none; where `objects` is 0 there must be some, or no report would name the registry. */
    readonly hedges?: Partial<Served['hedges']>;
}

/** The certificate a server shows, in PEM. */
export declare interface ServerTls {
    readonly key: string | Uint8Array;
    readonly cert: string | Uint8Array;
    /** Clients must show a certificate issued by this one. */
    readonly clientCa?: string | Uint8Array;
}

/** What every payload has. */
declare interface Stamp<Type extends string> {
    readonly type: Type;
    /** Grows by one with each event of one puller. */
    readonly seq: number;
    /** Milliseconds since the epoch. */
    readonly atMs: number;
}

/**
 * Starts a proxy that passes everything on to a registry, pushes too, and fails as the faults say.
 * Redirects and token services of that registry at its own origin lead through the proxy as well; those elsewhere do not.
 * A registry that cannot be reached shows as a connection that is reset, one that ends in the middle as one that is closed.
 *
 * @param upstream the registry's origin, such as `http://127.0.0.1:5000`
 * @throws {InvalidOptionError} when an option is unknown or malformed
 */
export declare function startFaultProxy(upstream: string, options?: FaultProxyOptions): Promise<FaultProxy>;

/**
 * Starts a registry in this process that serves the images given, and fails as the faults say.
 * It is stricter than real registries: a request that breaks a rule is refused, and listed in `violations`.
 *
 * @throws {InvalidOptionError} when an option is unknown or malformed
 */
export declare function startRegistryDouble(options?: RegistryDoubleOptions): Promise<RegistryDouble>;

declare type StatusDetails = Omit<StatusTrouble, 'kind' | 'status'> & FaultScope;

/** Another status than the right one, with an error body. */
export declare interface StatusTrouble {
    readonly kind: 'status';
    readonly status: number;
    /** The Retry-After header: seconds, or any text, such as an HTTP date. */
    readonly retryAfter?: number | string;
    /** Error code of the distribution specification; default: the one that goes with the status. */
    readonly code?: string;
    /** Sent instead of the error JSON. */
    readonly body?: string;
    /** With `body`; default `text/plain`. */
    readonly contentType?: string;
    /** A WWW-Authenticate header. */
    readonly challenge?: string;
}

/** What the report is to say; everything has a plausible default. */
export declare interface SucceedOptions {
    readonly digest?: Digest;
    readonly manifestDigest?: Digest;
    readonly imageId?: string;
    readonly resolution?: Resolution;
    /** Default: an image of about 20 MB, all of it fetched. */
    readonly bytes?: Partial<PullBytes>;
    /** Default: whoever the script lets do the work. The bytes must add up to `bytes.fetched`. */
    readonly served?: readonly ServedOptions[];
}

/** Not the first registry allowed to resolve, but a later one resolved the tag. At most once per pull. */
export declare interface TagResolvedByReplica extends OfPull<'tag:resolved-by-replica'> {
    readonly registry: string;
    readonly digest: Digest;
    readonly resolution: Resolution;
}

/** A layer or config of a test image. */
export declare interface TestBlob {
    readonly digest: Digest;
    readonly mediaType: string;
    readonly sizeBytes: number;
    /** Yields the bytes from `from` (default 0) up to, not including, `to` (default the end). */
    read(from?: number, to?: number): Iterable<Uint8Array>;
}

/** A manifest or index of a test image. */
export declare interface TestDocument {
    readonly digest: Digest;
    readonly mediaType: string;
    readonly bytes: Uint8Array;
}

/** An image that a registry double can serve, and that a spec can compare with. */
export declare interface TestImage {
    /** What a tag of this image resolves to. */
    readonly digest: Digest;
    readonly mediaType: string;
    /** The index when it has several platforms, else its only manifest. */
    readonly top: TestDocument;
    /** One per platform, in the order given. */
    readonly manifests: readonly TestManifest[];
    /** Every document: the top one, the manifests, attestations. */
    readonly documents: readonly TestDocument[];
    /** Every blob once. */
    readonly blobs: readonly TestBlob[];
    /** The config of the first platform. */
    readonly config: TestBlob;
    /** The layers of the first platform, in the order of its manifest. */
    readonly layers: readonly TestBlob[];
    /** The blobs of the first platform, each once: what a pull of it has to fetch. */
    readonly blobBytes: number;
}

/** The manifest of one platform, with what it names. */
export declare interface TestManifest extends TestDocument {
    /** As written in the options, `linux/arm64/v8`. */
    readonly platform: string;
    readonly config: TestBlob;
    readonly layers: readonly TestBlob[];
}

/** A user's password, and the repositories it opens (default: all). */
export declare type TestUser = string | {
    readonly password: string;
    readonly repositories?: readonly string[];
};

/** Bytes that arrived from each registry over time, as the pulls tell it. */
export declare interface Throughput {
    readonly fromMs: number;
    /** The length of one step. It doubles when an incident lasts longer than its steps do. */
    readonly stepMs: number;
    readonly registries: readonly RegistryThroughput[];
}

/**
 * How long the parts of a pull may take. Milliseconds are integers of at least 1; `Infinity` is no limit.
 * What is not given has its default, except that a default never contradicts what was given.
 */
export declare interface Timeouts {
    readonly metadata?: {
        /** One ping, token or manifest request, from when it holds a connection until its answer is read. Default 5,000. */
        readonly requestMs?: number;
        /** All metadata requests of one fetch to one registry, repetitions and waits included. Default 10,000. */
        readonly totalMs?: number;
    };
    readonly layers?: {
        /** From when a blob request holds a connection to the first byte of the blob, redirects included. Default 5,000. */
        readonly firstByteMs?: number;
        /** From one body byte of a blob to the next. Default 4,000. */
        readonly stallMs?: number;
        /**
         * The floor of a blob's rate, in bytes per second, while another candidate could do better; over all the requests that
         * a registry gets for the blob. Default 32,768.
         */
        readonly minBytesPerSecond?: number;
        /** The sliding window over which that rate is measured; `Infinity` for no floor. Default 15,000. */
        readonly windowMs?: number;
        /** From the first blob request until all blobs are read. Default `Infinity`. */
        readonly totalMs?: number;
    };
    /** The same limits for the last candidate left. Where `layers` gives one and this does not, that one holds. */
    readonly lastCandidate?: {
        /** Default 30,000, or `layers.firstByteMs` when that is given. */
        readonly firstByteMs?: number;
        /** Default 30,000, or `layers.stallMs` when that is given. */
        readonly stallMs?: number;
    };
    readonly extract?: {
        /** From the last byte delivered, or the last local progress, until the engine has the image. Default 900,000. */
        readonly stallMs?: number;
    };
}

/** Faults of the token service. */
export declare const token: TokenFaults;

/** Faults of the token service. */
export declare interface TokenFaults extends ExchangeFaults, CutFaults {
    /** An answer cut in the middle, with a length that fits. */
    malformedJson(scope?: Scope): Fault;
    /** JSON without a token. */
    noToken(scope?: Scope): Fault;
    /** 200 with a page of a captive portal. */
    html(scope?: Scope): Fault;
    /** An answer of `bytes` bytes, default 5,000,000. */
    huge(options?: {
        readonly bytes?: number;
    } & Scope): Fault;
}

/** What can go wrong with token requests. */
export declare type TokenTrouble = ExchangeTrouble | Extract<BodyTrouble, {
    readonly kind: 'stall' | 'reset' | 'truncate' | 'drip';
}> | {
    readonly kind: 'malformed-json';
}
/** 200 with JSON that holds no token. */
| {
    readonly kind: 'no-token';
} | {
    readonly kind: 'html';
} | {
    readonly kind: 'huge';
    readonly bytes?: number;
};

/** How bytes are moved: over how many connections, with how much memory, and from whom. */
export declare interface TransferOptions {
    /**
     * Connections for one blob, 1 to 64: the most. One is used until a second one is seen to raise the throughput, so that
     * a fast link pays nothing for it; 1 never splits a blob. At most `maxConnections`; default 8.
     */
    readonly connectionsPerBlob?: number;
    /**
     * Connections for all blobs of the puller; default 16, and never fewer than a `connectionsPerBlob` that was given. They
     * are shared fairly, first between kinds of operation (`operation.kind`), then between the pulls of a kind; each
     * registry's own `maxConnections` holds beside it. At most 1,024.
     */
    readonly maxConnections?: number;
    /**
     * Bytes of the first range that each connection asks for, at least 16,384; default 2,097,152 (2 MiB). Ranges grow from
     * there while the window has room; a blob smaller than four of them is not split.
     */
    readonly rangeBytes?: number;
    /**
     * Memory for what one blob received ahead of the byte that is written next, in bytes; at least `rangeBytes`, default
     * 16,777,216 (16 MiB).
     */
    readonly windowBytes?: number;
    /**
     * The same for all blobs of the puller together, shared as the connections are; at least `windowBytes`, default
     * 67,108,864 (64 MiB), and never less than a `windowBytes` that was given.
     */
    readonly maxWindowBytes?: number;
    /**
     * Whether a blob is drawn from all its registries at once. Default false: in order, and while the first is well
     * nobody else is asked for a byte.
     */
    readonly spread?: boolean;
    /** When a late request is sent to the next registry too. */
    readonly hedge?: HedgeOptions;
}

/** What becomes of an image in no replica set: pulled from its own registry alone, or refused. */
export declare type Unlisted = 'own-registry' | 'refuse';

/** The image exists, but it cannot be pulled: schema 1, no such platform, not an image, too large a manifest. */
export declare class UnsupportedImageError extends PullFailoverError {
    readonly name = "UnsupportedImageError";
    readonly image: string;
    readonly problem: 'schema-1' | 'no-such-platform' | 'not-an-image' | 'malformed' | 'too-large' | 'foreign-layer';
    constructor(image: string, problem: UnsupportedImageError['problem'], message: string, cause?: unknown);
}

/**
 * What follows from a cause and its evidence.
 *
 * - `again`: the same registry once more; transient
 * - `next`: this registry cannot serve this object; it is not ill (404, denied)
 * - `ill`: the next registry, and it counts against this one's health in this phase
 * - `limited`: the next registry, and leave this one alone until Retry-After
 * - `stop`: no registry can help
 */
export declare type Verdict = 'again' | 'next' | 'ill' | 'limited' | 'stop';

/** A request that a client should not have sent. */
export declare interface Violation {
    readonly rule: ViolationRule;
    readonly detail: string;
    readonly request: LoggedRequest;
}

/** The rules that a client broke, beyond what most registries would mind. */
export declare type ViolationRule = 'method' | 'body' | 'host' | 'path' | 'repository' | 'reference' | 'accept' | 'accept-encoding' | 'range' | 'authorization' | 'signature';

/** What to wait for. */
export declare interface WaitOptions<Name extends PullEventName> {
    readonly signal?: AbortSignal;
    /** Which of these events is meant; default the next one. */
    readonly filter?: (event: PullEventNamed<Name>) => boolean;
}

/** The blob that a sink is wanted for. */
export declare type WantedBlob = Pick<Descriptor, 'digest' | 'size' | 'mediaType'>;

/**
 * What to do when no registry can serve the image now.
 *
 * - `fail`: reject with `PullExhaustedError`
 * - `use-cached`: succeed with the engine's own copy, where it has one for this platform
 * - `{ waitMs }`: park for at most so many milliseconds in all (`Infinity`: without end), and try again when a circuit
 *   closes, a cool-down or a Retry-After ends, at least every 30 s; then as `fail`
 */
export declare type WhenExhausted = 'fail' | 'use-cached' | {
    readonly waitMs: number;
};

/**
 * Returns the same dockerode, whose `pull()` and `createImage({ fromImage })` go through failover; promise, callback and
 * stream forms, `followProgress` and in-band errors are dockerode's. Everything else is the given object's own.
 *
 * - The promise settles when the image is known, or cannot be had; such a failure is the `PullFailoverError` itself, with
 *   the `statusCode` a daemon would have answered with.
 * - What fails later is the last line, `{ error, errorDetail }`. Destroying the stream, or `abortSignal`, ends the pull.
 * - `authconfig` goes to the image's own registry alone, and to none when its `serveraddress` names another one.
 * - Every tag of a repository (`createImage` without a tag) and `fromSrc` are dockerode's own, without failover; a host
 *   or a set that the options refuse is refused there too.
 *
 * `puller` is what they go through, for everything that dockerode has no words for. Unless it was given, it is this
 * object's own: end it with `await docker.puller.close()`; pulls are refused from then on, nothing else is.
 *
 * @param docker dockerode 3 to 5
 * @throws InvalidOptionError
 */
export declare function withPullFailover<T extends DockerLike>(docker: T, options?: PullFailoverOptions): T & {
    readonly puller: Puller;
};

export { }
