/** The caller's environment. Each variable that is looked up is noted, also where it is not set. */
import { isRecording, note, noteGap } from './record.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** The same variables; each look into them is noted. Who lists them depends on all of them. */
export function noted(variables: Environment): Environment {
  const look = (name: string | symbol): void => {
    if (typeof name !== 'string' || !isRecording()) return;
    note({ kind: 'variable', name, value: Object.hasOwn(variables, name) ? variables[name] : undefined });
  };
  return new Proxy(variables, {
    get: (target, name) => {
      look(name);
      return typeof name === 'string' && Object.hasOwn(target, name) ? target[name] : undefined;
    },
    has: (target, name) => {
      look(name);
      return Object.hasOwn(target, name);
    },
    getOwnPropertyDescriptor: (target, name) => {
      look(name);
      return Object.getOwnPropertyDescriptor(target, name);
    },
    ownKeys: (target) => {
      noteGap('all variables of the environment were read');
      return Reflect.ownKeys(target);
    },
  });
}

export const environment: Environment = noted(process.env);
