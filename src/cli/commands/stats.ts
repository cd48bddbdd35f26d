import { setTimeout as sleep } from 'node:timers/promises';
import { allContainers, findRunning, type RunningContainer } from '../../container/existing.ts';
import { cpuPercent, sampleOf, type Pressure, type Sample } from '../../container/stats.ts';
import { BoxctlError } from '../../errors.ts';
import type { HostFacts } from '../../host/facts.ts';
import { terminalColumns, terminalRows } from '../../native.ts';
import { firstProcess } from '../../state/running.ts';
import { columns } from '../../text/columns.ts';
import { safeJson } from '../../text/safe.ts';
import type { Run } from '../command.ts';
import { hostFacts } from '../environment.ts';
import { formatOf } from '../format.ts';
import { isTerminal, redrawOutput, writeOutput, writeTabbed } from '../output.ts';

const INTERVAL_MS = 1000;
/** Between the two looks that a percentage takes. */
const LOOK_MS = 500;
const USUAL_ROWS = 24;

interface Measured {
  readonly container: RunningContainer;
  readonly sample: Sample;
  readonly cpu: number;
}

const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;
const DECIMAL = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** As docker writes sizes: four digits of memory, three of what went through. */
function size(bytes: number, units: readonly string[], step: number, digits: number): string {
  let power = 0;
  let value = bytes;
  for (; value >= step && power < units.length - 1; power++) value /= step;
  return `${Number(value.toPrecision(Math.max(digits, String(Math.trunc(value)).length)))}${units[power] ?? ''}`;
}

const memory = (bytes: number): string => size(bytes, BINARY, 1024, 4);
const amount = (bytes: number): string => size(bytes, DECIMAL, 1000, 3);
const percent = (value: number): string => `${value.toFixed(2)}%`;
const memoryPercent = ({ memory: { usage, limit } }: Sample): number => (limit === 0 ? 0 : (usage * 100) / limit);

const pressureText = ({ cpu, memory: ram, io }: Pressure): string =>
  [cpu, ram, io].map((value) => (value === undefined ? '-' : value.toFixed(1))).join('/');

/** What tables call the fields, which are docker's but `Pressure`. */
const HEADINGS = {
  ID: 'CONTAINER ID',
  Container: 'CONTAINER',
  Name: 'NAME',
  CPUPerc: 'CPU %',
  MemUsage: 'MEM USAGE / LIMIT',
  MemPerc: 'MEM %',
  NetIO: 'NET I/O',
  BlockIO: 'BLOCK I/O',
  PIDs: 'PIDS',
  Pressure: 'PRESSURE CPU/MEM/IO %',
} as const;

function rowOf({ container, sample, cpu }: Measured): Readonly<Record<keyof typeof HEADINGS, string>> {
  const { network, io, pids } = sample;
  return {
    ID: container.id,
    Container: container.id,
    Name: container.name,
    CPUPerc: percent(cpu),
    MemUsage: `${memory(sample.memory.usage)} / ${memory(sample.memory.limit)}`,
    MemPerc: percent(memoryPercent(sample)),
    NetIO: network === undefined ? '-' : `${amount(network.received)} / ${amount(network.sent)}`,
    BlockIO: io === undefined ? '-' : `${amount(io.read)} / ${amount(io.written)}`,
    PIDs: String(pids.current),
    Pressure: pressureText(sample.pressure),
  };
}

const rounded = (value: number): number => Math.round(value * 100) / 100;

const asJson = ({ container: { id, name }, sample, cpu }: Measured): object => ({
  time: new Date().toISOString(),
  id,
  name,
  cpu_percent: rounded(cpu),
  cpu_ms: rounded(sample.cpuMs),
  memory: { ...sample.memory, percent: rounded(memoryPercent(sample)) },
  pids: sample.pids,
  io: sample.io,
  network: sample.network,
  pressure: sample.pressure,
});

const SHOWN = ['ID', 'Name', 'CPUPerc', 'MemUsage', 'MemPerc', 'NetIO', 'BlockIO', 'PIDs', 'Pressure'] as const;

function table(all: readonly Measured[]): string {
  const rows = all.map(rowOf);
  return columns([SHOWN.map((name) => HEADINGS[name]), ...rows.map((row) => SHOWN.map((name) => row[name]))]);
}

/** As much as there is room for: what wraps or scrolls could not be drawn over. */
function fitting(text: string): string {
  const width = terminalColumns(1) || 80;
  const height = terminalRows(1) || USUAL_ROWS;
  const lines = text.trimEnd().split('\n');
  return `${lines
    .slice(0, Math.max(1, height - 1))
    .map((line) =>
      [...line]
        .slice(0, width - 1)
        .join('')
        .trimEnd(),
    )
    .join('\n')}\n`;
}

/** Those that are named, or all that run at this moment. */
function running(host: HostFacts, named: readonly RunningContainer[]): readonly RunningContainer[] {
  // A container that was started again has another first process.
  const all = named.length > 0 ? named : allContainers(host).containers;
  return all.flatMap((container) => {
    const first = container.isAlive ? firstProcess(host, container.name, container.id) : undefined;
    return first === undefined ? [] : [{ ...container, first }];
  });
}

type Before = ReadonlyMap<string, Sample>;

function measure(containers: readonly RunningContainer[], before: Before): readonly Measured[] {
  return containers.flatMap((container) => {
    const sample = sampleOf(container);
    return sample === undefined ? [] : [{ container, sample, cpu: cpuPercent(before.get(container.id), sample) }];
  });
}

const samplesOf = (all: readonly Measured[]): Before =>
  new Map(all.map(({ container, sample }) => [container.id, sample]));

export const stats: Run = async (invocation) => {
  const { args } = invocation;
  const host = hostFacts(invocation);
  const source = args.value('format');
  const format = source === undefined ? undefined : formatOf(source, HEADINGS);
  if (source !== undefined && args.flag('json')) {
    throw new BoxctlError('E_USAGE', '--format excludes --json', { hint: 'choose one of them' });
  }
  const named = args.positionals.map((word) => findRunning(host, word));
  const once = args.flag('no-stream');
  const isDrawn = !once && format === undefined && !args.flag('json') && isTerminal(1);
  let drawn = 0;
  const show = (all: readonly Measured[]): void => {
    if (args.flag('json')) {
      writeOutput(once ? `${safeJson(all.map(asJson), 2)}\n` : all.map((one) => `${safeJson(asJson(one))}\n`).join(''));
    } else if (format !== undefined) {
      writeTabbed(format(all.map(rowOf)));
    } else if (isDrawn) {
      const text = fitting(table(all));
      redrawOutput(text, drawn);
      drawn = text.split('\n').length - 1;
    } else {
      writeOutput(table(all));
    }
  };
  let before = samplesOf(measure(running(host, named), new Map()));
  await sleep(LOOK_MS);
  for (;;) {
    const all = measure(running(host, named), before);
    before = samplesOf(all);
    show(all);
    // Those that were named have all ended.
    if (once || (named.length > 0 && all.length === 0)) return 0;
    await sleep(INTERVAL_MS);
  }
};
