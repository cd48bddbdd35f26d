/** `boxctl logout`: takes back what `login` has stored. */
import { BoxctlError } from '../../errors.ts';
import { removeLogin } from '../../registry/auth-store.ts';
import { findCredentials } from '../../registry/credentials.ts';
import { safeJson } from '../../text/safe.ts';
import type { Run } from '../command.ts';
import { writeOutput } from '../output.ts';
import { registryOf, settingOf, usage, type Setting } from './login.ts';

/** Where there still are credentials. Files of docker's, and others that `login` does not write, are left alone. */
async function sourceOfRest(key: string, { options }: Setting): Promise<string | undefined> {
  if (options.authFile !== undefined) return undefined;
  const [host = '', ...path] = key.split('/');
  const left = await findCredentials(host, path.join('/'), options).catch(() => undefined);
  return left?.source;
}

export const logout: Run = async (invocation) => {
  const { args } = invocation;
  const all = args.flag('all');
  if (all && args.positionals.length > 0) throw usage('--all is for every registry', 'name none, or leave out --all');
  const setting = settingOf(invocation);
  const key = all ? undefined : registryOf(args, setting.config);
  const from = await removeLogin(key, setting.options);
  const left = key === undefined ? undefined : await sourceOfRest(key, setting);
  if (key !== undefined && from.length === 0) {
    throw new BoxctlError('E_REGISTRY_NOT_LOGGED_IN', `boxctl has stored nothing for ${key}`, {
      hint: left === undefined ? `boxctl login ${key}` : `what is used for it is in ${left}: docker logout ${key}`,
    });
  }
  if (args.flag('json')) writeOutput(`${safeJson({ registry: key ?? 'all', removed: from }, 2)}\n`);
  else writeOutput(`logged out of ${key ?? 'all registries'}${from.length === 0 ? ': there was nothing' : ''}\n`);
  if (left !== undefined)
    setting.messages.warning(`there are still credentials for ${key ?? ''} in ${left}`, undefined);
  return 0;
};
