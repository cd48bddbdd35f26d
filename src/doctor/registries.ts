/** The configuration of registries: which files are read, and whether something in them cannot be used. */
import { BoxctlError } from '../errors.ts';
import { lookUp } from '../files/programs.ts';
import { authFiles, readAuthFile, type AuthFile } from '../registry/auth-file.ts';
import { readRegistries, type ConfigOwner } from '../registry/config.ts';
import { AUTH_FILES } from '../registry/helper-name.ts';
import type { Check } from './check.ts';

const GROUP = 'registries';
const IMAGES = 'images from registries';

const yes = (name: string, detail: string): Check => ({ group: GROUP, name, state: 'yes', detail });
const none = (name: string, detail: string): Check => ({ group: GROUP, name, state: 'none', detail });
const no = (name: string, detail: string, fix: string): Check => ({
  group: GROUP,
  name,
  state: 'no',
  detail,
  gives: IMAGES,
  fix,
});

/** All mistakes on one line, each with its place. */
function told(name: string, error: unknown): Check {
  if (!(error instanceof BoxctlError)) throw error;
  const mistakes = error.diagnostics.map(({ message, at }) => `${at?.file ?? ''}:${at?.line ?? 0}: ${message}`);
  const detail = mistakes.length === 0 ? error.message : mistakes.join('; ');
  return no(name, detail, error.hint ?? error.diagnostics[0]?.hint ?? 'mend the file');
}

/** Nothing is asked of a registry, and no helper is run. */
export function examineRegistries(owner: ConfigOwner): readonly Check[] {
  let helpers: readonly string[] = [];
  const checks: Check[] = [];
  try {
    const { files, unknown, credentialHelpers } = readRegistries(owner);
    helpers = credentialHelpers.filter((name) => name !== AUTH_FILES);
    const found =
      files.length === 0 ? none('registries.conf', 'there is none: short names are of docker.io') : undefined;
    checks.push(found ?? yes('registries.conf', files.join(', ')));
    if (unknown.length > 0) checks.push(no('unknown keys', unknown.join('; '), 'remove them, or mend their names'));
  } catch (error) {
    checks.push(told('registries.conf', error));
  }
  return [...checks, ...credentials(owner, helpers)];
}

function credentials(owner: ConfigOwner, helpers: readonly string[]): readonly Check[] {
  const notes: string[] = [];
  const files: AuthFile[] = [];
  try {
    for (const place of authFiles(owner)) {
      const file = readAuthFile(place, (note) => notes.push(note));
      if (file !== undefined) files.push(file);
    }
  } catch (error) {
    return [told('credentials', error)];
  }
  const used = new Set([...helpers, ...files.flatMap(({ helpers: own, store }) => [...own.values(), store ?? ''])]);
  const programs = [...used].filter((name) => name !== '').map((name) => `docker-credential-${name}`);
  const missing = programs.filter((name) => lookUp(name, owner.env['PATH'] ?? '').found === undefined);
  const where = [...files.map(({ path }) => path), ...programs];
  return [
    ...(where.length === 0 ? [none('credentials', 'none are stored')] : [yes('credentials', where.join(', '))]),
    ...(missing.length === 0
      ? []
      : [
          no(
            'helpers',
            `${missing.join(', ')} not found`,
            'install them, or take their names out of the configuration',
          ),
        ]),
    ...(notes.length === 0 ? [] : [no('files of credentials', notes.join('; '), 'chown and chmod 600 them')]),
  ];
}
