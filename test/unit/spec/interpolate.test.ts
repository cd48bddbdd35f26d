/** Variables in text, in Compose's forms. */
import { expect, test } from 'vitest';
import { interpolate } from '../../../src/spec/interpolate.ts';
import { load, problemsOf } from '../../support/spec.ts';

const env = { A: 'a', EMPTY: '', NAME_2: 'n' };

test.each([
  ['$A', 'a'],
  ['${A}', 'a'],
  ['x${A}y$NAME_2.z', 'xayn.z'],
  ['$$A $${A} $$$A', '$A ${A} $a'],
  ['${NONE:-default}', 'default'],
  ['${NONE-default}', 'default'],
  ['${EMPTY:-default}', 'default'],
  ['${EMPTY-default}', ''],
  ['${A:-default}', 'a'],
  ['${NONE:-}', ''],
  ['${NONE:-${A}}', 'a'],
  ['${NONE:-${OTHER:-$A b}}', 'a b'],
  ['${NONE:-a}}', 'a}'],
  ['${NONE:-$$}', '$'],
  ['${A:+other}', 'other'],
  ['${EMPTY:+other}', ''],
  ['${EMPTY+other}', 'other'],
  ['${NONE+other}', ''],
  ['${A:?message}', 'a'],
  ['${EMPTY?message}', ''],
  ['no dollar at all', 'no dollar at all'],
])('interpolate(%j) returns %j', (text, expected) => {
  expect(interpolate(text, env)).toMatchObject({ text: expected, problems: [] });
});

test.each([
  ['$NONE', 'the variable NONE is not set'],
  ['${EMPTY:?}', 'the variable EMPTY is required'],
  ['${NONE?say it with $A}', 'the variable NONE is required: say it with $A'],
  ['${A', '`${A` is not closed'],
  ['${A:-x', '`${A` is not closed'],
  ['${A!x}', '`${A` goes on with `-`, `?`, `+` or `}`'],
  ['${}', '`${` must be followed by a name of a variable'],
  ['$1', 'a `$` must be followed by a variable'],
  ['100$', 'a `$` must be followed by a variable'],
  [`${'${A:+'.repeat(20)}x${'}'.repeat(20)}`, 'variables nest too deep'],
])('%s is a problem', (text, message) => {
  expect(interpolate(text, env).problems[0]?.message).toBe(message);
});

test('a default that is not used may hold what is not set', () => {
  expect(interpolate('${A:-$NONE}${EMPTY:+$NONE}', env)).toMatchObject({ text: 'a', problems: [] });
});

test('names that every object has are not set', () => {
  expect(interpolate('$constructor', env).problems).toHaveLength(1);
  expect(interpolate('${toString:-own}', env).text).toBe('own');
});

test('a value never changes the shape of the file', () => {
  const { spec } = load('image: {host_tools: [sh]}\nhostname: "${H}"\ncommand: [echo, "${C}"]\n', {
    env: { H: 'a', C: 'b]\nuser: 5\n# ' },
  });
  expect(spec.command).toEqual(['echo', 'b]\nuser: 5\n# ']);
  expect(spec.user).toBeUndefined();
});

test('where numbers and booleans are expected, a variable may be one; elsewhere it stays text', () => {
  const yaml = 'image: {host_tools: [sh]}\nlimits: {pids: "${P}", cpus: "${C}"}\nread_only: "${R}"\nhostname: "${P}"\n';
  const { spec } = load(yaml, { env: { P: '7', C: '.5', R: 'true' } });
  expect(spec).toMatchObject({ limits: { pids: 7, cpus: 0.5 }, readOnly: true, hostname: '7' });
  expect(problemsOf(yaml, { env: { P: 'seven', C: '1', R: 'yes' } }).map(({ path }) => path)).toEqual([
    'limits.pids',
    'read_only',
  ]);
});

test('keys that start with x- are left alone', () => {
  expect(problemsOf('image: {host_tools: [sh]}\nx-note: "costs 5$ a ${month"\n')).toEqual([]);
});
