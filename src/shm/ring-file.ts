/**
 * The file behind a ring: names, header, and who may write to it. The worker that holds the lock file of a slot is the
 * slot's only writer; the kernel drops the lock when it dies, however it dies. A file gets its final name only when its
 * header is complete, and a file that is not a ring of ours is renamed, never overwritten. Runs at start only.
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { CodedError } from "../base/errors.ts";
import { RING_RECORDS, RINGS_MAX } from "../base/limits.ts";
import { native } from "../native/native.ts";
import { RECORD_BYTES } from "../telemetry/record.ts";
import {
  BOOT_ID_BYTES,
  PAGE_BYTES,
  RING_AT,
  RING_BYTES,
  RING_FORMS,
  RING_ID_BYTES,
  RING_MAGIC,
  RING_VERSION,
  type RingForm,
  ringBytes,
} from "./layout.ts";

export interface RingFile {
  readonly path: string;
  readonly mapping: ArrayBuffer;
  /** 16 hex digits: the ring's identity in the store. A ring made anew has another one. */
  readonly id: string;
  readonly form: RingForm;
}

export interface OwnedRingFile extends RingFile {
  readonly slot: number;
  /** Why an earlier file of this slot was renamed, for the log; null: it was not. */
  readonly notice: string | null;
}

const RING_NAME = /^ring-\d{3}(\.left-[0-9a-f]{16})?\.map$/;

export function ringsDirectory(dataDir: string): string {
  return join(dataDir, "rings");
}

/** Paths of all rings with records that somebody may have to drain; none when there is no directory yet. */
export function listRings(dataDir: string): string[] {
  const directory = ringsDirectory(dataDir);
  try {
    const names = readdirSync(directory).filter((name) => RING_NAME.test(name));
    return names.sort().map((name) => join(directory, name));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}

/**
 * Slots that somebody held once and nobody holds now. Supervisor, at its start, before a worker of its own claims one: each is locked for
 * a moment.
 */
export function unheldSlots(dataDir: string): number[] {
  const directory = ringsDirectory(dataDir);
  return Array.from({ length: RINGS_MAX }, (_, slot) => slot).filter((slot) => {
    const path = `${stemOf(directory, slot)}.lock`;
    const lock = exists(path) ? native.lockFile(path) : -1;
    if (lock >= 0) closeSync(lock);
    return lock >= 0;
  });
}

/** Whether this ring was left by an earlier boot of the machine, or an earlier version: it has no writer, and is deleted once it is drained. */
export function isLeftRing(path: string): boolean {
  return path.includes(".left-");
}

/** The first slot that nobody else holds. Throws CodedError `rings_exhausted`. */
export function claimRingFile(dataDir: string): OwnedRingFile {
  const directory = ringsDirectory(dataDir);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  for (let slot = 0; slot < RINGS_MAX; slot += 1) {
    const stem = stemOf(directory, slot);
    if (native.lockFile(`${stem}.lock`) >= 0) return openOwned(stem, slot);
  }
  throw new CodedError("rings_exhausted", `all ${RINGS_MAX} rings in ${directory} are held by running processes`);
}

/** Calls `act` while nobody can take this slot; not at all when somebody holds it. */
export function whileFree(dataDir: string, slot: number, act: () => void): void {
  const lock = native.lockFile(`${stemOf(ringsDirectory(dataDir), slot)}.lock`);
  if (lock < 0) return;
  try {
    act();
  } finally {
    closeSync(lock);
  }
}

function stemOf(directory: string, slot: number): string {
  return join(directory, `ring-${String(slot).padStart(3, "0")}`);
}

/** Maps an existing ring. Throws CodedError `ring_invalid` when the file is not one. */
export function mapRingFile(path: string): RingFile {
  const form = soundForm(path);
  const mapping = native.mapFile(path, ringBytes(form));
  return { path, mapping, id: ringIdOf(Buffer.from(mapping, 0, PAGE_BYTES)), form };
}

/** Maps the header page of an existing ring. Throws CodedError `ring_invalid` when the file is not one. */
export function mapRingHeader(path: string): ArrayBuffer {
  soundForm(path);
  return native.mapFile(path, PAGE_BYTES);
}

function soundForm(path: string): RingForm {
  const header = readHeader(path);
  const form = formOf(header);
  const fault = ringFault(header, form, statSync(path).size);
  if (fault !== null || form === undefined) throw new CodedError("ring_invalid", `${path}: ${fault}`);
  return form;
}

function openOwned(stem: string, slot: number): OwnedRingFile {
  const path = `${stem}.map`;
  const notice = putAside(stem, path);
  const file = notice === null && exists(path) ? mapRingFile(path) : createRing(stem, path);
  return { ...file, slot, notice };
}

/** Renames what is at `path` if this boot cannot go on with it, and says why. */
function putAside(stem: string, path: string): string | null {
  if (!exists(path)) return null;
  const header = readHeader(path);
  const fault = ringFault(header, formOf(header), statSync(path).size);
  if (fault !== null) return renameAs(path, `${stem}.foreign-${Date.now()}`, fault);
  const left = `${stem}.left-${ringIdOf(header)}.map`;
  if (header.readUInt32LE(RING_AT.version) !== RING_VERSION)
    return renameAs(path, left, "it is of an earlier version and is drained separately");
  if (header.subarray(RING_AT.bootId, RING_AT.bootId + BOOT_ID_BYTES).equals(bootId())) return null;
  // After a power cut the pages of the ring and of the store come back from different moments: the ring may be behind
  // the store. New records under old positions would be taken for known ones, so they get a ring of their own.
  return renameAs(path, left, "it is from an earlier boot and is drained separately");
}

function renameAs(path: string, aside: string, reason: string): string {
  renameSync(path, aside);
  return `${path} was renamed to ${aside}: ${reason}`;
}

/** Made under another name and renamed: a process killed in here leaves no half ring. */
function createRing(stem: string, path: string): RingFile {
  const draft = `${stem}.new`;
  rmSync(draft, { force: true });
  const mapping = native.mapFile(draft, RING_BYTES);
  const header = Buffer.from(mapping, 0, PAGE_BYTES);
  header.writeUInt32LE(RING_MAGIC, RING_AT.magic);
  header.writeUInt32LE(RING_VERSION, RING_AT.version);
  header.writeUInt32LE(PAGE_BYTES, RING_AT.headerBytes);
  header.writeUInt32LE(RECORD_BYTES, RING_AT.recordBytes);
  header.writeUInt32LE(RING_RECORDS, RING_AT.records);
  randomBytes(RING_ID_BYTES).copy(header, RING_AT.id);
  bootId().copy(header, RING_AT.bootId);
  renameSync(draft, path);
  return { path, mapping, id: ringIdOf(header), form: soundForm(path) };
}

/** Undefined: of a version that is not read. */
function formOf(header: Buffer): RingForm | undefined {
  return RING_FORMS.get(header.readUInt32LE(RING_AT.version));
}

/** What is wrong with a file of `bytes` as a ring; null: nothing. */
function ringFault(header: Buffer, form: RingForm | undefined, bytes: number): string | null {
  const expected = form === undefined ? RING_BYTES : ringBytes(form);
  if (bytes !== expected) return `it has ${bytes} bytes and a ring has ${expected}`;
  if (header.readUInt32LE(RING_AT.magic) !== RING_MAGIC) return "it does not begin like a ring";
  if (form === undefined) return "it is a ring of another version";
  const sizes = [RING_AT.headerBytes, RING_AT.recordBytes, RING_AT.records].map((at) => header.readUInt32LE(at));
  if (sizes.join() !== [PAGE_BYTES, form.recordBytes, form.records].join()) return "its sizes are not ours";
  return positionFault(header.readBigInt64LE(RING_AT.write), header.readBigInt64LE(RING_AT.release), form);
}

/** Read release first and write second elsewhere; here both come from one read and a live writer is ahead of neither. */
function positionFault(write: bigint, release: bigint, { records }: RingForm): string | null {
  const held = write - release;
  const sound = release >= 0n && held >= 0n && held <= BigInt(records) && write <= BigInt(Number.MAX_SAFE_INTEGER);
  return sound ? null : `its positions make no sense (written ${write}, released ${release})`;
}

function readHeader(path: string): Buffer {
  const header = Buffer.alloc(PAGE_BYTES);
  const file = openSync(path, "r");
  try {
    readSync(file, header, 0, PAGE_BYTES, 0);
  } finally {
    closeSync(file);
  }
  return header;
}

function ringIdOf(header: Buffer): string {
  return header.toString("hex", RING_AT.id, RING_AT.id + RING_ID_BYTES);
}

/** Zeros where a sandbox hides /proc/sys (ProcSubset=pid): then a boot is not told from the next. */
function bootId(): Buffer {
  try {
    return Buffer.from(readFileSync("/proc/sys/kernel/random/boot_id", "latin1").replaceAll("-", "").trim(), "hex");
  } catch {
    return Buffer.alloc(BOOT_ID_BYTES);
  }
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}
