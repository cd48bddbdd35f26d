/** Who asked for each part of a configuration, so that every step of a plan can say why it is there. */
import type { SpecDocument } from '../spec/spec.ts';
import type { ConfigPath } from '../oci/config-path.ts';
import { pathOfFile, type SpecPath } from '../spec/spec-path.ts';
import { reasonAt, type Because, type ReasonMap } from './because.ts';

export class Reasons {
  readonly #document: SpecDocument;
  readonly #known = new Map<string, Because>();

  constructor(document: SpecDocument) {
    this.#document = document;
  }
  /** A value of the file, where the file has it; a default of this name otherwise. */
  set(configPath: ConfigPath, specPath: SpecPath, defaultName: string): void {
    this.#known.set(configPath, this.of(specPath, defaultName));
  }
  /** The same for what is not in the configuration. */
  of(specPath: SpecPath, defaultName: string): Because {
    const at = this.#document.where(specPath);
    return at === undefined ? { kind: 'default', name: defaultName } : { kind: 'spec', path: specPath, at };
  }
  /** The same as `set`, at the first word where the file has a list. */
  setFirst(configPath: ConfigPath, specPath: SpecPath, defaultName: string): void {
    const because = this.of(specPath, defaultName);
    const at = this.#document.where(pathOfFile(`${specPath}.0`));
    this.#known.set(configPath, because.kind === 'spec' && at !== undefined ? { ...because, at } : because);
  }
  byDefault(configPath: ConfigPath, name: string): void {
    this.#known.set(configPath, { kind: 'default', name });
  }
  find(configPath: ConfigPath): Because {
    return reasonAt(this.#known, configPath);
  }
  get all(): ReasonMap {
    return this.#known;
  }
}
