/** What is read from a template (parse.ts) and filled in (render.ts). */

/** A template that cannot be used. `at`: where in it, from 0. */
export class TemplateError extends Error {
  readonly at: number;
  /** The names that there are where one was not found. */
  readonly known: readonly string[];
  /** The one that was not found. */
  readonly unknown: string | undefined;

  constructor(message: string, at: number, unknown?: string, known: readonly string[] = []) {
    super(message);
    this.at = at;
    this.unknown = unknown;
    this.known = known;
  }
}

export type Operand =
  | { readonly kind: 'value'; readonly value: unknown }
  /** `$.A.B` begins at the data that the whole template is for. */
  | { readonly kind: 'field'; readonly path: readonly string[]; readonly isRoot: boolean; readonly at: number }
  | { readonly kind: 'name'; readonly name: string; readonly at: number }
  /** `(index .List 0).Name`: a field of what the pipeline gives. */
  | { readonly kind: 'group'; readonly pipeline: Pipeline; readonly path: readonly string[]; readonly at: number };
export type Pipeline = readonly (readonly Operand[])[];

export type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'print'; readonly pipeline: Pipeline }
  | {
      readonly kind: 'if' | 'range' | 'with';
      readonly pipeline: Pipeline;
      readonly body: readonly Node[];
      readonly otherwise: readonly Node[];
    };

export type Template = readonly Node[];
