/**
 * The part of Go's templates (text/template) that is used with `--format`: fields, pipelines, `if`, `range`, `with`, and the
 * functions that docker adds. A field that there is not is an error, as for Go's structs; a Map has any key, as Go's maps.
 */

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

type Operand =
  | { readonly kind: 'value'; readonly value: unknown }
  /** `$.A.B` begins at the data that the whole template is for. */
  | { readonly kind: 'field'; readonly path: readonly string[]; readonly isRoot: boolean; readonly at: number }
  | { readonly kind: 'name'; readonly name: string; readonly at: number }
  /** `(index .List 0).Name`: a field of what the pipeline gives. */
  | { readonly kind: 'group'; readonly pipeline: Pipeline; readonly path: readonly string[]; readonly at: number };
type Pipeline = readonly (readonly Operand[])[];

type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'print'; readonly pipeline: Pipeline }
  | {
      readonly kind: 'if' | 'range' | 'with';
      readonly pipeline: Pipeline;
      readonly body: readonly Node[];
      readonly otherwise: readonly Node[];
    };

export type Template = readonly Node[];

// ---- Reading --------------------------------------------------------------------------------------------------------

interface Token {
  readonly text: string;
  readonly at: number;
}

const TOKEN =
  /\s*(?:("(?:[^"\\]|\\.)*")|(`[^`]*`)|(-?\d+(?:\.\d+)?)|([$A-Za-z_][\w]*(?:\.\w+)*|\$)|((?:\.\w+)+|\.)|([|()]))/uy;

function tokensOf(text: string, at: number): readonly Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.trimEnd().length) {
    const from = TOKEN.lastIndex;
    const found = TOKEN.exec(text);
    if (found === null) throw new TemplateError(`"${text.slice(from).trim()}" is not understood`, at + from);
    const word = found[0].trim();
    tokens.push({ text: word, at: at + from + found[0].length - word.length });
  }
  return tokens;
}

const fieldsIn = (text: string): readonly string[] => text.split('.').slice(1).filter(Boolean);

class Tokens {
  readonly #tokens: readonly Token[];
  readonly #end: number;
  #next = 0;

  constructor(tokens: readonly Token[], end: number) {
    this.#tokens = tokens;
    this.#end = end;
  }

  get head(): string | undefined {
    return this.#tokens[this.#next]?.text;
  }

  take(): Token {
    const token = this.#tokens[this.#next++];
    if (token === undefined) throw new TemplateError('something is missing before }}', this.#end);
    return token;
  }

  pipeline(): Pipeline {
    const commands: Operand[][] = [[]];
    for (let head = this.head; head !== undefined && head !== ')'; head = this.head) {
      if (head === '|') {
        this.take();
        commands.push([]);
      } else {
        commands.at(-1)?.push(this.#operand());
      }
    }
    if (commands.some((command) => command.length === 0)) throw new TemplateError('a value is missing', this.#end);
    return commands;
  }

  #operand(): Operand {
    const { text, at } = this.take();
    if (text === '(') {
      const pipeline = this.pipeline();
      if (this.head !== ')') throw new TemplateError('a ) is missing', this.#end);
      const { at: closed } = this.take();
      const next = this.#tokens[this.#next];
      const hasPath = next?.at === closed + 1 && next.text.startsWith('.') && next.text !== '.';
      return { kind: 'group', pipeline, path: hasPath ? fieldsIn(this.take().text) : [], at: closed + 1 };
    }
    if (text.startsWith('"')) return { kind: 'value', value: unquote(text, at) };
    if (text.startsWith('`')) return { kind: 'value', value: text.slice(1, -1) };
    if (/^-?\d/u.test(text)) return { kind: 'value', value: Number(text) };
    if (text === 'true' || text === 'false') return { kind: 'value', value: text === 'true' };
    if (text === 'nil') return { kind: 'value', value: null };
    if (text.startsWith('.') || text === '$' || text.startsWith('$.')) {
      const isRoot = text.startsWith('$');
      return { kind: 'field', path: fieldsIn(text), isRoot, at };
    }
    if (text.startsWith('$')) throw new TemplateError(`variables such as ${text} are not known here`, at);
    return { kind: 'name', name: text, at };
  }
}

function unquote(text: string, at: number): string {
  try {
    return JSON.parse(text) as string;
  } catch {
    throw new TemplateError(`${text} is no text in quotes`, at);
  }
}

/** `\t` and `\n` as docker's users type them: in quotes of a shell, where they are two characters. */
const typed = (text: string): string =>
  text.replaceAll(/\\([tn\\])/gu, (_, letter: string) => ESCAPES[letter] ?? letter);
const ESCAPES: Readonly<Record<string, string>> = { t: '\t', n: '\n', '\\': '\\' };

const ACTION = /\{\{(-\s)?([\s\S]*?)(\s-)?\}\}/gu;

interface Block {
  readonly kind: 'if' | 'range' | 'with';
  readonly pipeline: Pipeline;
  readonly at: number;
  readonly body: Node[];
  otherwise: Node[] | undefined;
  /** How many `end`s it takes: `else if` is a block in the other part. */
  readonly isElse: boolean;
}

/** @throws TemplateError */
export function parseTemplate(source: string): Template {
  const top: Node[] = [];
  const blocks: Block[] = [];
  const add = (node: Node): void => {
    const block = blocks.at(-1);
    (block === undefined ? top : (block.otherwise ?? block.body)).push(node);
  };
  const begin = (kind: Block['kind'], tokens: Tokens, at: number, isElse: boolean): void => {
    blocks.push({ kind, pipeline: tokens.pipeline(), at, body: [], otherwise: undefined, isElse });
  };
  const end = (at: number): void => {
    const block = blocks.pop();
    if (block === undefined) throw new TemplateError('there is an {{end}} too many', at);
    const { kind, pipeline, body, otherwise = [] } = block;
    add({ kind, pipeline, body, otherwise });
    if (block.isElse) end(at);
  };
  let from = 0;
  let trims = false;
  const addText = (text: string, trimEnd: boolean): void => {
    if (/\{\{/u.test(text)) throw new TemplateError('a }} is missing', from + text.indexOf('{{'));
    const begun = trims ? text.trimStart() : text;
    const shown = typed(trimEnd ? begun.trimEnd() : begun);
    if (shown !== '') add({ kind: 'text', text: shown });
  };
  for (const { 0: whole, 1: left, 2: inner = '', 3: right, index } of source.matchAll(ACTION)) {
    addText(source.slice(from, index), left !== undefined);
    from = index + whole.length;
    trims = right !== undefined;
    if (/^\s*\/\*[\s\S]*\*\/\s*$/u.test(inner)) continue;
    const at = index + 2 + (left?.length ?? 0);
    const tokens = new Tokens(tokensOf(inner, at), index + whole.length - 2);
    const word = tokens.head;
    if (word === 'if' || word === 'range' || word === 'with') {
      tokens.take();
      begin(word, tokens, at, false);
    } else if (word === 'else') {
      tokens.take();
      const block = blocks.at(-1);
      if (block === undefined || block.otherwise !== undefined)
        throw new TemplateError('there is an {{else}} too many', at);
      block.otherwise = [];
      const next = tokens.head;
      if (next === 'if' || next === 'with') {
        tokens.take();
        begin(next, tokens, at, true);
      }
    } else if (word === 'end') {
      tokens.take();
      end(at);
    } else {
      add({ kind: 'print', pipeline: tokens.pipeline() });
    }
    if (tokens.head !== undefined) throw new TemplateError(`"${tokens.head}" is too much here`, tokens.take().at);
  }
  addText(source.slice(from), false);
  const open = blocks.at(-1);
  if (open !== undefined) throw new TemplateError(`the {{end}} of {{${open.kind}}} is missing`, open.at);
  return top;
}

// ---- Filling in -----------------------------------------------------------------------------------------------------

type Field = (...args: readonly unknown[]) => unknown;

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Map);

/** Of maps and objects, in the order of their keys, as Go has it. */
function entriesOf(value: unknown): readonly (readonly [string, unknown])[] {
  if (value instanceof Map) {
    return [...(value as Map<string, unknown>)].toSorted(([one], [other]) => (one < other ? -1 : 1));
  }
  return isObject(value) ? Object.entries(value) : [];
}

/** For JSON, which has no maps. Fields that take arguments are left out. */
export function plainValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plainValue);
  if (!(value instanceof Map) && !isObject(value)) return value;
  return Object.fromEntries(
    entriesOf(value)
      .filter(([, one]) => typeof one !== 'function')
      .map(([key, one]) => [key, plainValue(one)]),
  );
}

/** As Go prints a value. */
function printed(value: unknown): string {
  if (value === undefined) return '<no value>';
  if (value === null) return '<nil>';
  if (Array.isArray(value)) return `[${value.map(printed).join(' ')}]`;
  if (value instanceof Map)
    return `map[${entriesOf(value)
      .map(([key, one]) => `${key}:${printed(one)}`)
      .join(' ')}]`;
  if (isObject(value)) return JSON.stringify(plainValue(value));
  return String(value as string | number | boolean);
}

/** What counts as true in `if`: nothing that is empty or zero. */
function isTrue(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0;
  return Boolean(value);
}

function lengthOf(value: unknown): number {
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (Array.isArray(value)) return value.length;
  return entriesOf(value).length;
}

function indexOf(value: unknown, keys: readonly unknown[]): unknown {
  return keys.reduce((found: unknown, key) => {
    if (Array.isArray(found)) return (found as readonly unknown[])[Number(key)];
    if (found instanceof Map) return (found as Map<unknown, unknown>).get(String(key));
    return isObject(found) && Object.hasOwn(found, String(key)) ? found[String(key)] : undefined;
  }, value);
}

const texts = (value: unknown): readonly string[] => (Array.isArray(value) ? value.map(printed) : [printed(value)]);

/** `%s` and its kind. */
function formatted([format, ...values]: readonly unknown[]): string {
  let next = 0;
  return printed(format).replaceAll(/%(-?\d*)([sdvq%])/gu, (_, width: string, verb: string) => {
    if (verb === '%') return '%';
    const value = printed(values[next++]);
    const text = verb === 'q' ? JSON.stringify(value) : value;
    return width.startsWith('-') ? text.padEnd(Number(width.slice(1))) : text.padStart(Number(width));
  });
}

const FUNCTIONS: Readonly<Record<string, Field>> = {
  json: (value) => JSON.stringify(plainValue(value) ?? null),
  join: (list, between) => texts(list).join(printed(between)),
  split: (text, between) => printed(text).split(printed(between)),
  lower: (text) => printed(text).toLowerCase(),
  upper: (text) => printed(text).toUpperCase(),
  title: (text) => printed(text).replaceAll(/\b\p{L}/gu, (letter) => letter.toUpperCase()),
  pad: (text, before, after) => `${' '.repeat(Number(before))}${printed(text)}${' '.repeat(Number(after))}`,
  truncate: (text, most) => printed(text).slice(0, Number(most)),
  len: lengthOf,
  index: (value, ...keys) => indexOf(value, keys),
  print: (...values) => values.map(printed).join(' '),
  println: (...values) => `${values.map(printed).join(' ')}\n`,
  printf: (...values) => formatted(values),
  eq: (one, ...others) => others.some((other) => printed(one) === printed(other)),
  ne: (one, other) => printed(one) !== printed(other),
  lt: (one, other) => Number(one) < Number(other),
  gt: (one, other) => Number(one) > Number(other),
  le: (one, other) => Number(one) <= Number(other),
  ge: (one, other) => Number(one) >= Number(other),
  not: (value) => !isTrue(value),
  and: (...values) => values.find((value) => !isTrue(value)) ?? values.at(-1),
  or: (...values) => values.find(isTrue) ?? values.at(-1),
};

function fieldOf(value: unknown, name: string, at: number): unknown {
  if (value === undefined || value === null) return undefined;
  if (value instanceof Map) return (value as Map<string, unknown>).get(name);
  if (isObject(value) && Object.hasOwn(value, name)) return value[name];
  const known = isObject(value) ? Object.keys(value) : [];
  throw new TemplateError(`there is no field .${name}`, at, name, known);
}

class Renderer {
  readonly #root: unknown;

  constructor(root: unknown) {
    this.#root = root;
  }

  nodes(nodes: Template, dot: unknown): string {
    return nodes.map((node) => this.#node(node, dot)).join('');
  }

  #node(node: Node, dot: unknown): string {
    if (node.kind === 'text') return node.text;
    const value = this.#pipeline(node.pipeline, dot);
    switch (node.kind) {
      case 'print':
        return printed(value);
      case 'if':
        return this.nodes(isTrue(value) ? node.body : node.otherwise, dot);
      case 'with':
        return isTrue(value) ? this.nodes(node.body, value) : this.nodes(node.otherwise, dot);
      case 'range': {
        const items = Array.isArray(value) ? (value as readonly unknown[]) : entriesOf(value).map(([, one]) => one);
        if (items.length === 0) return this.nodes(node.otherwise, dot);
        return items.map((item) => this.nodes(node.body, item)).join('');
      }
    }
  }

  #pipeline(pipeline: Pipeline, dot: unknown): unknown {
    return pipeline.reduce(
      (before: readonly unknown[], command) => [this.#command(command, dot, before)],
      [] as readonly unknown[],
    )[0];
  }

  /** `before`: what is piped into it, as its last argument. */
  #command([first, ...others]: readonly Operand[], dot: unknown, before: readonly unknown[]): unknown {
    if (first === undefined) return undefined;
    const args = [...others.map((operand) => this.#operand(operand, dot)), ...before];
    if (first.kind === 'name') {
      const call = Object.hasOwn(FUNCTIONS, first.name) ? FUNCTIONS[first.name] : undefined;
      if (call !== undefined) return call(...args);
      throw new TemplateError(`there is no function ${first.name}`, first.at, first.name, Object.keys(FUNCTIONS));
    }
    const value = this.#operand(first, dot);
    if (typeof value === 'function') return (value as Field)(...args);
    if (args.length > 0) throw new TemplateError('a value takes no arguments', first.kind === 'field' ? first.at : 0);
    return value;
  }

  #operand(operand: Operand, dot: unknown): unknown {
    switch (operand.kind) {
      case 'value':
        return operand.value;
      case 'group':
        return operand.path.reduce(
          (value: unknown, name) => fieldOf(value, name, operand.at),
          this.#pipeline(operand.pipeline, dot),
        );
      case 'name':
        return this.#command([operand], dot, []);
      case 'field':
        return operand.path.reduce(
          (value: unknown, name) => fieldOf(value, name, operand.at),
          operand.isRoot ? this.#root : dot,
        );
    }
  }
}

/** @throws TemplateError where the data has no such field */
export const renderTemplate = (template: Template, data: unknown): string => new Renderer(data).nodes(template, data);
