/** The C++ side of src/kernel, as text: what the launcher knows of calls, plans, events and flags. */

/** A letter for each kind of an argument as the launcher reads it: numbers of every kind are 64 bits wide. */
const LETTERS = {
  fd: 'f',
  text: 't',
  int: 'n',
  mode: 'n',
  flags: 'n',
  caps: 'n',
  limit: 'n',
  texts: 'T',
  ids: 'I',
  bytes: 'B',
  messages: 'M',
};
const C_TYPES = { u8: 'uint8_t', u16: 'uint16_t', u32: 'uint32_t', i32: 'int32_t', u64: 'uint64_t' };
/** Beyond these the numbers would not fit the table in the launcher. */
const MAX_OP = 1023;

/** `open_tree`, `leaseBroken` and `LOWEST` as `kOpenTree`, `kLeaseBroken` and `kLowest`. */
function constant(name, prefix = '') {
  const words = /[a-z]/u.test(name) ? name : name.toLowerCase();
  const camel = words.replaceAll(/(?:^|_)([a-z0-9])/gu, (_, letter) => letter.toUpperCase());
  return `k${prefix}${camel}`;
}

function header(source, includes, lines) {
  return [
    `// Written by \`npm run generate\` from ${source}.`,
    '#pragma once',
    '',
    ...includes.map((file) => `#include <${file}>`),
    ...(includes.length > 0 ? [''] : []),
    'namespace boxctl {',
    '',
    ...lines,
    '',
    '}  // namespace boxctl',
    '',
  ].join('\n');
}

function enumeration(name, type, values) {
  const names = new Map();
  for (const [key, value] of Object.entries(values)) {
    const other = names.get(value);
    if (other !== undefined) throw new Error(`${name}: ${other} and ${key} have the same number, ${value}`);
    names.set(value, key);
  }
  return [
    `enum class ${name} : ${type} {`,
    ...Object.entries(values).map(([key, value]) => `  ${constant(key)} = ${value},`),
    '};',
  ];
}

/** A structure that is the same bytes on the wire and in memory. `types` are those of fields that are enumerations. */
function structure(name, layout, { gapOf, sizeOf, offsetOf }, types = {}) {
  const gap = gapOf(layout);
  if (gap !== undefined) throw new Error(`${name}: ${gap}`);
  return [
    `struct ${name} {`,
    ...layout.map(([field, type]) => `  ${types[field] ?? C_TYPES[type]} ${field};`),
    '};',
    `static_assert(sizeof(${name}) == ${sizeOf(layout)});`,
    ...layout.map(([field]) => `static_assert(offsetof(${name}, ${field}) == ${offsetOf(layout, field)});`),
  ];
}

function number(type, name, value) {
  return `inline constexpr ${type} ${name} = ${value};`;
}

function calls({ CALLS }, { MAX_ARGS }) {
  const rows = Object.entries(CALLS).toSorted(([, one], [, other]) => one.op - other.op);
  for (const [index, [name, row]] of rows.entries()) {
    const before = rows[index - 1];
    if (before !== undefined && before[1].op === row.op) {
      throw new Error(
        `${before[0]} and ${name} have the same number, ${row.op}: give the newer one the next free number`,
      );
    }
    if (row.op < 1 || row.op > MAX_OP) throw new Error(`${name}: the number ${row.op} is not from 1 to ${MAX_OP}`);
    if (row.args.length > MAX_ARGS) throw new Error(`${name} has more than ${MAX_ARGS} arguments`);
  }
  const lines = rows.flatMap(([name, { args, returnsFd, imager }]) => {
    const properties = imager ? [String(returnsFd === true), 'true'] : returnsFd ? ['true'] : [];
    const row = [`"${args.map(({ kind }) => LETTERS[kind]).join('')}"`, ...properties].join(', ');
    return [
      `    // ${name}(${args.map((argument) => argument.name).join(', ')})`,
      `    row(Op::${constant(name)}) = {${row}};`,
    ];
  });
  return header(
    'src/kernel/calls.ts',
    ['stddef.h', 'stdint.h'],
    [
      ...enumeration('Op', 'uint16_t', Object.fromEntries(rows.map(([name, { op }]) => [name, op]))),
      '',
      'struct CallRow {',
      '  // A letter for each argument: f descriptor, t text, n number, T texts, I ids, B bytes, M netlink messages. Null:',
      '  // there is no such call.',
      '  const char* arguments = nullptr;',
      '  bool returns_descriptor = false;',
      '  bool of_imager = false;',
      '};',
      '',
      'struct CallTable {',
      `  static constexpr size_t kSize = ${(rows.at(-1)?.[1].op ?? 0) + 1};`,
      '  CallRow rows[kSize] = {};',
      '  constexpr CallRow& row(Op op) { return rows[static_cast<size_t>(op)]; }',
      '  constexpr CallTable() {',
      ...lines,
      '  }',
      '};',
      'inline constexpr CallTable kCalls;',
    ],
  );
}

/** Descriptors by name. They are consecutive, so that a program can be given them as a list. */
function descriptors({ LAUNCHER_FD, LAUNCHER_FDS, IMAGER_FD, MAX_KEPT_FDS, FIRST_SOCKET, MAX_SOCKETS }) {
  const consecutive = (name, table, first) => {
    for (const [index, [key, fd]] of Object.entries(table).entries()) {
      if (fd !== first + index)
        throw new Error(`${name}.${key} is ${fd}: it must be ${first + index}, the next number`);
    }
  };
  consecutive('LAUNCHER_FD', LAUNCHER_FD, 3);
  consecutive('IMAGER_FD', IMAGER_FD, 0);
  const lines = (table) => Object.entries(table).map(([name, fd]) => number('int', `${constant(name)}Fd`, fd));
  return header(
    'src/kernel/wire.ts',
    [],
    [
      ...lines(LAUNCHER_FD),
      '// All of the launcher, the three of the caller included.',
      number('int', 'kLauncherFds', LAUNCHER_FDS),
      '// They follow these: PlanHeader::kept_fds.',
      number('int', 'kMaxKeptFds', MAX_KEPT_FDS),
      '// The sockets of the command.',
      number('int', 'kFirstSocket', FIRST_SOCKET),
      number('int', 'kMaxSockets', MAX_SOCKETS),
      '',
      ...lines(IMAGER_FD),
    ],
  );
}

function plan(wire, layout) {
  return header(
    'src/kernel/wire.ts',
    ['stddef.h', 'stdint.h'],
    [
      number('uint32_t', 'kMagic', wire.PLAN_MAGIC),
      number('uint32_t', 'kVersion', wire.WIRE_VERSION),
      number('size_t', 'kMaxPlan', wire.MAX_PLAN),
      number('uint32_t', 'kMaxText', wire.MAX_TEXT),
      number('size_t', 'kMaxArgs', wire.MAX_ARGS),
      number('uint16_t', 'kMaxSlots', wire.MAX_SLOTS),
      number('uint32_t', 'kMaxMessages', wire.MAX_MESSAGES),
      number('uint16_t', 'kCwd', wire.SLOT_CWD),
      number('uint16_t', 'kNoSlot', wire.SLOT_NONE),
      '',
      ...enumeration('Side', 'uint8_t', wire.SIDE),
      ...Object.entries(wire.STEP_FLAGS).map(([name, bit]) => number('uint8_t', constant(name, 'Step'), bit)),
      number(
        'uint8_t',
        'kAllStepFlags',
        Object.values(wire.STEP_FLAGS).reduce((all, bit) => all | bit, 0),
      ),
      ...Object.entries(wire.RESTART).map(([name, policy]) => number('uint32_t', constant(name, 'Restart'), policy)),
      '',
      ...Object.entries(wire.PLAN_FLAGS).map(([name, bit]) => number('uint16_t', constant(name, 'Flag'), bit)),
      number(
        'uint16_t',
        'kAllFlags',
        Object.values(wire.PLAN_FLAGS).reduce((all, bit) => all | bit, 0),
      ),
      '',
      ...structure('PlanHeader', wire.PLAN_HEADER, layout),
      '',
      ...structure('StepHeader', wire.STEP_HEADER, layout),
      '',
      ...structure('CallHeader', wire.CALL_HEADER, layout),
      '',
      ...structure('ExecHeader', wire.EXEC_HEADER, layout),
      ...Object.entries(wire.EXEC).map(([name, kind]) => number('uint32_t', constant(name, 'Exec'), kind)),
    ],
  );
}

function events(wire, layout) {
  return header(
    'src/kernel/wire.ts',
    ['stddef.h', 'stdint.h'],
    [
      ...enumeration('Event', 'uint32_t', wire.EVENT),
      number('uint32_t', 'kUnknownSyscall', wire.UNKNOWN_SYSCALL),
      '',
      ...structure('Record', wire.EVENT_RECORD, layout, { kind: 'Event' }),
      '',
      ...Object.entries(wire.ORDER).map(([name, kind]) => number('uint32_t', constant(name, 'Order'), kind)),
      number('uint32_t', 'kStopGrace', wire.STOP_GRACE),
      '',
      ...structure('Order', wire.ORDER_RECORD, layout),
      '',
      ...Object.entries(wire.HEALTH).map(([name, state]) => number('uint32_t', constant(name, 'Health'), state)),
      number('uint64_t', 'kHealthResults', wire.HEALTH_RESULTS),
      number('size_t', 'kHealthOutput', wire.HEALTH_OUTPUT),
      ...structure('HealthHeader', wire.HEALTH_HEADER, layout),
      ...structure('HealthResult', wire.HEALTH_RESULT, layout),
    ],
  );
}

function serve(wire, layout) {
  return header(
    'src/kernel/wire.ts',
    ['stddef.h', 'stdint.h'],
    [number('size_t', 'kMaxPatch', wire.MAX_PATCH), '', ...structure('StartRequest', wire.START_REQUEST, layout)],
  );
}

function kept(wire, layout) {
  return header(
    'src/kernel/wire.ts',
    ['stddef.h', 'stdint.h'],
    [
      number('uint32_t', 'kKeptMagic', wire.KEPT_MAGIC),
      number('uint32_t', 'kKeptVersion', wire.KEPT_VERSION),
      number('size_t', 'kMaxKept', wire.MAX_KEPT),
      '',
      ...enumeration('InputKind', 'uint8_t', wire.KEPT_INPUT),
      ...enumeration('TallyKind', 'uint8_t', wire.KEPT_TALLY),
      ...Object.entries(wire.KEPT_FLAGS).map(([name, bit]) => number('uint8_t', constant(name, 'Input'), bit)),
      '',
      ...structure('KeptHeader', wire.KEPT_HEADER, layout),
      '',
      number('uint32_t', 'kKeptRunMagic', wire.KEPT_RUN_MAGIC),
      ...structure('KeptRunHeader', wire.KEPT_RUN_HEADER, layout),
      'inline constexpr const char* kRunFiles[] = {',
      `    ${wire.RUN_FILES.map((name) => `"${name}",`).join(' ')}`,
      '};',
      '',
      ...structure('KeptIdentity', wire.KEPT_IDENTITY, layout),
    ],
  );
}

function flags({ IMAGE, FILES, LISTENER_FLAGS, O }) {
  return header(
    'src/kernel/constants.ts',
    ['stdint.h'],
    [
      ...Object.entries(IMAGE).map(([name, bit]) => number('uint64_t', constant(name, 'Image'), bit)),
      ...Object.entries(FILES).map(([name, bit]) => number('uint64_t', constant(name, 'Files'), bit)),
      '',
      number('uint64_t', 'kWireDirectory', O.O_DIRECTORY),
      number('uint64_t', 'kWireNofollow', O.O_NOFOLLOW),
      '',
      number('int', 'kListenerFlags', LISTENER_FLAGS),
    ],
  );
}

/** The text of each header by its name in native/wire. */
export function wireHeaders({ calls: table, constants, wire, layout }) {
  return {
    'calls.h': calls(table, wire),
    'descriptors.h': descriptors(wire),
    'plan.h': plan(wire, layout),
    'events.h': events(wire, layout),
    'serve.h': serve(wire, layout),
    'kept.h': kept(wire, layout),
    'flags.h': flags(constants),
  };
}
