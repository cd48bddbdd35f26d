/**
 * Files that are wrong, and all that is said about each: line, column and length of the place, code, sentence, and after
 * `=` the help. A file that ended Node instead would end this test's process.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { describeError } from '../../../src/cli/describe-error.ts';
import { loadSpec } from '../../../src/spec/load.ts';
import { problemsOf, problemText, problemsThrown } from '../../support/spec.ts';
import { tempFolder } from '../../support/temp.ts';

const IMAGE = 'image: {host_tools: [sh]}\n';
const SCHEMA = join(import.meta.dirname, '../../../specs/container.schema.json');
const { properties } = JSON.parse(readFileSync(SCHEMA, 'utf8')) as {
  properties: Readonly<Record<string, { readonly 'x-compose'?: unknown }>>;
};
const KEYS = Object.keys(properties)
  .filter((key) => properties[key]?.['x-compose'] === undefined)
  .join(', ');

const lines = (count: number, line: (n: number) => string): string =>
  Array.from({ length: count }, (_, n) => `${line(n)}\n`).join('');

const BROKEN: readonly (readonly [title: string, yaml: string, problems: readonly string[]])[] = [
  [
    'a file with nothing in it',
    '',
    ['1:1+1 E_SPEC_EMPTY: the file is empty = the shortest file: `image: ./rootfs.tar.gz`'],
  ],
  [
    'a file with comments alone',
    '# nothing\n',
    ['1:1+1 E_SPEC_EMPTY: the file is empty = the shortest file: `image: ./rootfs.tar.gz`'],
  ],
  [
    'nothing, said in YAML',
    '~\n',
    [
      '1:1+1 E_SPEC_TYPE: the file must be a map of keys and values; found a single value = the shortest file: `image: ./rootfs.tar.gz`',
    ],
  ],
  [
    'a list',
    '- image: x\n',
    [
      '1:1+10 E_SPEC_TYPE: the file must be a map of keys and values; found a list = the shortest file: `image: ./rootfs.tar.gz`',
    ],
  ],
  [
    'a word',
    'hello\n',
    [
      '1:1+5 E_SPEC_TYPE: the file must be a map of keys and values; found a single value = the shortest file: `image: ./rootfs.tar.gz`',
    ],
  ],
  [
    'a key that begins with a dot',
    `${IMAGE}.name: x\n...: y\nlimits: {.pids: 1}\n`,
    [
      '2:1+5 E_SPEC_UNKNOWN_KEY: there is no key `.name` = did you mean `name`?',
      `3:1+3 E_SPEC_UNKNOWN_KEY: there is no key \`...\` = the keys are: ${KEYS}`,
      '4:10+5 E_SPEC_UNKNOWN_KEY: there is no key `.pids` in `limits` = did you mean `pids`?',
    ],
  ],
  [
    'a tab',
    `${IMAGE}limits:\n\tmemory: 1m\n`,
    ['3:1+1 E_SPEC_SYNTAX: not valid YAML: Tabs are not allowed as indentation = indent with spaces'],
  ],
  [
    'an indent that fits nothing',
    `${IMAGE}limits:\n  pids: 1\n memory: 1m\n`,
    [
      '4:1+1 E_SPEC_SYNTAX: not valid YAML: All mapping items must start at the same column = entries of one map or list start in the same column',
    ],
  ],
  [
    'an entry of a list with more indent than the one before it',
    `${IMAGE}volumes:\n  - ./:/src\n   - ./x:/y\ncommand:\n- sh\n - -c\n- "a\n   - b"\n`,
    [
      '4:4+1 E_SPEC_SYNTAX: this `-` begins no entry: with more indent, it belongs to the text before it = entries of one list start in the same column; quote the text if it is meant so',
      '7:2+1 E_SPEC_SYNTAX: this `-` begins no entry: with more indent, it belongs to the text before it = entries of one list start in the same column; quote the text if it is meant so',
    ],
  ],
  [
    'a map that begins on the line of its key',
    `${IMAGE}limits: pids: 1\n`,
    [
      '2:9+1 E_SPEC_SYNTAX: not valid YAML: Nested mappings are not allowed in compact mappings = begin the inner map on the next line, with more indent; quote text that has a colon before a space or at its end',
    ],
  ],
  [
    'a sign that no text begins with',
    `${IMAGE}hostname: @web\n`,
    ['2:11+1 E_SPEC_SYNTAX: not valid YAML: Plain value cannot start with reserved character @ = quote it'],
  ],
  [
    'a space after the colon of an entry that may be a map as well',
    `${IMAGE}volumes:\n- ./a: /b\n- ./:/c: ro\n- typ: bind\n`,
    [
      '3:3+7 E_SPEC_TYPE: `volumes.0` must be SRC:DST[:ro|rw], or {type: bind|volume|tmpfs, source: …, target: …}, such as "./:/src:ro"; found a map = take out the space after the colon, which makes a map of it',
      '4:3+9 E_SPEC_TYPE: `volumes.1` must be SRC:DST[:ro|rw], or {type: bind|volume|tmpfs, source: …, target: …}, such as "./:/src:ro"; found a map = take out the space after the colon, which makes a map of it',
      '5:3+9 E_SPEC_MISSING_KEY: `volumes.2` lacks the key `type` = the long form says `type: bind` or `type: tmpfs`',
      '5:3+9 E_SPEC_MISSING_KEY: `volumes.2` lacks the key `target`',
      '5:3+3 E_SPEC_UNKNOWN_KEY: there is no key `typ` in `volumes.2` = did you mean `type`?',
    ],
  ],
  [
    'a map where text is wanted in a list',
    `${IMAGE}environment: [A: b]\nextra_hosts: [a: 192.0.2.7]\ncommand: [sh, -c: x]\n`,
    [
      '2:15+4 E_SPEC_TYPE: `environment.0` must be text, such as "CI=1"; found a map = an entry of a list has an equals sign: write `A=…`',
      '3:15+12 E_SPEC_TYPE: `extra_hosts.0` must be text, such as "db=10.0.0.7"; found a map = an entry of a list has an equals sign: write `a=…`',
      '4:15+5 E_SPEC_TYPE: `command.1` must be text; found a map = quote it if it is meant as text: a colon and a space make a map of it',
    ],
  ],
  [
    'one value where a list is wanted',
    `${IMAGE}cap_add: NET_ADMIN\ngroup_add: 5\nvolumes: ./:/src\ncap_drop: A, B\n`,
    [
      '2:10+9 E_SPEC_TYPE: `cap_add` must be a list, such as ["NET_ADMIN","CAP_SYS_PTRACE"]; found the text "NET_ADMIN" = write `cap_add: ["NET_ADMIN"]`',
      '3:12+1 E_SPEC_TYPE: `group_add` must be a list, such as ["video",1000]; found the number 5 = write `group_add: [5]`',
      '4:10+7 E_SPEC_TYPE: `volumes` must be a list; found the text "./:/src" = write `volumes: ["./:/src"]`',
      '5:11+4 E_SPEC_TYPE: `cap_drop` must be a list, such as ["ALL"]; found the text "A, B"',
    ],
  ],
  [
    'a quote that is not closed',
    `${IMAGE}hostname: "web\nuser: 1\n`,
    ['2:11+1 E_SPEC_SYNTAX: not valid YAML: the quote `"` is not closed'],
  ],
  [
    'a single quote that is not closed',
    `${IMAGE}hostname: 'web\n`,
    ["2:11+1 E_SPEC_SYNTAX: not valid YAML: the quote `'` is not closed"],
  ],
  [
    'a bracket that is not closed',
    `${IMAGE}command: [sh, [a], -c\nuser: 1\n`,
    ['2:10+1 E_SPEC_SYNTAX: not valid YAML: the bracket `[` is not closed'],
  ],
  [
    'a brace that is not closed',
    `${IMAGE}limits: {pids: 1\nuser: 1\n`,
    ['2:9+1 E_SPEC_SYNTAX: not valid YAML: the bracket `{` is not closed'],
  ],
  [
    'a bracket that nothing opened',
    `${IMAGE}command: a]\nuser: ]\n`,
    ['3:7+1 E_SPEC_SYNTAX: not valid YAML: Unexpected `]`'],
  ],
  [
    'a variable in brackets without quotes',
    `${IMAGE}command: [echo, \${HOME}]\n`,
    [
      '2:18+1 E_SPEC_SYNTAX: not valid YAML: Missing , or : between flow sequence items = quote a variable inside { } or [ ]: "${…}"',
    ],
  ],
  [
    'a missing colon',
    `${IMAGE}hostname web\nuser: 1\n`,
    [
      '2:1+12 E_SPEC_SYNTAX: not valid YAML: Implicit keys need to be on a single line = a key and its colon stand on one line; is a colon missing?',
    ],
  ],
  [
    'a second document',
    `${IMAGE}---\nimage: x\n`,
    [
      '2:1+3 E_SPEC_MULTIPLE_DOCUMENTS: the file holds more than one YAML document = one file is one container: move what follows `---` to a file of its own',
    ],
  ],
  [
    'a directive that is not known',
    `%FOO bar\n---\n${IMAGE}`,
    ['1:1+8 E_SPEC_SYNTAX: not valid YAML: Unknown directive %FOO'],
  ],
  [
    'a slip of the keys',
    `${IMAGE}hostnme: web\n`,
    ['2:1+7 E_SPEC_UNKNOWN_KEY: there is no key `hostnme` = did you mean `hostname`?'],
  ],
  [
    'after a byte order mark',
    `\ufeff${IMAGE}hostnme: web\n`,
    ['2:1+7 E_SPEC_UNKNOWN_KEY: there is no key `hostnme` = did you mean `hostname`?'],
  ],
  [
    'after Windows line ends',
    `${IMAGE}\r\nhostnme: web\r\n`,
    ['3:1+7 E_SPEC_UNKNOWN_KEY: there is no key `hostnme` = did you mean `hostname`?'],
  ],
  [
    'a slip further in',
    `${IMAGE}limits: {memroy: 1m}\n`,
    ['2:10+6 E_SPEC_UNKNOWN_KEY: there is no key `memroy` in `limits` = did you mean `memory`?'],
  ],
  [
    'a word of elsewhere further in',
    `${IMAGE}volumes: [{type: bind, src: ./, target: /a}]\n`,
    ['2:24+3 E_SPEC_UNKNOWN_KEY: there is no key `src` in `volumes.0` = did you mean `source`?'],
  ],
  [
    'a key that is like no other',
    `${IMAGE}zzzzzzzzzz: 1\n`,
    [`2:1+10 E_SPEC_UNKNOWN_KEY: there is no key \`zzzzzzzzzz\` = the keys are: ${KEYS}`],
  ],
  [
    'keys that mean something to JavaScript',
    `${IMAGE}__proto__: {a: 1}\nconstructor: 1\n`,
    [
      `2:1+9 E_SPEC_UNKNOWN_KEY: there is no key \`__proto__\` = the keys are: ${KEYS}`,
      `3:1+11 E_SPEC_UNKNOWN_KEY: there is no key \`constructor\` = the keys are: ${KEYS}`,
    ],
  ],
  [
    'a key twice',
    `${IMAGE}hostname: a\nhostname: b\n`,
    ['3:1+8 E_SPEC_DUPLICATE_KEY: the key `hostname` is here twice, first on line 2'],
  ],
  [
    'a merge twice',
    `x-a: &a {pids: 1}\n${IMAGE}limits: {<<: *a, <<: *a}\n`,
    ['3:18+2 E_SPEC_DUPLICATE_KEY: the key `<<` is here twice'],
  ],
  [
    'the last of 20,000 keys is one of them',
    `${IMAGE}environment:\n${lines(20_000, (n) => `  K${n}: v`)}  K7: again\n`,
    ['20003:3+2 E_SPEC_DUPLICATE_KEY: the key `K7` is here twice, first on line 10'],
  ],
  [
    'an alias to nothing',
    `${IMAGE}limits: *nope\n`,
    ['2:9+5 E_SPEC_ALIAS: the alias `*nope` has no anchor before it = write `&nope` before the value that is meant'],
  ],
  [
    'an alias to what it is in',
    `${IMAGE}environment: &a {A: *a}\n`,
    ['2:21+2 E_SPEC_ALIAS: the alias `*a` would contain itself'],
  ],
  [
    'a merge of a number',
    `${IMAGE}limits: {<<: 5}\n`,
    ['2:14+1 E_SPEC_MERGE: `<<` takes a map, or a list of maps, to merge'],
  ],
  [
    'a merge of an alias to text',
    `x-a: &a text\n${IMAGE}limits: {<<: *a}\n`,
    ['1:9+4 E_SPEC_MERGE: `<<` takes a map, or a list of maps, to merge'],
  ],
  [
    'a tag of another program',
    `${IMAGE}hostname: !secret web\n`,
    ['2:11+7 E_SPEC_TAG: the tag `!secret` is not known here = leave the tag out'],
  ],
  [
    'a tag that would run code elsewhere',
    `${IMAGE}command: !!js/function "x"\n`,
    ['2:11+13 E_SPEC_TAG: the tag `!!js/function` is not known here = leave the tag out'],
  ],
  [
    'binary data',
    `${IMAGE}hostname: !!binary aGk=\n`,
    ['2:12+8 E_SPEC_TAG: the tag `!!binary` is not known here = leave the tag out'],
  ],
  [
    'a NUL by its name',
    `${IMAGE}command: [sh, "a\\0b"]\n`,
    ['2:15+6 E_SPEC_VALUE: a NUL character cannot be passed to any program'],
  ],
  [
    'a NUL as it is',
    `${IMAGE}hostname: "a\0b"\n`,
    ['2:11+5 E_SPEC_VALUE: a NUL character cannot be passed to any program'],
  ],
  [
    'an integer above 2^53',
    `${IMAGE}limits: {memory: 9007199254740993}\n`,
    ['2:18+16 E_SPEC_NUMBER: 9007199254740993 is too large to be kept exactly = quote it if it is meant as text'],
  ],
  [
    'an octal number of YAML 1.1',
    `${IMAGE}volumes: [{type: tmpfs, target: /x, tmpfs: {mode: 0755}}]\n`,
    [
      '2:51+4 E_SPEC_NUMBER: 0755 is a decimal number with a leading zero, not an octal one = write 0o755 for octal, or quote it: "0755"',
    ],
  ],
  [
    'permission bits as a decimal number',
    `${IMAGE}volumes: [{type: tmpfs, target: /x, tmpfs: {mode: 755}}]\n`,
    ['2:51+3 E_SPEC_MODE: 755 is not octal permission bits = quote it: "755", or write 0o755'],
  ],
  ['a number without an end', `${IMAGE}limits: {cpus: .inf}\n`, ['2:16+4 E_SPEC_NUMBER: .inf is not a finite number']],
  ['a map as a key', `${IMAGE}? {a: b}\n: 1\n`, ['2:3+6 E_SPEC_KEY: a key must be text, not a map, a list or nothing']],
  ['nothing as a key', `${IMAGE}~: 1\n`, ['2:1+1 E_SPEC_KEY: a key must be text, not a map, a list or nothing']],
  [
    '100,000 brackets',
    `${IMAGE}x-a: ${'['.repeat(100_000)}${']'.repeat(100_000)}\n`,
    ['2:69+1 E_SPEC_TOO_DEEP: the file nests deeper than 64 levels'],
  ],
  [
    '100,000 brackets that are not closed',
    `${IMAGE}x-a: ${'['.repeat(100_000)}\n`,
    ['2:69+1 E_SPEC_TOO_DEEP: the file nests deeper than 64 levels'],
  ],
  [
    '100,000 maps in each other',
    `${IMAGE}x-a: ${'{a: '.repeat(100_000)}\n`,
    ['2:258+1 E_SPEC_TOO_DEEP: the file nests deeper than 64 levels'],
  ],
  [
    '3,000 lists in each other, on one line',
    `${IMAGE}x-a:\n${'- '.repeat(3000)}a\n`,
    ['3:129+1 E_SPEC_TOO_DEEP: the file nests deeper than 64 levels'],
  ],
  [
    '3,000 explicit keys in each other',
    `${IMAGE}${'? '.repeat(3000)}a\n`,
    ['2:129+1 E_SPEC_TOO_DEEP: the file nests deeper than 64 levels'],
  ],
  [
    '200 levels of indent',
    `${IMAGE}x-a:\n${lines(200, (n) => `${' '.repeat(n + 1)}a:`)}`,
    ['66:65+1 E_SPEC_TOO_DEEP: the file nests deeper than 64 levels'],
  ],
  [
    'a billion laughs',
    `x-0: &a0 [1]\n${lines(9, (n) => `x-${n + 1}: &a${n + 1} [${Array(10).fill(`*a${n}`).join(', ')}]`)}${IMAGE}`,
    ['6:26+3 E_SPEC_TOO_MANY_NODES: with its aliases written out the file has over 100000 values'],
  ],
  [
    'nesting by aliases',
    `x-0: &a0 [1]\n${lines(80, (n) => `x-${n + 1}: &a${n + 1} [*a${n}]`)}${IMAGE}`,
    ['65:12+6 E_SPEC_TOO_DEEP: with its aliases written out the file nests deeper than 64 levels'],
  ],
  [
    'a mebibyte and more',
    `${IMAGE}#${'#'.repeat(1 << 20)}\n`,
    ['1:1+1 E_SPEC_TOO_LARGE: the file is larger than 1048576 bytes'],
  ],
  [
    'a size with a wrong unit',
    `${IMAGE}limits: {memory: 256 potatoes}\n`,
    ['2:18+12 E_SPEC_SIZE: "256 potatoes" is not a size = units are b, k, m, g and t, 1024-based: 256MiB, 256g'],
  ],
  [
    'a size without its unit',
    `${IMAGE}limits: {memory: 256}\n`,
    ['2:18+3 E_SPEC_SIZE: 256 B of memory is too little for any program = with a unit: 256MiB'],
  ],
  [
    'a negative size',
    `${IMAGE}limits: {memory: -1}\n`,
    ['2:18+2 E_SPEC_RANGE: `limits.memory` must be at least 0; found -1'],
  ],
  [
    'half a byte',
    `${IMAGE}limits: {memory: 1.5}\n`,
    [
      '2:18+3 E_SPEC_TYPE: `limits.memory` must be bytes, or a number with b, k, m, g or t (1024-based), such as 256MiB; found the number 1.5',
    ],
  ],
  [
    'swap without memory',
    `${IMAGE}limits: {swap: 1m}\n`,
    ['2:16+2 E_SPEC_CONFLICT: `limits.swap` needs `limits.memory` beside it'],
  ],
  [
    'a soft limit beyond the hard one',
    `${IMAGE}limits: {memory: 1m, memory_high: 2m}\n`,
    ['2:35+2 E_SPEC_CONFLICT: `limits.memory_high` is beyond `limits.memory`, and is never reached'],
  ],
  [
    'CPUs that are no list',
    `${IMAGE}limits: {cpuset: "3-1"}\n`,
    ['2:18+5 E_SPEC_VALUE: "3-1" is not a list of numbers and ranges = for example "0-3,7"'],
  ],
  [
    'a device that is none',
    `${IMAGE}limits: {blkio_config: {device_read_bps: [{path: /dev/null, rate: 1m}]}}\n`,
    [
      '2:50+9 E_SPEC_DEVICE: "/dev/null" is not a block device = `lsblk` shows them; a whole disk, not one of its partitions',
    ],
  ],
  [
    'a device that is not there, and a rate of nothing',
    `${IMAGE}limits: {blkio_config: {device_read_bps: [{path: /dev/nix, rate: 0}]}}\n`,
    [
      '2:50+8 E_SPEC_MISSING_FILE: the device "/dev/nix" cannot be used: there is no such file = a path such as /dev/sda, or MAJOR:MINOR such as "8:0"',
      '2:66+1 E_SPEC_RANGE: at a rate of 0 nothing would ever be done',
    ],
  ],
  [
    'huge pages of a size that is none, and half a page',
    `${IMAGE}limits: {hugetlb: {3m: 3m, 2m: 3m}}\n`,
    [
      '2:24+2 E_SPEC_SIZE: "3m" is not the size of a page = for example 2MiB or 1GiB; `ls /sys/kernel/mm/hugepages` shows what there is',
      '2:32+2 E_SPEC_RANGE: 3145728 bytes are no whole number of pages of 2m',
    ],
  ],
  [
    'a duration without its unit',
    `${IMAGE}limits: {time: "30"}\n`,
    ['2:16+4 E_SPEC_DURATION: "30" is not a duration = units are h, m, s and ms, in this order: 30s, 30m'],
  ],
  ['no time at all', `${IMAGE}limits: {time: 0s}\n`, ['2:16+2 E_SPEC_RANGE: no command can run in no time']],
  [
    'health checks that check nothing',
    `${IMAGE}healthcheck: {test: [curl, localhost]}\n`,
    [
      '2:15+4 E_SPEC_VALUE: `healthcheck.test` does not say what to run = write [CMD, program, argument…], [CMD-SHELL, "a command of the shell"], [NONE], or the command as a text',
    ],
  ],
  [
    'several wrong values in one entry',
    `${IMAGE}healthcheck: {test: [a], interval: 3x}\ntmpfs: ["/a:foo,size=x,mode=9", "b:uid=x"]\nvolumes: ["v:c:foo,bar,mode=9"]\nnetwork_mode: bridge\nports: [{target: 1, published: "99999", host_ip: a}, "b:99999:1"]\ndevices: ["/dev/no-such-device:/c:x"]\n`,
    [
      '2:15+4 E_SPEC_VALUE: `healthcheck.test` does not say what to run = write [CMD, program, argument…], [CMD-SHELL, "a command of the shell"], [NONE], or the command as a text',
      '2:36+2 E_SPEC_DURATION: "3x" is not a duration = units are h, m, s and ms, in this order: 3s, 3m',
      '3:9+22 E_SPEC_VOLUME: a tmpfs has no option "foo" = it has ro, rw, size=, mode=, nr_inodes=, uid=, gid=, noexec, nosymfollow, noatime, relatime, strictatime, nodiratime',
      '3:9+22 E_SPEC_SIZE: "x" is not a size = units are b, k, m, g and t, 1024-based',
      '3:9+22 E_SPEC_MODE: 9 is not octal permission bits = for example "1777"',
      '3:33+9 E_SPEC_PATH: a path inside must be absolute; found "b" = write `/b`',
      '3:33+9 E_SPEC_VALUE: `uid` must be a number from 0 to 4294967294; found "x"',
      '4:11+20 E_SPEC_VOLUME: a volume has no option "foo" = it has ro, rw, uid=, gid=, mode=, nocopy, noexec, nosymfollow, noatime, relatime, strictatime, nodiratime',
      '4:11+20 E_SPEC_VOLUME: a volume has no option "bar" = it has ro, rw, uid=, gid=, mode=, nocopy, noexec, nosymfollow, noatime, relatime, strictatime, nodiratime',
      '4:11+20 E_SPEC_MODE: 9 is not octal permission bits = for example "0750"',
      '4:11+20 E_SPEC_PATH: a path inside must be absolute; found "c" = write `/c`',
      '6:32+7 E_SPEC_PORT: ports are numbers from 0 to 65535; found "99999"',
      '6:50+1 E_SPEC_ADDRESS: "a" is not an address of this host = four numbers from 0 to 255, such as 192.0.2.7, or IPv6, such as 2001:db8::7',
      '6:54+11 E_SPEC_ADDRESS: "b" is not an address of this host = four numbers from 0 to 255, such as 192.0.2.7, or IPv6, such as 2001:db8::7',
      '6:54+11 E_SPEC_PORT: ports are numbers from 0 to 65535; found "99999"',
      '7:11+26 E_SPEC_DEVICE: permissions are letters of r, w and m; found "x" = a device is HOST[:CONTAINER[:rw]]',
      '7:11+26 E_SPEC_MISSING_FILE: the device "/dev/no-such-device" cannot be used: there is no such file',
      '7:11+26 E_SPEC_DEVICE: devices work in /dev alone; found "/c" = HOST:/dev/c',
    ],
  ],
  [
    'permission bits that are not octal, each with an example of its kind',
    `${IMAGE}secrets: {a: {content: b, mode: "9"}}\nvolumes: [{type: volume, source: v, target: /a, volume: {mode: "9"}}]\ntmpfs: ["/b:mode=9"]\n`,
    [
      '2:33+3 E_SPEC_MODE: 9 is not octal permission bits = for example "0400"',
      '3:64+3 E_SPEC_MODE: 9 is not octal permission bits = for example "0750"',
      '4:9+11 E_SPEC_MODE: 9 is not octal permission bits = for example "1777"',
    ],
  ],
  [
    'a test that is switched off',
    `${IMAGE}healthcheck: {test: a, disable: true}\n`,
    ['2:33+4 E_SPEC_CONFLICT: `healthcheck.disable` is true, and there is a test beside it = take one of them out'],
  ],
  [
    'hooks that cannot be run',
    `${IMAGE}post_start: [{command: []}, {command: a, user: "+1"}]\npre_stop: [{command: a, environment: [B]}]\n`,
    [
      '2:15+7 E_SPEC_VALUE: `post_start.0.command` names no program',
      '2:48+4 E_SPEC_USER: "+1" is no user = USER or USER:GROUP, as ids or as names that the image knows',
      '3:39+1 E_SPEC_VALUE: the variable B has no value = write it, or take your own: `B: ${B}`',
    ],
  ],
  [
    'a word that says nothing about restarts',
    `${IMAGE}restart: on-failures\n`,
    ['2:10+11 E_SPEC_VALUE: "on-failures" does not say when to restart = did you mean `on-failure`?'],
  ],
  [
    'a number of restarts that is none',
    `${IMAGE}restart: "on-failure:-1"\n`,
    [
      '2:10+15 E_SPEC_VALUE: "on-failure:-1" does not say when to restart = write no, on-failure, on-failure:3, always or unless-stopped',
    ],
  ],
  [
    'a signal that is none',
    `${IMAGE}stop_signal: SIGTREM\n`,
    ['2:14+7 E_SPEC_VALUE: there is no signal "SIGTREM" = did you mean `SIGTERM`?'],
  ],
  [
    'no process at all',
    `${IMAGE}limits: {pids: 0}\n`,
    ['2:16+1 E_SPEC_RANGE: `limits.pids` must be at least 1; found 0'],
  ],
  [
    'a number that could be meant as octal',
    `${IMAGE}limits: {pids: "064"}\n`,
    ['2:16+5 E_SPEC_TYPE: `limits.pids` must be a whole number, such as 64; found the text "064"'],
  ],
  [
    'a number without quotes',
    `${IMAGE}command: [sleep, 5]\n`,
    ['2:18+1 E_SPEC_TYPE: `command.1` must be text; found the number 5 = quote it: "5"'],
  ],
  [
    'no CPU at all',
    `${IMAGE}limits: {cpus: 0}\n`,
    ['2:16+1 E_SPEC_RANGE: `limits.cpus` must be at least 0.01; found 0'],
  ],
  [
    'yes, which is text since YAML 1.2',
    `${IMAGE}read_only: yes\n`,
    [
      '2:12+3 E_SPEC_TYPE: `read_only` must be true or false; found the text "yes" = in YAML 1.2 `yes` is text: write `true`',
    ],
  ],
  [
    'a key without a value',
    `${IMAGE}hostname:\nuser: 1\n`,
    [
      '2:1+8 E_SPEC_TYPE: `hostname` must be text, such as "builder"; found nothing = give it a value, or leave the key out',
    ],
  ],
  [
    'a host name that is none',
    `${IMAGE}hostname: "-a b"\n`,
    [
      '2:11+6 E_SPEC_HOSTNAME: "-a b" is not a host name = letters, digits and `-`, in parts joined by dots, at most 64 in all',
    ],
  ],
  [
    'a host name that steers terminals',
    `${IMAGE}hostname: "a\u001b[31m"\n`,
    [
      '2:11+8 E_SPEC_HOSTNAME: "a\u001b[31m" is not a host name = letters, digits and `-`, in parts joined by dots, at most 64 in all',
    ],
  ],
  [
    'a host name of 65 letters',
    `${IMAGE}hostname: ${'a'.repeat(65)}\n`,
    [
      '2:11+65 E_SPEC_HOSTNAME: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…" is not a host name = letters, digits and `-`, in parts joined by dots, at most 64 in all',
    ],
  ],
  [
    'a name that is a path',
    `${IMAGE}name: ../x\n`,
    [
      '2:7+4 E_SPEC_VALUE: `name` must be a letter or digit, then letters, digits, `_`, `.` or `-`, at most 63 in all, such as "builder"; found the text "../x"',
    ],
  ],
  [
    'maps that overlap inside',
    `${IMAGE}uid_map: ["0:100000:10", "5:200000:10"]\n`,
    [
      '2:26+13 E_SPEC_OVERLAP: `uid_map.1` overlaps `uid_map.0` of line 2: the same ids inside in both = every id inside is one id outside, and the other way round',
    ],
  ],
  [
    'maps that overlap outside',
    `${IMAGE}gid_map:\n  - {container: 0, host: 1, size: 10}\n  - {container: 100, host: 5, size: 10}\n`,
    [
      '4:5+35 E_SPEC_OVERLAP: `gid_map.1` overlaps `gid_map.0` of line 3: the same ids outside in both = every id inside is one id outside, and the other way round',
    ],
  ],
  ['a map of nothing', `${IMAGE}uid_map: ["0:1:0"]\n`, ['2:11+7 E_SPEC_ID_MAP: `uid_map.0` maps no id at all']],
  [
    'a map in another form',
    `${IMAGE}uid_map: ["0-100000"]\n`,
    [
      '2:11+10 E_SPEC_ID_MAP: `uid_map.0` must be CONTAINER:HOST:SIZE; found "0-100000" = for example "0:100000:65536": 65536 ids from 0 inside are 100000 and up outside',
    ],
  ],
  [
    'a map beyond the last id',
    `${IMAGE}uid_map: ["0:4294967295:1"]\n`,
    ['2:11+16 E_SPEC_ID_MAP: `uid_map.0` goes beyond the last id, 4294967294'],
  ],
  [
    'a map that lacks a key',
    `${IMAGE}uid_map: [{container: 0, host: 1}]\n`,
    ['2:11+23 E_SPEC_MISSING_KEY: `uid_map.0` lacks the key `size`'],
  ],
  [
    'a user in another form',
    `${IMAGE}user: "a:b:c"\n`,
    ['2:7+7 E_SPEC_USER: `user` must be USER or USER:GROUP; found "a:b:c"'],
  ],
  [
    'a user that is not said',
    `${IMAGE}user: ":5"\n`,
    ['2:7+4 E_SPEC_USER: `user` has no user before the colon; found ":5" = write `user: "0:5"`'],
  ],
  [
    'a size that is too small, with its unit',
    `${IMAGE}limits: {memory: 4k}\n`,
    ['2:18+2 E_SPEC_SIZE: 4096 B of memory is too little for any program = the least is 1MiB'],
  ],
  [
    'no memory at all',
    `${IMAGE}limits: {memory: 0}\n`,
    ['2:18+1 E_SPEC_SIZE: 0 B of memory is too little for any program = leave it out where there is no limit'],
  ],
  [
    'limits of a log that are none',
    `${IMAGE}logging: {options: {max-size: 10, max-file: 0}}\n`,
    [
      '2:31+2 E_SPEC_SIZE: `logging.options.max-size` must be the size of a file; found "10" = the least is 1k; -1 is no limit',
      '2:45+1 E_SPEC_RANGE: `logging.options.max-file` must be a number of files, 1 to 10000; found "0"',
    ],
  ],
  [
    'an option of a log that another driver has',
    `${IMAGE}logging: {driver: none, options: {max-file: 2}}\n`,
    [
      '2:45+1 E_SPEC_CONFLICT: `logging.options.max-file` is an option of `driver: json-file`, not of none = nothing is kept: leave the options out',
    ],
  ],
  [
    'a driver of Compose’s that boxctl does not have',
    `${IMAGE}logging: {driver: local}\n`,
    [
      '2:19+5 E_SPEC_VALUE: `logging.driver` must be one of json-file, journald, none; found the text "local" = `json-file` has the same limits: 5 files of 20 MiB',
    ],
  ],
  [
    'durations without a unit, which quotes would not mend',
    `${IMAGE}limits: {time: 90}\nstop_grace_period: 1.5\n`,
    [
      '2:16+2 E_SPEC_TYPE: `limits.time` must be hours, minutes, seconds and milliseconds, such as 1h30m, 90s or 500ms; found the number 90 = with a unit: 90s',
      '3:20+3 E_SPEC_TYPE: `stop_grace_period` must be hours, minutes, seconds and milliseconds, such as 1h30m, 90s or 500ms; found the number 1.5 = with a unit: 1.5s',
    ],
  ],
  [
    'values that quotes would not mend',
    `${IMAGE}namespaces: {net: 5}\nworking_dir: 7\nvolumes: [{type: 1, target: 2}]\n`,
    [
      '2:19+1 E_SPEC_TYPE: `namespaces.net` must be private, host, or an absolute path such as /proc/123/ns/net; found the number 5',
      '3:14+1 E_SPEC_TYPE: `working_dir` must be text, such as "/src"; found the number 7',
      '4:18+1 E_SPEC_TYPE: `volumes.0.type` must be text, such as "bind"; found the number 1',
      '4:29+1 E_SPEC_TYPE: `volumes.0.target` must be text, such as "/src"; found the number 2',
    ],
  ],
  [
    'a group that is not said',
    `${IMAGE}user: "1:"\n`,
    ['2:7+4 E_SPEC_USER: `user` has no group after the colon; found "1:" = write `user: "1"`'],
  ],
  [
    'a hexadecimal user',
    `${IMAGE}user: "0x1"\n`,
    [
      '2:7+5 E_SPEC_USER: "0x1" is neither an id nor a name of a user = write decimal ids, or names that the image knows: `user: "1000:1000"`',
    ],
  ],
  [
    'a user with a sign',
    `${IMAGE}user: "+1"\n`,
    [
      '2:7+4 E_SPEC_USER: "+1" is neither an id nor a name of a user = write decimal ids, or names that the image knows: `user: "1000:1000"`',
    ],
  ],
  ['a negative user', `${IMAGE}user: -1\n`, ['2:7+2 E_SPEC_RANGE: `user` must be at least 0; found -1']],
  [
    'a user that means "no id" to the kernel',
    `${IMAGE}user: "4294967295"\n`,
    ['2:7+12 E_SPEC_USER: the user id 4294967295 is not in 0…4294967294'],
  ],
  [
    'a namespace by another name',
    `${IMAGE}namespaces: [mount, network]\n`,
    [
      '2:21+7 E_SPEC_VALUE: `namespaces.1` must be one of pid, mount, uts, ipc, net, user, cgroup, time; found the text "network" = did you mean `net`?',
    ],
  ],
  [
    'a namespace twice',
    `${IMAGE}namespaces: [pid, mount, pid]\n`,
    ['2:26+3 E_SPEC_VALUE: the namespace pid is in the list twice'],
  ],
  [
    'a namespace that is nothing',
    `${IMAGE}namespaces: {net: none}\n`,
    [
      '2:19+4 E_SPEC_VALUE: `namespaces.net` must be private, host, or an absolute path such as /proc/123/ns/net; found the text "none"',
    ],
  ],
  [
    'a host name for the host',
    `${IMAGE}hostname: x\nnamespaces: {uts: host}\n`,
    [
      "2:11+1 E_SPEC_CONFLICT: `hostname` needs a uts namespace of the container's own: it would rename the host = make `namespaces.uts` private, or leave `hostname` out",
    ],
  ],
  [
    'maps without a namespace',
    `${IMAGE}uid_map: ["0:1:1"]\nnamespaces: {user: host}\n`,
    [
      "2:1+7 E_SPEC_CONFLICT: `uid_map` needs a user namespace of the container's own: there is nothing to map = make `namespaces.user` private, or leave `uid_map` out",
    ],
  ],
  [
    'an image without a mount namespace',
    `${IMAGE}namespaces: {mount: host}\n`,
    [
      "1:1+5 E_SPEC_CONFLICT: `image` needs a mount namespace of the container's own: it would change the host's files = make `namespaces.mount` private, or leave `image` out",
    ],
  ],
  [
    'a relative mount target',
    `${IMAGE}volumes: ["./:src"]\n`,
    ['2:11+8 E_SPEC_PATH: a path inside must be absolute; found "src" = write `/src`'],
  ],
  [
    'a volume whose name is none',
    `${IMAGE}volumes: ["a/b:/data"]\n`,
    [
      '2:11+11 E_SPEC_VOLUME: "a/b" is neither a path nor a volume\'s name = a folder beside the file is `./a/b`; a name has letters, digits, `_`, `.` and `-`, at most 63',
    ],
  ],
  [
    'an anonymous volume',
    `${IMAGE}volumes: ["/data"]\n`,
    [
      '2:11+7 E_SPEC_VOLUME: `volumes.0` must be SRC:DST[:OPTION,…]; found "/data" = the root is thrown away at the end: what should stay needs a name; a folder in memory is `tmpfs: [PATH]`',
    ],
  ],
  [
    'a part of a volume that is not in it',
    `${IMAGE}volumes: [{type: volume, source: a, target: /a, volume: {subpath: x/../../y}}]\n`,
    ['2:67+9 E_SPEC_PATH: a path in a volume must be relative and stay in it; found "x/../../y"'],
  ],
  [
    'a volume with an option that is none',
    `${IMAGE}volumes: ["./:/data:quick"]\n`,
    [
      '2:11+16 E_SPEC_VOLUME: a bind has no option "quick" = it has ro, rw, private, rprivate, slave, rslave, shared, rshared, unbindable, runbindable, idmap, noexec, nosymfollow, noatime, relatime, strictatime, nodiratime',
    ],
  ],
  [
    'a volume with an option of a bind',
    `${IMAGE}volumes: ["cache:/data:rslave"]\n`,
    [
      '2:11+20 E_SPEC_VOLUME: a volume has no option "rslave" = it has ro, rw, uid=, gid=, mode=, nocopy, noexec, nosymfollow, noatime, relatime, strictatime, nodiratime',
    ],
  ],
  [
    'a bind that would honour set-user-id programs',
    `${IMAGE}volumes: ["./:/data:suid"]\n`,
    ['2:11+15 E_SPEC_VOLUME: a bind has no option "suid" = set-user-id programs of a mount are never honoured'],
  ],
  [
    'a device as a bind',
    `${IMAGE}volumes: ["/dev/zero:/zero"]\n`,
    [
      '2:11+17 E_SPEC_VOLUME: the source "/dev/zero" is a device, which would not work there = devices are given by name: `devices: ["/dev/zero"]`',
    ],
  ],
  [
    'mounts below that are read-only in a bind that is not',
    `${IMAGE}volumes: [{type: bind, source: ./, target: /a, bind: {recursive: readonly}}]\n`,
    [
      '2:66+8 E_SPEC_CONFLICT: `recursive: readonly` says which mounts are read-only, and `read_only` is not set = add `read_only: true`',
    ],
  ],
  [
    'a tmpfs of no size, which is one without a limit',
    `${IMAGE}tmpfs: "/t:size=0"\n`,
    [
      '2:8+11 E_SPEC_SIZE: a file system of 0 bytes would be one without a limit to the kernel = give it a size, or leave the size out',
    ],
  ],
  [
    'a tmpfs of an owner that is no number',
    `${IMAGE}tmpfs: "/t:uid=app"\n`,
    ['2:8+12 E_SPEC_VALUE: `uid` must be a number from 0 to 4294967294; found "app"'],
  ],
  [
    'two sizes of /dev/shm',
    `${IMAGE}shm_size: 1m\ntmpfs: "/dev/shm:size=2m"\n`,
    ['2:11+2 E_SPEC_CONFLICT: `shm_size` is of /dev/shm, and `tmpfs` is there'],
  ],
  [
    'a volume of nothing',
    `${IMAGE}volumes: ["./nope:/data"]\n`,
    [
      '2:11+14 E_SPEC_MISSING_FILE: the source "./nope" cannot be used: there is no such file = looked for /usr/nope; to have it made, use the long form with `bind: {create_host_path: true}`',
    ],
  ],
  [
    'a volume over the root',
    `${IMAGE}volumes: ["./:/a/../.."]\n`,
    ['2:11+13 E_SPEC_PATH: nothing can be mounted on the root itself = the root is the `image`'],
  ],
  [
    'two volumes at one place',
    `${IMAGE}volumes: ["./:/a"]\ntmpfs: /a/\n`,
    ['3:8+3 E_SPEC_DUPLICATE_TARGET: `tmpfs` is mounted at /a, as `volumes.0` of line 2 is already'],
  ],
  [
    'a volume without its type',
    `${IMAGE}volumes: [{source: ./, target: /a}]\n`,
    ['2:11+24 E_SPEC_MISSING_KEY: `volumes.0` lacks the key `type` = the long form says `type: bind` or `type: tmpfs`'],
  ],
  [
    'a bind without its source',
    `${IMAGE}volumes: [{type: bind, target: /a}]\n`,
    ['2:11+24 E_SPEC_MISSING_KEY: `volumes.0` is a bind and lacks the key `source`'],
  ],
  [
    'a tmpfs with a source',
    `${IMAGE}volumes: [{type: tmpfs, source: ./, target: /a, bind: {}}]\n`,
    [
      '2:33+2 E_SPEC_CONFLICT: a tmpfs has no `source`: it starts empty',
      '2:49+4 E_SPEC_CONFLICT: `bind` options do not belong to a volume of type tmpfs',
    ],
  ],
  [
    'a tmpfs with an option that is none',
    `${IMAGE}tmpfs: "/a:sise=1m"\n`,
    ['2:8+12 E_SPEC_VOLUME: a tmpfs has no option "sise=1m" = did you mean `size`?'],
  ],
  [
    'a tmpfs with a size that is none',
    `${IMAGE}tmpfs: ["/a:size=1q"]\n`,
    ['2:9+12 E_SPEC_SIZE: "1q" is not a size = units are b, k, m, g and t, 1024-based: 1MiB, 1g'],
  ],
  [
    'no image',
    'hostname: a\n',
    [
      '1:1+11 E_SPEC_MISSING_KEY: the file lacks the key `image` = `image: ./rootfs.tar.gz`, or `image: {host_tools: [sh, ls]}` for programs of this host',
    ],
  ],
  [
    'a tarball that is not there',
    'image: ./no.tar\n',
    ['1:8+8 E_SPEC_MISSING_FILE: the image "./no.tar" cannot be used: there is no such file = looked for /usr/no.tar'],
  ],
  [
    'a reference with a scheme',
    'image: https://ghcr.io/org/app\n',
    [
      '1:8+23 E_SPEC_IMAGE: the image "https://ghcr.io/org/app" is neither a file nor a reference to an image of a registry: it begins with a scheme = leave out what ends with ://, such as docker:// or https://: ghcr.io/org/app; a file would be /usr/https:/ghcr.io/org/app',
    ],
  ],
  [
    'a reference in upper case',
    'image: ghcr.io/Org/app\n',
    [
      '1:8+15 E_SPEC_IMAGE: the image "ghcr.io/Org/app" is neither a file nor a reference to an image of a registry: its name has upper-case letters = names of images are in lower case; only a tag may have others; a file would be /usr/ghcr.io/Org/app',
    ],
  ],
  [
    'an image by a reference that is none',
    'image: {ref: "docker://alpine"}\n',
    [
      '1:14+17 E_SPEC_IMAGE: "docker://alpine" is no name of an image: it begins with a scheme = leave out what ends with ://, such as docker:// or https://: ghcr.io/org/app',
    ],
  ],
  [
    'an image of two kinds',
    'image: {tar: a.tar, host_tools: [sh]}\n',
    ['1:1+5 E_SPEC_CONFLICT: `image` has both `tar` and `host_tools`: it can be one of them'],
  ],
  [
    'an image of no kind',
    'image: {}\n',
    ['1:1+5 E_SPEC_MISSING_KEY: `image` lacks the key `tar`, `folder`, `ref` or `host_tools`'],
  ],
  [
    'a digest that is none',
    'image: {tar: a.tar, sha256: abc}\n',
    [
      '1:14+5 E_SPEC_MISSING_FILE: the image "a.tar" cannot be used: there is no such file = looked for /usr/a.tar',
      '1:29+3 E_SPEC_VALUE: `image.sha256` must be 64 hexadecimal digits; found the text "abc"',
    ],
  ],
  ['no tools', 'image: {host_tools: []}\n', ['1:9+10 E_SPEC_VALUE: `image.host_tools` must not be empty']],
  [
    'a tool by a relative path',
    'image: {host_tools: [./sh]}\n',
    ['1:22+4 E_SPEC_PATH: a program is a name or an absolute path; found "./sh"'],
  ],
  [
    'a list in the environment',
    `${IMAGE}environment: {A: [1]}\n`,
    ['2:15+1 E_SPEC_TYPE: `environment.A` must be text, a number, true or false or nothing; found a list'],
  ],
  [
    'a variable without a name',
    `${IMAGE}environment: ["=x"]\n`,
    ['2:15+4 E_SPEC_ENVIRONMENT: "" cannot be the name of a variable'],
  ],
  [
    'spaces around an equals sign',
    `${IMAGE}environment: [A = b]\n`,
    [
      '2:15+5 E_SPEC_ENVIRONMENT: "A " cannot be the name of a variable: it begins or ends with a space = take out the spaces around `=`',
    ],
  ],
  [
    'an env_file that is not there',
    `${IMAGE}env_file: ./nope.env\n`,
    ['2:11+10 E_SPEC_MISSING_FILE: the env_file "./nope.env" cannot be read: there is no such file'],
  ],
  [
    'a relative working directory',
    `${IMAGE}working_dir: src\n`,
    ['2:14+3 E_SPEC_PATH: a path inside must be absolute; found "src" = write `/src`'],
  ],
  [
    'a command with an open quote',
    `${IMAGE}command: sh -c 'x\n`,
    ["2:10+8 E_SPEC_WORDS: `command` has a ' that is not closed = a list needs no quoting: [sh, -c, …]"],
  ],
  ['a command without words', `${IMAGE}command: ""\n`, ['2:1+7 E_SPEC_VALUE: `command` must not be empty']],
  [
    'a command that is a map',
    `${IMAGE}command: {a: b}\n`,
    ['2:1+7 E_SPEC_TYPE: `command` must be text or a list, such as ["sh","-c","hostname; id"]; found a map'],
  ],
  [
    'a variable that is not set',
    `${IMAGE}hostname: \${NOPE}\n`,
    ['2:11+7 E_SPEC_UNSET_VARIABLE: the variable NOPE is not set = set it, or give a default: ${NOPE:-default}'],
  ],
  [
    'a variable that must be set',
    `${IMAGE}hostname: "\${NOPE:?give it a name}"\n`,
    ['2:11+25 E_SPEC_UNSET_VARIABLE: the variable NOPE is required: give it a name = set NOPE'],
  ],
  [
    'a variable that is not closed',
    `${IMAGE}hostname: "\${NOPE"\n`,
    ['2:11+8 E_SPEC_INTERPOLATION: `${NOPE` is not closed = write `$$` for a dollar sign'],
  ],
  [
    'a variable with a number for a name',
    `${IMAGE}hostname: "\${1}"\n`,
    ['2:11+6 E_SPEC_INTERPOLATION: `${` must be followed by a name of a variable = write `$$` for a dollar sign'],
  ],
  [
    'a lonely dollar',
    `${IMAGE}command: [echo, "$"]\n`,
    ['2:17+3 E_SPEC_INTERPOLATION: a `$` must be followed by a variable = write `$$` for a dollar sign'],
  ],
  [
    'a wrong value behind an alias, where it was written',
    `x-a: &a {pids: -2}\n${IMAGE}limits: *a\n`,
    ['1:16+2 E_SPEC_RANGE: `limits.pids` must be at least 1; found -2'],
  ],
  [
    'a user that begins with a zero',
    `${IMAGE}user: 01\n`,
    [
      '2:7+2 E_SPEC_NUMBER: 01 is a decimal number with a leading zero, not an octal one = write 0o1 for octal, or quote it: "01"',
    ],
  ],
  [
    'a user that YAML reads as hexadecimal',
    `${IMAGE}user: 0x10\n`,
    [
      '2:7+4 E_SPEC_USER: "0x10" is neither an id nor a name of a user = write decimal ids, or names that the image knows: `user: "1000:1000"`',
    ],
  ],
  [
    'an id map with a leading zero',
    `${IMAGE}uid_map: ["00:100000:1"]\n`,
    [
      '2:11+13 E_SPEC_ID_MAP: `uid_map.0` must be CONTAINER:HOST:SIZE; found "00:100000:1" = for example "0:100000:65536": 65536 ids from 0 inside are 100000 and up outside',
    ],
  ],
  [
    'a capability that there is not',
    `${IMAGE}cap_add: [NET_ADMN]\n`,
    ['2:11+8 E_SPEC_CAPABILITY: there is no capability "NET_ADMN" = did you mean `NET_ADMIN`?'],
  ],
  [
    'a capability that is added and dropped',
    `${IMAGE}cap_add: [CHOWN]\ncap_drop: [cap_chown]\n`,
    ['3:1+8 E_SPEC_CONFLICT: CAP_CHOWN is both in `cap_add` and in `cap_drop` = leave it in one of them'],
  ],
  [
    'a privileged container that is not spelled out',
    `${IMAGE}privileged: true\n`,
    [
      '2:13+4 E_SPEC_PRIVILEGED: a privileged container has to be spelled out = `cap_add`, `seccomp` and their like give what is needed key by key; for all of it at once write `privileged: this container may harm the host`',
    ],
  ],
  [
    'a soft limit over the hard one',
    `${IMAGE}ulimits: {nofile: {soft: 20, hard: 10}}\n`,
    ['2:11+6 E_SPEC_RANGE: `ulimits.nofile.soft` must not be more than `ulimits.nofile.hard`'],
  ],
  [
    'a resource limit that there is not',
    `${IMAGE}ulimits: {nofiles: 20}\n`,
    ['2:11+7 E_SPEC_UNKNOWN_KEY: there is no key `nofiles` in `ulimits` = did you mean `nofile`?'],
  ],
  [
    'a kernel parameter of the host',
    `${IMAGE}sysctls: {kernel.core_pattern: x}\n`,
    [
      '2:32+1 E_SPEC_SYSCTL: `kernel.core_pattern` belongs to no namespace: it would change the host = those of a container are net.*, fs.mqueue.*, kernel.msg*, kernel.sem, kernel.shm*, kernel.pid_max and user.*',
    ],
  ],
  [
    'a kernel parameter of the host, with slashes',
    `${IMAGE}sysctls: {kernel/core_pattern: x}\n`,
    [
      '2:32+1 E_SPEC_SYSCTL: `kernel/core_pattern` belongs to no namespace: it would change the host = those of a container are net.*, fs.mqueue.*, kernel.msg*, kernel.sem, kernel.shm*, kernel.pid_max and user.*',
    ],
  ],
  [
    'a kernel parameter that climbs',
    `${IMAGE}sysctls: {net/../kernel/core_pattern: x}\n`,
    [
      '2:39+1 E_SPEC_SYSCTL: "net/../kernel/core_pattern" is not the name of a kernel parameter = for example `net.ipv4.ip_forward`',
    ],
  ],
  [
    'a kernel parameter that climbs, with dots and slashes',
    `${IMAGE}sysctls: {net.//.kernel.core_pattern: x}\n`,
    [
      '2:39+1 E_SPEC_SYSCTL: "net.//.kernel.core_pattern" is not the name of a kernel parameter = for example `net.ipv4.ip_forward`',
    ],
  ],
  [
    'a kernel parameter of the host’s network',
    `${IMAGE}namespaces: {net: host}\nsysctls: {net.ipv4.ip_forward: 1}\n`,
    [
      '3:32+1 E_SPEC_CONFLICT: `net.ipv4.ip_forward` would change the host, because the net namespace is not private = make `namespaces.net` private',
    ],
  ],
  [
    'a kernel parameter in two spellings',
    `${IMAGE}sysctls: {net.ipv4.ip_forward: 1, net/ipv4/ip_forward: 0}\n`,
    ['2:56+1 E_SPEC_VALUE: `net/ipv4/ip_forward` is there twice, also as `net.ipv4.ip_forward`'],
  ],
  [
    'a kernel parameter that is a key',
    `${IMAGE}sysctls: {kernel.hostname: x}\n`,
    ['2:28+1 E_SPEC_SYSCTL: `kernel.hostname` has a key of its own = write `hostname`'],
  ],
  [
    'a masked path that is relative',
    `${IMAGE}masked_paths: [proc/keys]\n`,
    ['2:16+9 E_SPEC_PATH: `masked_paths.0` must be an absolute path; found "proc/keys"'],
  ],
  [
    'all of it at once',
    'hostnme: web\nlimits: {memory: 1 potato, pids: -1}\nvolumes: ["./:src"]\nuser: "x y"\n',
    [
      '1:1+7 E_SPEC_UNKNOWN_KEY: there is no key `hostnme` = did you mean `hostname`?',
      '1:1+12 E_SPEC_MISSING_KEY: the file lacks the key `image` = `image: ./rootfs.tar.gz`, or `image: {host_tools: [sh, ls]}` for programs of this host',
      '2:18+8 E_SPEC_SIZE: "1 potato" is not a size = units are b, k, m, g and t, 1024-based: 1MiB, 1g',
      '2:34+2 E_SPEC_RANGE: `limits.pids` must be at least 1; found -1',
      '3:11+8 E_SPEC_PATH: a path inside must be absolute; found "src" = write `/src`',
      '4:7+5 E_SPEC_USER: "x y" is neither an id nor a name of a user = write decimal ids, or names that the image knows: `user: "1000:1000"`',
    ],
  ],
];

test.each(BROKEN)('%s', (_title, yaml, problems) => {
  expect(problemsOf(yaml).map(problemText)).toEqual(problems);
});

test('more problems than anybody reads are cut, and that is said', () => {
  const problems = problemsOf(`${IMAGE}${lines(500, (n) => `k${n}: 1`)}`);
  expect(problems).toHaveLength(101);
  expect(problems.at(-1)).toMatchObject({
    code: 'E_SPEC_TOO_MANY_PROBLEMS',
    message: 'there are more problems than these 100',
  });
});

test.each([
  [
    'of another encoding',
    'a: \u00fcb\u00ffc\n',
    'latin1',
    '2:4+1 E_SPEC_ENCODING: the file cannot be used: line 2 is not UTF-8 text',
  ],
  [
    'after U+FFFD itself',
    '\u00ef\u00bf\u00bd \u00ef\u00bf \u00e4',
    'latin1',
    '2:3+1 E_SPEC_ENCODING: the file cannot be used: line 2 is not UTF-8 text',
  ],
  [
    'that end too early',
    'abc\u00e2\u0082',
    'latin1',
    '2:4+1 E_SPEC_ENCODING: the file cannot be used: line 2 is not UTF-8 text',
  ],
] as const)('bytes %s are named by their place', (_title, text, encoding, problem) => {
  const file = join(tempFolder(), 'container.yaml');
  writeFileSync(file, Buffer.concat([Buffer.from('# one\n'), Buffer.from(text, encoding)]));
  expect(problemsThrown(() => loadSpec(file)).map(problemText)).toEqual([`${problem} = save it as UTF-8`]);
});

test('the line with bytes that are not UTF-8 is shown', () => {
  const file = join(tempFolder(), 'container.yaml');
  writeFileSync(file, Buffer.from('# one\nhostname: J\u00fcrgen # x\n', 'latin1'));
  let told = '';
  try {
    loadSpec(file);
  } catch (error) {
    told = describeError(error, false);
  }
  expect(told).toContain('\n 2 | hostname: J\ufffdrgen # x\n   |            ^\n   = help: save it as UTF-8\n');
});

test('UTF-16 is called so', () => {
  const file = join(tempFolder(), 'container.yaml');
  writeFileSync(file, Buffer.from('\ufeffimage: x\n', 'utf16le'));
  expect(problemsThrown(() => loadSpec(file)).map(problemText)).toEqual([
    '1:1+1 E_SPEC_ENCODING: the file cannot be used: it is UTF-16 text, and not UTF-8 = save it as UTF-8',
  ]);
});
