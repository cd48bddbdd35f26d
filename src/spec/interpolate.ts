/** `$VAR` in text, with Compose's forms. Runs on parsed scalars, so that a value can never change the file's shape. */

export interface InterpolationProblem {
  /** `required`: a variable that the text says must be set is not. */
  readonly kind: 'syntax' | 'unset' | 'required';
  readonly code: 'E_SPEC_INTERPOLATION' | 'E_SPEC_UNSET_VARIABLE';
  readonly message: string;
  readonly hint: string;
}

export interface Interpolated {
  readonly text: string;
  /** Something was put in: the text is no longer what the file says. */
  readonly changed: boolean;
  /** Variables whose values were put in, with these. */
  readonly taken: ReadonlyMap<string, string>;
  readonly problems: readonly InterpolationProblem[];
}

const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const MAX_NESTING = 8;

/** Replaces every form of `$` in `text`; `$$` is one dollar sign. Defaults may hold variables themselves. */
export function interpolate(text: string, env: Readonly<Record<string, string | undefined>>): Interpolated {
  return interpolateWith(text, (name) => (Object.hasOwn(env, name) ? env[name] : undefined));
}

/** The same with variables from anywhere; one that is not set is a problem, and empty. */
export function interpolateWith(text: string, valueOf: (name: string) => string | undefined): Interpolated {
  if (!text.includes('$')) return { text, changed: false, taken: new Map(), problems: [] };
  const problems: InterpolationProblem[] = [];
  const taken = new Map<string, string>();
  const wrong = (message: string) =>
    problems.push({ kind: 'syntax', code: 'E_SPEC_INTERPOLATION', message, hint: 'write `$$` for a dollar sign' });
  const nameAt = (at: number): string | undefined => {
    NAME.lastIndex = at;
    return NAME.exec(text)?.[0];
  };
  const unset = (name: string) =>
    problems.push({
      kind: 'unset',
      code: 'E_SPEC_UNSET_VARIABLE',
      message: `the variable ${name} is not set`,
      hint: `set it, or give a default: \${${name}:-default}`,
    });

  const take = (name: string, value: string | undefined) => {
    if (value === undefined) unset(name);
    else taken.set(name, value);
  };

  /** Reads from `at` to the end or, inside braces, to the closing one. `live`: whether its value is used. */
  const read = (at: number, depth: number, live: boolean): { readonly text: string; readonly end: number } => {
    let out = '';
    let index = at;
    while (index < text.length) {
      const char = text[index];
      if (char === '}' && depth > 0) break;
      if (char !== '$') {
        out += char;
        index += 1;
      } else if (text[index + 1] === '$') {
        out += '$';
        index += 2;
      } else if (text[index + 1] === '{') {
        const braced = readBraced(index, depth, live);
        out += braced.text;
        index = braced.end;
      } else {
        const name = nameAt(index + 1);
        if (name === undefined) {
          if (live) wrong('a `$` must be followed by a variable');
          out += '$';
          index += 1;
          continue;
        }
        const value = valueOf(name);
        if (live) take(name, value);
        out += value ?? '';
        index += 1 + name.length;
      }
    }
    return { text: out, end: index };
  };

  const readBraced = (start: number, depth: number, live: boolean): { readonly text: string; readonly end: number } => {
    const fail = (message: string) => {
      if (live) wrong(message);
      return { text: '', end: text.length };
    };
    if (depth >= MAX_NESTING) return fail('variables nest too deep');
    const name = nameAt(start + 2);
    if (name === undefined) return fail('`${` must be followed by a name of a variable');
    let index = start + 2 + name.length;
    const value = valueOf(name);
    if (text[index] === '}') {
      if (live) take(name, value);
      return { text: value ?? '', end: index + 1 };
    }
    const colon = text[index] === ':';
    if (colon) index += 1;
    const form = text[index];
    if (form !== '-' && form !== '?' && form !== '+') {
      const closed = text.includes('}', index);
      return fail(closed ? `\`\${${name}\` goes on with \`-\`, \`?\`, \`+\` or \`}\`` : `\`\${${name}\` is not closed`);
    }
    const given = value !== undefined && !(colon && value === '');
    const wordIsUsed = form === '+' ? given : !given;
    // A message is printed: it is quoted as it is written, and its own variables are not looked up.
    const word = read(index + 1, depth + 1, live && wordIsUsed && form !== '?');
    const written = text.slice(index + 1, word.end);
    if (text[word.end] !== '}') return fail(`\`\${${name}\` is not closed`);
    const end = word.end + 1;
    if (form === '+') return { text: given ? word.text : '', end };
    if (given) {
      if (live) taken.set(name, value);
      return { text: value, end };
    }
    if (form === '-') return { text: word.text, end };
    if (live) {
      problems.push({
        kind: 'required',
        code: 'E_SPEC_UNSET_VARIABLE',
        message: `the variable ${name} is required${written === '' ? '' : `: ${written}`}`,
        hint: `set ${name}`,
      });
    }
    return { text: '', end };
  };

  const { text: result } = read(0, 0, true);
  return { text: result, changed: true, taken, problems };
}
