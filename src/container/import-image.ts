/** An import of an image, reported to a reporter. A signal cancels it; a cancelled import leaves nothing in the store. */
import { constants } from 'node:os';
import { basename } from 'node:path';
import { BoxctlError } from '../errors.ts';
import type { ImageRecord } from '../image/records.ts';
import type { ResolveOptions } from '../image/resolve.ts';
import type { ImageSource } from '../spec/spec.ts';
import type { ImportReporter } from './reporter.ts';

export type ImportHooks = Pick<
  ResolveOptions,
  'onProgress' | 'onWait' | 'onImported' | 'onRetry' | 'onWarning' | 'signal'
>;

/** What a person calls the image. */
export function titleOf(source: ImageSource): string {
  if (source.kind === 'host_tools') return 'programs of this host';
  return source.kind === 'reference' ? source.name : basename(source.path);
}

export interface ImportOptions {
  readonly title: string;
  readonly reporter: ImportReporter;
  /** Whether SIGINT, SIGTERM and SIGHUP give the import up. */
  readonly takesSignals: boolean;
  /** What is said after a signal; undefined: what is said of an import. */
  readonly gaveUp?: ((signal: string) => string) | undefined;
}

/**
 * Reports what `work` does through the hooks.
 *
 * @throws BoxctlError `E_INTERRUPTED` when a signal ended it
 */
export async function reportImport<T>(
  { title, reporter, takesSignals, gaveUp }: ImportOptions,
  work: (hooks: ImportHooks) => Promise<T>,
): Promise<T> {
  const listener = reporter.importing(title);
  const interruption = takesSignals ? listen(gaveUp) : { signal: new AbortController().signal, stop: () => undefined };
  const { signal } = interruption;
  const imported: ImageRecord[] = [];
  const hooks: ImportHooks = {
    signal,
    onProgress: (progress) => listener.progress(progress),
    onWait: () => {
      signal.throwIfAborted();
      listener.waiting();
    },
    onRetry: (why, delay) => listener.retrying(why, delay),
    onWarning: (message) => reporter.warning(message, undefined),
    onImported: (record) => {
      listener.imported(record);
      imported.push(record);
    },
  };
  try {
    const result = await work(hooks);
    await listener.end(false);
    for (const record of imported) warnOfLosses(record, reporter);
    return result;
  } catch (error) {
    await listener.end(true);
    signal.throwIfAborted();
    throw error;
  } finally {
    interruption.stop();
  }
}

interface Interruption {
  readonly signal: AbortSignal;
  stop(): void;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

const importGivenUp = (signal: string): string => `the import was given up (${signal}); the image store is as it was`;

/** What is said after a signal that ends a pull. */
export const pullGivenUp = (signal: string): string =>
  `the pull was given up (${signal}); the next one goes on where it was`;

/** The second signal ends this process at once. The next import removes what it leaves. */
function listen(gaveUp = importGivenUp): Interruption {
  const controller = new AbortController();
  const stop = (): void => {
    for (const name of SIGNALS) process.off(name, take);
  };
  const take = (name: NodeJS.Signals): void => {
    stop();
    controller.abort(new BoxctlError('E_INTERRUPTED', gaveUp(name), { signal: constants.signals[name] }));
  };
  for (const name of SIGNALS) process.on(name, take);
  return { signal: controller.signal, stop };
}

const count = (number: number, one: string, many: string): string => `${number} ${number === 1 ? one : many}`;

/** Warns of owners, devices and attributes of the archive that the image lacks. Once, when the image is imported. */
function warnOfLosses({ squashed, skipped, source }: ImageRecord, reporter: ImportReporter): void {
  const losses = [
    squashed === 0
      ? []
      : [`${count(squashed, 'file belongs', 'files belong')} to ids that you do not have, and root’s inside`],
    skipped === 0 ? [] : [`${count(skipped, 'device or attribute is', 'devices and attributes are')} left out`],
  ].flat();
  if (losses.length > 0) reporter.warning(`${basename(source)}: ${losses.join('; ')}`, undefined);
}
