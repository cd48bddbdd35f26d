/**
 * Modules of Node that only pulls, `image pack` and `host_tools` need. They are loaded when they are first used, so that a start
 * does not load them.
 */
import { createRequire } from 'node:module';

// The path does not matter: only modules with the prefix `node:` are asked for.
const loader = (): NodeJS.Require => createRequire('/');

export const zlib = (): typeof import('node:zlib') => loader()('node:zlib');
export const stream = (): typeof import('node:stream') => loader()('node:stream');
export const childProcess = (): typeof import('node:child_process') => loader()('node:child_process');
export const net = (): typeof import('node:net') => loader()('node:net');
