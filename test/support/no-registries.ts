/**
 * No test asks a registry of the world for anything. Every boxctl of a test reads this configuration, which blocks what a
 * name without a registry means, and all registries with a name of the Internet. Registries on 127.0.0.1 are the tests' own.
 */
export const REGISTRIES_VARIABLE = 'CONTAINERS_REGISTRIES_CONF';

const ENDS = ['io', 'com', 'org', 'net', 'dev', 'cloud', 'gov', 'edu', 'eu', 'de', 'uk', 'us', 'cn', 'jp', 'fr', 'ru'];

export const BLOCKED = ENDS.map((end) => `[[registry]]\nprefix = "*.${end}"\nblocked = true\n`).join('');

/** For the environment of a boxctl that a test starts. */
export function withoutRegistries(): Readonly<Record<string, string>> {
  const path = process.env[REGISTRIES_VARIABLE];
  return path === undefined ? {} : { [REGISTRIES_VARIABLE]: path };
}
