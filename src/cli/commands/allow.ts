/** Shows what a file asks of the host, and remembers the yes to exactly that. */
import { readSync, statSync } from 'node:fs';
import { BoxctlError } from '../../errors.ts';
import { outline } from '../../model/compile.ts';
import { allowance, shownDemand } from '../../model/demands.ts';
import type { Demand } from '../../model/demand.ts';
import { fitOf } from '../../lock/fit.ts';
import { readLock } from '../../lock/read.ts';
import { asksRegistry, registryDemands } from '../../container/registry-demands.ts';
import { openRegistries } from '../../registry/access.ts';
import type { SpecDocument } from '../../spec/spec.ts';
import { columns } from '../../text/columns.ts';
import { safe, safeJson } from '../../text/safe.ts';
import { BOLD, DIM, painter, YELLOW } from '../../text/style.ts';
import { unpermitted } from '../../trust/permits.ts';
import { allRemembered, forget, identityOf, permitsOf, recall, remember } from '../../trust/remembered.ts';
import { quote } from '../../trust/refuse.ts';
import type { Invocation, Run } from '../command.ts';
import { hostFacts, loadDocument, specFile } from '../environment.ts';
import { isTerminal, wantsColor, writeMessage, writeOutput } from '../output.ts';
import { keeperOf } from '../trust.ts';

const MAX_ANSWER = 100;

/** A line that a person types; empty at the end of input. */
function readAnswer(): string {
  const byte = Buffer.alloc(1);
  let line = '';
  while (line.length < MAX_ANSWER && readSync(0, byte, 0, 1, null) === 1 && byte[0] !== 0x0a) {
    line += byte.toString('latin1');
  }
  return line.trim().toLowerCase();
}

/** A value of the caller's environment is told as the file says it. */
const shownAllowance = (demand: Demand): string => allowance(shownDemand(demand));

function placeOf({ because }: Demand, file: string): string {
  const at = because.kind === 'spec' ? because.at : undefined;
  return at === undefined ? file : `${at.file}:${at.line}:${at.column}`;
}

/** Each demand with its line and the words that allow it; `+` marks those that are new. */
function asText(
  document: SpecDocument,
  demands: readonly Demand[],
  isNew: (demand: Demand) => boolean,
  color: boolean,
): string {
  const paint = painter(color);
  const lines = demands.flatMap((demand) => [
    `  ${isNew(demand) ? paint(YELLOW, '+') : ' '} the container ${safe(shownDemand(demand).message)}`,
    `      ${paint(DIM, `${placeOf(demand, document.file)}, --allow ${quote(shownAllowance(demand))}`)}`,
  ]);
  return `${paint(BOLD, `${document.file} asks for this of the host:`)}\n${lines.join('\n')}\n`;
}

function confirm(invocation: Invocation, file: string): boolean {
  if (invocation.args.flag('yes')) return true;
  if (invocation.args.flag('json') || !isTerminal(0) || !isTerminal(2)) {
    throw new BoxctlError('E_NOT_A_TERMINAL', 'nobody can be asked here, so nothing is allowed', {
      hint: `read what is asked for, and then: boxctl allow --yes ${quote(file)}`,
    });
  }
  writeMessage(`Allow ${safe(identityOf(file))} all of this, until it asks for more? [y/N] `);
  return ['y', 'yes'].includes(readAnswer());
}

function list(invocation: Invocation): number {
  const all = allRemembered(keeperOf(invocation));
  const words = (demands: (typeof all)[number]['demands']): readonly string[] =>
    demands.map(({ shown, ...demand }) =>
      allowance({ ...demand, value: shown ?? demand.value, message: '', because: { kind: 'default', name: '' } }),
    );
  if (invocation.args.flag('json')) {
    writeOutput(
      `${safeJson(
        all.map(({ file, demands }) => ({ file, allow: words(demands) })),
        2,
      )}\n`,
    );
  } else {
    writeOutput(columns([['FILE', 'ALLOWED'], ...all.map(({ file, demands }) => [file, words(demands).join(' ')])]));
  }
  return 0;
}

function revoke(invocation: Invocation): number {
  const file = identityOf(specFile(invocation));
  if (!forget(keeperOf(invocation), file)) {
    throw new BoxctlError('E_NOT_REMEMBERED', `nothing is allowed for ${file}`, { hint: 'boxctl allow --list' });
  }
  if (invocation.args.flag('json')) writeOutput(`${safeJson({ file, allow: [] }, 2)}\n`);
  else writeOutput(`nothing is allowed for ${safe(file)} any more\n`);
  return 0;
}

/** Permits are remembered by the path of the file: a pipe has none, and a device does not keep its text. */
function checkFile(file: string): void {
  if (statSync(file, { throwIfNoEntry: false })?.isFile() !== false) return;
  throw new BoxctlError('E_USAGE', `${file} is no regular file, and cannot be remembered`, {
    hint: 'write it to a file, or use --allow where it is started',
  });
}

/** What the file demands, and what a pull of its image would use of the caller's credentials. */
async function demandsOf(invocation: Invocation, document: SpecDocument): Promise<readonly Demand[]> {
  const host = hostFacts(invocation);
  const { demands } = outline(document, host);
  const lock = readLock(document.file);
  const image = lock === undefined ? document.spec.image : fitOf(document, lock, host).image;
  if (!asksRegistry(image, host)) return demands;
  const registries = openRegistries(undefined, invocation.env);
  try {
    return [...demands, ...(await registryDemands(document, image, registries))];
  } finally {
    await registries.close();
  }
}

async function ask(invocation: Invocation): Promise<number> {
  const { args, env } = invocation;
  const named = specFile(invocation);
  checkFile(named);
  const document = loadDocument(invocation, named);
  const file = identityOf(document.file);
  const keeper = keeperOf(invocation);
  const demands = await demandsOf(invocation, document);
  const record = recall(keeper, file);
  const asked = unpermitted(demands, record === undefined ? [] : permitsOf(record));
  const tell = (text: string): void => {
    if (!args.flag('json')) writeOutput(text);
  };
  if (demands.length > 0) tell(asText(document, demands, (demand) => asked.includes(demand), wantsColor(1, env)));
  if (asked.length > 0 && !confirm(invocation, document.file)) {
    writeMessage('boxctl: nothing was changed\n');
    return 1;
  }
  // The demands that were shown are kept. The file may have been changed since.
  if (demands.length > 0) remember(keeper, file, demands);
  else if (record !== undefined) forget(keeper, file);
  if (args.flag('json')) {
    writeOutput(`${safeJson({ file, allow: demands.map(shownAllowance), new: asked.map(shownAllowance) }, 2)}\n`);
  } else if (demands.length === 0) {
    tell(`${safe(document.file)} asks for nothing that would have to be allowed\n`);
  } else {
    tell(
      `${asked.length === 0 ? 'was allowed before' : 'allowed'}; to take it back: boxctl allow --revoke ${safe(quote(document.file))}\n`,
    );
  }
  return 0;
}

export const allow: Run = (invocation) => {
  const { args } = invocation;
  const chosen = (['list', 'revoke', 'yes'] as const).filter((name) => args.flag(name));
  if (chosen.length > 1) {
    throw new BoxctlError('E_USAGE', `--${chosen.join(' and --')} exclude each other`, { hint: 'choose one of them' });
  }
  if (!args.flag('list')) return args.flag('revoke') ? revoke(invocation) : ask(invocation);
  if (args.positionals.length === 0) return list(invocation);
  throw new BoxctlError('E_USAGE', '--list takes no file', { hint: 'boxctl allow --list' });
};
