/**
 * What every contestant of the benchmark is to its runner: Sluice, nginx, the mock provider itself and peers. Runner
 * process only. What must hold: all that `start` starts listens on loopback, ends with `stop`, and is below the
 * processes of `pids`, so that CPU time and memory are whole.
 */

export interface Setting {
  /** Of this contestant alone, empty, removed after the run: configuration, databases, logs. */
  readonly directory: string;
  /**
   * Where the mock provider is, on 127.0.0.1. It is replaced by one with another latency between scenarios, on the same
   * port: a contestant must take up with the new one without help.
   */
  readonly mockPort: number;
  /** The same provider over TLS; absent: no scenario of the run wants it. */
  readonly secureMock?: SecureMock | undefined;
  /** Processes, or threads, that serve requests, where the contestant can be told. */
  readonly workers: number;
}

/** On 127.0.0.1, for which its certificate is. */
export interface SecureMock {
  readonly port: number;
  /** PEM: whom contestants trust with it, and nobody else. */
  readonly caFile: string;
}

/** Where requests go, on 127.0.0.1. */
export interface Endpoint {
  readonly port: number;
  /** Of chat completions. */
  readonly path: string;
  /** Besides content-type and content-length: authorization and what the contestant wants to know. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** The model's name in requests. */
  readonly model: string;
}

export interface Contestant {
  /** As in tables, files and `--peers`: lower case, no spaces. */
  readonly name: string;
  /** Resolves once it answers; fails with what the program said. What it spawns inherits the caller's CPU affinity. */
  start(setting: Setting): Promise<void>;
  /** The programs started; their descendants count too. */
  pids(): readonly number[];
  readonly endpoint: Endpoint;
  /** From where requests go on to the provider over TLS. Absent or null: the contestant is not set up for it. */
  readonly secureEndpoint?: Endpoint | null;
  versions(): Record<string, string>;
  /** Before a load: remembers what `settle` compares with. */
  begin?(): Promise<void>;
  /**
   * After a load of `requests`, cancelled ones included, and once the contestant is idle: throws when it has not accounted for each
   * of them. True when it still had to be waited for.
   */
  settle?(requests: number): Promise<boolean>;
  stop(): Promise<void>;
}
