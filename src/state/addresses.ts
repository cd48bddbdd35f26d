/**
 * Gives each container a free number, which determines its address in the pool, and free addresses in the networks that it
 * shares with others. A claim is a file in the state folder: its name is the number, and its text has the container's
 * addresses. It is locked (flock(2)) while the container runs. A claim without a lock is free.
 */
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { BoxctlError } from '../errors.ts';
import { makeFolders } from '../files/folders.ts';
import type { NetworkFacts } from '../host/facts.ts';
import { NETWORK_CONFIG, readNetworkConfig } from '../host/network-config.ts';
import { noteGap } from '../inputs/record.ts';
import type { ClaimedNetwork, NetworkClaim } from '../model/claims.ts';
import { LAST_INDEX } from '../model/network-defaults.ts';
import { NAMES_FOLDER, networkId } from '../model/network-id.ts';
import { tryLock } from '../native.ts';
import type { NetworkAttachment } from '../spec/network/network.ts';
import { located, type Problem } from '../spec/located.ts';
import type { SpecPath } from '../spec/spec-path.ts';
import type { SpecDocument } from '../spec/spec.ts';
import {
  addressAt,
  containsAddress,
  containsSubnet,
  formatSubnet,
  overlapsSubnet,
  parseSubnet,
  widthOf,
  type Family,
  type Subnet,
} from '../text/addresses.ts';
import { isRecord } from '../text/json.ts';
import { chooseRanges, overlapOf, type Ranges } from './address-pool.ts';

const PATIENCE_MS = 5000;
/** The text is padded to this many bytes, which is more than it can have. */
const REMEMBERED_SIZE = 400;

/** A network in a claim's file, with the container's addresses on it. */
interface Membership {
  readonly id: string;
  readonly subnet4?: string;
  readonly subnet6?: string;
  readonly address4?: string;
  readonly address6?: string;
}

/** The claim of a run. */
export interface AddressClaim {
  readonly network: NetworkClaim;
  /** Descriptors that hold the claim: it is taken as long as one process has them open. */
  readonly locks: readonly number[];
  /** Gives the addresses back. To be called once, at the end of the run. */
  release(): void;
}

/** Takes the lock under which claims are made, one process at a time. Returns the descriptor that holds it. */
function lockFolder(dir: string): number {
  const fd = openSync(join(dir, 'lock'), 'a', 0o600);
  for (const until = Date.now() + PATIENCE_MS; !tryLock(fd, true);) {
    if (Date.now() > until) {
      closeSync(fd);
      throw new BoxctlError(
        'E_NETWORK_LOCKED',
        `another boxctl has held ${dir}/lock for ${PATIENCE_MS / 1000} seconds`,
      );
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
  }
  return fd;
}

/** Opens and locks a claim. Undefined: a running container holds it. */
function tryTake(path: string): number | undefined {
  for (;;) {
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    const locked = tryLock(fd, true);
    // If its holder removed the file after it was opened, the lock is on a file without a name: a new one is opened.
    if (locked && fstatSync(fd).nlink > 0) return fd;
    closeSync(fd);
    if (!locked) return undefined;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function membership(value: unknown): readonly Membership[] {
  if (!isRecord(value) || typeof value['id'] !== 'string') return [];
  const text = (key: string): string | undefined => (typeof value[key] === 'string' ? value[key] : undefined);
  const entries = ['subnet4', 'subnet6', 'address4', 'address6'].flatMap((key) => {
    const found = text(key);
    return found === undefined ? [] : [[key, found]];
  });
  return [{ id: value['id'], ...Object.fromEntries(entries) }];
}

/** The networks in the claims of running containers. Removes claims that no container holds. */
function memberships(claims: string): readonly Membership[] {
  return readdirSync(claims).flatMap((name) => {
    const path = join(claims, name);
    const fd = tryTake(path);
    if (fd !== undefined) {
      unlinkSync(path);
      closeSync(fd);
      return [];
    }
    const value = parse(readFileSync(path, 'utf8'));
    return isRecord(value) && Array.isArray(value['networks']) ? value['networks'].flatMap(membership) : [];
  });
}

/** The ranges of the last claim, and its number. */
interface Remembered {
  readonly ranges: Ranges | undefined;
  readonly last: number;
}

const subnetFrom = (value: unknown): Subnet | undefined =>
  typeof value === 'string' ? parseSubnet(value)?.subnet : undefined;

function pairFrom(value: unknown): Ranges['pool'] | undefined {
  if (!isRecord(value)) return undefined;
  const [ipv4, ipv6] = [subnetFrom(value['ipv4']), subnetFrom(value['ipv6'])];
  return ipv4 === undefined || ipv6 === undefined ? undefined : { ipv4, ipv6 };
}

function readRemembered(path: string): Remembered {
  const value = existsSync(path) ? parse(readFileSync(path, 'utf8')) : undefined;
  if (!isRecord(value)) return { ranges: undefined, last: 0 };
  const [pool, subnets] = [pairFrom(value['pool']), pairFrom(value['subnets'])];
  const last = typeof value['last'] === 'number' && value['last'] <= LAST_INDEX ? value['last'] : 0;
  return { ranges: pool === undefined || subnets === undefined ? undefined : { pool, subnets }, last };
}

/** How the file begins. */
function rangesText({ pool, subnets }: Ranges): string {
  const shown = (pair: Ranges['pool']) => ({ ipv4: formatSubnet(pair.ipv4), ipv6: formatSubnet(pair.ipv6) });
  return `{"pool":${JSON.stringify(shown(pool))},"subnets":${JSON.stringify(shown(subnets))},`;
}

function writeRemembered(path: string, ranges: Ranges, last: number): void {
  const text = `${rangesText(ranges)}"last":${last}}`;
  const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  // Overwritten in place: some file systems wait for the disk at close(2) of a file that was truncated.
  writeSync(fd, `${text.padEnd(REMEMBERED_SIZE)}\n`, 0);
  closeSync(fd);
}

const same = (one: Ranges, other: Ranges): boolean => JSON.stringify(one) === JSON.stringify(other);

/** While a container runs, new ones get addresses of its pool, even if the configuration has changed since. */
function rangesFor(claims: string, facts: NetworkFacts, remembered: Ranges | undefined): Ranges {
  const others = 'addresses are of the pool of the containers that run';
  let wanted: Ranges;
  try {
    wanted = chooseRanges(readNetworkConfig(), facts);
  } catch (error) {
    if (remembered === undefined || !isAnyHeld(claims)) throw error;
    noteGap(others);
    return remembered;
  }
  if (remembered === undefined || same(wanted, remembered) || !isAnyHeld(claims)) return wanted;
  noteGap(others);
  return remembered;
}

function isAnyHeld(claims: string): boolean {
  return readdirSync(claims).some((name) => {
    const fd = tryTake(join(claims, name));
    if (fd === undefined) return true;
    closeSync(fd);
    return false;
  });
}

/** With a number after it, it is there as long as an interface has that: the kernel removes it some time after the container's end. */
const IN_USE = '/proc/sys/net/ipv4/conf/boxctl';
const isBusy = (index: number): boolean => existsSync(`${IN_USE}${index}`);

/**
 * Claims a free number. Numbers are given in turn, for two reasons. The kernel takes some time to remove an interface. A
 * client that still uses the address of a container that has ended should not reach another one.
 */
function takeIndex(claims: string, last: number): { readonly index: number; readonly fd: number } {
  for (let step = 1; step <= LAST_INDEX; step++) {
    const index = ((last + step - 1) % LAST_INDEX) + 1;
    if (isBusy(index)) continue;
    const fd = tryTake(join(claims, String(index)));
    if (fd !== undefined) return { index, fd };
  }
  throw new BoxctlError('E_NO_FREE_ADDRESS', `all ${LAST_INDEX} addresses for containers are taken`, {
    hint: 'end some containers',
  });
}

class Networks {
  readonly #document: SpecDocument;
  readonly #others: readonly Membership[];
  readonly #ranges: Ranges;
  readonly #facts: NetworkFacts;
  readonly #given: Membership[] = [];

  constructor(document: SpecDocument, others: readonly Membership[], ranges: Ranges, facts: NetworkFacts) {
    this.#document = document;
    this.#others = others;
    this.#ranges = ranges;
    this.#facts = facts;
  }

  get memberships(): readonly Membership[] {
    return this.#given;
  }

  claim(attachment: NetworkAttachment): ClaimedNetwork {
    const id = networkId(this.#document, attachment);
    const members = this.#others.filter((one) => one.id === id);
    const of4 = attachment.ipv4 ? this.#family(attachment, members, 4) : undefined;
    const of6 = attachment.ipv6 ? this.#family(attachment, members, 6) : undefined;
    this.#given.push({
      id,
      ...(of4 === undefined ? {} : { subnet4: formatSubnet(of4.subnet), address4: of4.address }),
      ...(of6 === undefined ? {} : { subnet6: formatSubnet(of6.subnet), address6: of6.address }),
    });
    return {
      ...(of4 === undefined ? {} : { subnet4: of4.subnet, address4: of4.address }),
      ...(of6 === undefined ? {} : { subnet6: of6.subnet, address6: of6.address }),
    };
  }

  #family(attachment: NetworkAttachment, members: readonly Membership[], family: Family) {
    const subnetOf = (one: Membership): Subnet | undefined => subnetFrom(family === 4 ? one.subnet4 : one.subnet6);
    const addressOf = (one: Membership): string | undefined => (family === 4 ? one.address4 : one.address6);
    const used = members.map(subnetOf).find((found) => found !== undefined);
    const given = attachment.subnets.find((one) => one.subnet.family === family);
    if (given !== undefined && used !== undefined && formatSubnet(given.subnet) !== formatSubnet(used)) {
      const message = `the network ${attachment.name} has the subnet ${formatSubnet(used)} as long as the containers run that are on it`;
      const hint = 'end them first, or give the network the same subnet';
      throw this.#refusal(given.specPath, { code: 'E_SUBNET_TAKEN', message, hint });
    }
    if (given !== undefined && used === undefined) this.#checkGiven(given.subnet, given.specPath);
    const subnet = used ?? given?.subnet ?? this.#freeSubnet(family, attachment.specPath);
    const taken = new Set(members.map(addressOf));
    for (const one of attachment.subnets) if (one.gateway !== undefined) taken.add(one.gateway);
    const wanted = family === 4 ? attachment.ipv4Address : attachment.ipv6Address;
    if (wanted !== undefined) {
      const path = `${attachment.specPath}.ipv${family}_address` as const;
      // The file may not say the subnet, which is that of the containers that are there. The host has a route to this address.
      if (!containsAddress(subnet, wanted)) {
        const message = `${wanted} is not in the subnet ${formatSubnet(subnet)} of the network ${attachment.name}`;
        const hint = `such as ${freeAddress(subnet, taken) ?? formatSubnet(subnet)}, or leave it out`;
        throw this.#refusal(path, { code: 'E_SPEC_ADDRESS', message, hint });
      }
      if (!taken.has(wanted)) return { subnet, address: wanted };
      const message = `another container on ${attachment.name} has the address ${wanted}`;
      throw this.#refusal(path, { code: 'E_ADDRESS_TAKEN', message, hint: 'choose another, or leave it out' });
    }
    const address = freeAddress(subnet, taken);
    if (address !== undefined) return { subnet, address };
    const message = `all addresses of ${formatSubnet(subnet)} are taken`;
    const hint = 'give the network a larger subnet';
    throw this.#refusal(attachment.specPath, { code: 'E_NO_FREE_ADDRESS', message, hint });
  }

  #refusal(path: SpecPath, problem: Problem): BoxctlError {
    return located(this.#document, [[path, problem]]);
  }

  /** The pool, and the subnets of all networks in use. */
  #inUse(family: Family): readonly Subnet[] {
    const pool = family === 4 ? this.#ranges.pool.ipv4 : this.#ranges.pool.ipv6;
    const all = [...this.#others, ...this.#given].map((one) => (family === 4 ? one.subnet4 : one.subnet6));
    return [pool, ...all.flatMap((text) => subnetFrom(text) ?? [])];
  }

  #checkGiven(subnet: Subnet, path: SpecPath): void {
    const other = this.#inUse(subnet.family).find((one) => overlapsSubnet(one, subnet));
    const host = overlapOf(subnet, this.#facts);
    if (other === undefined && host === undefined) return;
    const what = other === undefined ? `${host} is in it` : `${formatSubnet(other)} is in use`;
    const message = `the subnet ${formatSubnet(subnet)} cannot be had: ${what}`;
    throw this.#refusal(path, { code: 'E_SUBNET_TAKEN', message, hint: 'choose another, or leave it out' });
  }

  #freeSubnet(family: Family, path: SpecPath): Subnet {
    const range = family === 4 ? this.#ranges.subnets.ipv4 : this.#ranges.subnets.ipv6;
    const prefix = family === 4 ? 24 : 112;
    const inUse = this.#inUse(family);
    const count = Math.min(2 ** (prefix - range.prefix), 65_536);
    for (let place = 0; place < count; place++) {
      const address = addressAt(range, place * 2 ** (widthOf(family) - prefix));
      if (address === undefined) break;
      const subnet: Subnet = { family, address, prefix };
      if (inUse.some((one) => overlapsSubnet(one, subnet)) || overlapOf(subnet, this.#facts) !== undefined) continue;
      if (containsSubnet(range, subnet)) return subnet;
    }
    const message = `all subnets of ${formatSubnet(range)} are taken`;
    const hint = `end some containers, or name a larger range as \`subnets\` in ${NETWORK_CONFIG}`;
    throw this.#refusal(path, { code: 'E_NO_FREE_ADDRESS', message, hint });
  }
}

/**
 * A free address of a subnet. It is never the last one of IPv4, which is for broadcasts. In a subnet of more than 4
 * addresses it is not the first, the subnet's own, nor the second, which usually is a gateway's.
 */
function freeAddress(subnet: Subnet, taken: ReadonlySet<string | undefined>): string | undefined {
  const size = 2 ** Math.min(widthOf(subnet.family) - subnet.prefix, 16);
  const end = subnet.family === 4 ? size - 1 : size;
  for (let place = size > 4 ? 2 : 0; place < end; place++) {
    const address = addressAt(subnet, place);
    if (address !== undefined && !taken.has(address)) return address;
  }
  return undefined;
}

/**
 * Claims addresses for a container with a network of its own. No other container gets them until `release`, or until
 * this process ends. `resolved`: the addresses of the names in `egress`.
 *
 * @throws BoxctlError E_NETWORK_LOCKED, E_NO_FREE_ADDRESS, E_ADDRESS_TAKEN, E_SUBNET_TAKEN, E_POOL_OVERLAP, E_NETWORK_CONFIG
 */
export function claimAddresses(
  document: SpecDocument,
  facts: NetworkFacts,
  resolved: NetworkClaim['resolved'],
): AddressClaim {
  const claims = claimsFolder(facts.state);
  // It stays when its network namespace is gone. Whether that is so cannot be seen from here: a process of another process namespace
  // may be in it, a mount of another mount namespace or a descriptor may hold it, and what `pool` says of the last claim is kept for
  // it while nothing runs. There are no more such folders than there were namespaces at a time: the kernel gives each new one the
  // lowest number that is free (proc_alloc_inum). What is in them is swept by each command (sweepNetwork).
  makeFolders(claims, 0o700);
  const lock = lockFolder(facts.state);
  try {
    const file = join(facts.state, 'pool');
    const { ranges: remembered, last } = readRemembered(file);
    const ranges = rangesFor(claims, facts, remembered);
    const attachments = document.spec.network?.networks ?? [];
    const networks = new Networks(document, attachments.length > 0 ? memberships(claims) : [], ranges, facts);
    const claimed = attachments.map((attachment) => networks.claim(attachment));
    const { index, fd } = takeIndex(claims, last);
    // Its number may have been that of a container that was killed.
    removeNames(facts.state, (name) => name === String(index) || !existsSync(join(claims, name)));
    writeRemembered(file, ranges, index);
    const text = `${JSON.stringify({ name: document.spec.name, networks: networks.memberships }).slice(1)}\n`;
    writeSync(fd, `{"index":${index},${text}`, 0);
    const kept = { inUse: IN_USE, folder: facts.state, ranges: rangesText(ranges), text };
    return {
      network: { index, pool: ranges.pool, networks: claimed, resolved, file: kept },
      locks: [fd],
      release: () => {
        removeClaim(join(claims, String(index)), fd);
        closeSync(fd);
      },
    };
  } finally {
    closeSync(lock);
  }
}

/**
 * The claim of a container that has ended, whose file is open as `fd`: nothing is started with its addresses. `ranges` are those that
 * it had, since only a plan that is still right was started with them.
 *
 * @throws BoxctlError E_POOL_OVERLAP, E_NETWORK_CONFIG
 */
export function endedClaim(fd: number, facts: NetworkFacts): AddressClaim | undefined {
  const value = parse(readFileSync(`/proc/self/fd/${fd}`, 'utf8'));
  if (!isRecord(value) || typeof value['index'] !== 'number' || !Array.isArray(value['networks'])) return undefined;
  const networks = value['networks'].flatMap(membership).map(({ subnet4, subnet6, address4, address6 }) => ({
    ...pairOf('4', subnetFrom(subnet4), address4),
    ...pairOf('6', subnetFrom(subnet6), address6),
  }));
  const index = value['index'];
  const path = join(claimsFolder(facts.state), String(index));
  const { pool } = chooseRanges(readNetworkConfig(), facts);
  return {
    network: { index, pool, networks, resolved: new Map() },
    locks: [fd],
    release: () => {
      removeClaim(path, fd);
      closeSync(fd);
    },
  };
}

const pairOf = (family: '4' | '6', subnet: Subnet | undefined, address: string | undefined): ClaimedNetwork =>
  subnet === undefined || address === undefined ? {} : { [`subnet${family}`]: subnet, [`address${family}`]: address };

/** The folder of claims. The launcher removes the claim of its container, too (src/plan/network/network.ts). */
export const claimsFolder = (state: string): string => join(state, 'addresses');

/** Removes the names of containers, told by their numbers, from all networks: others no longer find them. */
function removeNames(state: string, isGone: (index: string) => boolean): void {
  const all = join(state, NAMES_FOLDER);
  if (!existsSync(all)) return;
  for (const network of readdirSync(all)) {
    const folder = join(all, network);
    for (const index of readdirSync(folder).filter(isGone)) rmSync(join(folder, index), { force: true });
  }
}

/** Removes the claim, unless the launcher has removed it: the path may be that of another container's claim by now. */
function removeClaim(path: string, fd: number): void {
  try {
    if (fstatSync(fd).nlink > 0) unlinkSync(path);
  } catch {
    // The file is gone already.
  }
}

/** Removes what killed launchers have left: claims without a lock, and forwarding that was switched on for containers. */
export function sweepNetwork(stateFolder: string): void {
  const folder = join(stateFolder, 'network');
  if (!existsSync(folder)) return;
  for (const netns of readdirSync(folder)) {
    const state = join(folder, netns);
    const claims = claimsFolder(state);
    sweepFiles(claims, () => undefined);
    // A claim is there before the names are, and longer.
    removeNames(state, (index) => !existsSync(join(claims, index)));
    // The settings of another network namespace cannot be reached from here, and end with it.
    if (isOwnNetns(netns)) sweepFiles(join(state, 'forwarding'), restoreSetting);
  }
}

function sweepFiles(folder: string, before: (path: string) => void): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const fd = tryTake(path);
    if (fd === undefined) continue;
    before(path);
    unlinkSync(path);
    closeSync(fd);
  }
}

const isOwnNetns = (name: string): boolean => readlinkSync('/proc/self/ns/net') === `net:[${name}]`;

/** Restores a setting. The file is named after it (`ipv4.conf.eth0.forwarding`), and its text is the old value. */
function restoreSetting(path: string): void {
  const text = readFileSync(path, 'utf8').trim();
  const match = /^(ipv[46])\.conf\.(.+)\.(forwarding|force_forwarding|accept_ra)$/u.exec(basename(path));
  if (match === null || !/^[012]$/u.test(text)) return;
  const setting = `/proc/sys/net/${match.slice(1, 2).join('')}/conf/${match[2]}/${match[3]}`;
  if (existsSync(setting)) writeFileSync(setting, text);
}
