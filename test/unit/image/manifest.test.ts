/** What an archive in layers says of its image. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { readImage } from '../../../src/image/manifest.ts';
import { folderMembers } from '../../../src/image/members.ts';
import { levelOf, rankOf } from '../../../src/image/platform.ts';
import { parseImageUser, parseUser } from '../../../src/spec/user.ts';
import { tempFolder } from '../../support/temp.ts';
import { ROOT_HOST } from '../../support/host-facts.ts';

type Json = Readonly<Record<string, unknown>>;

/** A layout with these entries of its index, each with the image's configuration. */
function layout(entries: readonly { readonly entry: Json; readonly config?: Json }[]): string {
  const folder = tempFolder();
  mkdirSync(join(folder, 'blobs/sha256'), { recursive: true });
  const blob = (value: unknown): string => {
    const text = JSON.stringify(value);
    const hex = createHash('sha256').update(text).digest('hex');
    writeFileSync(join(folder, 'blobs/sha256', hex), text);
    return `sha256:${hex}`;
  };
  const manifests = entries.map(({ entry, config = {} }) => {
    const described = { os: 'linux', rootfs: { type: 'layers', diff_ids: [] }, ...config };
    return { digest: blob({ config: { digest: blob(described) }, layers: [] }), ...entry };
  });
  writeFileSync(join(folder, 'index.json'), JSON.stringify({ manifests }));
  writeFileSync(join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  return folder;
}

const AMD = { ...ROOT_HOST, arch: 'x86_64' } as const;
const platform = (architecture: string, variant?: string): Json => ({
  platform: { os: 'linux', architecture, ...(variant === undefined ? {} : { variant }) },
});
const read = (folder: string, wanted?: string) => readImage(folderMembers(folder), AMD, { name: wanted });
const named = (name: string): Json => ({ annotations: { 'org.opencontainers.image.ref.name': name } });

describe('platforms', () => {
  const v2 = 'flags\t\t: fpu cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3\n';
  const v3 = v2.replace('fpu', 'fpu abm avx avx2 bmi1 bmi2 f16c fma movbe xsave');

  it('a processor has the level of which it has all flags', () => {
    expect([levelOf(''), levelOf('flags : fpu\n'), levelOf(v2), levelOf(v3)]).toEqual([1, 1, 2, 3]);
    expect(levelOf(v3.replace('fpu', 'avx512f avx512bw avx512cd avx512dq avx512vl'))).toBe(4);
  });

  it('the most that a processor has is the best, and what it has not does not run', () => {
    const rank = (architecture: string, variant: string, arch: 'x86_64' | 'aarch64' = 'x86_64') =>
      rankOf({ os: 'linux', architecture, variant }, arch, () => 3);
    const ranks = ['', 'v1', 'v2', 'v3'].map((variant) => rank('amd64', variant) ?? -1);
    expect(ranks).toEqual([3, 3, 4, 5]);
    expect(rank('amd64', 'v4')).toBeUndefined();
    expect(rank('386', '')).toBe(1);
    expect(rank('amd64', 'v9')).toBeUndefined();
    expect(rank('arm64', 'v8', 'aarch64')).toBe(rank('arm64', '', 'aarch64'));
    expect(rank('arm64', 'v9', 'aarch64')).toBeUndefined();
    expect(rankOf({ os: 'windows', architecture: 'amd64', variant: '' }, 'x86_64')).toBeUndefined();
  });

  it('of variants, one is taken, and never one that this processor does not have', () => {
    const config = (what: string): Json => ({ config: { Cmd: [what] } });
    const folder = layout([
      { entry: platform('amd64', 'v4'), config: config('v4') },
      { entry: platform('amd64'), config: config('plain') },
      { entry: platform('arm64'), config: config('arm') },
    ]);
    expect(['plain', 'v4']).toContain(read(folder)?.defaults.command?.[0]);
  });

  it('an index without this platform says which it has', () => {
    const folder = layout([{ entry: platform('arm64', 'v8') }, { entry: platform('s390x') }]);
    expect(() => read(folder)).toThrow(
      `The image ${folder} is for linux/arm64/v8, linux/s390x, and this machine is linux/amd64`,
    );
  });

  it('a configuration for another machine is refused', () => {
    const folder = layout([{ entry: {}, config: { architecture: 'mips64' } }]);
    expect(() => read(folder)).toThrow(/is for linux\/mips64, and this machine is linux\/amd64/u);
  });

  it('attestations and other things of an index are no images', () => {
    const folder = layout([
      { entry: platform('amd64') },
      { entry: { platform: { os: 'unknown', architecture: 'unknown' } } },
      { entry: { ...platform('amd64'), annotations: { 'vnd.docker.reference.type': 'attestation-manifest' } } },
      { entry: { mediaType: 'application/vnd.dev.cosign.artifact.sig.v1+json' } },
    ]);
    expect(read(folder)?.layers).toEqual([]);
  });
});

describe('several images', () => {
  it('without names are told apart by their digests', () => {
    const folder = layout([
      { entry: platform('amd64'), config: { author: 'a' } },
      { entry: platform('amd64'), config: { author: 'b' } },
    ]);
    let told = '';
    try {
      read(folder);
    } catch (error) {
      told = String(error);
    }
    const [, first = '', second = ''] = /holds 2 images: ([0-9a-f]{12}), ([0-9a-f]{12})$/u.exec(told) ?? [];
    expect(first).not.toBe(second);
    expect(read(folder, first)?.id).not.toBe(read(folder, `sha256:${second}`)?.id);
    expect(() => read(folder, 'ffff')).toThrow(/holds no image ffff/u);
  });

  it('one under several names is one, and a tag may be left out', () => {
    const folder = layout([{ entry: named('web:latest') }, { entry: named('web:2') }]);
    expect(read(folder)?.names).toEqual(['web:latest', 'web:2']);
    expect(read(folder, 'web')?.names).toEqual(['web:latest']);
  });
});

describe('an image’s own words', () => {
  const defaults = (config: Json) => read(layout([{ entry: {}, config: { config } }]))?.defaults;

  it('a relative WorkingDir counts from the root', () => {
    expect(defaults({ WorkingDir: 'app/src' })?.workingDir).toBe('/app/src');
    expect(defaults({ WorkingDir: '/app' })?.workingDir).toBe('/app');
    expect(defaults({ WorkingDir: '' })?.workingDir).toBeUndefined();
  });

  test.each([
    ['1000:', { user: 1000 }],
    [':5', { user: 0, group: 5 }],
    [':staff', { user: 0, group: 'staff' }],
    ['web:', { user: 'web' }],
    ['1000:1001', { user: 1000, group: 1001 }],
    ['Ünal.Öz', { user: 'Ünal.Öz' }],
    ['DOMAIN\\user', { user: 'DOMAIN\\user' }],
    ['3proxy', { user: '3proxy' }],
    ['01:', undefined],
    ['0x1', undefined],
    ['-1', undefined],
    ['+1:', undefined],
    ['1e3', undefined],
    ['4294967295', undefined],
    ['1:2:3', undefined],
    ['a b', undefined],
    ['a\nb', undefined],
    [':01', undefined],
  ])('User: %j', (text, user) => {
    expect(parseImageUser(text)).toEqual(user);
    // In a file, an empty part is a mistake.
    if (text.includes(':') && text.split(':').includes('')) expect(parseUser(text)).toBeUndefined();
  });
});
