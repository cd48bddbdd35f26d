import { describe, expect, it } from 'vitest';
import type { Demand, DemandKind } from '../../../src/model/demand.ts';
import { BoxctlError } from '../../../src/errors.ts';
import { parsePermit, unpermitted } from '../../../src/trust/permits.ts';
import { quote, refuseUnpermitted } from '../../../src/trust/refuse.ts';

const BASE = { folder: '/work', home: '/home/me' };
const demand = (kind: DemandKind, value: string, readOnly?: true): Demand => ({
  kind,
  value,
  ...(readOnly === undefined ? {} : { readOnly }),
  message: `has ${value}`,
  because: { kind: 'spec', path: 'volumes.0', at: { file: 'container.yaml', line: 3, column: 5, length: 2 } },
});
const permits = (text: string, wanted: Demand) => unpermitted([wanted], [parsePermit(text, BASE)]).length === 0;

describe('--allow', () => {
  it.each([
    ['all', demand('bind', '/data'), true],
    ['bind', demand('bind', '/data'), true],
    ['bind=/data', demand('bind', '/data'), true],
    ['bind=/data', demand('bind', '/data/sub'), true],
    ['bind=/data/', demand('bind', '/data/sub'), true],
    ['bind=/data', demand('bind', '/database'), false],
    ['bind=/data', demand('bind', '/'), false],
    ['bind=/', demand('bind', '/data'), true],
    ['bind=/data:ro', demand('bind', '/data'), false],
    ['bind=/data:ro', demand('bind', '/data', true), true],
    ['bind=/data', demand('bind', '/data', true), true],
    ['bind=../data', demand('bind', '/data'), true],
    ['bind=~/data', demand('bind', '/home/me/data'), true],
    ['bind=~', demand('bind', '/home/me/data'), true],
    ['bind', demand('device', '/dev/fuse'), false],
    ['device=/dev/fuse', demand('device', '/dev/fuse'), true],
    ['namespace=net', demand('namespace', 'net'), true],
    ['namespace=net', demand('namespace', 'pid'), false],
    ['namespace=net', demand('join', '/proc/1/ns/net'), false],
    ['cap=net_admin', demand('cap', 'NET_ADMIN'), true],
    ['cap=CAP_NET_ADMIN', demand('cap', 'NET_ADMIN'), true],
    ['cap=ALL', demand('cap', 'NET_ADMIN'), true],
    ['cap=NET', demand('cap', 'NET_ADMIN'), false],
    ['env=GITHUB_*', demand('env', 'GITHUB_TOKEN'), true],
    ['env=GITHUB', demand('env', 'GITHUB_TOKEN'), false],
    ['ids=0', demand('ids', '0'), true],
    ['ids=0', demand('ids', '0-65535'), false],
    ['new_privileges', demand('new_privileges', ''), true],
    ['seccomp=custom', demand('seccomp', 'unconfined'), false],
  ])('%s permits the demands that it includes, and no others', (text, wanted, expected) =>
    expect(permits(text, wanted)).toBe(expected),
  );

  it.each([
    ['everything', 'all'],
    ['binds=/data', 'did you mean bind?'],
    ['bind=', 'does not say what'],
    ['all=x', 'all'],
    ['__proto__', 'nothing called'],
  ])('%s is an error', (text, said) => {
    const failure = (): string => {
      try {
        parsePermit(text, BASE);
      } catch (error) {
        if (error instanceof BoxctlError) return `${error.code} ${error.message} ${error.hint}`;
      }
      return '';
    };
    expect(failure()).toMatch(/^E_USAGE/u);
    expect(failure()).toContain(said);
  });
});

describe('what is refused', () => {
  it('what is refused is told all at once, each with its line and the words that allow it', () => {
    const demands = [demand('bind', '/my data', true), demand('namespace', 'net'), demand('cap', 'SYS_ADMIN')];
    const refuse = () => refuseUnpermitted(demands, [parsePermit('namespace', BASE)]);
    expect(refuse).toThrow(
      expect.objectContaining({
        code: 'E_NOT_ALLOWED',
        hint: "to allow all of it: --allow 'bind=/my data:ro' --allow cap=SYS_ADMIN",
        diagnostics: [
          expect.objectContaining({
            at: { file: 'container.yaml', line: 3, column: 5, length: 2 },
            hint: "if you trust this file, say --allow 'bind=/my data:ro'",
          }),
          expect.objectContaining({ hint: 'if you trust this file, say --allow cap=SYS_ADMIN' }),
        ],
      }),
    );
  });
  it('what is refused is nothing where everything was allowed', () => {
    expect(() => refuseUnpermitted([demand('cap', 'KILL')], [parsePermit('all', BASE)])).not.toThrow();
  });
  it('what is refused is quoted as a shell needs it', () => {
    expect(quote("bind=/it's")).toBe("'bind=/it'\\''s'");
    expect(quote('bind=/$(reboot)')).toBe("'bind=/$(reboot)'");
    expect(quote('bind=/a:ro')).toBe('bind=/a:ro');
  });
});
