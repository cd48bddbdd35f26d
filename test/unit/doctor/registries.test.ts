/** What doctor says of the configuration of registries. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { examineRegistries } from '../../../src/doctor/registries.ts';
import { tempFolder } from '../../support/temp.ts';

const SECRET = 'S3CRET';

/** The checks by name, as `STATE detail`. */
function checks(files: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const home = tempFolder();
  mkdirSync(join(home, 'conf.d'));
  for (const [name, text] of Object.entries({ 'registries.conf': '', ...files })) {
    mkdirSync(dirname(join(home, name)), { recursive: true });
    writeFileSync(join(home, name), text, { mode: 0o600 });
  }
  const env = {
    PATH: '/usr/bin:/bin',
    XDG_RUNTIME_DIR: join(home, 'run'),
    CONTAINERS_REGISTRIES_CONF: join(home, 'registries.conf'),
    CONTAINERS_REGISTRIES_CONF_DIR: join(home, 'conf.d'),
  };
  const found = examineRegistries({ env, home });
  expect(JSON.stringify(found)).not.toContain(SECRET);
  return Object.fromEntries(
    found.map(({ name, state, detail }) => [name, `${state} ${detail.replaceAll(`${home}/`, '')}`]),
  );
}

test('the files that are read are named, and what is missing is no fault', () => {
  const { 'registries.conf': config, credentials, ...rest } = checks({ 'conf.d/x.conf': '' });
  expect(config).toMatch(/^yes registries\.conf, conf\.d\/x\.conf/u);
  expect({ credentials, rest }).toEqual({ credentials: 'none none are stored', rest: {} });
});

test('mistakes and unknown keys are named with their lines', () => {
  expect(checks({ 'conf.d/x.conf': '[[registry]]\nlocation = "a b"\nblocked = 1\n' })).toMatchObject({
    'registries.conf': expect.stringMatching(/^no conf\.d\/x\.conf:2: .*; conf\.d\/x\.conf:3: /u) as string,
  });
  expect(checks({ 'conf.d/x.conf': 'unqualified = []\n' })).toMatchObject({
    'unknown keys': expect.stringMatching(/^no conf\.d\/x\.conf:1: `unqualified` is not known/u) as string,
  });
});

test('files with credentials, and helpers that are missing, are named without a secret', () => {
  const auth = Buffer.from(`me:${SECRET}`).toString('base64');
  expect(
    checks({
      'run/containers/auth.json': JSON.stringify({
        auths: { 'r.test': { auth } },
        credHelpers: { 's.test': 'gone-x' },
      }),
    }),
  ).toMatchObject({
    credentials: 'yes run/containers/auth.json, docker-credential-gone-x',
    helpers: 'no docker-credential-gone-x not found',
  });
  expect(checks({ '.docker/config.json': `{"auths": "${SECRET}"}` })).toMatchObject({
    credentials: 'no `auths` in .docker/config.json is no map',
  });
});
