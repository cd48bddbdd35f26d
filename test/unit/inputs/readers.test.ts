/** Everything that a plan is made from is read through src/inputs, so that the record of a plan has all of it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';

const src = join(import.meta.dirname, '../../../src');

/** Folders whose files are evaluated between the words of a command line and a plan. */
const PLANNING = new Set('yaml text limits spec host oci model plan trust lock files registry image'.split(' '));

/** Files of other folders that are on that way. */
const ON_THE_WAY = new Set([
  'cli/environment.ts',
  'cli/home.ts',
  'cli/main.ts',
  'cli/start.ts',
  'cli/trust.ts',
  'cli/commands/run.ts',
  'cli/commands/up.ts',
  'container/image-of.ts',
  'container/lock.ts',
  'container/prepare.ts',
  'container/preview.ts',
  'container/run.ts',
]);

/** Files in those folders that are not on the way, or whose result a record never has: each with what it does instead. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  'files/atomic-write.ts': 'writes',
  'files/folders.ts': 'makes folders',
  'files/locks.ts': 'locks',
  'host/firewall.ts': 'looks at the firewall after the end of a container',
  'lock/measure.ts': 'measures files for `boxctl lock`',
  'image/documents.ts': 'keeps documents of images',
  'image/lazy-modules.ts': 'loads modules for an import',
  'image/maintain.ts': 'removes what is not used any more',
  'image/background-digest.ts': 'reads an archive while a container runs from it',
  'registry/helper.ts': 'runs a credential helper',
  'registry/certs.ts': 'reads certificates before a registry is asked',
  'registry/authorities.ts': 'reads certificates before a registry is asked',
  'registry/access.ts': 'asks registries',
  'registry/auth-file.ts': 'reads credentials before a registry is asked',
  'registry/signatures.ts': 'verifies what a registry has answered',
  'registry/retry.ts': 'waits for registries',
  'registry/client.ts': 'asks registries',
};

/** An import of an image is a gap in the record as a whole (src/image/resolve.ts): its files may read what they like. */
const IMPORT =
  /^image\/(?:collect|elf|export|filelist|image-[^/]*|implied-folders|import|import-[^/]*|layer-[^/]*|libraries|linked-abort|make-layer|manifest|members|pack|partial-layer|passing|pull|push|registry-image|save|skeleton|slots|tarwriter|stream|stored-tars|known-blobs|archive|archive-writer|describe-image|workspace|signed-[^/]*)\.ts$/u;

const files = readdirSync(src, { withFileTypes: true, recursive: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
  .map((entry) => relative(src, join(entry.parentPath, entry.name)))
  .filter((file) => PLANNING.has(file.split('/')[0] ?? '') || ON_THE_WAY.has(file))
  .filter((file) => !Object.hasOwn(ELSEWHERE, file) && !IMPORT.test(file));

/** Names of node:fs that do not look at a path: they use a descriptor, write, or are no functions. */
const HARMLESS = new Set(
  'closeSync constants fstatSync fsyncSync readSync writeSync createWriteStream chmodSync renameSync rmSync rmdirSync unlinkSync'.split(
    ' ',
  ),
);

/** Modules that read the outside, and what may be imported of them. */
const MODULES: Readonly<Record<string, ReadonlySet<string>>> = {
  'node:fs': HARMLESS,
  'node:fs/promises': new Set(),
  'node:os': new Set(['constants']),
  'node:process': new Set(),
  'node:child_process': new Set(),
  'node:dns': new Set(),
  'node:net': new Set(['isIP', 'isIPv4', 'isIPv6', 'BlockList']),
};

/** Values of this process, and the clock. `model.config.process.env` is the container's. */
const VALUES =
  /(?<![.\w'])process\.(?:env|cwd|getuid|geteuid|getgid|getegid|getgroups|umask|argv|execPath|title|ppid|memoryUsage|uptime)\b|\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bperformance\.now\b/gu;

/** Uses of those whose result is no part of a plan. */
const ALLOWED_VALUES: Readonly<Record<string, readonly string[]>> = {
  // Only where the record gets a gap.
  'image/resolve.ts': ['Date.now'],
};

function importsOf(text: string): readonly string[] {
  return [...text.matchAll(/import (type )?(?:\* as \w+|\{([^}]*)\}|(\w+))[^;]*? from '([^']+)'/gu)].flatMap(
    ([whole, isType, names, , module = '']) => {
      const allowed = MODULES[module];
      if (allowed === undefined || isType !== undefined) return [];
      if (names === undefined) return [whole];
      const given = names
        .split(',')
        .map((name) => name.trim())
        .filter((name) => name !== '' && !name.startsWith('type '));
      return given.filter((name) => !allowed.has(name)).map((name) => `${name} of ${module}`);
    },
  );
}

describe('what a plan is made from is read through src/inputs', () => {
  test.each(files)('%s reads nothing of the outside by itself', (file) => {
    const text = readFileSync(join(src, file), 'utf8');
    const code = text.replaceAll(/\/\*[\s\S]*?\*\//gu, '').replaceAll(/^\s*\/\/.*$/gmu, '');
    expect(importsOf(code)).toEqual([]);
    expect(code).not.toMatch(/\bimport\('node:|\brequire\(/u);
    const values = [...code.matchAll(VALUES)].map(([value]) => value);
    expect(values.filter((value) => !(ALLOWED_VALUES[file] ?? []).includes(value))).toEqual([]);
  });

  test('the files that are left out are there', () => {
    const all = new Set(readdirSync(src, { recursive: true }).map(String));
    expect([...Object.keys(ELSEWHERE), ...ON_THE_WAY].filter((file) => !all.has(file))).toEqual([]);
  });
});
