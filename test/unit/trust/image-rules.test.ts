import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { repositoryOf } from '../../../src/text/image-name.ts';
import { demandedOf, ruleFor } from '../../../src/trust/image-rules.ts';
import { parsePolicy, readImageRules } from '../../../src/trust/policy.ts';
import { makeSigner } from '../../support/signing.ts';
import { tempFolder } from '../../support/temp.ts';

const euid = process.geteuid?.() ?? 0;
const FILE = '/etc/boxctl/policy.yaml';
const parse = (text: string) =>
  parsePolicy(text, FILE, { folder: '/', home: '/home/me', judged: '/home/me/api' }).images;
const named = (text: string) => {
  const slash = text.indexOf('/');
  return { registry: text.slice(0, slash), repository: text.slice(slash + 1) };
};

describe('rules of a policy for images', () => {
  const rules = parse(`
images:
  '*': {accept: nothing}
  docker.io/library: {accept: anything}
  registry.example.com: {verify: {key: keys/cosign.pub}}
  registry.example.com/team/app: {verify: {key: [~/a.pub, /b.pub], identity: index.docker.io/org/app}}
  registry.example.com/team/: {accept: anything}
  '[::1]:5000': {accept: signed, verify: {key: /c.pub}}
`);

  it.each([
    ['docker.io/library/alpine', 'docker.io/library'],
    ['docker.io/grafana/grafana', '*'],
    ['registry.example.com/app', 'registry.example.com'],
    ['registry.example.com/team', 'registry.example.com'],
    ['registry.example.com/teams/app', 'registry.example.com'],
    ['registry.example.com/team/other', 'registry.example.com/team'],
    ['registry.example.com/team/app', 'registry.example.com/team/app'],
    ['registry.example.com/team/app/tools', 'registry.example.com/team/app'],
    ['registry.example.com/team/application', 'registry.example.com/team'],
    ['registry.example.com.evil.example/app', '*'],
    ['evil-registry.example.com/app', '*'],
    ['registry.example.com:5000/app', '*'],
    ['[::1]:5000/app', '[::1]:5000'],
  ])('the longest scope that holds %s is %s', (repository, scope) => {
    expect(ruleFor(rules, named(repository))?.scope).toBe(scope);
  });

  it.each(['registry.example.com:443/app', 'registry.example.com:80/app'])(
    'a registry has its rule also where its usual port is written: %s',
    (repository) => {
      expect(ruleFor(rules, named(repository))?.scope).toBe('registry.example.com');
    },
  );

  it('keys count from the folder of the policy, or from the home', () => {
    expect(ruleFor(rules, named('registry.example.com/app'))?.keys).toEqual(['/etc/boxctl/keys/cosign.pub']);
    expect(ruleFor(rules, named('registry.example.com/team/app'))).toMatchObject({
      keys: ['/home/me/a.pub', '/b.pub'],
      identity: 'docker.io/org/app',
    });
  });

  it.each([
    ['images: []', 'is a map of registries'],
    ['images: {docker.io: nothing}', 'a rule is a map'],
    ['images: {docker.io: {}}', 'by which key'],
    ['images: {docker.io: {accept: signed}}', 'by which key'],
    ['images: {docker.io: {accept: some}}', 'must be one of signed, anything, nothing'],
    ['images: {docker.io: {accept: [nothing]}}', 'must be one of'],
    ['images: {docker.io: {acept: nothing}}', 'there is no key `acept`'],
    ['images: {docker.io: {accept: nothing, verify: {key: a.pub}}}', 'contradicts'],
    ['images: {docker.io: {verify: a.pub}}', 'must be a map with `key`'],
    ['images: {docker.io: {verify: {}}}', 'must be the path of a public key'],
    ['images: {docker.io: {verify: {key: []}}}', 'must be the path of a public key'],
    ['images: {docker.io: {verify: {key: [1]}}}', 'must be the path of a public key'],
    ['images: {docker.io: {verify: {key: a.pub, keys: b.pub}}}', 'there is no key `keys`'],
    ['images: {docker.io: {verify: {key: a.pub, identity: alpine}}}', 'must be a repository in full'],
    ['images: {docker.io: {verify: {key: a.pub, identity: "docker.io/x/y:1"}}}', 'must be a repository in full'],
    ['images: {library: {accept: nothing}}', 'names no registry'],
    ['images: {library/alpine: {accept: nothing}}', 'names no registry'],
    ['images: {"*.example.com": {accept: nothing}}', 'cannot be used'],
    ['images: {"https://docker.io": {accept: nothing}}', 'cannot be used'],
    ['images: {docker.io/Library/x: {accept: nothing}}', 'upper-case'],
    ['images: {"docker.io/x/y:1": {accept: nothing}}', 'has a tag or a digest'],
    ['images: {docker.io/alpine: {accept: anything}}', 'docker.io/library/alpine'],
    ['images: {docker.io: {accept: nothing}, "index.docker.io:443": {accept: anything}}', 'there is another rule'],
    ['images: {docker.io/../x: {accept: nothing}}', 'cannot be used'],
  ])('a policy with a rule that would not do what it seems to say is refused as a whole: %s', (text, said) => {
    expect(() => parse(text)).toThrow(
      expect.objectContaining({
        code: 'E_POLICY_INVALID',
        diagnostics: [expect.objectContaining({ message: expect.stringContaining(said) as string })],
      }),
    );
  });

  it.each([
    ['docker.io/library/alpine', 'docker.io/library/alpine'],
    ['index.docker.io/alpine', 'docker.io/library/alpine'],
    ['GHCR.io/org/app', 'ghcr.io/org/app'],
    ['alpine', undefined],
    ['ghcr.io/org/app:1', undefined],
    ['', undefined],
  ])('a repository in full has one spelling: %s is %s', (text, repository) => {
    expect(repositoryOf(text)).toBe(repository);
  });
});

describe('what policies demand of an image', () => {
  const signer = makeSigner();
  /** A home with a policy and a key, outside of any project. */
  function homeWith(policy: string): { readonly home: string; readonly key: string } {
    const home = tempFolder();
    const folder = join(home, '.config/boxctl');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'policy.yaml'), policy, { mode: 0o644 });
    writeFileSync(join(folder, 'cosign.pub'), signer.pem, { mode: 0o644 });
    return { home, key: join(folder, 'cosign.pub') };
  }
  const judge = { euid };
  const demanded = (home: string, repository: string) =>
    demandedOf(readImageRules({ env: {}, home, euid }), named(repository), judge);
  const SIGNED = 'images: {"ghcr.io": {verify: {key: cosign.pub}}, "ghcr.io/free": {accept: anything}}';

  it('an image must be signed by the key of the rule, and others need not be', () => {
    const { home, key } = homeWith(SIGNED);
    expect(demanded(home, 'ghcr.io/org/app')).toMatchObject([{ keys: [{ path: key, algorithm: 'P-256' }] }]);
    expect(demanded(home, 'ghcr.io/free/app')).toEqual([]);
    expect(demanded(home, 'docker.io/library/alpine')).toEqual([]);
  });

  it('every policy file has a say: one that accepts anything does not take back what another demands', () => {
    const { home } = homeWith(SIGNED);
    const [rules = []] = readImageRules({ env: {}, home, euid });
    const lax = parse('images: {"*": {accept: anything}}');
    for (const policies of [
      [lax, rules],
      [rules, lax],
    ]) {
      expect(demandedOf(policies, named('ghcr.io/org/app'), judge)).toHaveLength(1);
    }
    const strict = parse('images: {"*": {accept: nothing}}');
    expect(() => demandedOf([rules, strict], named('ghcr.io/free/app'), judge)).toThrow(
      expect.objectContaining({ code: 'E_IMAGE_NOT_ACCEPTED', message: expect.stringContaining(FILE) as string }),
    );
  });

  it('a key of a policy that others could have written is not used', () => {
    const { home, key } = homeWith(SIGNED);
    chmodSync(key, 0o666);
    expect(() => demanded(home, 'ghcr.io/org/app')).toThrow(expect.objectContaining({ code: 'E_POLICY_UNSAFE' }));
  });

  it.skipIf(euid !== 0)('a key of a policy that belongs to another user is not used (needs root)', () => {
    const { home, key } = homeWith(SIGNED);
    chownSync(key, 12_345, 0);
    expect(() => demanded(home, 'ghcr.io/org/app')).toThrow(expect.objectContaining({ code: 'E_POLICY_UNSAFE' }));
  });

  it.each([
    ['missing.pub', 'there is no such file'],
    ['policy.yaml', 'it is no PEM file'],
  ])('a policy whose key is %s is an error, and the image is not taken without it', (key, said) => {
    const { home } = homeWith(SIGNED.replace('cosign.pub', key));
    expect(() => demanded(home, 'ghcr.io/org/app')).toThrow(
      expect.objectContaining({ code: 'E_SIGNATURE_KEY', message: expect.stringContaining(said) as string }),
    );
  });
});
