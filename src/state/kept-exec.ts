/** Plans that are kept for the next command in a container that runs in the background. */
import { join } from 'node:path';
import { writeWhole } from '../files/atomic-write.ts';
import type { HostFacts } from '../host/facts.ts';
import type { Recording } from '../inputs/record.ts';
import { encodeParts, listsOfCommand } from '../launcher/encode.ts';
import { ownFolder } from '../native.ts';
import { foldersOfPath } from '../plan/command.ts';
import type { Plan } from '../plan/plan.ts';
import { isForeign, keptFile, writeInputs, Writer } from './kept-bytes.ts';
import { keepFiles, keptName } from './kept-folder.ts';

/** The plan of commands in a container in the background, as it was made for one of them. */
export interface KeptExec {
  /** Up to the container's. */
  readonly words: readonly string[];
  /** The record of its run, which is locked as long as its launcher lives. */
  readonly record: string;
  /** The container's own, for what has values of its environment. */
  readonly folder: string;
  readonly plan: Plan;
}

/** Beginning of the names of files in a container's folder. */
const EXEC = 'exec-';

/**
 * Keeps the plan for the next command in the same container. The container's environment may have secrets: the plan lies beside the
 * others that have it, in the container's folder, and what is kept in the folder of plans leads there.
 */
export function keepExec({ words, record, folder, plan }: KeptExec, host: HostFacts, recording: Recording): void {
  const last = plan.steps.at(-1);
  const [gap] = recording.gaps;
  if (last?.call.name !== 'execve' || gap !== undefined || recording.unsettled.length > 0) return;
  if (recording.inputs.some((input) => isForeign(input))) return;
  const { userIds = [] } = plan;
  const env = last.call.args.envp.filter((entry) => typeof entry === 'string');
  const encoded = encodeParts(plan, { terse: true });
  const [pathname, argv] = listsOfCommand(encoded);
  if (pathname === undefined || argv === undefined) return;
  const bytes = Buffer.concat([encoded.bytes.subarray(0, pathname.start), encoded.bytes.subarray(argv.end)]);
  const name = `${EXEC}${keptName('', words)}`;
  keepFiles(words, host, recording, (tag, inputs) => {
    const head = new Writer();
    head.u32(tag);
    head.bytes(bytes);
    const path = join(folder, name);
    writeWhole(path, head.done());
    const folders = foldersOfPath(env);
    const out = new Writer();
    for (const text of [...words, ownFolder(), record, path, ...folders]) out.text(text);
    out.ranges(userIds);
    writeInputs(out, inputs);
    const header = {
      words: words.length,
      inputs: inputs.length,
      fills: 0,
      reports: 0,
      plan_size: bytes.length,
      tag,
      command_at: pathname.start,
      folders: folders.length,
      users: userIds.length,
      background: 0,
      tallies: 0,
      numbers: 0,
    };
    return { bytes: keptFile(header, out) };
  });
}
