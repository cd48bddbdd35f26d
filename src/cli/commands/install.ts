import { realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { BoxctlError } from '../../errors.ts';
import { isSecretName } from '../../model/secrets.ts';
import { DEFAULT_STOP } from '../../model/model.ts';
import type { SpecDocument } from '../../spec/spec.ts';
import { removeUnit, systemctl, unitPlace, writeUnit, type UnitPlace } from '../../systemd/install.ts';
import { unitText, type UnitWanted } from '../../systemd/unit.ts';
import { safe } from '../../text/safe.ts';
import type { Invocation, Run } from '../command.ts';
import { loadDocument, specFile } from '../environment.ts';
import { homeOf } from '../home.ts';
import { writeMessage, writeOutput } from '../output.ts';

/** Where systemd listens; the value in a unit's own environment is another, and only its presence counts here. */
const NOTIFY = '/run/systemd/notify';

/** What boxctl itself looks at, where the caller has set it. */
const OWN = [
  'BOXCTL_STORE',
  'XDG_DATA_HOME',
  'XDG_CONFIG_HOME',
  'CONTAINERS_REGISTRIES_CONF',
  'REGISTRY_AUTH_FILE',
] as const;

function isUserUnit({ args }: Invocation): boolean {
  return args.flag('user') || process.geteuid?.() !== 0;
}

function placeFor(invocation: Invocation, name: string): UnitPlace {
  const { env } = invocation;
  return unitPlace(invocation.args.value('name') ?? name, isUserUnit(invocation), { env, home: homeOf(env) });
}

/** With a NOTIFY_SOCKET, which a unit has when it runs. */
function documentOf(invocation: Invocation): SpecDocument {
  const env = { ...invocation.env, NOTIFY_SOCKET: invocation.env['NOTIFY_SOCKET'] ?? NOTIFY };
  return loadDocument({ ...invocation, env });
}

/** A file that says nothing is started again when it fails: that is what a unit is for. */
function restartOf({ spec: { restart }, where }: SpecDocument): UnitWanted['restart'] {
  if (restart !== undefined) return restart.when;
  return where('restart') === undefined ? 'on-failure' : 'no';
}

function wantedOf(invocation: Invocation, document: SpecDocument): UnitWanted {
  const { args, env, cwd } = invocation;
  const own = OWN.flatMap((key) => (env[key] === undefined ? [] : [[key, env[key]] as const]));
  const allows = args.values('allow').flatMap((word) => ['--allow', word]);
  const program = realpathSync(process.argv[1] ?? '');
  const file = resolve(cwd, specFile(invocation));
  return {
    name: document.spec.name,
    command: [
      process.execPath,
      program,
      'up',
      '--quiet',
      ...allows,
      ...(args.flag('locked') ? ['--locked'] : []),
      file,
    ],
    folder: document.folder,
    environment: { PATH: env['PATH'] ?? '/usr/bin:/bin', HOME: homeOf(env), ...Object.fromEntries(own) },
    notifies: document.where('environment.NOTIFY_SOCKET') !== undefined,
    restart: restartOf(document),
    graceMs: document.spec.stopGracePeriod ?? DEFAULT_STOP.graceMs,
    user: isUserUnit(invocation),
  };
}

/** A unit does not have the caller's variables, and none is written into it: it can be read by everybody. */
function tellVariables({ taken }: SpecDocument, unit: string): void {
  const names = [...new Set(taken.map(({ name }) => name))].filter((name) => name !== 'NOTIFY_SOCKET');
  if (names.length === 0) return;
  const how = names.some((name) => isSecretName(name))
    ? 'EnvironmentFile=, a file that only you can read'
    : 'Environment=';
  writeMessage(
    `boxctl: the file takes ${safe(names.join(', '))} of your environment, which the unit does not have: systemctl edit ${unit}, ${how}\n`,
  );
}

export const install: Run = (invocation) => {
  const { args, env } = invocation;
  const document = documentOf(invocation);
  const place = placeFor(invocation, document.spec.name);
  const path = writeUnit(place, unitText(wantedOf(invocation, document)));
  writeOutput(`${path}\n`);
  tellVariables(document, place.unit);
  const start = ['enable', '--now', place.unit];
  if (!args.flag('now')) {
    const how = ['systemctl', ...(place.user ? ['--user'] : []), ...start].join(' ');
    writeMessage(`boxctl: ${how} starts it, now and with ${place.user ? 'your session' : 'the machine'}\n`);
    return 0;
  }
  systemctl(place.user, ['daemon-reload'], env['PATH'] ?? '');
  systemctl(place.user, start, env['PATH'] ?? '');
  return 0;
};

/** By `--name`, or by the name in the file. */
export const uninstall: Run = (invocation) => {
  const { args, env } = invocation;
  const name = args.value('name') ?? documentOf(invocation).spec.name;
  const place = placeFor(invocation, name);
  const path = env['PATH'] ?? '';
  const attempt = (words: readonly string[]): void => {
    try {
      systemctl(place.user, words, path);
    } catch (error) {
      // Where systemd does not run, it has not started it.
      if (!(error instanceof BoxctlError)) throw error;
    }
  };
  attempt(['disable', '--now', place.unit]);
  if (!removeUnit(place)) {
    throw new BoxctlError('E_UNIT_NOT_FOUND', `there is no unit ${place.unit} in ${place.folder}`, {
      hint: place.user ? 'boxctl uninstall as root for one of the system' : 'boxctl uninstall --user for one of a user',
    });
  }
  attempt(['daemon-reload']);
  writeOutput(`${place.unit}\n`);
  return 0;
};
