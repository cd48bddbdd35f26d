/**
 * Node's own modules that only an import needs, loaded when they are used: together they take 2.5 ms, more than all else
 * that is done for an image that is already there.
 */
import { createRequire } from 'node:module';

// The path does not matter: only modules with the prefix `node:` are asked for.
const load = createRequire('/');

export const crypto = (): typeof import('node:crypto') => load('node:crypto');
export const zlib = (): typeof import('node:zlib') => load('node:zlib');
export const stream = (): typeof import('node:stream') => load('node:stream');
export const childProcess = (): typeof import('node:child_process') => load('node:child_process');
