/** Specifications as text, loaded as boxctl loads them. */
import { BoxctlError, type Diagnostic } from '../../src/errors.ts';
import { loadSpecText } from '../../src/spec/load.ts';
import type { SpecDocument } from '../../src/spec/spec.ts';

export interface LoadOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Where the file lies; /usr is a folder on any machine, and /var is the home. */
  readonly folder?: string;
}

export function load(yaml: string, { env = {}, folder = '/usr' }: LoadOptions = {}): SpecDocument {
  return loadSpecText(yaml, `${folder}/container.yaml`, { env, home: '/var', allows: (kind) => kind === 'bind' });
}

/** What is wrong with a file; nothing where it is right. */
export const problemsOf = (yaml: string, options: LoadOptions = {}): readonly Diagnostic[] =>
  problemsThrown(() => load(yaml, options));

/** The problems of the file that is loaded. */
export function problemsThrown(loadFile: () => SpecDocument): readonly Diagnostic[] {
  try {
    loadFile();
    return [];
  } catch (error) {
    if (error instanceof BoxctlError && error.code === 'E_SPEC_INVALID') return error.diagnostics;
    throw error;
  }
}

/** `line:column+length CODE: message = help` */
export function problemText({ at, code, message, hint }: Diagnostic): string {
  return `${at?.line}:${at?.column}+${at?.length} ${code}: ${message}${hint === undefined ? '' : ` = ${hint}`}`;
}
