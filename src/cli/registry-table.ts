/** Commands for registries. */
import type { Command, OptionRow } from './command.ts';

const COMMON: Readonly<Record<string, OptionRow>> = {
  authfile: { value: 'FILE', text: 'the file for credentials, in place of $REGISTRY_AUTH_FILE and the usual one' },
  json: { text: 'print what was done as JSON' },
};
const REGISTRY =
  'Without REGISTRY it is the first of `unqualified-search-registries` of registries.conf, or docker.io.';

export const REGISTRY_COMMANDS: readonly Command[] = [
  {
    name: 'login',
    usage: '[OPTIONS] [REGISTRY]',
    summary: 'store a name and a password for a registry',
    description: `Asks for a name and a password, has the registry check them, and stores them where podman does: in $XDG_RUNTIME_DIR/containers/auth.json, or by the helper that is configured. REGISTRY may have a path, such as quay.io/org. ${REGISTRY}`,
    options: {
      username: { short: 'u', value: 'NAME', text: 'the name' },
      'password-stdin': { text: 'read the password from standard input' },
      'get-login': { text: 'print the name that is stored, and ask nothing' },
      password: { short: 'p', value: 'PASSWORD', text: 'refused: every process could read it' },
      ...COMMON,
    },
    examples: [
      ['boxctl login ghcr.io', 'asks for both'],
      ['boxctl login -u me --password-stdin ghcr.io < token', 'for scripts'],
      ['boxctl login --get-login ghcr.io', 'as whom?'],
    ],
    // More than one is refused by the command, without repeating the words.
    positionals: [0, Number.POSITIVE_INFINITY],
    words: [],
    takesRest: false,
    load: async () => (await import('./commands/login.ts')).login,
  },
  {
    name: 'logout',
    usage: '[OPTIONS] [REGISTRY]',
    summary: 'remove what login has stored',
    description: `Removes the name and the password that login has stored for REGISTRY. Files of docker’s are left alone, and named where they still have some. ${REGISTRY}`,
    options: { all: { short: 'a', text: 'of all registries' }, ...COMMON },
    examples: [
      ['boxctl logout ghcr.io', 'of one'],
      ['boxctl logout --all', 'of all'],
    ],
    positionals: [0, Number.POSITIVE_INFINITY],
    words: [],
    takesRest: false,
    load: async () => (await import('./commands/logout.ts')).logout,
  },
];
