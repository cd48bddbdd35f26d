/** The names of capabilities (capabilities(7)) in a container file and in the kernel. */
import { each, addProblem, clip, type Context } from './context.ts';
import { didYouMean } from './suggest.ts';

/** In the order of their numbers (linux/capability.h). */
export const CAPABILITIES = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_DAC_READ_SEARCH',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETPCAP',
  'CAP_LINUX_IMMUTABLE',
  'CAP_NET_BIND_SERVICE',
  'CAP_NET_BROADCAST',
  'CAP_NET_ADMIN',
  'CAP_NET_RAW',
  'CAP_IPC_LOCK',
  'CAP_IPC_OWNER',
  'CAP_SYS_MODULE',
  'CAP_SYS_RAWIO',
  'CAP_SYS_CHROOT',
  'CAP_SYS_PTRACE',
  'CAP_SYS_PACCT',
  'CAP_SYS_ADMIN',
  'CAP_SYS_BOOT',
  'CAP_SYS_NICE',
  'CAP_SYS_RESOURCE',
  'CAP_SYS_TIME',
  'CAP_SYS_TTY_CONFIG',
  'CAP_MKNOD',
  'CAP_LEASE',
  'CAP_AUDIT_WRITE',
  'CAP_AUDIT_CONTROL',
  'CAP_SETFCAP',
  'CAP_MAC_OVERRIDE',
  'CAP_MAC_ADMIN',
  'CAP_SYSLOG',
  'CAP_WAKE_ALARM',
  'CAP_BLOCK_SUSPEND',
  'CAP_AUDIT_READ',
  'CAP_PERFMON',
  'CAP_BPF',
  'CAP_CHECKPOINT_RESTORE',
] as const;

/** The word that stands for all of them. */
export const ALL_CAPABILITIES = 'ALL';

const PREFIX = 'CAP_';

/** `net_admin`, `NET_ADMIN` and `CAP_NET_ADMIN` are the same; undefined: there is no such capability. */
function capability(text: string): string | undefined {
  const upper = text.toUpperCase();
  if (upper === ALL_CAPABILITIES) return ALL_CAPABILITIES;
  const full = upper.startsWith(PREFIX) ? upper : `${PREFIX}${upper}`;
  return CAPABILITIES.find((known) => known === full);
}

function capabilityList(context: Context, list: readonly string[], key: 'cap_add' | 'cap_drop'): readonly string[] {
  const found = new Set<string>();
  for (const [text, path] of each(context, list, key)) {
    const name = capability(text);
    if (name !== undefined) {
      found.add(name);
      continue;
    }
    const short = CAPABILITIES.map((known) => known.slice(PREFIX.length));
    const meant = didYouMean(text.toUpperCase().replace(/^CAP_/u, ''), [...short, ALL_CAPABILITIES]);
    addProblem(context, path, 'E_SPEC_CAPABILITY', `there is no capability "${clip(text)}"`, {
      hint: meant === undefined ? 'capabilities(7) has the list' : `did you mean \`${meant}\`?`,
    });
  }
  return [...found];
}

/** `cap_add` and `cap_drop` by the kernel's names, or ALL. A capability in both is an error. */
export function normaliseCapabilities(
  context: Context,
  add: readonly string[] | undefined,
  drop: readonly string[] | undefined,
): { readonly capAdd: readonly string[]; readonly capDrop: readonly string[] } {
  const capAdd = capabilityList(context, add ?? [], 'cap_add');
  const capDrop = capabilityList(context, drop ?? [], 'cap_drop');
  for (const name of capAdd) {
    if (!capDrop.includes(name)) continue;
    addProblem(context, 'cap_drop', 'E_SPEC_CONFLICT', `${name} is both in \`cap_add\` and in \`cap_drop\``, {
      hint: 'leave it in one of them',
    });
  }
  return { capAdd, capDrop };
}
