/**
 * YAML text to a tree of plain nodes that know where they were written. Everything that YAML allows and a container
 * file has no use for ends here, each with its own problem: the stages behind see maps, lists and scalars only.
 */
import {
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  parseDocument,
  visit,
  type Document,
  type YAMLParseError,
} from 'yaml';
import { MAX_DEPTH, tooDeepAt } from './depth.ts';
import type { TextProblems, Span } from './problems.ts';

/** A file that grows beyond this many nodes through its aliases is an attack, not a container. */
const MAX_NODES = 100_000;

export interface Scalar {
  readonly kind: 'scalar';
  readonly value: string | number | boolean | null;
  /** As it was written, without quotes; what a number in the environment is passed on as. */
  readonly text: string;
  readonly span: Span;
  /** It has a problem already, and its value means nothing. */
  readonly broken?: true;
}

export interface Entry {
  readonly key: Span;
  readonly value: Tree;
}

export interface Branch {
  readonly kind: 'map';
  readonly entries: ReadonlyMap<string, Entry>;
  readonly span: Span;
  readonly size: Size;
}

export type Tree =
  | Scalar
  | Branch
  | { readonly kind: 'list'; readonly items: readonly Tree[]; readonly span: Span; readonly size: Size };

/** What a node is with its aliases written out. */
interface Size {
  readonly nodes: number;
  readonly depth: number;
}

const sizeOf = (tree: Tree): Size => (tree.kind === 'scalar' ? { nodes: 1, depth: 0 } : tree.size);

const around = (children: Iterable<Tree>): Size => {
  let nodes = 1;
  let depth = 0;
  for (const child of children) {
    const size = sizeOf(child);
    nodes += size.nodes;
    depth = Math.max(depth, size.depth);
  }
  return { nodes, depth: depth + 1 };
};

const SYNTAX_HINTS: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: 'indent with spaces',
  BAD_SCALAR_START: 'quote it',
  BLOCK_AS_IMPLICIT_KEY:
    'begin the inner map on the next line, with more indent; quote text that has a colon before a space or at its end',
  BAD_INDENT: 'entries of one map or list start in the same column',
  MULTILINE_IMPLICIT_KEY: 'a key and its colon stand on one line; is a colon missing?',
};

/** The library's names of tokens, as people know them. */
const TOKEN_WORDS: Readonly<Record<string, string>> = {
  'flow-map-start': '`{`',
  'flow-map-end': '`}`',
  'flow-seq-start': '`[`',
  'flow-seq-end': '`]`',
  'map-value-ind': '`:`',
  'explicit-key-ind': '`?`',
  'seq-item-ind': '`-`',
};

/** Parses one document. Undefined when there is no tree; the problems say why. */
export const parseTree = (source: string, problems: TextProblems): Tree | undefined => {
  const deep = tooDeepAt(source);
  if (deep !== undefined) {
    problems.add('E_SPEC_TOO_DEEP', `the file nests deeper than ${MAX_DEPTH} levels`, {
      at: { start: deep, end: deep + 1 },
    });
    return undefined;
  }
  const document = parseDocument(source, {
    version: '1.2',
    schema: 'core',
    // The library's own check is quadratic; ours is below.
    uniqueKeys: false,
    intAsBigInt: true,
    prettyErrors: false,
    // `silent` would hide a second document; nothing is printed either way.
    logLevel: 'error',
  });
  // Errors after the first error of syntax mostly follow from it, so only the first is reported.
  const [error] = [...document.errors].sort((a, b) => a.pos[0] - b.pos[0]);
  if (error !== undefined) {
    reportSyntax(error, document, source, problems);
    return undefined;
  }
  for (const warning of document.warnings) {
    if (warning.code === 'TAG_RESOLVE_FAILED') continue;
    problems.add('E_SPEC_SYNTAX', `not valid YAML: ${warning.message}`, {
      at: { start: warning.pos[0], end: warning.pos[1] },
    });
  }
  return new Walk(source, problems).document(document);
};

interface Unclosed {
  readonly at: number;
  readonly sign: string;
}

/** The quote or bracket that an error says is not closed; the library points at where the text ends. */
const findUnclosed = (error: YAMLParseError, document: Document, source: string): Unclosed | undefined => {
  const [, quote, closing] = /^Missing closing (["'])|must (?:be .*)?end with a ([\]}])/.exec(error.message) ?? [];
  const sign = quote ?? (closing === '}' ? '{' : closing === ']' ? '[' : undefined);
  if (sign === undefined) return undefined;
  let at: number | undefined;
  visit(document, (_key, node) => {
    const span = spanOf(node);
    if (span === undefined || span.start >= error.pos[0] || source[span.start] !== sign) return;
    // The last one: what is not closed takes in all that follows.
    if (quote !== undefined || source[span.end - 1] !== closing) at = span.start;
  });
  return at === undefined ? undefined : { at, sign };
};

const reportSyntax = (error: YAMLParseError, document: Document, source: string, problems: TextProblems): void => {
  const at = { start: error.pos[0], end: error.pos[1] };
  if (error.code === 'MULTIPLE_DOCS') {
    problems.add('E_SPEC_MULTIPLE_DOCUMENTS', 'the file holds more than one YAML document', {
      at,
      hint: 'one file is one container: move what follows `---` to a file of its own',
    });
    return;
  }
  const unclosed = findUnclosed(error, document, source);
  if (unclosed !== undefined) {
    const what = unclosed.sign === '{' || unclosed.sign === '[' ? 'bracket' : 'quote';
    problems.add('E_SPEC_SYNTAX', `not valid YAML: the ${what} \`${unclosed.sign}\` is not closed`, {
      at: { start: unclosed.at, end: unclosed.at + 1 },
    });
    return;
  }
  const variable = source[at.start] === '{' && source[at.start - 1] === '$';
  const message = Object.entries(TOKEN_WORDS).reduce(
    (text, [token, word]) => text.replaceAll(token, word),
    (error.message.split('\n')[0] ?? '').replace(/ token in YAML stream: .*$/, '').replace(/[.:]$/, ''),
  );
  problems.add('E_SPEC_SYNTAX', `not valid YAML: ${message}`, {
    at,
    hint: variable ? 'quote a variable inside { } or [ ]: "${…}"' : SYNTAX_HINTS[error.code],
  });
};

class Walk {
  readonly #source: string;
  readonly #problems: TextProblems;
  /** `open`: the node is still being read, so an alias to it would contain itself. */
  readonly #anchors = new Map<string, Tree | 'open'>();
  #nodes = 0;
  #gaveUp = false;

  constructor(source: string, problems: TextProblems) {
    this.#source = source;
    this.#problems = problems;
  }

  document(document: Document): Tree | undefined {
    const { contents } = document;
    if (contents === null || (isScalar(contents) && contents.value === null && contents.source === '')) {
      this.#problems.add('E_SPEC_EMPTY', 'the file is empty', {
        at: { start: 0, end: 1 },
        hint: 'the shortest file: `image: ./rootfs.tar.gz`',
      });
      return undefined;
    }
    const tree = this.#node(contents, { start: 0, end: 1 });
    return this.#gaveUp ? undefined : tree;
  }

  #node(node: unknown, near: Span): Tree {
    const span = spanOf(node) ?? near;
    if (isAlias(node)) return this.#alias(node.source, span);
    const anchor = isScalar(node) || isMap(node) || isSeq(node) ? node.anchor : undefined;
    if (anchor !== undefined) this.#anchors.set(anchor, 'open');
    const tree = this.#plain(node, span);
    if (anchor !== undefined) this.#anchors.set(anchor, tree);
    return tree;
  }

  #plain(node: unknown, span: Span): Tree {
    this.#count(1, span);
    if (isMap(node)) {
      this.#tag(node.tag, ['tag:yaml.org,2002:map'], span);
      const entries = this.#map(node.items, span);
      const values = [...entries.values()].map((entry) => entry.value);
      return { kind: 'map', entries, span, size: this.#bounded(around(values), span) };
    }
    if (isSeq(node)) {
      this.#tag(node.tag, ['tag:yaml.org,2002:seq'], span);
      const items = node.items.map((item) => this.#entry(item, this.#node(item, span)));
      return { kind: 'list', items, span, size: this.#bounded(around(items), span) };
    }
    if (isScalar(node)) {
      const known = ['str', 'int', 'float', 'bool', 'null'].map((name) => `tag:yaml.org,2002:${name}`);
      if (!this.#tag(node.tag, known, span)) return { ...nothing(span), broken: true };
      return this.#scalar(node.value, node.source ?? '', node.type === 'PLAIN', span);
    }
    return nothing(span);
  }

  /** An entry of a list. YAML takes a `- ` with more indent than the entry before it for a part of that entry's text. */
  #entry(item: unknown, tree: Tree): Tree {
    if (!isScalar(item) || item.type !== 'PLAIN' || tree.kind !== 'scalar') return tree;
    const { start, end } = tree.span;
    const deeper = /\n[ \t]*-[ \t]/.exec(this.#source.slice(start, end));
    if (deeper === null) return tree;
    const sign = start + deeper.index + deeper[0].length - 2;
    this.#problems.add(
      'E_SPEC_SYNTAX',
      'this `-` begins no entry: with more indent, it belongs to the text before it',
      {
        at: { start: sign, end: sign + 1 },
        hint: 'entries of one list start in the same column; quote the text if it is meant so',
      },
    );
    return { ...tree, broken: true };
  }

  #scalar(value: unknown, text: string, plain: boolean, span: Span): Scalar {
    if (typeof value === 'bigint') {
      if (plain && /^[-+]?0\d/.test(text)) {
        this.#problems.add('E_SPEC_NUMBER', `${text} is a decimal number with a leading zero, not an octal one`, {
          at: span,
          hint: `write 0o${text.replace(/^[-+]?0+/, '') || '0'} for octal, or quote it: "${text}"`,
        });
        return { kind: 'scalar', value: 0, text, span, broken: true };
      }
      const number = Number(value);
      if (!Number.isSafeInteger(number)) {
        this.#problems.add('E_SPEC_NUMBER', `${short(text)} is too large to be kept exactly`, {
          at: span,
          hint: 'quote it if it is meant as text',
        });
        return { kind: 'scalar', value: 0, text, span, broken: true };
      }
      return { kind: 'scalar', value: number, text, span };
    }
    if (typeof value === 'number' && !Number.isFinite(value)) {
      this.#problems.add('E_SPEC_NUMBER', `${short(text)} is not a finite number`, { at: span });
      return { kind: 'scalar', value: 0, text, span, broken: true };
    }
    if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
      return { kind: 'scalar', value, text: typeof value === 'string' ? value : text, span };
    }
    return nothing(span);
  }

  #map(pairs: readonly unknown[], span: Span): ReadonlyMap<string, Entry> {
    const own = new Map<string, Entry>();
    const merged = new Map<string, Entry>();
    let merges = false;
    for (const pair of pairs) {
      if (!isPair(pair)) continue;
      const keySpan = spanOf(pair.key) ?? span;
      if (isScalar(pair.key) && pair.key.type === 'PLAIN' && pair.key.source === '<<') {
        if (merges) this.#duplicate('<<', keySpan);
        merges = true;
        this.#merge(this.#node(pair.value, keySpan), merged);
        continue;
      }
      const value = this.#node(pair.value, keySpan);
      const key = this.#key(pair.key, keySpan);
      if (key === undefined) continue;
      const before = own.get(key);
      if (before === undefined) own.set(key, { key: keySpan, value });
      else this.#duplicate(key, keySpan, before.key);
    }
    for (const [key, entry] of merged) if (!own.has(key)) own.set(key, entry);
    return own;
  }

  #key(node: unknown, span: Span): string | undefined {
    if (isAlias(node)) {
      const target = this.#alias(node.source, span);
      if (target.kind === 'scalar' && target.value !== null) return target.text;
    } else if (isScalar(node) && node.value !== null) {
      const tree = this.#node(node, span);
      if (tree.kind === 'scalar') return tree.text;
    }
    this.#problems.add('E_SPEC_KEY', 'a key must be text, not a map, a list or nothing', { at: span });
    return undefined;
  }

  #duplicate(key: string, at: Span, before?: Span): void {
    const first = before === undefined ? '' : `, first on line ${this.#problems.position(before).line}`;
    this.#problems.add('E_SPEC_DUPLICATE_KEY', `the key \`${short(key)}\` is here twice${first}`, { at });
  }

  /** `<<`: earlier sources win over later ones, and the map's own keys over all (YAML 1.1 merge key). */
  #merge(source: Tree, into: Map<string, Entry>): void {
    const sources = source.kind === 'list' ? source.items : [source];
    for (const one of sources) {
      if (one.kind !== 'map') {
        if (one.kind === 'scalar' && one.broken) continue;
        this.#problems.add('E_SPEC_MERGE', '`<<` takes a map, or a list of maps, to merge', { at: one.span });
        continue;
      }
      this.#count(one.entries.size, one.span);
      for (const [key, entry] of one.entries) if (!into.has(key)) into.set(key, entry);
    }
  }

  #alias(name: string, span: Span): Tree {
    const target = this.#anchors.get(name);
    if (target === undefined || target === 'open') {
      const why = target === 'open' ? 'would contain itself' : 'has no anchor before it';
      const hint = target === 'open' ? undefined : `write \`&${short(name)}\` before the value that is meant`;
      this.#problems.add('E_SPEC_ALIAS', `the alias \`*${short(name)}\` ${why}`, { at: span, hint });
      return { ...nothing(span), broken: true };
    }
    this.#count(sizeOf(target).nodes, span);
    return target;
  }

  #count(nodes: number, at: Span): void {
    this.#nodes += nodes;
    if (this.#nodes <= MAX_NODES || this.#gaveUp) return;
    this.#gaveUp = true;
    this.#problems.add('E_SPEC_TOO_MANY_NODES', `with its aliases written out the file has over ${MAX_NODES} values`, {
      at,
    });
  }

  #bounded(size: Size, at: Span): Size {
    if (size.depth > MAX_DEPTH && !this.#gaveUp) {
      this.#gaveUp = true;
      this.#problems.add(
        'E_SPEC_TOO_DEEP',
        `with its aliases written out the file nests deeper than ${MAX_DEPTH} levels`,
        {
          at,
        },
      );
    }
    return size;
  }

  /** False for a tag that means nothing here. */
  #tag(tag: string | undefined, known: readonly string[], span: Span): boolean {
    if (tag === undefined || known.includes(tag) || tag === '!') return true;
    const shown = tag.replace(/^tag:yaml\.org,2002:/, '!!');
    // The node's range may leave its tag out; the tag stands before it.
    const from = this.#source.lastIndexOf('!', span.start);
    const at = from !== -1 && span.start - from < 200 ? { start: from, end: from + shown.length } : span;
    this.#problems.add('E_SPEC_TAG', `the tag \`${short(shown)}\` is not known here`, {
      at,
      hint: 'leave the tag out',
    });
    return false;
  }
}

const nothing = (span: Span): Scalar => ({ kind: 'scalar', value: null, text: '', span });

const short = (text: string): string => (text.length > 60 ? `${text.slice(0, 57)}…` : text);

const spanOf = (node: unknown): Span | undefined => {
  if (!isScalar(node) && !isMap(node) && !isSeq(node) && !isAlias(node)) return undefined;
  const range: unknown = node.range;
  if (!Array.isArray(range)) return undefined;
  const [start, end]: unknown[] = range;
  return typeof start === 'number' && typeof end === 'number' ? { start, end: Math.max(end, start + 1) } : undefined;
};
