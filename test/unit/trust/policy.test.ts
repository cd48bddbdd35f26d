import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parsePolicy, policyFiles, readPolicies } from '../../../src/trust/policy.ts';
import { tempFolder } from '../../support/temp.ts';

const euid = process.geteuid?.() ?? 0;
const JUDGED = { folder: '/', home: '/home/me', judged: '/work/api' };
const parse = (text: string) => parsePolicy(text, 'policy.yaml', JUDGED).permits;

/** A home with a policy in it, and what it allows a project elsewhere. */
function policyHome(text: string): { readonly home: string; readonly file: string } {
  const home = tempFolder();
  const file = join(home, '.config/boxctl/policy.yaml');
  mkdirSync(join(home, '.config/boxctl'), { recursive: true });
  writeFileSync(file, text, { mode: 0o644 });
  return { home, file };
}
const read = (home: string, folder = '/work/api') => readPolicies({ env: {}, home, euid, folder });

describe('a policy', () => {
  it('a policy allows every file what is in `allow`, and some what is in `folders`', () => {
    const text = `
allow: [namespace=net, "bind=~/data:ro"]
folders:
  /work: [cap=NET_ADMIN]
  /work/api/: [ids]
  /work/app: [device]
  /elsewhere: [all]
`;
    expect(parse(text).map(({ kind, value }) => [kind, value])).toEqual([
      ['namespace', 'net'],
      ['bind', '/home/me/data'],
      ['cap', 'NET_ADMIN'],
      ['ids', undefined],
    ]);
  });
  it.each([
    ['allow: all', 'must be a list'],
    ['allow: [1]', 'must be text'],
    ['allow: [bnid=/x]', 'nothing called'],
    ['alow: []', 'there is no key `alow`'],
    ['folders: {work: [all]}', 'no absolute folder'],
    ['folders: [all]', 'is a map'],
    ['folders: {/elsewhere: [nonsense]}', 'nothing called'],
    ['[all]', 'is a map with'],
    ['allow: [all', 'not valid YAML'],
  ])('a policy is refused as a whole: %s', (text, said) => {
    const message = expect.stringContaining(said) as string;
    expect(() => parse(text)).toThrow(
      expect.objectContaining({
        code: 'E_POLICY_INVALID',
        diagnostics: [expect.objectContaining({ message, at: expect.objectContaining({ line: 1 }) })],
      }),
    );
  });
});

describe('policy files', () => {
  it('policy files are the machine’s and the person’s', () => {
    expect(policyFiles({}, '/home/me').at(-1)).toBe('/home/me/.config/boxctl/policy.yaml');
    expect(policyFiles({ XDG_CONFIG_HOME: '/cfg' }, '/home/me')).toEqual([
      '/etc/boxctl/policy.yaml',
      '/cfg/boxctl/policy.yaml',
    ]);
    expect(policyFiles({ XDG_CONFIG_HOME: 'relative' }, '/home/me').at(-1)).toBe('/home/me/.config/boxctl/policy.yaml');
  });
  it('policy files need not be there', () => {
    expect(read(tempFolder())).toEqual([]);
  });
  it('policy files are read', () => {
    const { home } = policyHome('allow: [all]');
    expect(read(home)).toMatchObject([{ kind: 'all' }]);
  });
  it('policy files that others may write are not used', () => {
    const { home, file } = policyHome('allow: [all]');
    for (const mode of [0o664, 0o646]) {
      chmodSync(file, mode);
      expect(() => read(home)).toThrow(expect.objectContaining({ code: 'E_POLICY_UNSAFE' }));
    }
  });
  it('policy files that are no files are not used, nor waited for', () => {
    const { home } = policyHome('');
    const config = join(home, 'other');
    mkdirSync(join(config, 'boxctl/policy.yaml'), { recursive: true });
    const options = { env: { XDG_CONFIG_HOME: config }, home, euid, folder: '/work' };
    expect(() => readPolicies(options)).toThrow(expect.objectContaining({ code: 'E_POLICY_UNREADABLE' }));
  });
  it('policy files in the folder that they would judge are not used, also behind a link', () => {
    const { home, file } = policyHome('allow: [all]');
    expect(() => read(home, home)).toThrow(expect.objectContaining({ code: 'E_POLICY_UNSAFE' }));
    const outside = tempFolder();
    mkdirSync(join(outside, '.config/boxctl'), { recursive: true });
    symlinkSync(file, join(outside, '.config/boxctl/policy.yaml'));
    expect(() => read(outside, home)).toThrow(expect.objectContaining({ code: 'E_POLICY_UNSAFE' }));
  });
  it.skipIf(euid !== 0)(
    'policy files of another user are not used, those of root are by everybody (needs root)',
    () => {
      const { home, file } = policyHome('allow: [all]');
      const as = (id: number) => readPolicies({ env: {}, home, euid: id, folder: '/work' });
      expect(as(12_345)).toMatchObject([{ kind: 'all' }]);
      chownSync(file, 12_345, 0);
      expect(as(12_345)).toMatchObject([{ kind: 'all' }]);
      expect(() => as(0)).toThrow(expect.objectContaining({ code: 'E_POLICY_UNSAFE' }));
    },
  );
});
