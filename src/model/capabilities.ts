/** The five sets of capabilities that the command starts with (capabilities(7)). */
import type { HostFacts } from '../host/facts.ts';
import { ALL_CAPABILITIES, CAPABILITIES } from '../spec/capabilities.ts';
import type { Spec } from '../spec/spec.ts';
import type { OciCapabilities } from '../oci/config.ts';
import { DEFAULT_CAPABILITIES } from './defaults.ts';
import type { Problems } from './problems.ts';

/** In the order of their numbers. */
function boundingSet(spec: Spec, host: HostFacts): string[] {
  const { capAdd, capDrop, privileged } = spec;
  const has = CAPABILITIES.slice(0, host.lastCapability + 1);
  const usual = capDrop.includes(ALL_CAPABILITIES) ? [] : DEFAULT_CAPABILITIES;
  const all = privileged || capAdd.includes(ALL_CAPABILITIES);
  const wanted = new Set<string>(all ? has : [...usual, ...capAdd]);
  return has.filter((name) => wanted.has(name) && !capDrop.includes(name));
}

/**
 * Root holds what the bounding set has. Another user holds what the file names and nothing else, through the ambient
 * set, without which execve(2) would take it away; it is part of the inheritable one, which is otherwise always empty
 * (CVE-2022-29162).
 */
export function compileCapabilities(spec: Spec, uid: number, host: HostFacts, problems: Problems): OciCapabilities {
  for (const name of spec.capAdd) {
    if (name === ALL_CAPABILITIES || CAPABILITIES.findIndex((known) => known === name) <= host.lastCapability) continue;
    problems.add(
      'E_NO_CAPABILITY',
      'cap_add',
      `this kernel does not know ${name}`,
      'take it out, or use a newer kernel',
    );
  }
  const bounding = boundingSet(spec, host);
  if (uid === 0) return { bounding, effective: bounding, permitted: bounding, inheritable: [], ambient: [] };
  const all = spec.capAdd.includes(ALL_CAPABILITIES);
  const held = bounding.filter((name) => all || spec.capAdd.includes(name));
  return { bounding, effective: held, permitted: held, inheritable: held, ambient: held };
}
