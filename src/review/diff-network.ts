/** What the container reaches, and what reaches it, that differs. What is a demand is told with the demands. */
import { reworded } from './change.ts';

export const compareDns = reworded(
  'dns',
  ({ document }) => {
    const { servers, search, options } = document.spec.dns ?? {};
    return JSON.stringify([servers, search, options]);
  },
  'dns',
  'dns_search',
  'dns_opt',
);

export const compareExtraHosts = reworded(
  'extra_hosts',
  ({ document }) => (document.spec.extraHosts ?? []).map(({ name, address }) => `${name}=${address}`).join(', '),
  'extra_hosts',
);
