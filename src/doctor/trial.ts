/**
 * A container is really made, of an empty root, with the plan that `up` would have: what files of /proc cannot tell, the
 * kernel does. Its command is not there, so that it ends where the command would start.
 */
import { chownSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { tmpdir } from 'node:os';
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import { claimOfNetwork, withNetworkFacts } from '../container/prepare.ts';
import { SILENT, type Reporter } from '../container/reporter.ts';
import { runModel } from '../container/run.ts';
import type { LaunchEvent } from '../launcher/events.ts';
import { compile, ownershipFor } from '../model/compile.ts';
import { UNKNOWN_IMAGE, type ImageFacts, type Ownership } from '../model/image.ts';
import type { Step } from '../plan/plan.ts';
import { loadSpecText } from '../spec/load.ts';
import type { IdMap, SpecDocument } from '../spec/spec.ts';

export type Trial =
  /** `leftOut`: the ids of steps whose error the plan allows. */
  | { readonly ok: true; readonly steps: number; readonly leftOut: readonly string[] }
  | {
      readonly ok: false;
      /** The call that failed; undefined where there was no plan to be tried. */
      readonly call: string | undefined;
      readonly message: string;
      readonly hint: string | undefined;
    };

const NOT_THERE = '/boxctl-doctor-has-no-command';

/** A folder on the store's file system: in the store, or in the nearest folder above it that exists. */
function workFolder(store: string): string {
  let parent = store;
  while (!existsSync(parent) && parent !== dirname(parent)) parent = dirname(parent);
  for (const folder of [parent, tmpdir()]) {
    try {
      return mkdtempSync(join(folder, 'boxctl-doctor-'));
    } catch {
      // This user may not write there.
    }
  }
  throw new BoxctlError('E_IMAGE_STORE', `neither ${parent} nor ${tmpdir()} can be written`);
}

/** The document of a container with these keys beside its image and command. */
function documentWith(keys: string): SpecDocument {
  const text = `name: doctor\nimage: {host_tools: [sh]}\ncommand: [${NOT_THERE}]\n${keys}`;
  return loadSpecText(text, 'doctor', { env: {}, home: '/' });
}

/** An empty root file system in the folder, with the owner that the container's root has on the host. */
function makeEmptyImage(folder: string, host: HostFacts, ownership: Ownership | undefined): ImageFacts {
  const rootfs = join(folder, 'rootfs');
  for (const path of [rootfs, join(folder, 'mnt')]) mkdirSync(path, { mode: 0o755 });
  const root = (maps: readonly IdMap[]): number => maps[0]?.host ?? 0;
  if (host.privileged && ownership !== undefined) chownSync(rootfs, root(ownership.uidMap), root(ownership.gidMap));
  const layers = [{ kind: 'tree', path: rootfs }] as const;
  return { ...UNKNOWN_IMAGE, layers, ownership };
}

/** A reporter that remembers the plan and the step that failed. */
class Observer {
  #steps: readonly Step[] = [];
  #failed: number | undefined;
  readonly #leftOut: number[] = [];

  readonly reporter: Reporter = {
    ...SILENT,
    launching: ({ steps }) => {
      this.#steps = steps;
      const event = (one: LaunchEvent): void => {
        if (one.kind === 'failed') this.#failed = one.index;
        else if (one.kind === 'step' && one.outcome === 'skipped') this.#leftOut.push(one.index);
      };
      return { draws: false, event, finish: () => Promise.resolve() };
    },
  };

  /** The number of steps, if all but the last succeeded. The last is the `execve` of the command, which is missing on purpose. */
  get done(): number | undefined {
    return this.#failed !== undefined && this.#failed === this.#steps.length - 1 ? this.#steps.length : undefined;
  }

  get leftOut(): readonly string[] {
    return this.#leftOut.flatMap((index) => this.#steps[index]?.id ?? []);
  }

  /** The call that failed. */
  get call(): string | undefined {
    return this.#failed === undefined ? undefined : this.#steps[this.#failed]?.call.name;
  }
}

/** Tries a container with these keys beside its image and command. */
export async function tryContainer(
  host: HostFacts,
  keys: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<Trial> {
  const observer = new Observer();
  let folder: string | undefined;
  let release = (): void => undefined;
  try {
    folder = workFolder(host.dirs.store);
    const document = documentWith(keys);
    const facts = await withNetworkFacts(document, host, env);
    const there = { ...facts, dirs: { ...host.dirs, store: folder } };
    const image = makeEmptyImage(folder, host, ownershipFor(document, there));
    const claims = await claimOfNetwork(document, there);
    ({ release } = claims);
    const prepared = { image, model: compile(document, image, there, {}, claims) };
    const { reason } = await runModel(prepared, there, { reporter: observer.reporter, takesSignals: false });
    return { ok: false, call: undefined, message: `it ended early (${reason})`, hint: undefined };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    if (observer.done !== undefined) return { ok: true, steps: observer.done, leftOut: observer.leftOut };
    const hint = error instanceof BoxctlError ? error.hint : undefined;
    return { ok: false, call: observer.call, message: error.message, hint };
  } finally {
    release();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}
