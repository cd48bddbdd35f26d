/** An ordinary user, for what root would be allowed to do anyway. `.ci/run` makes him, with a subordinate range. */
import { readFileSync } from 'node:fs';
import { withoutRegistries } from './no-registries.ts';

export interface TestUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

const NAME = 'boxctl-test';

function findUser(): TestUser | undefined {
  for (const line of readFileSync('/etc/passwd', 'utf8').split('\n')) {
    const [name, , uid, gid, , home] = line.split(':');
    if (name === NAME && home !== undefined) return { name, uid: Number(uid), gid: Number(gid), home };
  }
  return undefined;
}

export const isRoot = process.geteuid?.() === 0;
export const testUser: TestUser | undefined = isRoot ? findUser() : undefined;

/** The command that runs `command` as the user, with no group and no capability of the caller's. Needs root. */
export function asUser(user: TestUser, command: readonly string[]): readonly string[] {
  return [
    'setpriv',
    `--reuid=${user.uid}`,
    `--regid=${user.gid}`,
    '--init-groups',
    '--inh-caps=-all',
    '--',
    ...command,
  ];
}

/** What the user's environment holds after a login. */
export function userEnvironment(user: TestUser): Readonly<Record<string, string>> {
  return {
    ...withoutRegistries(),
    HOME: user.home,
    USER: user.name,
    LOGNAME: user.name,
    PATH: '/usr/local/bin:/usr/bin:/bin',
  };
}
