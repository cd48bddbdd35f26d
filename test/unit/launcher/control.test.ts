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
    ['order', 'takes an order of somebody who has gone since, without reading what was sent to it'],
    ['shortage', 'does not wait for a reader for ever where there is no descriptor for a timer'],
    ['late', 'waits for what an order has begun that had waited for a descriptor'],
    ['half', 'gives the log the beginning of a line that was read in the turn in which a slow reader has gone'],
    ['terminal', 'loses nothing that a command has written to its terminal before its end'],
  ])('%s: %s', (way) => {
    execFileSync(program, [way, tempFolder()], { stdio: ['ignore', 'inherit', 'pipe'] });
  });
});
