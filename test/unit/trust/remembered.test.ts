/** What `boxctl allow` keeps, and who is believed to have kept it. */
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Demand, DemandKind } from '../../../src/model/demand.ts';
import { unpermitted } from '../../../src/trust/permits.ts';
import {
  allRemembered,
  forget,
  identityOf,
  permitsOf,
  recall,
  remember,
  type Keeper,
} from '../../../src/trust/remembered.ts';
import { tempFolder } from '../../support/temp.ts';
import { isRoot } from '../../support/user.ts';

const FILE = '/work/api/container.yaml';
const OTHER_USER = 12_345;

const demand = (kind: DemandKind, value = '', readOnly = false): Demand => ({
  kind,
  value,
  message: 'x',
  because: { kind: 'default', name: 'test' },
  ...(readOnly ? { readOnly: true as const } : {}),
});

interface Kept extends Keeper {
  readonly folder: string;
  readonly record: () => string;
}

function keeper(): Kept {
  const home = tempFolder();
  const folder = join(home, '.config/boxctl/allowed');
  return {
    env: {},
    home,
    euid: process.geteuid?.() ?? 0,
    folder,
    record: () => join(folder, readdirSync(folder)[0] ?? ''),
  };
}

function left(agreed: readonly Demand[], asked: readonly Demand[]): readonly Demand[] {
  const at = keeper();
  remember(at, FILE, agreed);
  const record = recall(at, FILE);
  return unpermitted(asked, record === undefined ? [] : permitsOf(record));
}

describe('what is remembered', () => {
  test('what is remembered is exactly what was agreed to, for that file alone', () => {
    const at = keeper();
    const demands = [demand('bind', '/data', true), demand('privileged'), demand('cap', 'NET_ADMIN')];
    remember(at, FILE, demands);
    expect(recall(at, FILE)).toEqual({
      file: FILE,
      demands: [
        { kind: 'bind', value: '/data', readOnly: true },
        { kind: 'privileged', value: '' },
        { kind: 'cap', value: 'NET_ADMIN' },
      ],
    });
    expect(recall(at, '/work/api/other.yaml')).toBeUndefined();
    expect(allRemembered(at).map(({ file }) => file)).toEqual([FILE]);
    expect(statSync(at.folder).mode & 0o777).toBe(0o700);
    expect(statSync(at.record()).mode & 0o777).toBe(0o600);
  });

  test('what is remembered keeps what is printed in place of a value that was the caller’s', () => {
    const at = keeper();
    const shown = { value: '/srv/${WHERE}', message: 'reads it' };
    remember(at, FILE, [{ ...demand('bind', '/srv/secret'), shown }]);
    expect(recall(at, FILE)?.demands).toEqual([{ kind: 'bind', value: '/srv/secret', shown: '/srv/${WHERE}' }]);
  });

  test('what is remembered is replaced as a whole, and taken back', () => {
    const at = keeper();
    remember(at, FILE, [demand('cap', 'NET_ADMIN')]);
    remember(at, FILE, [demand('cap', 'SYS_TIME')]);
    expect(recall(at, FILE)?.demands).toEqual([{ kind: 'cap', value: 'SYS_TIME' }]);
    expect(readdirSync(at.folder)).toHaveLength(1);
    expect([forget(at, FILE), forget(at, FILE)]).toEqual([true, false]);
    expect(recall(at, FILE)).toBeUndefined();
  });

  test.each<[title: string, agreed: Demand, asked: Demand]>([
    ['reading instead of writing', demand('bind', '/data'), demand('bind', '/data', true)],
    ['a folder beneath', demand('bind', '/data'), demand('bind', '/data/x')],
    ['a capability instead of all privileges', demand('privileged'), demand('cap', 'SYS_ADMIN')],
    ['no filter instead of all privileges', demand('privileged'), demand('seccomp', 'unconfined')],
    ['a filter of its own instead of none', demand('seccomp', 'unconfined'), demand('seccomp', 'custom')],
    ['a part of the ids', demand('ids', '0-65535'), demand('ids', '1000')],
    ['a lesser advantage', demand('oom_score_adj', '-500'), demand('oom_score_adj', '-100')],
  ])('holds for less: %s', (_title, agreed, asked) => {
    expect(left([agreed], [asked])).toEqual([]);
  });

  test.each<[title: string, agreed: Demand, asked: Demand]>([
    ['writing instead of reading', demand('bind', '/data', true), demand('bind', '/data')],
    ['another folder that begins alike', demand('bind', '/data'), demand('bind', '/data2')],
    ['the folder above', demand('bind', '/data/x'), demand('bind', '/data')],
    ['another capability', demand('cap', 'NET_ADMIN'), demand('cap', 'SYS_ADMIN')],
    ['all privileges instead of one', demand('cap', 'SYS_ADMIN'), demand('privileged')],
    ['no filter instead of its own', demand('seccomp', 'custom'), demand('seccomp', 'unconfined')],
    ['more ids', demand('ids', '1000-1999'), demand('ids', '999-1999')],
    ['a greater advantage', demand('oom_score_adj', '-100'), demand('oom_score_adj', '-500')],
    ['a variable, where a name looked like a pattern', demand('env', 'A*'), demand('env', 'AWS_SECRET')],
    ['reading, where a name looked like the word for it', demand('bind', '/x/etc:ro'), demand('bind', '/x/etc', true)],
    ['set-user-id programs', demand('privileged'), demand('new_privileges')],
  ])('does not hold for more: %s', (_title, agreed, asked) => {
    expect(left([agreed], [asked])).toEqual([asked]);
  });
});

describe('a record that somebody else could have written is not believed', () => {
  const prepared = (): Kept => {
    const at = keeper();
    remember(at, FILE, [demand('cap', 'SYS_ADMIN')]);
    return at;
  };

  test('a record that somebody else could have written is not believed: one that others may write', () => {
    const at = prepared();
    chmodSync(at.record(), 0o666);
    expect(recall(at, FILE)).toBeUndefined();
  });

  test('a record that somebody else could have written is not believed: one that is a link, symbolic or hard', () => {
    const at = prepared();
    const elsewhere = join(at.home, 'elsewhere');
    const record = at.record();
    renameSync(record, elsewhere);
    symlinkSync(elsewhere, record);
    expect(recall(at, FILE)).toBeUndefined();
    renameSync(elsewhere, record);
    linkSync(record, elsewhere);
    expect(recall(at, FILE)).toBeUndefined();
  });

  test('a record that somebody else could have written is not believed: one that is about another file, or was renamed', () => {
    const at = prepared();
    const text = readFileSync(at.record(), 'utf8');
    remember(at, '/work/other/container.yaml', [demand('cap', 'CHOWN')]);
    for (const name of readdirSync(at.folder)) writeFileSync(join(at.folder, name), text);
    expect(recall(at, '/work/other/container.yaml')).toBeUndefined();
    expect(recall(at, FILE)).toBeDefined();
  });

  test.each([
    '',
    '{',
    '[]',
    '{"version":2,"file":"/work/api/container.yaml","demands":[]}',
    '{"version":1,"file":"/work/api/container.yaml","demands":[{"kind":"all","value":""}]}',
    '{"version":1,"file":"/work/api/container.yaml","demands":[{"kind":"bind","value":""}]}',
    '{"version":1,"file":"/work/api/container.yaml","demands":[{"kind":"cap","value":"SYS_ADMIN"},{"kind":"bind","value":"etc"}]}',
    '{"version":1,"file":"/work/api/container.yaml","demands":[{"kind":"toString","value":"x"}]}',
  ])(
    'a record that somebody else could have written is not believed: one that does not say what one says: %s',
    (text) => {
      const at = prepared();
      writeFileSync(at.record(), text);
      expect(recall(at, FILE)).toBeUndefined();
    },
  );

  test('a record that somebody else could have written is not believed: all of a folder that others may write to, or one above it', () => {
    for (const path of ['.config/boxctl/allowed', '.config/boxctl', '.config']) {
      const at = prepared();
      chmodSync(join(at.home, path), 0o777);
      const said = expect.objectContaining({ code: 'E_ALLOWED_UNSAFE' });
      expect(() => recall(at, FILE)).toThrow(said);
      expect(() => remember(at, FILE, [])).toThrow(said);
    }
  });

  test('a record that somebody else could have written is not believed: all of a folder beneath the one of the container file', () => {
    const at = keeper();
    const said = expect.objectContaining({ code: 'E_ALLOWED_UNSAFE' });
    expect(() => remember(at, join(at.home, 'container.yaml'), [])).toThrow(said);
    expect(readdirSync(at.home)).toEqual([]);
  });

  test.skipIf(!isRoot)(
    'a record that somebody else could have written is not believed: root does not believe a user, whatever HOME says (needs root)',
    () => {
      for (const path of ['.config/boxctl/allowed', '.config/boxctl', '.config']) {
        const at = prepared();
        chownSync(join(at.home, path), OTHER_USER, OTHER_USER);
        expect(() => recall(at, FILE)).toThrow(expect.objectContaining({ code: 'E_ALLOWED_UNSAFE' }));
      }
      const at = prepared();
      chownSync(at.record(), OTHER_USER, OTHER_USER);
      expect(recall(at, FILE)).toBeUndefined();
    },
  );
});

test('a file is its name in the folder that it really lies in', () => {
  const folder = tempFolder();
  mkdirSync(join(folder, 'real'));
  symlinkSync('real', join(folder, 'link'));
  const real = join(folder, 'real/container.yaml');
  expect(identityOf(join(folder, 'link/container.yaml'))).toBe(real);
  writeFileSync(real, '');
  symlinkSync('real/container.yaml', join(folder, 'other.yaml'));
  expect(identityOf(join(folder, 'other.yaml'))).toBe(join(folder, 'other.yaml'));
});
