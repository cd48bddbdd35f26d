/**
 * The part of Go's templates (text/template) that is used with `--format`: fields, pipelines, `if`, `range`, `with`, and the
 * functions that docker adds. A field that there is not is an error, as for Go's structs; a Map has any key, as Go's maps.
 */
import { TemplateError, type Node, type Operand, type Pipeline, type Template } from './template.ts';

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
