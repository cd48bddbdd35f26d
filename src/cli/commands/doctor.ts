/** What this host can do for the caller, what is missing, and what would turn it on. */
import type { Check, State } from '../../doctor/check.ts';
import { examine, isWell } from '../../doctor/examine.ts';
import { gatherFindings } from '../../doctor/gather.ts';
import { examineRegistries } from '../../doctor/registries.ts';
import type { Run } from '../command.ts';
import { hostFacts } from '../environment.ts';
import { homeOf } from '../home.ts';
import { wantsColor, writeOutput } from '../output.ts';
import { VERSION } from '../version.ts';
import { safe, safeJson } from '../../text/safe.ts';
import { painter } from '../../text/style.ts';

const SIGNS: Readonly<Record<State, readonly [sign: string, color: number]>> = {
  yes: ['✔', 32],
  no: ['✘', 31],
  none: ['–', 2],
};

function asText(checks: readonly Check[], color: boolean): string {
  const paint = painter(color);
  const width = Math.max(...checks.map(({ name }) => name.length));
  let group = '';
  const lines = checks.flatMap((check) => {
    const [sign, code] = SIGNS[check.state];
    const heading = check.group === group ? [] : ['', paint(1, check.group)];
    group = check.group;
    const hint = [check.gives === undefined ? '' : `for ${check.gives}`, check.fix ?? ''].filter(Boolean).join(': ');
    return [
      ...heading,
      `  ${paint(code, sign)} ${check.name.padEnd(width)}  ${safe(check.detail)}`,
      ...(hint === '' ? [] : [`    ${' '.repeat(width)}  ${paint(36, '→')} ${safe(hint)}`]),
    ];
  });
  return `${lines.join('\n')}\n`;
}

export const doctor: Run = async (invocation) => {
  const host = hostFacts(invocation);
  const findings = await gatherFindings(host, invocation.env);
  const registries = examineRegistries({ env: invocation.env, home: homeOf(invocation.env) });
  const checks = [...examine(findings), ...registries];
  const ok = isWell(findings);
  if (invocation.args.flag('json')) {
    writeOutput(`${safeJson({ ok, version: VERSION, system: findings.system, host, checks }, 2)}\n`);
  } else {
    const { kernel, arch, privileged, mapsIds, euid } = host;
    const root = privileged ? 'root' : mapsIds ? 'root of a user namespace' : 'root without privileges';
    const who = euid === 0 ? root : 'an ordinary user';
    writeOutput(`boxctl ${VERSION} on ${findings.system}, Linux ${kernel.release}, ${arch}, as ${who}\n`);
    writeOutput(asText(checks, wantsColor(1, invocation.env)));
  }
  return ok ? 0 : 1;
};
