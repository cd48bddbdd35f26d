/**
 * A container is really made, of an empty root, with the plan that `up` would have: what files of /proc cannot tell, the
 * kernel does. Its command is not there, so that it ends where the command would start.
 */
import { chownSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { tmpdir } from 'node:os';
import { BoxctlError } from '../errors.ts';
import type { HostFacts } from '../host/facts.ts';
import { compile, ownershipFor } from '../model/compile.ts';
import { planContainer } from '../plan/container.ts';
import { explainFailure } from '../run/explain.ts';
import { launch } from '../launcher/launch.ts';
import { loadSpecText } from '../spec/load.ts';

export type Trial =
  | { readonly ok: true; readonly steps: number }
  | {
      readonly ok: false;
      /** The call that failed; undefined where there was no plan to be tried. */
      readonly call: string | undefined;
      readonly message: string;
      readonly hint: string | undefined;
    };

const NOT_THERE = '/boxctl-doctor-has-no-command';

/** On the store's own file system, as far as it is there. */
function workFolder(store: string): string {
  let parent = store;
  while (!existsSync(parent) && parent !== dirname(parent)) parent = dirname(parent);
  for (const folder of [parent, tmpdir()]) {
    try {
      return mkdtempSync(join(folder, 'boxctl-doctor-'));
    } catch {
      // Not ours to write to.
    }
  }
  throw new BoxctlError('E_IMAGE_STORE', `neither ${parent} nor ${tmpdir()} can be written`);
}

/** Tries a container with these keys beside its image and command. */
export async function tryContainer(host: HostFacts, keys: string): Promise<Trial> {
  let folder: string | undefined;
  try {
    folder = workFolder(host.dirs.store);
    const text = `name: doctor\nimage: {host_tools: [sh]}\ncommand: [${NOT_THERE}]\n${keys}`;
    const document = loadSpecText(text, 'doctor', { env: {}, home: '/' });
    const there = { ...host, dirs: { ...host.dirs, store: folder } };
    const ownership = ownershipFor(document, there);
    const rootfs = join(folder, 'rootfs');
    for (const path of [rootfs, join(folder, 'mnt')]) mkdirSync(path, { mode: 0o755 });
    const root = (maps: readonly { readonly host: number }[]): number => maps[0]?.host ?? 0;
    if (host.privileged && ownership !== undefined) chownSync(rootfs, root(ownership.uidMap), root(ownership.gidMap));
    const layers = [{ kind: 'tree', path: rootfs }] as const;
    const image = { digest: '', record: '', layers, ownership, passwd: '', group: '', shell: '', defaults: {} };
    const plan = planContainer(compile(document, image, there), image, there);
    const outcome = await launch(plan).done;
    if (outcome.failed?.index === plan.steps.length - 1) return { ok: true, steps: plan.steps.length };
    const failure = explainFailure(plan, outcome);
    const call = plan.steps[outcome.failed?.index ?? -1]?.call.name;
    return { ok: false, call, message: failure?.message ?? `it ended early (${outcome.kind})`, hint: failure?.hint };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const hint = error instanceof BoxctlError ? error.hint : undefined;
    return { ok: false, call: undefined, message: error.message, hint };
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}
