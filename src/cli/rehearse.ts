/**
 * What `up` does until the launch, without a container. The build runs this and then takes V8's code cache, so that the
 * functions on the way are in it, compiled.
 */
import type { HostFacts } from '../host/facts.ts';
import { gatherHostFacts } from '../host/gather.ts';
import { findImage } from '../image/resolve.ts';
import { compile, ownershipFor } from '../oci/compile.ts';
import { planContainer } from '../plan/container.ts';
import { encodePlan } from '../plan/encode.ts';
import { loadSpecText } from '../spec/load.ts';
import { sweepState } from '../state/sweep.ts';

const TEXT = `
name: rehearsal
image: {host_tools: [sh]}
hostname: rehearsal
limits: {memory: 64MiB, pids: 50, cpus: 1, optional: true}
environment: {A: "1", B: "\${HOME}"}
working_dir: /work
command: [sh, -c, "true"]
tmpfs: [/tmp]
`;

/** Never throws: a build must not depend on the machine that it runs on. */
export function rehearse(): void {
  try {
    const document = loadSpecText(TEXT, 'rehearsal.yaml', { env: { HOME: '/' }, home: '/' });
    const host: HostFacts = gatherHostFacts({ HOME: '/nonexistent', ...process.env });
    const { image } = document.spec;
    const ownership = ownershipFor(document, host);
    if (image !== undefined) findImage(image, ownership, host);
    const facts = {
      digest: '',
      record: '/',
      layers: [{ kind: 'tree', path: '/' }] as const,
      shell: '',
      ownership,
      passwd: 'root:x:0:0::/root:/bin/sh\n',
      group: '',
      defaults: {},
    };
    const model = compile(document, facts, host);
    encodePlan(planContainer(model, facts, host), { gate: true });
    void sweepState(host);
  } catch {
    // The cache is then a little poorer.
  }
}
