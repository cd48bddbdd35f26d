/** Names of images in the store, and the documents that came with images. */
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readDocument, removeUnusedDocuments, writeDocument } from '../../../src/image/documents.ts';
import { allNames, findReference, fullName, removeName, writeName } from '../../../src/image/names.ts';
import { sha256 } from '../../../src/native.ts';
import { tempFolder } from '../../support/temp.ts';

const HEX = 'ab'.repeat(32);
const OTHER = 'cd'.repeat(32);

function store(): string {
  const folder = tempFolder();
  mkdirSync(join(folder, 'names'));
  return folder;
}

const pulled = (manifest: string, platform?: string) => ({
  manifest,
  checked: 0,
  ...(platform === undefined ? {} : { platform }),
});

describe('names', () => {
  test.each([
    ['debian', 'debian:latest'],
    ['library/debian:12', 'debian:12'],
    ['org/app', 'org/app:latest'],
    ['docker.io/debian', 'docker.io/library/debian:latest'],
    ['index.docker.io/org/app:1', 'docker.io/org/app:1'],
    ['localhost/x', 'localhost/x:latest'],
    ['localhost:5000/x', 'localhost:5000/x:latest'],
    ['[::1]:5000/x', '[::1]:5000/x:latest'],
    [`ghcr.io/a/b:1@sha256:${HEX}`, `ghcr.io/a/b@sha256:${HEX}`],
  ])('%s is kept as %s', (text, full) => {
    expect(fullName(text)).toBe(full);
  });

  test('a short name means the local name, and else what was pulled from docker.io', () => {
    const at = store();
    expect(findReference(at, 'debian:12')).toBeUndefined();
    writeName(at, 'docker.io/library/debian:12', 'a', pulled('m'));
    expect(findReference(at, 'debian:12')).toMatchObject({ digest: 'a', name: 'docker.io/library/debian:12' });
    writeName(at, 'debian:12', 'b');
    expect(findReference(at, 'debian:12')).toEqual({ digest: 'b', name: 'debian:12' });
  });

  test('no local name answers for a reference that names a registry', () => {
    const at = store();
    for (const name of ['debian:12', 'x/y:latest', 'y:latest']) writeName(at, name, 'a');
    for (const text of ['docker.io/library/debian:12', 'docker.io/x/y', 'ghcr.io/x/y', 'ghcr.io/y', 'localhost/y']) {
      expect(findReference(at, text)).toBeUndefined();
    }
  });

  test('a digest finds what was pulled by a tag of the same repository, and nothing of another repository', () => {
    const at = store();
    writeName(at, 'ghcr.io/a/b:1', 'image', { ...pulled(HEX), index: OTHER });
    expect(findReference(at, `ghcr.io/a/b@sha256:${HEX}`)?.digest).toBe('image');
    expect(findReference(at, `ghcr.io/a/b:2@sha256:${OTHER}`)?.digest).toBe('image');
    expect(findReference(at, `ghcr.io/a/c@sha256:${HEX}`)).toBeUndefined();
    expect(findReference(at, `ghcr.io/a/b@sha256:${'0'.repeat(64)}`)).toBeUndefined();
  });

  test('of several tags that lead to a digest, the one that is written before it is found', () => {
    const at = store();
    for (const tag of ['1', '2', '3']) writeName(at, `ghcr.io/a/b:${tag}`, 'image', pulled(HEX));
    expect(findReference(at, `ghcr.io/a/b:2@sha256:${HEX}`)?.name).toBe('ghcr.io/a/b:2');
    expect(findReference(at, `ghcr.io/a/b:4@sha256:${HEX}`)?.name).toBe('ghcr.io/a/b:1');
  });

  test('a name has one image for each platform that it was pulled for, and loses all of them together', () => {
    const at = store();
    writeName(at, 'ghcr.io/a/b:1', 'best', pulled('1'));
    writeName(at, 'ghcr.io/a/b:1', 'arm', pulled('2', 'linux/arm64'));
    expect(findReference(at, 'ghcr.io/a/b:1')?.digest).toBe('best');
    expect(findReference(at, 'ghcr.io/a/b:1', 'linux/arm64')?.digest).toBe('arm');
    expect(findReference(at, 'ghcr.io/a/b:1', 'linux/386')?.digest).toBe('best');
    removeName(at, 'ghcr.io/a/b:1');
    expect(allNames(at)).toEqual([]);
  });
});

describe('documents', () => {
  test('a document is kept byte for byte under its digest, and only as long as it is used', () => {
    const at = store();
    const bytes = Buffer.from('{ "schemaVersion":2}\n');
    const digest = writeDocument(at, bytes);
    expect(digest).toBe(sha256(bytes));
    expect(writeDocument(at, bytes)).toBe(digest);
    expect(readDocument(at, digest)).toEqual(bytes);
    removeUnusedDocuments(at, new Set([digest]));
    expect(readDocument(at, digest)).toEqual(bytes);
    removeUnusedDocuments(at, new Set());
    expect(readdirSync(join(at, 'documents'))).toEqual([]);
    expect(readDocument(at, digest)).toBeUndefined();
  });

  test('a document that is not what its name says is none, and one behind a link is an error', () => {
    const at = store();
    const digest = writeDocument(at, Buffer.from('a'));
    writeFileSync(join(at, 'documents', digest), 'b');
    expect(readDocument(at, digest)).toBeUndefined();
    const other = sha256('c');
    writeFileSync(join(at, 'c'), 'c');
    symlinkSync(join(at, 'c'), join(at, 'documents', other));
    expect(() => readDocument(at, other)).toThrow('symbolic link');
    expect(readDocument(at, '../c')).toBeUndefined();
  });
});
