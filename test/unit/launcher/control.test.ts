/** The launcher's control socket and its file of events, as a program of their own (control-main.cc) with the sanitizers. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, test } from 'vitest';
import { tempFolder } from '../../support/temp.ts';
import { sanitized } from '../image/worker.ts';

const NATIVE = join(import.meta.dirname, '../../../native/launcher');
const SOURCES = ['console', 'control', 'log', 'log_line', 'log_writer', 'journal', 'events', 'poller'];
// Before the tests begin, whose time is limited.
const program = sanitized(
  join(import.meta.dirname, 'control-main.cc'),
  SOURCES.map((name) => join(NATIVE, `${name}.cc`)),
);

describe('the launcher’s control socket', () => {
  test.each([
    [
      'full',
      'keeps a connection waiting that there is no descriptor for, without turning, and takes it when one is free',
    ],
    ['word', 'tells that input was taken also where the socket was full of output at that moment'],
    ['health', 'has a file of events that does not grow with each change of health'],
  ])('%s: %s', (way) => {
    execFileSync(program, [way, tempFolder()], { stdio: ['ignore', 'inherit', 'pipe'] });
  });
});
