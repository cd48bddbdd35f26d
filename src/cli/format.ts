/** `--format`: JSON lines, a template for each row, or a table of the template's columns, as docker has them. */
import { BoxctlError } from '../errors.ts';
import { didYouMean } from '../spec/suggest.ts';
import { columns } from '../text/columns.ts';
import { safe, safeJson } from '../text/safe.ts';
import { plainValue } from '../text/template/functions.ts';
import { parseTemplate } from '../text/template/parse.ts';
import { renderTemplate } from '../text/template/render.ts';
import { TemplateError, type Template } from '../text/template/template.ts';

/** The text for rows of data. */
export type Format = (rows: readonly object[]) => string;

/** Foreign characters in place of which a template's own tabs and line ends could be taken for those of a value. */
function safeValues(value: unknown): unknown {
  if (typeof value === 'string') return safe(value);
  if (Array.isArray(value)) return value.map(safeValues);
  if (value instanceof Map) {
    return new Map([...(value as Map<string, unknown>)].map(([key, one]) => [safe(key), safeValues(one)]));
  }
  return value;
}

/** A row whose fields are made safe when they are looked at: some take time. */
function safeRow(row: object): object {
  return new Proxy(row, {
    getOwnPropertyDescriptor: (target, key) => Reflect.getOwnPropertyDescriptor(target, key),
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key);
      const isPlain = typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Map);
      return isPlain ? safeRow(value) : safeValues(value);
    },
  });
}

function asUsage(error: unknown, source: string): unknown {
  if (!(error instanceof TemplateError)) return error;
  const { message, at, unknown, known } = error;
  const near = unknown === undefined ? undefined : didYouMean(unknown, known);
  const all = known.length === 0 ? undefined : `there are ${known.join(', ')}`;
  return new BoxctlError('E_USAGE', `--format ${source}: ${message}, at character ${at + 1}`, {
    hint: near === undefined ? (all ?? "for example --format '{{.Names}}'") : `did you mean ${near}?`,
  });
}

function checked<T>(source: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw asUsage(error, source);
  }
}

const withLineEnd = (text: string): string => (text.endsWith('\n') ? text : `${text}\n`);

/** A table whose heading are the fields' names in `headings`. */
function tableOf(template: Template, rows: readonly object[], headings: object): string {
  const lines = [headings, ...rows.map(safeRow)].map((row) => renderTemplate(template, row).replace(/\n$/u, ''));
  return columns(lines.map((line) => line.split('\t')));
}

/**
 * @param headings the fields that a row has, and what a table calls each; or such a row
 * @throws BoxctlError `E_USAGE` for a template that cannot be used, also by the format that is given
 */
export function formatOf(source: string, headings: object): Format | undefined {
  if (source === 'table') return undefined;
  if (source === 'json') return (rows) => rows.map((row) => `${safeJson(plainValue(row))}\n`).join('');
  const table = /^table\s+/u.exec(source)?.[0];
  const template = checked(source, () => parseTemplate(table === undefined ? source : source.slice(table.length)));
  // Also where there is no row, a mistake is told.
  checked(source, () => renderTemplate(template, headings));
  return (rows) =>
    checked(source, () =>
      table === undefined
        ? rows.map((row) => withLineEnd(renderTemplate(template, safeRow(row)))).join('')
        : tableOf(template, rows, headings),
    );
}
