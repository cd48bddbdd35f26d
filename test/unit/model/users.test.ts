import { describe, expect, it, test } from 'vitest';
import { parseId, parseUser } from '../../../src/spec/user.ts';
import { compile } from '../../../src/model/compile.ts';
import type { UserChoice } from '../../../src/spec/spec.ts';
import { testDocument } from '../../support/document.ts';
import { ROOT_HOST, USER_HOST } from '../../support/host-facts.ts';
import { diagnosticsOf, image } from './fixtures.ts';

const PASSWD = [
  'root:x:0:0:root:/root:/bin/sh',
  'builder:x:1000:1000::/home/builder:/bin/sh',
  // Traps: a name that looks like an id, ids that are none.
  '1000:x:0:0::/root:/bin/sh',
  'wrapped:x:4294967296:0::/:/bin/sh',
  'minus:x:-1:0::/:/bin/sh',
  'empty:x::0::/:/bin/sh',
  'octal:x:010:0::/:/bin/sh',
  'broken',
].join('\n');
const GROUP = ['root:x:0:', 'builder:x:1000:', 'video:x:44:builder,other', 'audio:x:29:other', '1000:x:0:builder'].join(
  '\n',
);
const withUsers = { ...image, passwd: PASSWD, group: GROUP };

function userOf(user: UserChoice | undefined, defaultUser?: string) {
  const document = testDocument({ command: ['true'], ...(user === undefined ? {} : { user }) });
  const defaults = defaultUser === undefined ? {} : { user: defaultUser };
  return compile(document, { ...withUsers, defaults }, ROOT_HOST).config.process;
}

describe('the text of an id or a user', () => {
  test.each(['1:', '0x1', '+1', '01', '', ' 1', '1 ', '-1', '1e3', '4294967295', '4294967296', '１', '1\n'])(
    '%j is not an id',
    (text) => expect(parseId(text)).toBeUndefined(),
  );
  test.each([
    ['0', 0],
    ['1', 1],
    ['4294967294', 4_294_967_294],
  ])('%j is an id', (text, id) => expect(parseId(text)).toBe(id));

  test.each(['1:', ':1', ':', '0x1', '+1', '01', '', 'a:b:c', '4294967296', '-1', 'a b', '1000 '])(
    '%j is not a user',
    (text) => expect(parseUser(text)).toBeUndefined(),
  );
  test.each([
    ['1', { user: 1 }],
    ['1:2', { user: 1, group: 2 }],
    ['a:b', { user: 'a', group: 'b' }],
  ])('%j is the user %j', (text, user) => expect(parseUser(text)).toEqual(user));
});

describe('the user of the command', () => {
  it('the user of the command is root where neither the file nor the image has one', () => {
    expect(userOf(undefined).user).toMatchObject({ uid: 0, gid: 0 });
  });
  it('the user of the command by name has the ids, groups and home of the image’s passwd and group', () => {
    const process = userOf({ user: 'builder' });
    expect(process.user).toMatchObject({ uid: 1000, gid: 1000, additionalGids: [44, 0] });
    expect(process.env).toContain('HOME=/home/builder');
  });
  it('the user of the command by number has that id, also where the image has a name of the same digits', () => {
    expect(userOf({ user: 1000 }).user).toMatchObject({ uid: 1000, gid: 1000 });
    expect(userOf({ user: 1000, group: 1000 }).user).toMatchObject({ uid: 1000, gid: 1000 });
    expect(userOf({ user: 4321 }).user).toMatchObject({ uid: 4321, gid: 0 });
  });
  it('the user of the command with a group has that group alone', () => {
    const { user } = userOf({ user: 'builder', group: 'audio' });
    expect(user).toMatchObject({ uid: 1000, gid: 29 });
    expect(user.additionalGids ?? []).toEqual([]);
  });
  it('the user of the command is the image’s where the file has none', () => {
    expect(userOf(undefined, '1000:44').user).toMatchObject({ uid: 1000, gid: 44 });
    expect(userOf({ user: 0 }, '1000:44').user).toMatchObject({ uid: 0, gid: 0 });
  });
  it('the user of the command has capabilities only as root; others keep the bounding set', () => {
    expect(userOf({ user: 0 }).capabilities.effective).toHaveLength(14);
    const { capabilities } = userOf({ user: 1000 });
    expect(capabilities).toMatchObject({ effective: [], permitted: [], inheritable: [], ambient: [] });
    expect(capabilities.bounding).toHaveLength(14);
  });

  const refused = (user: UserChoice, host = ROOT_HOST) =>
    diagnosticsOf(() => compile(testDocument({ command: ['true'], user }, { user: 7 }), withUsers, host));
  test.each(['nobody-here', 'wrapped', 'minus', 'empty', 'octal', 'broken'])(
    'the user %s, which the image lacks or has in a broken line, is an error at its line',
    (user) => {
      expect(refused({ user })).toMatchObject([{ code: 'E_USER_UNKNOWN', path: 'user', at: { line: 7 } }]);
    },
  );
  it('the user of the command with an unknown group is an error', () => {
    expect(refused({ user: 0, group: 'wheel' })).toMatchObject([{ code: 'E_GROUP_UNKNOWN', at: { line: 7 } }]);
  });
  it('the user of the command without a mapped id is an error', () => {
    expect(refused({ user: 70_000 })).toMatchObject([{ code: 'E_USER_NOT_MAPPED', at: { line: 7 } }]);
    const alone = { ...USER_HOST, subuids: [], subgids: [] };
    expect(refused({ user: 1000, group: 0 }, alone)).toMatchObject([{ code: 'E_USER_NOT_MAPPED' }]);
  });
  it('the user of the command that the image names in a wrong form is an error', () => {
    expect(diagnosticsOf(() => userOf(undefined, '0x0'))).toMatchObject([{ code: 'E_IMAGE_USER' }]);
  });
});
