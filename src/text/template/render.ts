/** Fills in a template. */
import { entriesOf, FUNCTIONS, isObject, isTrue, printed, type Field } from './functions.ts';
import { TemplateError, type Node, type Operand, type Pipeline, type Template } from './template.ts';

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
