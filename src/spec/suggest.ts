/** "Did you mean …": by edit distance, and by a table of words that Compose, Docker and OCI have for the same thing. */
import { otherWords } from '../limits/table.ts';

/** Those words, and the path of the key that means the same here. */
const meanings = (): Readonly<Record<string, string | readonly string[]>> => ({
  ...otherWords(),
  deploy: 'limits',
  resources: 'limits',
  cmd: 'command',
  args: 'command',
  run: 'command',
  env: 'environment',
  envs: 'environment',
  envfile: 'env_file',
  workdir: 'working_dir',
  cwd: 'working_dir',
  container_name: 'name',
  rootfs: 'image',
  tarball: 'image',
  mounts: 'volumes',
  binds: 'volumes',
  bind: 'volumes',
  userns_mode: 'namespaces.user',
  pid: 'namespaces.pid',
  ipc: 'namespaces.ipc',
  cgroup: 'namespaces.cgroup',
  uts: 'namespaces.uts',
  host_name: 'hostname',
  domain_name: 'domainname',
  readonly: 'read_only',
  interactive: 'stdin_open',
  // A key of its own, or a namespace.
  network: ['network_mode', 'net'],
  net: 'network_mode',
  netns: 'network_mode',
  publish: 'ports',
  hosts: 'extra_hosts',
  add_host: 'extra_hosts',
  nameserver: 'dns',
  nameservers: 'dns',
  dns_options: 'dns_opt',
  mac: 'mac_address',
  firewall: 'egress',
  outgoing: 'egress',
  mnt: 'mount',
  capabilities: 'cap_add',
  cap: 'cap_add',
  caps: 'cap_add',
  sysctl: 'sysctls',
  rlimits: 'ulimits',
  noNewPrivileges: 'no_new_privileges',
  maskedPaths: 'masked_paths',
  readonlyPaths: 'readonly_paths',
  oomScoreAdj: 'oom_score_adj',
  groups: 'group_add',
  additionalGids: 'group_add',
  apparmorProfile: 'apparmor',
  selinuxLabel: 'selinux',
  uidMappings: 'uid_map',
  gidMappings: 'gid_map',
  src: 'source',
  dst: 'target',
  destination: 'target',
  ro: 'read_only',
  containerID: 'container',
  hostID: 'host',
});

const meaningsOf = (word: string): readonly string[] => {
  const table = meanings();
  return Object.hasOwn(table, word) ? [table[word] ?? []].flat() : [];
};

/** The key of `known` that `word` was probably meant to be: a typing mistake, or another name of the same thing. */
export function didYouMean(word: string, known: readonly string[]): string | undefined {
  for (const means of meaningsOf(word)) {
    const parts = means.split('.');
    // At the top of a file the whole path is suggested; in a map, its last key.
    if (known.includes(parts[0] ?? '')) return means;
    if (known.includes(parts.at(-1) ?? '')) return parts.at(-1);
  }
  if (word.length > 40) return undefined;
  const simple = (text: string) => text.toLowerCase().replaceAll(/[-_ ]/g, '');
  const wanted = simple(word);
  let best: string | undefined;
  let bestDistance = Math.floor(Math.max(wanted.length, 3) / 3) + 1;
  for (const candidate of known) {
    const distance = editDistance(wanted, simple(candidate));
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours (optimal string alignment). */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, (before[j - 2] ?? 0) + 1);
      row.push(best);
    }
    before = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
